//! Frames as Linux sent them between 192.0.2.1 and 192.0.2.2, read layer by layer, and written again from what was read.

use coracle_wire::Malformed;
use coracle_wire::arp::{self, ArpPacket};
use coracle_wire::checksum::{Sum, checksum, pseudo_v4, update};
use coracle_wire::ethernet::{self, EtherType, EthernetHeader, MacAddr};
use coracle_wire::icmpv4::{self, IcmpHeader, unreachable};
use coracle_wire::ipv4::{self, Ipv4Fields, Ipv4Header, Ipv4Option, Options, Route, protocol};
use coracle_wire::udp::{self, UdpHeader};

const ARP_REQUEST: &str =
    "ffffffffffff0200000000010806 0001080006040001020000000001c0000201000000000000c0000202";
const ARP_REPLY: &str =
    "0200000000010200000000020806 0001080006040002020000000002c0000202020000000001c0000201";
const ECHO_REQUEST: &str = "0200000000020200000000010800 4500002c4b5d400040016b70c0000201c0000202 \
    0800ad8a12340001000102030405060708090a0b0c0d0e0f";
const ECHO_REPLY: &str = "0200000000010200000000020800 4500002c19af00004001dd1ec0000202c0000201 \
    0000b58a12340001000102030405060708090a0b0c0d0e0f";
const DATAGRAM: &str = "0200000000020200000000010800 45000021edb040004011c917c0000201c0000202 \
    9c400007000d9bb668656c6c6f";
const PORT_UNREACHABLE: &str = "0200000000010200000000020800 45c0003d19c700004001dc35c0000202c0000201 \
    0303811f00000000 45000021edb040004011c917c0000201c0000202 9c400007000d9bb668656c6c6f";
const RECORDED_ROUTE: &str = "0200000000020200000000010800 48000029edbd40004011b535c0000201c0000202 \
    070b08c000020100000000009c4100070009678f78";
const UDP_LITE: &str = "0200000000020200000000010800 45000020107340004088a5dfc0000201c0000202 \
    9c4200070008df156c697465";
const IGMP_REPORT: &str = "01005e0000160200000000010800 46c0002800004000010241f8c0000201e000001694040000 \
    2200e8f90000000104000000ef010203";

const ONE: MacAddr = MacAddr::new(2, 0, 0, 0, 0, 1);
const TWO: MacAddr = MacAddr::new(2, 0, 0, 0, 0, 2);

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(pair).collect()
}

/// The payload of a frame, once its header is checked and written again.
fn open(frame: &[u8], ether_type: EtherType, destination: MacAddr, source: MacAddr) -> &[u8] {
    let header = EthernetHeader::read(frame).unwrap();
    assert_eq!((header.destination, header.source, header.ether_type()), (destination, source, ether_type));
    let mut written = [0; ethernet::HEADER_LEN];
    EthernetHeader::write(&mut written, destination, source, ether_type);
    let (head, payload) = frame.split_at(ethernet::HEADER_LEN);
    assert_eq!(head, written);
    payload
}

/// Header and payload of a packet, once the header is checked and written again.
fn unpack(packet: &[u8], number: u8) -> (&Ipv4Header, &[u8]) {
    let header = Ipv4Header::read(packet).unwrap();
    assert_eq!((header.protocol(), header.total_len()), (number, packet.len()));
    let (head, payload) = packet.split_at(header.header_len());
    assert!(ipv4::header_checksum_ok(head));
    let fields = Ipv4Fields {
        tos: header.tos(),
        total_len: header.total_len() as u16,
        identification: header.identification(),
        dont_fragment: header.dont_fragment(),
        more_fragments: header.more_fragments(),
        fragment_offset: header.fragment_offset() as u16,
        ttl: header.ttl(),
        protocol: header.protocol(),
        source: header.source(),
        destination: header.destination(),
    };
    let mut written = [0; ipv4::MAX_HEADER_LEN];
    let len = ipv4::write_header_with_options(&mut written, &fields, header.options(packet)).unwrap();
    assert_eq!(head, &written[..len]);
    if len == ipv4::HEADER_LEN {
        let mut written = [0; ipv4::HEADER_LEN];
        ipv4::write_header(&mut written, &fields);
        assert_eq!(head, written);
    }
    (header, payload)
}

#[test]
fn address_resolution() {
    let request = bytes(ARP_REQUEST);
    let packet = ArpPacket::read(open(&request, EtherType::ARP, MacAddr::BROADCAST, ONE)).unwrap();
    assert_eq!(packet.operation(), arp::REQUEST);
    assert_eq!((packet.sender_mac, packet.sender_ip()), (ONE, [192, 0, 2, 1].into()));
    assert_eq!((packet.target_mac, packet.target_ip()), (MacAddr::ZERO, [192, 0, 2, 2].into()));

    let reply = bytes(ARP_REPLY);
    let payload = open(&reply, EtherType::ARP, ONE, TWO);
    assert_eq!(ArpPacket::read(payload).map(ArpPacket::operation), Ok(arp::REPLY));
    let mut written = [0; arp::LEN];
    let target = (packet.sender_mac, packet.sender_ip());
    ArpPacket::write(&mut written, arp::REPLY, (TWO, packet.target_ip()), target);
    assert_eq!(payload, written);
}

