//! What the owner of a stack says of an interface when adding it.

use core::fmt;
use core::net::Ipv4Addr;

use coracle_buf::Error;
use coracle_wire::MacAddr;

#[cfg(feature = "ipv6")]
use crate::nd::Ipv6Settings;

/// What an interface's frames look like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Medium {
    /// Ethernet II frames, with ARP. lwIP: `NETIF_FLAG_ETHARP`.
    Ethernet(MacAddr),
    /// Bare IP packets, from one point to another (a TUN device, a serial line).
    Ip,
    /// What is sent comes back: the host itself, 127.0.0.0/8.
    Loopback,
}

/// Which checksums the stack makes and checks on an interface; a device that does one in hardware has its bit
/// cleared. The bits are lwIP's `NETIF_CHECKSUM_*`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Checksums(u16);

impl Checksums {
    /// The stack does everything.
    pub const ALL: Self = Self(0xffff);
    /// The device does everything, or the wire cannot err.
    pub const NONE: Self = Self(0);
    /// Make the IPv4 header's.
    pub const GENERATE_IP: Self = Self(0x01);
    /// Make UDP's and UDP-Lite's.
    pub const GENERATE_UDP: Self = Self(0x02);
    /// Make TCP's.
    pub const GENERATE_TCP: Self = Self(0x04);
    /// Make ICMP's.
    pub const GENERATE_ICMP: Self = Self(0x08);
    /// Check the IPv4 header's.
    pub const CHECK_IP: Self = Self(0x100);
    /// Check UDP's and UDP-Lite's.
    pub const CHECK_UDP: Self = Self(0x200);
    /// Check TCP's.
    pub const CHECK_TCP: Self = Self(0x400);
    /// Check ICMP's.
    pub const CHECK_ICMP: Self = Self(0x800);

    /// Whether the stack does all of `other`.
    #[inline]
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// These without those.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// These and those.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// An interface's IPv4 address, netmask and gateway; 0.0.0.0 stands for none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ipv4Settings {
    /// The address.
    pub address: Ipv4Addr,
    /// The netmask: ones, then zeros.
    pub netmask: Ipv4Addr,
    /// The gateway to everything that is not on the link.
    pub gateway: Ipv4Addr,
}

impl Ipv4Settings {
    /// No address yet.
    pub const NONE: Self = Self {
        address: Ipv4Addr::UNSPECIFIED,
        netmask: Ipv4Addr::UNSPECIFIED,
        gateway: Ipv4Addr::UNSPECIFIED,
    };

    /// An address with the length of its network's prefix (0 to 32; more counts as 32), and no gateway.
    ///
    /// ```
    /// use core::net::Ipv4Addr;
    /// let settings = coracle::Ipv4Settings::new(Ipv4Addr::new(192, 0, 2, 2), 24);
    /// assert_eq!(settings.netmask, Ipv4Addr::new(255, 255, 255, 0));
    /// ```
    pub const fn new(address: Ipv4Addr, prefix_len: u8) -> Self {
        let prefix_len = if prefix_len > 32 { 32 } else { prefix_len };
        let mask = if prefix_len == 0 { 0 } else { u32::MAX << (32 - prefix_len) };
        Self { address, netmask: Ipv4Addr::from_bits(mask), gateway: Ipv4Addr::UNSPECIFIED }
    }

    /// The same with a gateway.
    #[must_use]
    pub const fn with_gateway(self, gateway: Ipv4Addr) -> Self {
        Self { gateway, ..self }
    }

    /// The length of the network's prefix in bits.
    pub const fn prefix_len(&self) -> u8 {
        self.netmask.to_bits().leading_ones() as u8
    }

    /// [`Error::Value`] unless a host can have these: a netmask without holes, a unicast address that is neither
    /// the network's nor its broadcast address, a unicast gateway.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let mask = self.netmask.to_bits();
        let gateway_ok = is_host(self.gateway, true) && !self.gateway.is_loopback();
        if mask.leading_ones() + mask.trailing_zeros() < 32 || !gateway_ok {
            return Err(Error::Value);
        }
        if self.address.is_unspecified() {
            return Ok(());
        }
        // The network's own address and its broadcast address are no host's.
        let edge = |address: Ipv4Addr| {
            let host_part = address.to_bits() & !mask;
            let on_link = (address.to_bits() ^ self.address.to_bits()) & mask == 0;
            on_link && self.prefix_len() < 31 && (host_part == 0 || host_part == !mask)
        };
        let wrong = edge(self.address) || edge(self.gateway) || !is_host(self.address, false);
        if wrong { Err(Error::Value) } else { Ok(()) }
    }
}

