//! TCP-MIB [RFC 4022] and UDP-MIB [RFC 4113], and what older managers walk instead of their tables [RFC 1213].

use core::net::SocketAddr;
use core::time::Duration;

use coracle::{TcpState, TcpView, UdpView};

use super::address;
use crate::mib::{Column, Context, Listed, Node, Output, Scalars, Table};
use crate::oid::Oid;

/// TCP: counters, connections and listeners.
pub const TCP: &[Node<'static>] = &[
    Node::new(&[1, 3, 6, 1, 2, 1, 6], TCP_COLUMNS, &Scalars(tcp)),
    Node::new(&[1, 3, 6, 1, 2, 1, 6, 13, 1], OLD_TCP_COLUMNS, &Listed(OldConnections)),
    Node::new(&[1, 3, 6, 1, 2, 1, 6], TCP_MORE_COLUMNS, &Scalars(tcp)),
    Node::new(&[1, 3, 6, 1, 2, 1, 6, 19, 1], &[Column::integer(7), Column::gauge(8)], &Listed(Connections)),
    Node::new(&[1, 3, 6, 1, 2, 1, 6, 20, 1], &[Column::gauge(4)], &Listed(Listeners)),
];

/// UDP: counters and endpoints.
pub const UDP: &[Node<'static>] = &[
    Node::new(&[1, 3, 6, 1, 2, 1, 7], UDP_COLUMNS, &Scalars(udp)),
    Node::new(&[1, 3, 6, 1, 2, 1, 7, 5, 1], &[Column::address(1), Column::integer(2)], &Listed(OldEndpoints)),
    Node::new(&[1, 3, 6, 1, 2, 1, 7, 7, 1], &[Column::gauge(8)], &Listed(Endpoints)),
    Node::new(&[1, 3, 6, 1, 2, 1, 7], &[Column::counter64(8), Column::counter64(9)], &Scalars(udp)),
];

const TCP_COLUMNS: &[Column] = &[
    Column::integer(1),
    Column::integer(2),
    Column::integer(3),
    Column::integer(4),
    Column::counter(5),
    Column::counter(6),
    Column::counter(7),
    Column::counter(8),
    Column::gauge(9),
    Column::counter(10),
    Column::counter(11),
    Column::counter(12),
];

const TCP_MORE_COLUMNS: &[Column] =
    &[Column::counter(14), Column::counter(15), Column::counter64(17), Column::counter64(18)];

fn tcp(cx: &Context<'_>, id: u32, out: &mut Output<'_, '_>) {
    let Some(stack) = cx.stack else { return };
    let tcp = &stack.counters().tcp;
    match id {
        // RFC 6298.
        1 => out.integer(5),
        2 => out.integer(millis(stack.config().tcp.min_rto)),
        3 => out.integer(millis(stack.config().tcp.max_rto)),
        4 => out.integer(i32::try_from(stack.tcp_limit()).unwrap_or(i32::MAX)),
        5 => out.counter(tcp.active_opens),
        6 => out.counter(tcp.passive_opens),
        // Tries that came to nothing.
        7 => out.counter(tcp.active_opens.wrapping_add(tcp.passive_opens).saturating_sub(tcp.opened)),
        8 => out.counter(tcp.resets_received),
        9 => {
            let views = (0..stack.tcp_places()).filter_map(|place| stack.tcp_at(place));
            let open = |view: &TcpView| matches!(view.state, TcpState::Established | TcpState::CloseWait);
            out.gauge(views.filter(open).count() as u32);
        }
        10 => out.counter(tcp.segments_received),
        11 => out.counter(tcp.segments_sent),
        12 => out.counter(tcp.retransmitted),
        14 => out.counter(tcp.malformed.wrapping_add(tcp.bad_checksum)),
        15 => out.counter(tcp.resets_sent),
        17 => out.counter64(u64::from(tcp.segments_received)),
        _ => out.counter64(u64::from(tcp.segments_sent)),
    }
}

fn millis(time: Duration) -> i32 {
    i32::try_from(time.as_millis()).unwrap_or(i32::MAX)
}

/// The state as the MIB numbers it.
fn state(state: TcpState) -> i32 {
    match state {
        TcpState::Closed => 1,
        TcpState::Listen => 2,
        TcpState::SynSent => 3,
        TcpState::SynReceived => 4,
        TcpState::Established => 5,
        TcpState::FinWait1 => 6,
        TcpState::FinWait2 => 7,
        TcpState::CloseWait => 8,
        TcpState::LastAck => 9,
        TcpState::Closing => 10,
        TcpState::TimeWait => 11,
    }
}

fn tcp_view(cx: &Context<'_>, place: usize) -> Option<TcpView> {
    cx.stack?.tcp_at(place)
}

fn tcp_places(cx: &Context<'_>) -> usize {
    cx.stack.map_or(0, |stack| stack.tcp_places())
}

/// Adds the address, as bytes, and the port, as the old tables have them.
fn push_old(index: &mut Oid, socket: SocketAddr) -> bool {
    let SocketAddr::V4(socket) = socket else { return false };
    index.extend_bytes(&socket.ip().octets()).and_then(|()| index.push(u32::from(socket.port()))).is_ok()
}

const OLD_TCP_COLUMNS: &[Column] =
    &[Column::integer(1), Column::address(2), Column::integer(3), Column::address(4), Column::integer(5)];

