//! What happened, counted: a counter for every reason to drop.

use crate::address::{Address, Family};

/// Adds one to a counter, or the amount given; counters wrap.
macro_rules! count {
    ($counter:expr) => {
        $counter = $counter.wrapping_add(1)
    };
    ($counter:expr, $amount:expr) => {
        $counter = $counter.wrapping_add($amount)
    };
}
pub(crate) use count;

/// Counters of the link layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkCounters {
    /// Frames handed in.
    pub received: u32,
    /// Frames queued for a device.
    pub sent: u32,
    /// Dropped: shorter than their header.
    pub truncated: u32,
    /// Dropped: addressed to another station.
    pub not_for_us: u32,
    /// Dropped: a VLAN tag that is not the interface's, or a missing one.
    pub wrong_vlan: u32,
    /// Dropped: an `EtherType` that nobody takes.
    pub unknown_type: u32,
    /// Dropped: the interface or its link is down.
    pub down: u32,
    /// Dropped: a frame claims a multicast or our own address as its source.
    pub bad_source: u32,
    /// Dropped: no memory to make headers contiguous, or no room in the backlog.
    pub memory: u32,
}

/// Counters of ARP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ArpCounters {
    /// Packets received.
    pub received: u32,
    /// Requests sent.
    pub requests_sent: u32,
    /// Replies sent.
    pub replies_sent: u32,
    /// Announcements sent.
    pub announcements_sent: u32,
    /// Dropped: wrong types, lengths or size [ARP-1].
    pub malformed: u32,
    /// Dropped: a sender that cannot be one (multicast, broadcast, off-link, zero).
    pub bad_sender: u32,
    /// Packets that claim our own address: somebody else uses it.
    pub conflicts: u32,
    /// Entries pushed out of a full table.
    pub evicted: u32,
    /// Neighbours given up.
    pub unresolved: u32,
    /// Waiting packets dropped: pushed out by newer ones, by a full table, or given up with their neighbour.
    pub pending_dropped: u32,
    /// Requests and replies not sent: no memory, or a full device queue.
    pub send_failed: u32,
}

/// Counters of one version of IP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IpCounters {
    /// Packets received.
    pub received: u32,
    /// Packets delivered to a protocol.
    pub delivered: u32,
    /// Packets sent.
    pub sent: u32,
    /// Dropped: shorter than their header.
    pub truncated: u32,
    /// Dropped: lengths that contradict each other or the bytes that came.
    pub bad_length: u32,
    /// Dropped: another version.
    pub bad_version: u32,
    /// Dropped: wrong header checksum.
    pub bad_checksum: u32,
    /// Dropped: a source that no host can have.
    pub bad_source: u32,
    /// Dropped: options or extension headers that are malformed, or that want the packet dropped.
    pub bad_options: u32,
    /// Dropped: a source route [RFC 7126 §4.3].
    pub source_routed: u32,
    /// Dropped: addressed to somebody else.
    pub not_for_us: u32,
    /// Dropped: a unicast packet in a broadcast frame [RFC 1122 §3.3.6].
    pub link_broadcast: u32,
    /// Fragments received.
    pub fragments: u32,
    /// Datagrams put together from fragments.
    pub reassembled: u32,
    /// Datagrams, or fragments of them, dropped: wrong, too late, or too many.
    pub reassembly_failed: u32,
    /// Packets to others, sent on.
    pub forwarded: u32,
    /// Dropped: packets to others that could not be sent on.
    pub not_forwarded: u32,
    /// Packets cut into fragments.
    pub fragmented: u32,
    /// Fragments sent.
    pub fragments_sent: u32,
    /// Dropped: no protocol takes it.
    pub unknown_protocol: u32,
    /// Not sent: no route.
    pub no_route: u32,
    /// Not sent: longer than any packet, or than the way takes and not to be cut.
    pub too_big: u32,
    /// Not sent: the device's queue or the backlog is full.
    pub queue_full: u32,
    /// Not sent or not handled: no memory.
    pub memory: u32,
}