impl Default for Ipv4Settings {
    fn default() -> Self {
        Self::NONE
    }
}

fn is_host(address: Ipv4Addr, or_unspecified: bool) -> bool {
    let first = address.octets()[0];
    (first != 0 && first < 224) || (or_unspecified && address.is_unspecified())
}

/// A host name of up to 63 bytes, kept in place [RFC 1035 §2.3.4].
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Hostname {
    len: u8,
    bytes: [u8; Self::MAX_LEN],
}

impl Hostname {
    /// The longest name, in bytes.
    pub const MAX_LEN: usize = 63;

    /// Keeps a name.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] for a name that is empty, too long, or holds something else than letters, digits,
    /// hyphens and dots.
    ///
    /// ```
    /// assert_eq!(coracle::Hostname::new("boat-7")?.as_str(), "boat-7");
    /// assert!(coracle::Hostname::new("no spaces").is_err());
    /// # Ok::<(), coracle::Error>(())
    /// ```
    pub fn new(name: &str) -> Result<Self, Error> {
        let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
        if name.is_empty() || name.len() > Self::MAX_LEN || !name.as_bytes().iter().all(allowed) {
            return Err(Error::Argument);
        }
        let mut bytes = [0; Self::MAX_LEN];
        bytes[..name.len()].copy_from_slice(name.as_bytes());
        Ok(Self { len: name.len() as u8, bytes })
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.bytes[..self.len as usize]).unwrap_or_default()
    }
}

impl fmt::Debug for Hostname {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// An interface to be added; everything can be changed later but the medium. lwIP: what an init function fills in.
///
/// ```
/// use core::net::Ipv4Addr;
/// use coracle::{Ipv4Settings, MacAddr, NetifConfig};
/// let config = NetifConfig::ethernet(MacAddr::new(2, 0, 0, 0, 0, 1))
///     .ipv4(Ipv4Settings::new(Ipv4Addr::new(192, 0, 2, 2), 24))
///     .mtu(1_400);
/// assert_eq!(config.mtu, 1_400);
/// ```
#[derive(Clone, Debug)]
pub struct NetifConfig {
    /// What its frames look like.
    pub medium: Medium,
    /// Two letters; the number of the interface is added to them, as in `en0`.
    pub name: [u8; 2],
    /// The longest IP packet in bytes, without link headers: 68 to 65,535.
    pub mtu: u16,
    /// Its address, or none.
    pub ipv4: Ipv4Settings,
    /// How it gets its IPv6 addresses.
    #[cfg(feature = "ipv6")]
    pub ipv6: Ipv6Settings,
    /// The checksums that the stack makes and checks.
    pub checksums: Checksums,
    /// The frames that may wait for the device.
    pub queue: usize,
    /// The VLAN whose tag its frames carry (1 to 4,094), with the priority bits of 802.1Q; none: untagged frames.
    pub vlan: Option<coracle_wire::ethernet::Tci>,
    /// Take packets to every unicast address as ours, and let applications answer from these (for tunnels).
    pub accept_any: bool,
    /// Tell routers by IGMP and MLD which groups are listened to. On for Ethernet, off for bare IP, which mostly is a tunnel
    /// whose other end does not ask; never on the loopback interface. lwIP: `NETIF_FLAG_IGMP`, `NETIF_FLAG_MLD6`.
    pub group_reports: bool,
    /// It is a bridge: what it sends goes out by its ports, which are other interfaces.
    pub bridge: bool,
    /// Send packets to others that come in on their way. Off unless asked for [1122-IP-15]. lwIP: `IP_FORWARD`.
    pub forwarding: bool,
    /// The name that the host tells others on this interface.
    pub hostname: Option<Hostname>,
}

impl NetifConfig {
    const fn with(medium: Medium, name: [u8; 2], mtu: u16) -> Self {
        Self {
            medium,
            name,
            mtu,
            ipv4: Ipv4Settings::NONE,
            #[cfg(feature = "ipv6")]
            ipv6: Ipv6Settings::MANUAL,
            checksums: Checksums::ALL,
            queue: 64,
            vlan: None,
            accept_any: false,
            group_reports: matches!(medium, Medium::Ethernet(_)),
            bridge: false,
            forwarding: false,
            hostname: None,
        }
    }