/// `tcpConnTable`: connections and listeners of IPv4.
struct OldConnections;

impl Table for OldConnections {
    fn len(&self, cx: &Context<'_>) -> usize {
        tcp_places(cx)
    }

    fn index(&self, cx: &Context<'_>, place: usize, index: &mut Oid) -> bool {
        tcp_view(cx, place).is_some_and(|view| push_old(index, view.local) && push_old(index, view.remote))
    }

    fn read(&self, cx: &Context<'_>, place: usize, column: u32, out: &mut Output<'_, '_>) {
        let Some(view) = tcp_view(cx, place) else { return };
        let (SocketAddr::V4(local), SocketAddr::V4(remote)) = (view.local, view.remote) else { return };
        match column {
            1 => out.integer(state(view.state)),
            2 => out.address(*local.ip()),
            3 => out.integer(i32::from(local.port())),
            4 => out.address(*remote.ip()),
            _ => out.integer(i32::from(remote.port())),
        }
    }
}

/// `tcpConnectionTable`: connections, not listeners.
struct Connections;

impl Table for Connections {
    fn len(&self, cx: &Context<'_>) -> usize {
        tcp_places(cx)
    }

    fn index(&self, cx: &Context<'_>, place: usize, index: &mut Oid) -> bool {
        let connection = tcp_view(cx, place).filter(|view| view.state != TcpState::Listen);
        connection.is_some_and(|view| address::push_sockets(index, view.local, view.remote))
    }

    fn read(&self, cx: &Context<'_>, place: usize, column: u32, out: &mut Output<'_, '_>) {
        let Some(view) = tcp_view(cx, place) else { return };
        // There are no processes.
        if column == 7 { out.integer(state(view.state)) } else { out.gauge(0) }
    }
}

/// `tcpListenerTable`.
struct Listeners;

impl Table for Listeners {
    fn len(&self, cx: &Context<'_>) -> usize {
        tcp_places(cx)
    }

    fn index(&self, cx: &Context<'_>, place: usize, index: &mut Oid) -> bool {
        let listener = tcp_view(cx, place).filter(|view| view.state == TcpState::Listen);
        listener.is_some_and(|view| address::push_socket(index, view.local))
    }

    fn read(&self, _cx: &Context<'_>, _place: usize, _column: u32, out: &mut Output<'_, '_>) {
        out.gauge(0);
    }
}

const UDP_COLUMNS: &[Column] =
    &[Column::counter(1), Column::counter(2), Column::counter(3), Column::counter(4)];

fn udp(cx: &Context<'_>, id: u32, out: &mut Output<'_, '_>) {
    let Some(stack) = cx.stack else { return };
    let udp = &stack.counters().udp;
    match id {
        1 => out.counter(udp.delivered),
        2 => out.counter(udp.no_port),
        3 => out.counter(udp.truncated.wrapping_add(udp.bad_length).wrapping_add(udp.bad_checksum)),
        4 => out.counter(udp.sent),
        8 => out.counter64(u64::from(udp.delivered)),
        _ => out.counter64(u64::from(udp.sent)),
    }
}

fn udp_view(cx: &Context<'_>, place: usize) -> Option<UdpView> {
    cx.stack?.udp_at(place).filter(|view| !view.lite)
}

fn udp_places(cx: &Context<'_>) -> usize {
    cx.stack.map_or(0, |stack| stack.udp_places())
}

/// `udpTable`: what takes datagrams of IPv4.
struct OldEndpoints;

impl OldEndpoints {
    /// The end in a place, unless one before it has the same.
    fn at(cx: &Context<'_>, place: usize) -> Option<SocketAddr> {
        let local = udp_view(cx, place)?.local;
        let same = |earlier| udp_view(cx, earlier).is_some_and(|view| view.local == local);
        (!(0..place).any(same)).then_some(local)
    }
}

impl Table for OldEndpoints {
    fn len(&self, cx: &Context<'_>) -> usize {
        udp_places(cx)
    }

    fn index(&self, cx: &Context<'_>, place: usize, index: &mut Oid) -> bool {
        Self::at(cx, place).is_some_and(|local| push_old(index, local))
    }

    fn read(&self, cx: &Context<'_>, place: usize, column: u32, out: &mut Output<'_, '_>) {
        let Some(SocketAddr::V4(local)) = Self::at(cx, place) else { return };
        if column == 1 { out.address(*local.ip()) } else { out.integer(i32::from(local.port())) }
    }
}

/// `udpEndpointTable`.
struct Endpoints;

impl Table for Endpoints {
    fn len(&self, cx: &Context<'_>) -> usize {
        udp_places(cx)
    }

    fn index(&self, cx: &Context<'_>, place: usize, index: &mut Oid) -> bool {
        let Some(view) = udp_view(cx, place) else { return false };
        let nobody = SocketAddr::new(address::unspecified(view.local.ip()), 0);
        // Several may share an end: the instance tells them apart.
        let remote = view.remote.unwrap_or(nobody);
        address::push_sockets(index, view.local, remote) && index.push(place as u32 + 1).is_ok()
    }

    fn read(&self, _cx: &Context<'_>, _place: usize, _column: u32, out: &mut Output<'_, '_>) {
        out.gauge(0);
    }
}
