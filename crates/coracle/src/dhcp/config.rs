//! What the owner of an interface decides about its DHCP client.

use core::net::Ipv4Addr;
use core::time::Duration;

use coracle_buf::Error;
use coracle_wire::dhcpv4::code;

/// When an address that a server gave is checked for being somebody else's [RFC 5227].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ConflictCheck {
    /// Never.
    Off,
    /// While it is in use already: it is usable at once, and given up when somebody else turns out to have it.
    #[default]
    Background,
    /// Before it is used, which takes four to seven seconds. lwIP: `LWIP_DHCP_DOES_ACD_CHECK`.
    BeforeUse,
}

/// What the client calls itself (option 61).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ClientId {
    /// By a DUID made from the station address, the same as in DHCP for IPv6 [RFC 4361].
    #[default]
    Duid,
    /// By the station address with its type, as older clients do [RFC 2132 §9.14].
    Station,
    /// By nothing but the message's own hardware address.
    None,
}

/// How the DHCP client of an interface behaves.
///
/// ```
/// use coracle::DhcpConfig;
/// use coracle::wire::dhcpv4::code;
///
/// let mut config = DhcpConfig::new();
/// config.rapid_commit = false;
/// config.options.want(code::TFTP_SERVER)?;
/// config.options.send(code::VENDOR_CLASS, b"coracle")?;
/// # Ok::<(), coracle::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DhcpConfig {
    /// Whether and when addresses are checked for conflicts.
    pub conflict_check: ConflictCheck,
    /// What the client calls itself.
    pub client_id: ClientId,
    /// Take a lease at once from a server that offers this [RFC 4039].
    pub rapid_commit: bool,
    /// Ask for answers by broadcast, for devices that receive no unicast before they have an address [2131-3].
    pub broadcast: bool,
    /// The address from before a restart: it is asked for first [2131-11].
    pub remembered: Option<Ipv4Addr>,
    /// How long other servers may make better offers after the first.
    pub offer_window: Duration,
    /// The longest random wait before the first message, in whole seconds; RFC 2131 §4.4.1 suggests ten for hosts
    /// that are switched on all at once.
    pub start_delay: Duration,
    /// After how many messages without success the interface gives itself a link-local address until there is a
    /// server; 0: never. lwIP: `LWIP_DHCP_AUTOIP_COOP_TRIES`.
    pub autoip_after: u8,
    /// What the application asks for and tells besides.
    pub options: DhcpOptions,
}

impl DhcpConfig {
    /// The defaults: usable at once with a check in the background, a DUID, rapid commit, a link-local address after
    /// two messages without an answer (about 12 s).
    pub const fn new() -> Self {
        Self {
            conflict_check: ConflictCheck::Background,
            client_id: ClientId::Duid,
            rapid_commit: true,
            broadcast: false,
            remembered: None,
            offer_window: Duration::from_millis(50),
            start_delay: Duration::ZERO,
            autoip_after: 2,
            options: DhcpOptions::NONE,
        }
    }
}

impl Default for DhcpConfig {
    fn default() -> Self {
        Self::new()
    }
}

/// Options of the application: some that it wants to read from the lease, some that it sends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DhcpOptions {
    wanted: [u8; Self::MAX_WANTED],
    sent: [u8; Self::MAX_SENT],
    sent_len: u8,
}

impl DhcpOptions {
    /// None.
    pub const NONE: Self = Self { wanted: [0; Self::MAX_WANTED], sent: [0; Self::MAX_SENT], sent_len: 0 };
    /// How many options can be asked for besides those that the client uses itself.
    pub const MAX_WANTED: usize = 12;
    /// The room for options that are sent, in bytes, with two bytes for each one's number and length.
    pub const MAX_SENT: usize = 64;

    /// Asks servers for one more option, which can be read from the lease then.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] for 0 and 255, which are no options; [`Error::Memory`] after twelve.
    pub fn want(&mut self, code: u8) -> Result<(), Error> {
        if matches!(code, code::PAD | code::END) {
            return Err(Error::Argument);
        }
        let place = self.wanted.iter_mut().find(|place| **place == 0 || **place == code);
        *place.ok_or(Error::Memory)? = code;
        Ok(())
    }

    /// Sends one more option with what asks for an address or for settings: a vendor class (60), say.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] for an option that the client sends itself; [`Error::Memory`] when there is no room.
    pub fn send(&mut self, code: u8, data: &[u8]) -> Result<(), Error> {
        let own = [
            code::PAD,
            code::REQUESTED_ADDRESS,
            code::OVERLOAD,
            code::MESSAGE_TYPE,
            code::SERVER_ID,
            code::PARAMETERS,
            code::CLIENT_ID,
            code::RAPID_COMMIT,
            code::AUTO_CONFIGURE,
            code::END,
        ];
        if own.contains(&code) {
            return Err(Error::Argument);
        }
        let start = usize::from(self.sent_len);
        let end = start + 2 + data.len();
        let place = self.sent.get_mut(start..end).ok_or(Error::Memory)?;
        place[0] = code;
        place[1] = data.len() as u8;
        place[2..].copy_from_slice(data);
        self.sent_len = end as u8;
        Ok(())
    }

    /// The options that are asked for besides the client's own.
    pub(crate) fn wanted(&self) -> impl Iterator<Item = u8> {
        self.wanted.into_iter().filter(|&code| code != 0)
    }

    /// The application's options.
    pub(crate) fn sent(&self) -> impl Iterator<Item = (u8, &[u8])> {
        let mut rest = &self.sent[..usize::from(self.sent_len)];
        core::iter::from_fn(move || {
            let [code, len, behind @ ..] = rest else { return None };
            let (data, behind) = behind.split_at_checked(usize::from(*len))?;
            rest = behind;
            Some((*code, data))
        })
    }
}