    /// Ethernet with this station address, named `en`, with an MTU of 1,500.
    pub const fn ethernet(address: MacAddr) -> Self {
        Self::with(Medium::Ethernet(address), *b"en", 1_500)
    }

    /// A bridge with this station address, named `br`; [`Netif::bridge_add_port`](crate::Netif::bridge_add_port) gives it
    /// ports. It has no device: what its owner pulls are the frames of the ports. lwIP: `bridgeif_init`.
    pub const fn bridge(address: MacAddr) -> Self {
        let mut config = Self::with(Medium::Ethernet(address), *b"br", 1_500);
        config.bridge = true;
        config
    }

    /// Bare IP packets, named `tu`, with an MTU of 1,500.
    pub const fn ip() -> Self {
        Self::with(Medium::Ip, *b"tu", 1_500)
    }

    /// The loopback interface, named `lo`: 127.0.0.1/8, and no checksums, as nothing can go wrong on the way.
    pub const fn loopback() -> Self {
        let mut config = Self::with(Medium::Loopback, *b"lo", u16::MAX);
        config.ipv4 = Ipv4Settings::new(Ipv4Addr::LOCALHOST, 8);
        config.checksums = Checksums::NONE;
        config
    }

    /// The same with an address.
    #[must_use]
    pub const fn ipv4(mut self, settings: Ipv4Settings) -> Self {
        self.ipv4 = settings;
        self
    }

    /// The same with IPv6 addresses as these settings say.
    #[cfg(feature = "ipv6")]
    #[must_use]
    pub const fn ipv6(mut self, settings: Ipv6Settings) -> Self {
        self.ipv6 = settings;
        self
    }

    /// The same with another MTU.
    #[must_use]
    pub const fn mtu(mut self, mtu: u16) -> Self {
        self.mtu = mtu;
        self
    }

    /// The same with other checksums.
    #[must_use]
    pub const fn checksums(mut self, checksums: Checksums) -> Self {
        self.checksums = checksums;
        self
    }

    /// The same with or without reports of groups.
    #[must_use]
    pub const fn group_reports(mut self, on: bool) -> Self {
        self.group_reports = on;
        self
    }

    /// The same in a VLAN.
    #[must_use]
    pub const fn vlan(mut self, tci: coracle_wire::ethernet::Tci) -> Self {
        self.vlan = Some(tci);
        self
    }

    /// The same, sending packets to others on.
    #[must_use]
    pub const fn forwarding(mut self) -> Self {
        self.forwarding = true;
        self
    }

    /// The same, taking packets to every unicast address.
    #[must_use]
    pub const fn accept_any(mut self) -> Self {
        self.accept_any = true;
        self
    }

    /// [`Error::Argument`] or [`Error::Value`] for what no interface can have.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let letters = self.name.iter().all(u8::is_ascii_alphabetic);
        let vlan_ok = self.vlan.is_none_or(|tci| (1..=4_094).contains(&tci.vid()));
        let station_ok = match self.medium {
            Medium::Ethernet(address) => address.is_unicast() && address != MacAddr::ZERO,
            Medium::Ip | Medium::Loopback => self.vlan.is_none() && !self.bridge,
        };
        // Every host must be able to send and receive 68 bytes [RFC 791 §3.2].
        #[cfg(feature = "ipv6")]
        if !self.ipv6.is_valid() {
            return Err(Error::Argument);
        }
        if !letters || !vlan_ok || !station_ok || self.mtu < 68 || self.queue == 0 {
            return Err(Error::Argument);
        }
        let own_loopback = matches!(self.medium, Medium::Loopback);
        if self.ipv4.address.is_loopback() != own_loopback && !self.ipv4.address.is_unspecified() {
            return Err(Error::Value);
        }
        self.ipv4.check()
    }
}
