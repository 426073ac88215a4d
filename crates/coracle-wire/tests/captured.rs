//! Frames as Linux sent them between 192.0.2.1 and 192.0.2.2, read layer by layer, and written again from what was read.

use coracle_wire::Malformed;
use coracle_wire::arp::{self, ArpPacket};
use coracle_wire::checksum::{Sum, checksum, pseudo_v4, update};
use coracle_wire::ethernet::{self, EtherType, EthernetHeader, MacAddr};
use coracle_wire::icmpv4::{self, IcmpHeader, unreachable};
use coracle_wire::ipv4::{self, Ipv4Fields, Ipv4Header, Ipv4Option, Options, Route, protocol};
use coracle_wire::tcp::{self, SackBlocks, TcpFields, TcpFlags, TcpHeader, TcpOptions};
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
const SYN: &str = "0200000000020200000000010800 4500003c6a04400040064cb4c0000201c0000202 \
    9c400007331dacc100000000a0c2faf0993d0000 020405b40402080a822030c4000000000103030a";
const SYN_ACK: &str = "0200000000010200000000020800 4500003c000040004006b6b8c0000202c0000201 \
    00079c40a622ca32331dacc2a052fe88e1df0000 020405b40402080a14dd2f02822030c40103030a";
const DATA: &str = "0200000000020200000000010800 450200396a08400040064cb1c0000201c0000202 \
    9c400007331daccba622ca338018003fbc320000 0101080a822030ed14dd2f02 6c61746572";
const SACK: &str = "0200000000010200000000020800 4500004012c540004006a3efc0000202c0000201 \
    00079c40a622ca33331dacc7b0100040191c0000 0101080a14dd2f2a822030c50101050a331daccb331dacd0";
const URGENT: &str = "0200000000020200000000010800 450200356a0a400040064cb3c0000201c0000202 \
    9c400007331dacd0a622ca3380b8003feb270001 0101080a822032f514dd2f2a 21";
const FIN: &str = "0200000000020200000000010800 450000346a0b400040064cb5c0000201c0000202 \
    9c400007331dacd1a622ca338011003f0a620000 0101080a8220335a14dd3133";
const RESET: &str = "0200000000010200000000020800 45000034623240004006548ec0000202c0000201 \
    00079c41c3d25a1dc100a08c80140040c7ff0000 0101080ad5dc71354a647d39";

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

/// Header, options and data of a segment, once the header is written again: Linux lays options out as we do.
fn segment(frame: &[u8], from: MacAddr) -> (TcpHeader, TcpOptions, Vec<u8>) {
    let to = if from == ONE { TWO } else { ONE };
    let (ip, segment) = unpack(open(frame, EtherType::IPV4, to, from), protocol::TCP);
    let pseudo = pseudo_v4(ip.source(), ip.destination(), protocol::TCP, segment.len() as u16);
    assert!(pseudo.add_bytes(segment).verifies());
    let header = TcpHeader::read(segment).unwrap();
    let options = TcpOptions::read(header.options(segment));
    let fields = TcpFields {
        source_port: header.source_port(),
        destination_port: header.destination_port(),
        sequence: header.sequence(),
        acknowledgment: header.acknowledgment(),
        header_len: tcp::HEADER_LEN + tcp::options_len(&options),
        flags: header.flags(),
        accurate_ecn: header.accurate_ecn(),
        window: header.window(),
        urgent_pointer: header.urgent_pointer(),
    };
    let mut written = segment.to_vec();
    tcp::write_header(written.first_chunk_mut().unwrap(), &fields);
    assert_eq!(tcp::write_options(&mut written[tcp::HEADER_LEN..], &options), header.options(segment).len());
    let sum = pseudo.add_bytes(&written).finish();
    written[tcp::CHECKSUM_OFFSET..][..2].copy_from_slice(&sum.to_be_bytes());
    assert_eq!(segment, written);
    (*header, options, segment[header.header_len()..].to_vec())
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

#[test]
fn tcp_handshake() {
    let (syn, options, data) = segment(&bytes(SYN), ONE);
    assert_eq!((syn.source_port(), syn.destination_port()), (40_000, 7));
    assert_eq!(syn.flags(), TcpFlags::SYN | TcpFlags::ECE | TcpFlags::CWR);
    assert_eq!((syn.acknowledgment(), syn.window(), data.len()), (0, 64_240, 0));
    let expected = TcpOptions {
        mss: Some(1460),
        sack_permitted: true,
        timestamps: Some((0x8220_30c4, 0)),
        window_scale: Some(10),
        ..TcpOptions::default()
    };
    assert_eq!(options, expected);

    let (answer, options, _) = segment(&bytes(SYN_ACK), TWO);
    assert_eq!(answer.flags(), TcpFlags::SYN | TcpFlags::ACK | TcpFlags::ECE);
    assert_eq!(answer.acknowledgment(), syn.sequence() + 1);
    assert_eq!(options, TcpOptions { timestamps: Some((0x14dd_2f02, 0x8220_30c4)), ..expected });
}

/// The second of three segments was lost; the answer to the third holds a block of it. There are options without a SYN
/// too [RFC 9293 MUST-5].
#[test]
fn tcp_data_and_its_acknowledgment() {
    let frame = bytes(DATA);
    let (third, options, data) = segment(&frame, ONE);
    assert_eq!((third.flags(), &data[..]), (TcpFlags::PSH | TcpFlags::ACK, &b"later"[..]));
    let at_once = TcpOptions::read_timestamps_only(third.options(&frame[34..]));
    assert_eq!((at_once, options.timestamps), (Some((0x8220_30ed, 0x14dd_2f02)), at_once));

    let frame = bytes(SACK);
    let (answer, options, data) = segment(&frame, TWO);
    assert_eq!((answer.flags(), data.len()), (TcpFlags::ACK, 0));
    assert_eq!(answer.acknowledgment(), third.sequence() - 4);
    let mut block = SackBlocks::new();
    block.push(third.sequence(), third.sequence() + 5);
    assert_eq!(options.sack, block);
    assert_eq!(TcpOptions::read_timestamps_only(answer.options(&frame[34..])), None);
}

#[test]
fn tcp_urgent_data_and_ends() {
    let (urgent, _, data) = segment(&bytes(URGENT), ONE);
    let flags = TcpFlags::URG | TcpFlags::PSH | TcpFlags::ACK | TcpFlags::CWR;
    assert_eq!((urgent.flags(), urgent.urgent_pointer(), &data[..]), (flags, 1, &b"!"[..]));
    let (end, _, _) = segment(&bytes(FIN), ONE);
    assert_eq!((end.flags(), end.sequence()), (TcpFlags::FIN | TcpFlags::ACK, urgent.sequence() + 1));
    let (reset, options, _) = segment(&bytes(RESET), TWO);
    assert_eq!((reset.flags(), reset.destination_port()), (TcpFlags::RST | TcpFlags::ACK, 40_001));
    assert!(options.timestamps.is_some());
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
