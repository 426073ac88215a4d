//! What the owner of a stack decides when it is made: how much of everything, and how it behaves.

use core::time::Duration;

use crate::tcp::TcpConfig;

/// How many of each thing a stack holds. Everything is allotted when the stack is made; a full table is
/// [`Error::Memory`](crate::Error::Memory), never a panic.
///
/// lwIP's counterparts are the `MEMP_NUM_*` options.
///
/// ```
/// let limits = coracle::Limits { udp: 16, ..coracle::Limits::SMALL };
/// assert_eq!(limits.netifs, 2);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Network interfaces, the loopback interface included.
    pub netifs: usize,
    /// UDP and UDP-Lite control blocks.
    pub udp: usize,
    /// Raw IP control blocks.
    pub raw: usize,
    /// TCP connections, and control blocks that are to become some. lwIP: `MEMP_NUM_TCP_PCB`.
    pub tcp: usize,
    /// TCP listeners. lwIP: `MEMP_NUM_TCP_PCB_LISTEN`.
    pub tcp_listeners: usize,
    /// TCP segments in flight, of all connections. lwIP: `MEMP_NUM_TCP_SEG`.
    pub tcp_segments: usize,
    /// Ranges of TCP data that came before their time, of all connections.
    pub tcp_held: usize,
    /// TCP connections in TIME-WAIT; when there are more, the oldest go.
    pub tcp_time_wait: usize,
    /// Words that each TCP connection keeps for the application, besides its handler. lwIP: `LWIP_TCP_PCB_NUM_EXT_ARGS`.
    pub tcp_ext_args: usize,
    /// IPv6 addresses of all interfaces.
    pub ipv6_addresses: usize,
    /// What routers say about where packets go, on all interfaces: a quarter each for default routers, prefixes on the
    /// link, routes and redirects.
    pub learned_routes: usize,
    /// Servers of the domain name system that routers advertise, and as many domains.
    pub advertised_resolvers: usize,
    /// Neighbours (ARP and neighbour discovery) of all interfaces.
    pub neighbours: usize,
    /// Stations of all bridges; where it is unknown, a frame goes everywhere. lwIP: what `BRIDGEIF_INITDATA1` says.
    pub stations: usize,
    /// Routes set by the owner; those that follow from the addresses of interfaces are not counted.
    pub routes: usize,
    /// Multicast groups joined, each on one interface. lwIP: `MEMP_NUM_IGMP_GROUP`, `MEMP_NUM_MLD6_GROUP`.
    pub groups: usize,
    /// Control blocks' own memberships of groups, each on one interface.
    pub memberships: usize,
    /// Sources in the filters of control blocks and of interfaces.
    pub group_sources: usize,
    /// Destinations with a path MTU or a router of their own, which ICMP told.
    pub paths: usize,
    /// Datagrams of which fragments are missing; when there are more, the oldest go. lwIP: `MEMP_NUM_REASSDATA`.
    pub reassemblies: usize,
    /// Fragments of all of these, each of which holds a buffer. lwIP: `IP_REASS_MAX_PBUFS`.
    pub fragments: usize,
    /// Clients whose addresses the DHCP server remembers.
    pub dhcp_clients: usize,
    /// Application timers.
    pub timeouts: usize,
    /// Listeners to changes of interfaces.
    pub listeners: usize,
    /// What the resolver holds.
    #[cfg(feature = "dns")]
    pub dns: crate::dns::DnsLimits,
    /// Servers of the time of day. lwIP: `SNTP_MAX_SERVERS`.
    #[cfg(feature = "sntp")]
    pub sntp_servers: usize,
}