#[test]
fn echo() {
    let request = bytes(ECHO_REQUEST);
    let (_, message) = unpack(open(&request, EtherType::IPV4, TWO, ONE), protocol::ICMP);
    assert_eq!(checksum(message), 0);
    let asked = IcmpHeader::read(message).unwrap();
    assert_eq!((asked.kind, asked.identifier(), asked.sequence()), (icmpv4::ECHO_REQUEST, 0x1234, 1));

    let reply = bytes(ECHO_REPLY);
    let (_, message) = unpack(open(&reply, EtherType::IPV4, ONE, TWO), protocol::ICMP);
    let answered = IcmpHeader::read(message).unwrap();
    assert_eq!((answered.kind, answered.rest), (icmpv4::ECHO_REPLY, asked.rest));
    assert_eq!(answered.checksum(), update(asked.checksum(), 0x0800, 0x0000));
}

#[test]
fn udp_and_port_unreachable() {
    let frame = bytes(DATAGRAM);
    let packet = open(&frame, EtherType::IPV4, TWO, ONE);
    let (ip, datagram) = unpack(packet, protocol::UDP);
    let header = UdpHeader::read(datagram).unwrap();
    assert_eq!((header.source_port(), header.destination_port()), (40_000, 7));
    assert_eq!(udp::udp_length(header, ip.payload_len()), Ok(datagram.len()));
    let pseudo = pseudo_v4(ip.source(), ip.destination(), protocol::UDP, header.length());
    assert!(pseudo.add_bytes(datagram).verifies());

    let frame = bytes(PORT_UNREACHABLE);
    let (_, message) = unpack(open(&frame, EtherType::IPV4, ONE, TWO), protocol::ICMP);
    let error = IcmpHeader::read(message).unwrap();
    assert_eq!((error.kind, error.code), (icmpv4::DESTINATION_UNREACHABLE, unreachable::PORT));
    assert!(icmpv4::is_error(error.kind));
    let quoted = icmpv4::read_quoted(&message[icmpv4::HEADER_LEN..]).unwrap();
    assert_eq!((quoted.header, quoted.transport), (ip, datagram));
    assert_eq!(quoted.ports(), Some((40_000, 7)));
}

#[test]
fn options() {
    let frame = bytes(RECORDED_ROUTE);
    let packet = open(&frame, EtherType::IPV4, TWO, ONE);
    let (ip, datagram) = unpack(packet, protocol::UDP);
    let read: Result<Vec<_>, Malformed> = Options::new(ip.options(packet)).collect();
    let route = Route { pointer: 8, data: &[192, 0, 2, 1, 0, 0, 0, 0] };
    assert_eq!(read.unwrap(), [Ipv4Option::RecordRoute(route), Ipv4Option::End]);
    assert_eq!(UdpHeader::read(datagram).map(UdpHeader::length), Ok(9));

    let frame = bytes(IGMP_REPORT);
    let group = "224.0.0.22".parse().unwrap();
    let packet = open(&frame, EtherType::IPV4, MacAddr::multicast_v4(group), ONE);
    let (ip, report) = unpack(packet, protocol::IGMP);
    assert_eq!((ip.destination(), ip.ttl(), ip.tos()), (group, 1, 0xc0));
    assert_eq!(ip.options(packet), ipv4::ROUTER_ALERT);
    assert_eq!(checksum(report), 0);
}

/// Eight of twelve bytes are covered: the sum is over these and a pseudo-header with the whole length [RFC 3828 §3.1].
#[test]
fn udp_lite() {
    let frame = bytes(UDP_LITE);
    let (ip, datagram) = unpack(open(&frame, EtherType::IPV4, TWO, ONE), protocol::UDP_LITE);
    let header = UdpHeader::read(datagram).unwrap();
    assert_eq!(udp::udp_lite_coverage(header, datagram.len()), Ok(8));
    let pseudo = pseudo_v4(ip.source(), ip.destination(), protocol::UDP_LITE, datagram.len() as u16);
    assert!(pseudo.add_bytes(&datagram[..8]).verifies());
    assert!(!pseudo.add_bytes(datagram).verifies());
}

/// A packet lies in a chain of buffers of any sizes: its sum is the same for each way to cut it.
#[test]
fn sums_of_chains() {
    let frame = bytes(ECHO_REQUEST);
    let message = &frame[34..];
    for first in 0..message.len() {
        for second in first..message.len() {
            let pieces = [&message[..first], &message[first..second], &message[second..]];
            assert!(Sum::new().add_chain(pieces).verifies(), "cut at {first} and {second}");
        }
    }
}
