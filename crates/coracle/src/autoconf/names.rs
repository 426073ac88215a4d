//! What a DHCP server says about names, for the resolver.

use core::net::{IpAddr, Ipv4Addr};

use coracle_wire::dhcpv4::{DhcpMessage, Names, code};
use coracle_wire::dns::NameBuf;

use crate::dns::Source;
use crate::engine::Engine;

/// The number of DHCP among those protocols that name servers.
const DHCP: u8 = 1;

impl Engine {
    /// Replaces the name servers and search domains that came by DHCP on an interface.
    pub(super) fn dhcp_tell_resolver(
        &mut self,
        netif: usize,
        servers: &[Ipv4Addr],
        message: Option<&DhcpMessage<'_>>,
    ) {
        let known = servers.iter().filter(|server| !server.is_unspecified());
        self.dns_learn(netif, DHCP, known.map(|&server| IpAddr::V4(server)));
        let source = Source::Interface { netif: netif as u8, protocol: DHCP };
        let resolver = &mut self.services.dns.resolver;
        resolver.forget_search(source);
        let Some(message) = message else { return };
        let mut room = [0; 255];
        // The list says more than the one domain.
        if let Some(list) = message.value(code::SEARCH)
            && let Some(bytes) = list.contiguous().or_else(|| list.copy_to(&mut room))
        {
            for name in Names::new(bytes) {
                let mut domain = NameBuf::ROOT;
                if name.labels().all(|label| domain.push(label).is_ok()) {
                    resolver.add_search(source, domain.name());
                }
            }
        } else if let Some(domain) = message.value(code::DOMAIN)
            && let Some(bytes) = domain.copy_to(&mut room)
            && let Ok(text) = core::str::from_utf8(bytes)
            && let Ok(domain) = NameBuf::from_text(text.trim_end_matches('\0'))
        {
            resolver.add_search(source, domain.name());
        }
    }
}