/// Counters of IGMP or MLD.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupCounters {
    /// Messages received.
    pub received: u32,
    /// Queries among them.
    pub queries: u32,
    /// Reports of older versions among them, which can spare us ours.
    pub reports: u32,
    /// Messages among them that are for routers.
    pub ignored: u32,
    /// Dropped: lengths that contradict each other, or addresses that are no groups'.
    pub malformed: u32,
    /// Dropped: wrong checksum; MLD's is that of ICMP.
    pub bad_checksum: u32,
    /// Dropped: not from this link, or without a router alert.
    pub forged: u32,
    /// Reports sent.
    pub reports_sent: u32,
    /// Messages sent that say of a group that it was left, as older versions do.
    pub leaves_sent: u32,
    /// Messages not sent: no memory, no route or a full queue.
    pub send_failed: u32,
}

/// Counters of neighbour discovery.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NdCounters {
    /// Neighbour solicitations sent.
    pub solicitations_sent: u32,
    /// Neighbour advertisements sent.
    pub advertisements_sent: u32,
    /// Router solicitations sent.
    pub router_solicitations_sent: u32,
    /// Router advertisements sent.
    pub router_advertisements_sent: u32,
    /// Router advertisements believed.
    pub router_advertisements: u32,
    /// Redirects believed.
    pub redirects: u32,
    /// Addresses that turned out to be another host's, or about to be.
    pub duplicates: u32,
    /// Advertisements in which another host says that an address is its own that is ours.
    pub conflicts: u32,
    /// Addresses not made: no room for them, or ours already.
    pub addresses_refused: u32,
    /// Dropped: malformed, or not from this link.
    pub malformed: u32,
    /// Messages not sent: no memory, no route or a full queue.
    pub send_failed: u32,
}

/// Counters of one version of ICMP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IcmpCounters {
    /// Messages received.
    pub received: u32,
    /// Messages sent.
    pub sent: u32,
    /// Echo requests answered.
    pub echo_replies: u32,
    /// Redirects believed.
    pub redirects: u32,
    /// Errors received that concern a control block, and were reported to it.
    pub errors_reported: u32,
    /// Dropped: shorter than its header.
    pub truncated: u32,
    /// Dropped: wrong checksum.
    pub bad_checksum: u32,
    /// Dropped: a type or code that we do not act on.
    pub unhandled: u32,
    /// Dropped: an echo request to a broadcast or multicast address.
    pub broadcast_echo: u32,
    /// Dropped: an error whose quoted packet is malformed, or not from us, or a redirect that is not to be believed.
    pub bad_quote: u32,
    /// Dropped: an error that concerns nobody.
    pub unclaimed: u32,
    /// Errors not sent: more than the rate allows.
    pub rate_limited: u32,
    /// Messages not sent: no memory, no route or a full queue.
    pub send_failed: u32,
}

/// Counters of UDP and UDP-Lite.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UdpCounters {
    /// Datagrams received.
    pub received: u32,
    /// Datagrams delivered to a control block (each, when several take one).
    pub delivered: u32,
    /// Datagrams sent.
    pub sent: u32,
    /// Dropped: shorter than their header.
    pub truncated: u32,
    /// Dropped: a length or coverage that contradicts the packet's.
    pub bad_length: u32,
    /// Dropped: wrong checksum.
    pub bad_checksum: u32,
    /// Dropped: a checksum coverage below what the control block demands [RFC 3828 §3.3].
    pub low_coverage: u32,
    /// Dropped: nobody listens on the port.
    pub no_port: u32,
    /// Not sent, for whatever reason the caller was told.
    pub send_failed: u32,
}