impl Limits {
    /// Nothing of anything, to begin with: `Limits { netifs: 1, udp: 1, ..Limits::NONE }`.
    pub const NONE: Self = Self {
        netifs: 0,
        udp: 0,
        raw: 0,
        tcp: 0,
        tcp_listeners: 0,
        tcp_segments: 0,
        tcp_held: 0,
        tcp_time_wait: 0,
        tcp_ext_args: 0,
        ipv6_addresses: 0,
        learned_routes: 0,
        advertised_resolvers: 0,
        neighbours: 0,
        stations: 0,
        routes: 0,
        groups: 0,
        memberships: 0,
        group_sources: 0,
        paths: 0,
        reassemblies: 0,
        fragments: 0,
        dhcp_clients: 0,
        timeouts: 0,
        listeners: 0,
        #[cfg(feature = "dns")]
        dns: crate::dns::DnsLimits::NONE,
        #[cfg(feature = "sntp")]
        sntp_servers: 0,
    };
    /// For a small device: about 8 KB of tables.
    pub const SMALL: Self = Self {
        netifs: 2,
        udp: 4,
        raw: 2,
        tcp: 5,
        tcp_listeners: 4,
        tcp_segments: 32,
        tcp_held: 8,
        tcp_time_wait: 8,
        tcp_ext_args: 0,
        ipv6_addresses: 6,
        learned_routes: 8,
        advertised_resolvers: 3,
        neighbours: 8,
        stations: 0,
        routes: 2,
        groups: 4,
        memberships: 4,
        group_sources: 8,
        paths: 4,
        reassemblies: 2,
        fragments: 8,
        dhcp_clients: 0,
        timeouts: 4,
        listeners: 2,
        #[cfg(feature = "dns")]
        dns: crate::dns::DnsLimits::SMALL,
        #[cfg(feature = "sntp")]
        sntp_servers: 1,
    };
    /// For a hosted program.
    pub const HOST: Self = Self {
        netifs: 16,
        udp: 1_024,
        raw: 64,
        tcp: 1_024,
        tcp_listeners: 64,
        tcp_segments: 16_384,
        tcp_held: 4_096,
        tcp_time_wait: 4_096,
        tcp_ext_args: 0,
        ipv6_addresses: 128,
        learned_routes: 256,
        advertised_resolvers: 16,
        neighbours: 1_024,
        stations: 1_024,
        routes: 256,
        groups: 256,
        memberships: 256,
        group_sources: 1_024,
        paths: 1_024,
        reassemblies: 64,
        fragments: 1_024,
        dhcp_clients: 256,
        timeouts: 256,
        listeners: 16,
        #[cfg(feature = "dns")]
        dns: crate::dns::DnsLimits::HOST,
        #[cfg(feature = "sntp")]
        sntp_servers: 4,
    };
}

impl Limits {
    /// The routes that follow from the settings of interfaces, or were learnt.
    pub(crate) const fn derived_routes(&self) -> usize {
        let v4 = self.netifs.saturating_mul(3);
        if cfg!(feature = "ipv6") {
            v4.saturating_add(self.ipv6_addresses).saturating_add(self.learned_routes)
        } else {
            v4
        }
    }

    /// The groups that the stack itself listens to: all nodes and all routers on each interface, and one
    /// for each IPv6 address.
    pub(crate) const fn own_groups(&self) -> usize {
        let links = self.netifs.saturating_mul(2);
        if cfg!(feature = "ipv6") { links.saturating_add(self.ipv6_addresses) } else { 0 }
    }
}

/// The limits of a hosted program, [`Limits::HOST`].
impl Default for Limits {
    fn default() -> Self {
        Self::HOST
    }
}

