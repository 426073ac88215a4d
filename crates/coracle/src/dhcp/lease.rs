//! What a server gives: read from its message, and made sane.

use core::net::Ipv4Addr;

use coracle_wire::dhcpv4::{ClasslessRoutes, DhcpMessage, INFINITE, Value, code};

use crate::netif::Ipv4Settings;
use crate::time::Instant;

/// Below this no server means what it says: every host takes datagrams of 576 bytes.
const MIN_MTU: u16 = 576;

/// A lease: an address for a time, and settings that came with it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DhcpLease {
    /// Address, netmask and gateway.
    pub ipv4: Ipv4Settings,
    /// Who leases it.
    pub server: Ipv4Addr,
    /// DNS servers, the best first; 0.0.0.0 where there are no more.
    pub dns_servers: [Ipv4Addr; 3],
    /// The MTU of the link, if the server knows one.
    pub mtu: Option<u16>,
    /// When the server is asked to extend it (T1).
    pub renew_at: Instant,
    /// When any server is asked (T2).
    pub rebind_at: Instant,
    /// When the address is no longer ours; [`Instant::MAX`] for one that is ours for ever.
    pub expires_at: Instant,
}

impl DhcpLease {
    /// Reads an offer or an acknowledgment; `since` is when it was asked for. `None` if no host can use it: no server,
    /// no time, an address that is no host's.
    pub(crate) fn read(message: &DhcpMessage<'_>, since: Instant) -> Option<Self> {
        let seconds = message.number(code::LEASE_TIME).filter(|&seconds| seconds > 0)?;
        let (renew, rebind) = times(message, seconds);
        let at = |micros| if seconds == INFINITE { Instant::MAX } else { after(since, micros) };
        Some(Self {
            ipv4: settings(message, message.header.yours())?,
            server: message.server()?,
            dns_servers: dns_servers(message),
            mtu: message.value(code::MTU).and_then(Value::short).filter(|&mtu| mtu >= MIN_MTU),
            renew_at: at(renew),
            rebind_at: at(rebind),
            expires_at: at(micros(seconds)),
        })
    }

    /// How good an offer is.
    pub(crate) fn merit(&self, wanted: Option<Ipv4Addr>) -> u8 {
        let known = wanted == Some(self.ipv4.address);
        let gateway = !self.ipv4.gateway.is_unspecified();
        let names = !self.dns_servers[0].is_unspecified();
        u8::from(known) << 2 | u8::from(gateway) << 1 | u8::from(names)
    }
}

/// The DNS servers that a message names.
pub(crate) fn dns_servers(message: &DhcpMessage<'_>) -> [Ipv4Addr; 3] {
    let mut servers = [Ipv4Addr::UNSPECIFIED; 3];
    let usable = message.addresses(code::DNS_SERVERS).filter(|&server| is_host(server));
    for (place, server) in servers.iter_mut().zip(usable) {
        *place = server;
    }
    servers
}

/// Address, netmask and gateway for a host, or none. A netmask that is none gives way to that of the address's class, a
/// gateway that is none to no gateway.
fn settings(message: &DhcpMessage<'_>, address: Ipv4Addr) -> Option<Ipv4Settings> {
    let mask = message.value(code::NETMASK).and_then(Value::number).filter(|&mask| is_mask(mask));
    let class = match address.octets()[0] {
        0..128 => 8,
        128..192 => 16,
        _ => 24,
    };
    let prefix_len = mask.map_or(class, |mask| mask.leading_ones() as u8);
    let plain = Ipv4Settings::new(address, prefix_len);
    let usable = is_host(address) && plain.check().is_ok();
    let with = plain.with_gateway(gateway(message).unwrap_or(Ipv4Addr::UNSPECIFIED));
    usable.then_some(if with.check().is_ok() && with.gateway != address { with } else { plain })
}

/// Classless routes say it all: the routers are not looked at beside them [RFC 3442].
fn gateway(message: &DhcpMessage<'_>) -> Option<Ipv4Addr> {
    match message.value(code::CLASSLESS_ROUTES) {
        Some(routes) => {
            ClasslessRoutes::new(routes).find(|route| route.prefix_len == 0).map(|route| route.router)
        }
        None => message.address(code::ROUTERS),
    }
}

/// T1 and T2 in microseconds, in order and before the end, whatever the server says [2131-6].
fn times(message: &DhcpMessage<'_>, seconds: u32) -> (u64, u64) {
    let lease = micros(seconds);
    let (default_t1, default_t2) = (lease >> 1, (lease >> 3) * 7);
    let t1 = message.number(code::RENEWAL_TIME).map_or(default_t1, micros);
    let t2 = message.number(code::REBINDING_TIME).map_or(default_t2, micros);
    if t1 > 0 && t1 < t2 && t2 < lease { (t1, t2) } else { (default_t1, default_t2) }
}

const fn micros(seconds: u32) -> u64 {
    seconds as u64 * 1_000_000
}

pub(crate) const fn after(start: Instant, micros: u64) -> Instant {
    Instant::from_micros(start.as_micros().saturating_add(micros))
}

fn is_mask(mask: u32) -> bool {
    mask != 0 && mask.leading_ones() + mask.trailing_zeros() == 32
}

/// Not 0/8, not 127/8, not multicast, reserved or broadcast; as in CVE-2019-12264.
pub(crate) fn is_host(address: Ipv4Addr) -> bool {
    matches!(address.octets()[0], 1..=126 | 128..=223)
}