/// Counters of TCP; the names follow TCP-MIB [RFC 4022] where it has one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpCounters {
    /// Segments received, wrong ones included.
    pub segments_received: u32,
    /// Segments with data or FIN sent for the first time.
    pub segments_sent: u32,
    /// Segments sent again.
    pub retransmitted: u32,
    /// Connections that we opened.
    pub active_opens: u32,
    /// Connections that peers opened.
    pub passive_opens: u32,
    /// Connections that came to stand.
    pub opened: u32,
    /// Connections that passed into TIME-WAIT.
    pub time_waits: u32,
    /// Connections that a peer reset.
    pub resets_received: u32,
    /// RST segments sent.
    pub resets_sent: u32,
    /// RST segments not sent, as there were too many of late.
    pub resets_limited: u32,
    /// Retransmission timeouts.
    pub timeouts: u32,
    /// Probes of what was sent last [RFC 8985 §7].
    pub tail_probes: u32,
    /// Probes of a closed window.
    pub window_probes: u32,
    /// Probes of a silent peer.
    pub keep_alives: u32,
    /// Acknowledgments sent because something looked wrong [RFC 5961].
    pub challenges_sent: u32,
    /// The same, not sent, as there were too many of late.
    pub challenges_limited: u32,
    /// Segments that came before their time.
    pub out_of_order: u32,
    /// SYNs answered with a cookie.
    pub cookies_sent: u32,
    /// Connections made of a cookie.
    pub cookies_returned: u32,
    /// Half-open connections that gave way to one whose peer returned a cookie.
    pub half_open_evicted: u32,
    /// Connections that gave way to others.
    pub sacrificed: u32,
    /// Paths that turned out to take less.
    pub path_mtu_lowered: u32,
    /// Dropped: a header that is not one.
    pub malformed: u32,
    /// Dropped: wrong checksum.
    pub bad_checksum: u32,
    /// Dropped: broadcast or multicast.
    pub not_unicast: u32,
    /// Dropped: outside of the window.
    pub out_of_window: u32,
    /// Dropped: a timestamp older than the latest [RFC 7323 §5].
    pub old_timestamp: u32,
    /// Dropped: an acknowledgment of what was never sent, or of long ago.
    pub bad_acknowledgment: u32,
    /// Nobody has the port.
    pub no_port: u32,
    /// SYNs, or connections of cookies, for which the backlog had no room.
    pub backlog_full: u32,
    /// SYNs for which there was no control block.
    pub no_memory_for_syn: u32,
    /// Writes refused: the send buffer or queue was full.
    pub write_refused: u32,
    /// Not done at once for lack of memory; it is tried again.
    pub memory: u32,
    /// Segments without a connection that could not be sent.
    pub send_failed: u32,
}

/// Counters of raw IP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RawCounters {
    /// Packets offered to a control block.
    pub offered: u32,
    /// Packets that a control block took.
    pub eaten: u32,
    /// Packets sent.
    pub sent: u32,
    /// Not sent, for whatever reason the caller was told.
    pub send_failed: u32,
}

/// Counters of DHCP for IPv4, client and server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DhcpCounters {
    /// Messages received.
    pub received: u32,
    /// Messages sent.
    pub sent: u32,
    /// Not sent: no memory, no way, or a full device queue.
    pub send_failed: u32,
    /// Dropped: wrong lengths, options or hardware.
    pub malformed: u32,
    /// Dropped: from no server's port.
    pub ignored: u32,
    /// Dropped: no memory to make it contiguous.
    pub memory: u32,
    /// Routes of a lease that did not fit into the table, or that no host can have.
    pub routes_refused: u32,
}

/// All counters of a stack; they wrap at 2³². lwIP's counterpart is `lwip_stats`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// The link layer.
    pub link: LinkCounters,
    /// ARP.
    pub arp: ArpCounters,
    /// IPv4.
    pub ip: IpCounters,
    /// ICMP for IPv4.
    pub icmp: IcmpCounters,
    /// IPv6; all zero when it is left out.
    pub ip6: IpCounters,
    /// ICMP for IPv6.
    pub icmp6: IcmpCounters,
    /// Neighbour discovery.
    pub nd: NdCounters,
    /// IGMP.
    pub igmp: GroupCounters,
    /// MLD.
    pub mld: GroupCounters,
    /// UDP.
    pub udp: UdpCounters,
    /// UDP-Lite.
    pub udp_lite: UdpCounters,
    /// TCP.
    pub tcp: TcpCounters,
    /// Raw IP.
    pub raw: RawCounters,
    /// DHCP; all zero when it is left out.
    pub dhcp: DhcpCounters,
}

impl Counters {
    /// Those of the version of IP that an address is of.
    #[inline]
    pub(crate) fn ip_of(&mut self, address: Address) -> &mut IpCounters {
        match address.family() {
            Family::V4 => &mut self.ip,
            #[cfg(feature = "ipv6")]
            Family::V6 => &mut self.ip6,
        }
    }

    /// Those of the version of ICMP that goes with an address.
    pub(crate) fn icmp_of(&mut self, address: Address) -> &mut IcmpCounters {
        match address.family() {
            Family::V4 => &mut self.icmp,
            #[cfg(feature = "ipv6")]
            Family::V6 => &mut self.icmp6,
        }
    }
}
