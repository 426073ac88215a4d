//! One stack under test, its peer played by hand: what hostile input is tried on.
//!
//! A [`Rig`] is a stack with an Ethernet interface, one in a VLAN, a point-to-point one and the loopback interface, and
//! an application on every kind of control block. It watches what any input may do: every frame that comes out goes
//! before the [`judge`], the frames that one input causes are few, deadlines lie in the future and end,
//! and every buffer comes back.

use std::net::SocketAddr;
use std::time::Duration;

use coracle::wire::EtherType;
use coracle::wire::ethernet::Tci;
use coracle::wire::icmpv6::NEIGHBOUR_SOLICITATION;
use coracle::wire::ipv4::protocol;
use coracle::{
    Arena, Config, FilterMode, Handler, Instant, InterfaceId, Ipv4Settings, Ipv6Settings, Kind, Layer,
    Limits, MacAddr, Memory, MemoryLimits, NetifConfig, NetifHandle, Pbuf, Raw, RawHandle, Refused, Stack,
    Tcp, Udp, UdpHandle,
};

use crate::frames::{Ipv4, Ipv6, arp, ethernet, icmp, udp};
use crate::judge;
use crate::mutate::ipv6;
use crate::pcap::LinkType;

/// The address on the Ethernet interface, 192.0.2.1/24.
pub const ADDRESS: [u8; 4] = [192, 0, 2, 1];
/// The station of the Ethernet interface.
pub const STATION: MacAddr = MacAddr::new(2, 0, 0, 0, 0, 1);
/// A peer on that network.
pub const PEER: [u8; 4] = [192, 0, 2, 2];
/// The peer's station.
pub const PEER_STATION: MacAddr = MacAddr::new(2, 0, 0, 0, 0, 2);
/// The address on the interface in the VLAN, 198.51.100.1/24.
pub const VLAN_ADDRESS: [u8; 4] = [198, 51, 100, 1];
/// The station of the interface in the VLAN.
pub const VLAN_STATION: MacAddr = MacAddr::new(2, 0, 0, 0, 1, 1);
/// A peer in the VLAN, whose station is [`PEER_STATION`].
pub const VLAN_PEER: [u8; 4] = [198, 51, 100, 2];
/// The tag of the VLAN: 7.
pub const TAG: Tci = Tci::new(0, false, 7);
/// The address on the point-to-point interface, 203.0.113.1/24.
pub const TUNNEL_ADDRESS: [u8; 4] = [203, 0, 113, 1];
/// The peer there.
pub const TUNNEL_PEER: [u8; 4] = [203, 0, 113, 2];
/// The group that the Ethernet interface has joined.
pub const GROUP: [u8; 4] = [239, 1, 2, 3];
/// The port of the UDP, the UDP-Lite and the TCP echo servers.
pub const ECHO_PORT: u16 = 7;
/// The port of the TCP server that takes everything and says nothing.
pub const SINK_PORT: u16 = 9;
/// The port of a socket that is connected to port 4,000 of the peer.
pub const CONNECTED_PORT: u16 = 4_001;
/// Whom the canary exchange is with.
const CANARY: [u8; 4] = [192, 0, 2, 99];
const CANARY_STATION: MacAddr = MacAddr::new(2, 0, 0, 0, 0, 99);
/// Frames that one input may cause on one interface: what waits for a neighbour, its answer, a request, an echo.
const MOST_FRAMES: usize = 8;

/// An interface of a [`Rig`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// Ethernet without a tag.
    Ethernet,
    /// Ethernet with the tag [`TAG`].
    Vlan,
    /// IP packets without a link header.
    Tunnel,
}

impl Port {
    /// What its frames begin with.
    pub const fn link(self) -> LinkType {
        match self {
            Self::Ethernet | Self::Vlan => LinkType::Ethernet,
            Self::Tunnel => LinkType::Ip,
        }
    }
}