/// How a stack behaves.
///
/// ```
/// let config = coracle::Config::new([7; 16]);
/// assert_eq!(config.default_ttl, 64);
/// ```
#[derive(Clone, Debug)]
pub struct Config {
    /// What everything unpredictable is drawn from: ports, identifications, the key of the hash tables. It must come
    /// from an entropy source and differ at each start, else an outsider can guess them.
    pub seed: [u8; 16],
    /// What stable IPv6 addresses are made of, besides prefix and interface [RFC 7217]: from an entropy source, drawn once
    /// for the device and kept. Without it they differ at each start.
    #[cfg(feature = "ipv6")]
    pub address_secret: Option<[u8; 16]>,
    /// The time-to-live of packets whose sender sets none [RFC 1700: 64].
    pub default_ttl: u8,
    /// Take a unicast packet only on the interface that has its address (the strong host model of RFC 1122
    /// §3.3.4.2) instead of on any. lwIP is weak only.
    pub strong_host: bool,
    /// Tell hosts of a shorter way to where they send through us, on the interfaces that forward [RFC 1812 §5.2.7.2].
    pub send_redirects: bool,
    /// Believe IPv4 redirects of the router that packets go by, on interfaces that do not forward [RFC 1122 §3.2.2.2].
    pub accept_redirects: bool,
    /// Forbid routers to cut IPv4 datagrams that fit the way as far as it is known, so that they tell how much it takes
    /// [RFC 1191]. What is longer leaves in fragments. TCP has a setting of its own, and of IPv6 it is always so.
    pub path_mtu_discovery: bool,
    /// Answer echo requests sent to broadcast and multicast addresses. Off unless asked for [RFC 1122 §3.2.2.6].
    pub broadcast_echo: bool,
    /// ICMP errors sent in a second, at the most [RFC 1812 §4.3.2.8].
    pub icmp_errors_per_second: u16,
    /// ICMP errors that may leave in one burst.
    pub icmp_error_burst: u16,
    /// The first and the last of the ports given out by themselves [RFC 6056; RFC 6335: 49,152 to 65,535].
    pub ephemeral_ports: (u16, u16),
    /// Packets that wait on the way back into the stack (sent to ourselves, or handed in by a callback).
    pub backlog: usize,
    /// Packets that wait for one neighbour's address; the newest are kept.
    pub pending_per_neighbour: usize,
    /// Packets that wait for neighbours' addresses in all, so that they cannot hold every buffer; not zero.
    pub pending: usize,
    /// How long a neighbour's address is believed without a new sign of it. lwIP: `ARP_MAXAGE`.
    pub neighbour_lifetime: Duration,
    /// How long before that end a neighbour in use is asked again.
    pub neighbour_refresh: Duration,
    /// The time between two requests for one neighbour [RFC 1122 §2.3.2.1: at most one a second].
    pub neighbour_retry: Duration,
    /// Requests for a neighbour before it counts as unreachable. lwIP: `ARP_MAXPENDING`.
    pub neighbour_attempts: u8,
    /// How long a bridge remembers a station that is silent [IEEE 802.1D §7.9.2].
    pub bridge_ageing: Duration,
    /// How TCP behaves.
    pub tcp: TcpConfig,
    /// How the resolver behaves.
    #[cfg(feature = "dns")]
    pub dns: crate::dns::DnsConfig,
    /// How the time of day is asked for.
    #[cfg(feature = "sntp")]
    pub sntp: crate::sntp::SntpConfig,
}

impl Config {
    /// The defaults, with a seed from an entropy source.
    pub const fn new(seed: [u8; 16]) -> Self {
        Self {
            seed,
            #[cfg(feature = "ipv6")]
            address_secret: None,
            default_ttl: 64,
            strong_host: false,
            send_redirects: true,
            accept_redirects: true,
            path_mtu_discovery: false,
            broadcast_echo: false,
            icmp_errors_per_second: 100,
            icmp_error_burst: 20,
            ephemeral_ports: (49_152, 65_535),
            backlog: 64,
            pending_per_neighbour: 3,
            pending: 16,
            neighbour_lifetime: Duration::from_mins(5),
            neighbour_refresh: Duration::from_secs(30),
            neighbour_retry: Duration::from_secs(1),
            neighbour_attempts: 5,
            bridge_ageing: Duration::from_mins(5),
            tcp: TcpConfig::HOST,
            #[cfg(feature = "dns")]
            dns: crate::dns::DnsConfig::DEFAULT,
            #[cfg(feature = "sntp")]
            sntp: crate::sntp::SntpConfig::DEFAULT,
        }
    }
}
