//! Dynamic host configuration protocol for IPv4 [RFC 2131]: messages, their options, and a writer.

use core::net::Ipv4Addr;

use zerocopy::network_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::malformed::prefix;
use crate::{MacAddr, Malformed};

mod names;
mod options;
mod routes;
#[cfg(test)]
mod tests;
mod writer;

pub use names::{Name, Names, write_name};
pub use options::{Options, Value, code};
pub use routes::{ClasslessRoute, ClasslessRoutes};
pub use writer::DhcpWriter;

/// Length of the fixed part in bytes, the magic cookie included.
pub const HEADER_LEN: usize = size_of::<DhcpHeader>();

/// The UDP port of servers and relays.
pub const SERVER_PORT: u16 = 67;

/// The UDP port of clients.
pub const CLIENT_PORT: u16 = 68;

/// The shortest message in bytes: relays and servers of BOOTP take no less [RFC 1542 §2.1].
pub const MIN_LEN: usize = 300;

/// The longest message that every client takes [RFC 2131 §2], as the maximum message size counts it: with IP and UDP headers.
pub const MIN_MAX_MESSAGE: u16 = 576;

/// Operation of what clients send.
pub const BOOT_REQUEST: u8 = 1;

/// Operation of what servers send.
pub const BOOT_REPLY: u8 = 2;

/// A lease time that never ends [RFC 2131 §3.3].
pub const INFINITE: u32 = u32::MAX;

/// Hardware type of Ethernet.
const ETHERNET: u8 = 1;

/// What the options begin with [RFC 2131 §3].
const COOKIE: U32 = U32::from_bytes([99, 130, 83, 99]);

const BROADCAST_FLAG: u16 = 0x8000;

/// The kinds of messages, values of option 53 [RFC 2132 §9.6].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum MessageType {
    /// A client looks for servers.
    Discover = 1,
    /// A server offers an address.
    Offer = 2,
    /// A client asks for an address, or to keep it.
    Request = 3,
    /// A client found that somebody else has the address.
    Decline = 4,
    /// A server leases the address.
    Ack = 5,
    /// A server refuses.
    Nak = 6,
    /// A client gives its address back.
    Release = 7,
    /// A client that has an address asks for settings alone.
    Inform = 8,
}

impl MessageType {
    /// The kind with this number.
    pub const fn new(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Discover,
            2 => Self::Offer,
            3 => Self::Request,
            4 => Self::Decline,
            5 => Self::Ack,
            6 => Self::Nak,
            7 => Self::Release,
            8 => Self::Inform,
            _ => return None,
        })
    }
}

/// The fixed fields of a message to be written; the others are zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DhcpFields {
    /// [`BOOT_REQUEST`] or [`BOOT_REPLY`].
    pub operation: u8,
    /// Names the exchange.
    pub transaction: u32,
    /// Seconds since the client began.
    pub seconds: u16,
    /// Whether the client takes answers by broadcast alone.
    pub broadcast: bool,
    /// The client's address, if it can answer ARP for it.
    pub client: Ipv4Addr,
    /// The address that the client is to have.
    pub yours: Ipv4Addr,
    /// The server for the next step of booting.
    pub next_server: Ipv4Addr,
    /// The relay that the message went through.
    pub relay: Ipv4Addr,
    /// The client's station.
    pub hardware: MacAddr,
}

impl DhcpFields {
    /// The fields of a client's message, without addresses.
    pub const fn request(transaction: u32, hardware: MacAddr) -> Self {
        Self {
            operation: BOOT_REQUEST,
            transaction,
            seconds: 0,
            broadcast: false,
            client: Ipv4Addr::UNSPECIFIED,
            yours: Ipv4Addr::UNSPECIFIED,
            next_server: Ipv4Addr::UNSPECIFIED,
            relay: Ipv4Addr::UNSPECIFIED,
            hardware,
        }
    }
}

/// The fixed part of a message, up to and with the magic cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct DhcpHeader {
    operation: u8,
    hardware_type: u8,
    hardware_len: u8,
    hops: u8,
    transaction: U32,
    seconds: U16,
    flags: U16,
    client: [u8; 4],
    yours: [u8; 4],
    next_server: [u8; 4],
    relay: [u8; 4],
    hardware: MacAddr,
    hardware_padding: [u8; 10],
    server_name: [u8; 64],
    boot_file: [u8; 128],
    cookie: U32,
}

impl DhcpHeader {
    /// Fills in the fixed part.
    pub fn write(into: &mut [u8; HEADER_LEN], fields: &DhcpFields) {
        *into = [0; HEADER_LEN];
        let Ok((header, _)) = Self::mut_from_prefix(into) else { return };
        header.operation = fields.operation;
        header.hardware_type = ETHERNET;
        header.hardware_len = 6;
        header.transaction = fields.transaction.into();
        header.seconds = fields.seconds.into();
        header.flags = if fields.broadcast { BROADCAST_FLAG } else { 0 }.into();
        header.client = fields.client.octets();
        header.yours = fields.yours.octets();
        header.next_server = fields.next_server.octets();
        header.relay = fields.relay.octets();
        header.hardware = fields.hardware;
        header.cookie = COOKIE;
    }