/// The application on every control block of a [`Rig`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum App {
    /// Sends datagrams and what comes over connections back, and closes when the peer does. It does not answer
    /// datagrams from well-known ports, lest two echo servers talk for ever.
    Echo,
    /// Drops what it gets, and keeps connections open.
    Sink,
    /// Looks at raw packets and passes them on.
    Look,
    /// Eats raw packets.
    Eat,
}

impl Handler for App {
    fn datagram(&mut self, udp: &mut Udp<'_, Self>, from: SocketAddr, data: Pbuf) {
        let info = udp.packet().expect("a datagram that is delivered has a packet");
        assert!(usize::from(info.header_len) + 8 + data.len() <= info.total_len as usize);
        if *self == Self::Echo && from.port() >= 1_024 {
            drop(udp.send_to(data, from));
        }
    }

    fn accept(&mut self, _: &mut Tcp<'_, Self>) -> Result<Self, coracle::Error> {
        Ok(*self)
    }

    fn recv(&mut self, tcp: &mut Tcp<'_, Self>, data: Pbuf) -> Result<(), Refused> {
        assert!(!data.is_empty(), "nothing is no data");
        tcp.recved(data.len()).expect("the data was received");
        if *self == Self::Echo
            && let Err(rejected) = tcp.write(data)
        {
            // Its direction may be shut down already.
            let ordinary = [coracle::Error::Memory, coracle::Error::NotConnected];
            assert!(ordinary.contains(&rejected.error), "{rejected}");
        }
        Ok(())
    }

    fn finished(&mut self, tcp: &mut Tcp<'_, Self>) {
        if *self == Self::Echo {
            tcp.close().expect("a connection whose handler runs is there");
        }
    }

    fn packet(&mut self, raw: &mut Raw<'_, Self>, packet: Pbuf) -> Option<Pbuf> {
        let info = raw.packet().expect("a packet that is delivered is described");
        assert_eq!(packet.len(), info.total_len as usize);
        (*self != Self::Eat).then_some(packet)
    }
}

/// A stack and everything that watches it. Every method panics when the stack does what it must not.
pub struct Rig {
    /// The stack, for tests that want to do more with it.
    pub stack: Stack<App>,
    /// The interface on Ethernet.
    pub ethernet: NetifHandle,
    /// The interface in the VLAN.
    pub vlan: NetifHandle,
    /// The interface to one other end.
    pub tunnel: NetifHandle,
    /// The loopback interface.
    pub loopback: NetifHandle,
    /// The UDP echo server.
    pub echo: UdpHandle,
    /// The UDP-Lite echo server.
    pub echo_lite: UdpHandle,
    /// The socket that is connected to the peer.
    pub connected: UdpHandle,
    /// The control block that eats protocol 253.
    pub raw: RawHandle,
    now: Instant,
}

/// Memory for a few dozen frames.
pub const MEMORY: MemoryLimits = MemoryLimits {
    pool_buffers: 48,
    pool_buffer_size: 1_640,
    small_buffers: 32,
    references: 96,
    heap_bytes: 64 << 10,
};

/// The Ethernet interface configures itself, as `fe80::1` to begin with.
const SETTINGS_V6: Ipv6Settings =
    Ipv6Settings { interface_id: InterfaceId::Fixed(1), temporary: true, ..Ipv6Settings::AUTO };

const LIMITS: Limits = Limits { udp: 8, neighbours: 5, groups: 4, netifs: 6, ..Limits::SMALL };

impl Default for Rig {
    fn default() -> Self {
        Self::new(MEMORY, Config::new([7; 16]))
    }
}

impl Rig {
    /// A rig with so much memory.
    pub fn new(memory: MemoryLimits, config: Config) -> Self {
        Self::build(memory, config).expect("the limits are those of the rig")
    }