    /// [`BOOT_REQUEST`], [`BOOT_REPLY`], or a value that is neither.
    pub fn operation(&self) -> u8 {
        self.operation
    }

    /// How many relays it went through.
    pub fn hops(&self) -> u8 {
        self.hops
    }

    /// Names the exchange.
    pub fn transaction(&self) -> u32 {
        self.transaction.get()
    }

    /// Seconds since the client began.
    pub fn seconds(&self) -> u16 {
        self.seconds.get()
    }

    /// Whether the client takes answers by broadcast alone.
    pub fn broadcast(&self) -> bool {
        self.flags.get() & BROADCAST_FLAG != 0
    }

    /// The client's address, if it can answer ARP for it.
    pub fn client(&self) -> Ipv4Addr {
        self.client.into()
    }

    /// The address that the client is to have.
    pub fn yours(&self) -> Ipv4Addr {
        self.yours.into()
    }

    /// The server for the next step of booting.
    pub fn next_server(&self) -> Ipv4Addr {
        self.next_server.into()
    }

    /// The relay that the message went through.
    pub fn relay(&self) -> Ipv4Addr {
        self.relay.into()
    }

    /// The client's station.
    pub fn hardware(&self) -> MacAddr {
        self.hardware
    }

    /// The name of the server, if the field is no room for options: the bytes before the first zero.
    pub fn server_name(&self) -> &[u8] {
        before_zero(&self.server_name)
    }

    /// The file to boot from, likewise.
    pub fn boot_file(&self) -> &[u8] {
        before_zero(&self.boot_file)
    }
}

fn before_zero(bytes: &[u8]) -> &[u8] {
    bytes.split(|&byte| byte == 0).next().unwrap_or_default()
}

/// A message whose every option lies where it should.
///
/// ```
/// use coracle_wire::MacAddr;
/// use coracle_wire::dhcpv4::{DhcpFields, DhcpMessage, DhcpWriter, MessageType, code};
///
/// let mut bytes = [0; 300];
/// let fields = DhcpFields::request(0x1234, MacAddr::new(2, 0, 0, 0, 0, 1));
/// let mut writer = DhcpWriter::new(&mut bytes, &fields, MessageType::Discover)?;
/// assert!(writer.option(code::HOSTNAME, b"boat"));
/// assert_eq!(writer.finish(), 300);
///
/// let message = DhcpMessage::read(&bytes)?;
/// assert_eq!(message.message_type(), Some(MessageType::Discover));
/// assert!(message.value(code::HOSTNAME).unwrap().eq(*b"boat"));
/// # Ok::<(), coracle_wire::Malformed>(())
/// ```
#[derive(Debug, Clone)]
pub struct DhcpMessage<'a> {
    /// The fixed part.
    pub header: &'a DhcpHeader,
    options: Options<'a>,
}

impl<'a> DhcpMessage<'a> {
    /// The message that a datagram carries. Checked are the cookie, the hardware type and length, and that each option
    /// ends within the field where it begins: the options field, or `file` and `sname` if these hold options too
    /// [2131-1, 2131-2]. An end marker may be missing.
    ///
    /// # Errors
    ///
    /// [`Malformed::Truncated`] below 240 bytes; [`Malformed::Type`] for another cookie or hardware than Ethernet;
    /// [`Malformed::Length`] for stations that have not 6 bytes; [`Malformed::Option`] for an option that is cut.
    pub fn read(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let header: &DhcpHeader = prefix(bytes)?;
        if header.cookie != COOKIE || header.hardware_type != ETHERNET {
            return Err(Malformed::Type);
        }
        if header.hardware_len != 6 {
            return Err(Malformed::Length);
        }
        let rest = bytes.get(HEADER_LEN..).unwrap_or_default();
        let options = Options::read(rest, &header.boot_file, &header.server_name)?;
        Ok(Self { header, options })
    }

    /// What the message is for; `None` for a number that means nothing, or a message of BOOTP.
    pub fn message_type(&self) -> Option<MessageType> {
        MessageType::new(self.value(code::MESSAGE_TYPE)?.byte()?)
    }

    /// The options, piece by piece: of those that come several times, each piece by itself.
    pub fn options(&self) -> Options<'a> {
        self.options.clone()
    }

    /// The value of an option, all of its pieces behind each other (RFC 3396 §7).
    pub fn value(&self, code: u8) -> Option<Value<'a>> {
        Value::find(self.options.clone(), code)
    }

    /// The one address that an option holds, or the first of its list.
    pub fn address(&self, code: u8) -> Option<Ipv4Addr> {
        self.value(code)?.addresses()?.next()
    }

    /// The addresses that an option lists; none if it is not there, or its length is not that of a list.
    pub fn addresses(&self, code: u8) -> impl Iterator<Item = Ipv4Addr> + use<'a> {
        self.value(code).and_then(Value::addresses).into_iter().flatten()
    }

    /// The one number of 32 bits that an option holds: times, in seconds.
    pub fn number(&self, code: u8) -> Option<u32> {
        self.value(code)?.number()
    }

    /// Which server sent it, or is meant (option 54).
    pub fn server(&self) -> Option<Ipv4Addr> {
        self.value(code::SERVER_ID)?.number().map(Ipv4Addr::from_bits)
    }
}