    fn build(memory: MemoryLimits, config: Config) -> Result<Self, coracle::Error> {
        let mut arena = Arena::heap();
        let memory = Memory::new(&mut arena, memory)?;
        let mut stack = Stack::new(&mut arena, LIMITS, memory, config)?;
        let ethernet = stack.netif_add(&NetifConfig::ethernet(STATION).ipv4(settings()).ipv6(SETTINGS_V6))?;
        let vlan_settings = Ipv4Settings::new(VLAN_ADDRESS.into(), 24);
        let vlan = stack.netif_add(&NetifConfig::ethernet(VLAN_STATION).vlan(TAG).ipv4(vlan_settings))?;
        let tunnel =
            stack.netif_add(&NetifConfig::ip().ipv4(Ipv4Settings::new(TUNNEL_ADDRESS.into(), 24)))?;
        let loopback = stack.netif_add(&NetifConfig::loopback())?;
        stack.netif(ethernet)?.join_group(std::net::Ipv4Addr::from(GROUP).into())?;
        for netif in [ethernet, vlan, tunnel, loopback] {
            stack.netif(netif)?.set_up(true)?;
        }
        let bind = |port: u16| SocketAddr::from(([0, 0, 0, 0], port));
        let echo = stack.udp_new(App::Echo)?;
        stack.udp(echo)?.bind(SocketAddr::from(([0_u16; 8], ECHO_PORT)))?;
        let echo_lite = stack.udp_lite_new(App::Echo)?;
        stack.udp(echo_lite)?.bind(bind(ECHO_PORT))?;
        stack.udp(echo_lite)?.set_coverage(12)?;
        for _ in 0..2 {
            let member = stack.udp_new(App::Sink)?;
            stack.udp(member)?.set_reuse_address(true)?;
            stack.udp(member)?.bind(bind(9))?;
        }
        // Its own filter, so that queries for sources are answered for some.
        let group = std::net::Ipv4Addr::from(GROUP).into();
        stack.udp(echo)?.set_filter(
            group,
            Some(ethernet),
            FilterMode::Exclude,
            &[std::net::Ipv4Addr::from(CANARY).into()],
        )?;
        stack.tcp_listen(bind(ECHO_PORT), 2, App::Echo)?;
        stack.tcp_listen(bind(SINK_PORT), 2, App::Sink)?;
        let connected = stack.udp_new(App::Sink)?;
        stack.udp(connected)?.bind(bind(CONNECTED_PORT))?;
        stack.udp(connected)?.connect(SocketAddr::from((PEER, 4_000)))?;
        stack.raw_new(protocol::ICMP, App::Look)?;
        let raw = stack.raw_new(253, App::Eat)?;
        let mut rig = Self {
            stack,
            ethernet,
            vlan,
            tunnel,
            loopback,
            echo,
            echo_lite,
            connected,
            raw,
            now: Instant::from_secs(1),
        };
        rig.restore();
        // Its IPv6 address is examined, and no router answers.
        rig.advance(Duration::from_secs(20));
        Ok(rig)
    }

    /// The interfaces.
    pub fn netifs(&self) -> [NetifHandle; 4] {
        [self.ethernet, self.vlan, self.tunnel, self.loopback]
    }

    /// The interface of a port.
    pub fn netif(&self, port: Port) -> NetifHandle {
        match port {
            Port::Ethernet => self.ethernet,
            Port::Vlan => self.vlan,
            Port::Tunnel => self.tunnel,
        }
    }

    /// The time of the stack.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// What the frames of an interface begin with.
    pub fn link(&self, netif: NetifHandle) -> LinkType {
        if netif == self.ethernet || netif == self.vlan { LinkType::Ethernet } else { LinkType::Ip }
    }

    /// Copies a frame into buffers of the stack, as a device would; `pieces` are the lengths of all segments but the
    /// last. None when the memory is used up.
    pub fn buffer(&self, frame: &[u8], pieces: &[usize]) -> Option<Pbuf> {
        let memory = self.stack.memory();
        let mut rest = frame;
        let mut whole: Option<Pbuf> = None;
        for &len in pieces.iter().chain([&usize::MAX]) {
            let (piece, after) = rest.split_at(len.min(rest.len()));
            rest = after;
            let mut segment = memory.alloc(Layer::Raw, piece.len(), Kind::Pool).ok()?;
            segment.take(piece).expect("a fresh buffer is writable and long enough");
            match &mut whole {
                Some(whole) => whole.cat(segment).map_err(|(error, _)| error).ok()?,
                None => whole = Some(segment),
            }
        }
        whole
    }

    /// Hands a frame to an interface, and returns the frames that came out of all interfaces.
    pub fn input(&mut self, netif: NetifHandle, frame: &[u8]) -> Vec<Vec<u8>> {
        self.input_in_pieces(netif, frame, &[])
    }

    /// Hands a frame in that lies in several buffers.
    pub fn input_in_pieces(&mut self, netif: NetifHandle, frame: &[u8], pieces: &[usize]) -> Vec<Vec<u8>> {
        if let Some(buffer) = self.buffer(frame, pieces) {
            // A refusal gives the frame back, which a device drops.
            drop(self.stack.input(netif, buffer, self.now));
        }
        self.drain(MOST_FRAMES)
    }

    /// Takes and judges everything that the interfaces have to send: at most so many frames each.
    pub fn drain(&mut self, most: usize) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        for netif in self.netifs() {
            let before = frames.len();
            while let Some(frame) = self.stack.transmit(netif) {
                let bytes = frame.segments().collect::<Vec<_>>().concat();
                if let Err(why) = judge::check(&bytes, self.link(netif)) {
                    panic!("the stack sent {why}: {bytes:02x?}");
                }
                frames.push(bytes);
            }
            assert!(frames.len() - before <= most, "one step sent {} frames", frames.len() - before);
        }
        frames
    }

    /// Lets time pass, and runs what is due in it; returns what was sent.
    pub fn advance(&mut self, by: Duration) -> Vec<Vec<u8>> {
        let end = self.now + by;
        let mut frames = Vec::new();
        let mut at_one_time = 0;
        loop {
            let next = self.stack.poll(self.now);
            frames.extend(self.drain(64));
            match next {
                Some(next) if next <= end => {
                    at_one_time = if next > self.now { 0 } else { at_one_time + 1 };
                    assert!(at_one_time < 64, "the stack asks to be polled again and again");
                    self.now = self.now.max(next);
                }
                _ => break,
            }
        }
        self.now = end;
        frames
    }

    /// Lets the stack learn the peers' stations, so that answers to them need not wait.
    pub fn introduce_peers(&mut self) {
        let request = |sender, target| arp(1, (PEER_STATION, sender), (MacAddr::ZERO, target));
        let plain = ethernet(STATION, PEER_STATION, None, EtherType::ARP, &request(PEER, ADDRESS));
        self.input(self.ethernet, &plain);
        let tagged = request(VLAN_PEER, VLAN_ADDRESS);
        self.input(self.vlan, &ethernet(VLAN_STATION, PEER_STATION, Some(TAG), EtherType::ARP, &tagged));
        let body = [&ipv6::ADDRESS.octets()[..], &[1, 1], &PEER_STATION.0].concat();
        let packet = Ipv6::new(ipv6::PEER, ipv6::ADDRESS).hop_limit(255);
        let packet = packet.packet(protocol::ICMPV6, &icmp(NEIGHBOUR_SOLICITATION, 0, [0; 4], &body));
        self.input(self.ethernet, &ethernet(STATION, PEER_STATION, None, EtherType::IPV6, &packet));
    }

    /// Brings the interfaces up with the rig's addresses, whatever was done to them.
    pub fn restore(&mut self) {
        for netif in self.netifs() {
            let mut netif = self.stack.netif(netif).expect("the rig removes no interface");
            netif.set_up(true).and_then(|()| netif.set_link_up(true)).expect("an interface that is there");
        }
        let mut netif = self.stack.netif(self.ethernet).expect("the rig removes no interface");
        netif.set_ipv4(settings()).expect("settings that were valid before");
        netif.set_mtu(1_500).expect("an MTU that was valid before");
        self.drain(64);
    }

    /// Whether good peers are still served: address resolution, an echo by ICMP, an echo by UDP.
    pub fn canary(&mut self) {
        self.drain(64);
        self.advance(Duration::ZERO);
        let frames = self.input(self.ethernet, &to_stack(EtherType::ARP, &arp_request()));
        let answer = arp(2, (STATION, ADDRESS), (CANARY_STATION, CANARY));
        let expected = ethernet(CANARY_STATION, STATION, None, EtherType::ARP, &answer);
        // What waited for the canary's station, or for its turn, may go too.
        assert!(frames.contains(&expected), "an ARP request was not answered: {:?}", self.stack.counters());

        let ping = icmp(8, 0, [1, 2, 3, 4], b"canary");
        let reply = self.ask(&canary_packet(protocol::ICMP, &ping));
        let expected = [&[0, 0, 0, 0, 1, 2, 3, 4], &b"canary"[..]].concat();
        assert_eq!(payloads(&reply), [expected], "no echo reply: {:?}", self.stack.counters());

        let reply = self.ask(&canary_packet(protocol::UDP, &udp(40_000, ECHO_PORT, b"canary")));
        let expected = [&[0, 7, 0x9c, 0x40, 0, 14, 0, 0], &b"canary"[..]].concat();
        assert_eq!(payloads(&reply), [expected], "no UDP echo: {:?}", self.stack.counters());
    }

    /// Sends a packet as the canary, which tells its station when the stack has no room to remember it. Returns what
    /// came back to it.
    fn ask(&mut self, packet: &[u8]) -> Vec<Vec<u8>> {
        let frames = self.input(self.ethernet, &to_stack(EtherType::IPV4, packet));
        let question = arp(1, (STATION, ADDRESS), (MacAddr::ZERO, CANARY));
        let asked = frames.contains(&ethernet(MacAddr::BROADCAST, STATION, None, EtherType::ARP, &question));
        let mut replies = frames;
        if asked {
            let answer = arp(2, (CANARY_STATION, CANARY), (STATION, ADDRESS));
            replies.extend(self.input(self.ethernet, &to_stack(EtherType::ARP, &answer)));
        }
        replies.retain(|frame| frame.starts_with(&CANARY_STATION.0));
        replies
    }

    /// Lets everything that has a time run out, and asserts that every buffer came back and no timer is left, but for what
    /// routers said that is to last.
    pub fn settle(&mut self) {
        // A query of MLD may leave more than two of them for the answer.
        self.advance(Duration::from_hours(3));
        let next = self.stack.next_deadline();
        let far = self.now + Duration::from_secs(20);
        assert!(next.is_none_or(|next| next > far), "a timer that never ends: {next:?} at {:?}", self.now);
        let of_arp = self.stack.neighbours().filter(|neighbour| neighbour.address.is_ipv4());
        assert_eq!(of_arp.count(), 0, "a neighbour that is never forgotten");
        self.assert_balanced();
    }

    /// Asserts that every buffer came back.
    pub fn assert_balanced(&self) {
        let stats = self.stack.memory().stats();
        assert!(stats.is_unused(), "buffers leaked: {stats:?}");
    }
}

fn settings() -> Ipv4Settings {
    Ipv4Settings::new(ADDRESS.into(), 24).with_gateway([192, 0, 2, 254].into())
}

fn to_stack(ether_type: EtherType, payload: &[u8]) -> Vec<u8> {
    ethernet(STATION, CANARY_STATION, None, ether_type, payload)
}

fn arp_request() -> Vec<u8> {
    arp(1, (CANARY_STATION, CANARY), (MacAddr::ZERO, ADDRESS))
}

fn canary_packet(protocol: u8, payload: &[u8]) -> Vec<u8> {
    Ipv4::new(CANARY, ADDRESS).packet(protocol, payload)
}

/// What the packets in frames carry, with the checksums (which the judge has checked) set to zero.
fn payloads(frames: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let payload = |frame: &Vec<u8>| {
        let mut payload = frame[34..].to_vec();
        let at = if frame[23] == protocol::ICMP { 2 } else { 6 };
        payload[at..at + 2].fill(0);
        payload
    };
    frames.iter().map(payload).collect()
}
