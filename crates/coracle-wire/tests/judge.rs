//! An independent decoder, etherparse, as the judge: what we write it reads alike, and what it builds we read alike.

use std::net::Ipv4Addr;

use coracle_wire::arp::{self, ArpPacket};
use coracle_wire::checksum::{self, pseudo_v4};
use coracle_wire::ethernet::{self, EtherType, EthernetHeader, MacAddr, Tci, VlanTag};
use coracle_wire::icmpv4::{self, IcmpHeader};
use coracle_wire::ipv4::{self, Ipv4Fields, Ipv4Header, protocol};
use coracle_wire::tcp::{self, SackBlocks, TcpFields, TcpFlags, TcpHeader, TcpOptions};
use coracle_wire::udp::{self, UdpHeader};
use etherparse::{Icmpv4Type, PacketBuilder, TcpOptionElement};
use proptest::collection::vec as bytes_of;
use proptest::prelude::*;
use proptest::test_runner::Config;

/// Few cases under an interpreter, and no file of failures, which it cannot write.
fn config() -> Config {
    Config { cases: if cfg!(miri) { 4 } else { 512 }, failure_persistence: None, ..Config::default() }
}

/// The most bytes that a packet carries here.
const MOST: usize = if cfg!(miri) { 100 } else { 1472 };

/// Fields of a packet with `options` and `payload_len` bytes behind them.
fn any_fields() -> impl Strategy<Value = Ipv4Fields> {
    let bytes = (any::<u8>(), any::<u8>(), any::<u8>());
    let words = (any::<u16>(), 0..0x2000_u16);
    let flags = (any::<bool>(), any::<bool>());
    let addresses = (any::<[u8; 4]>(), any::<[u8; 4]>());
    (bytes, words, flags, addresses).prop_map(|(bytes, words, flags, addresses)| Ipv4Fields {
        tos: bytes.0,
        total_len: 0,
        identification: words.0,
        dont_fragment: flags.0,
        more_fragments: flags.1,
        fragment_offset: words.1 * 8,
        ttl: bytes.1,
        protocol: bytes.2,
        source: addresses.0.into(),
        destination: addresses.1.into(),
    })
}

/// Whole words of options.
fn any_options() -> impl Strategy<Value = Vec<u8>> {
    bytes_of(any::<[u8; 4]>(), 0..=10).prop_map(|words| words.concat())
}

fn judged(header: &etherparse::Ipv4Header) -> Ipv4Fields {
    Ipv4Fields {
        tos: header.dscp.value() << 2 | header.ecn.value(),
        total_len: header.total_len,
        identification: header.identification,
        dont_fragment: header.dont_fragment,
        more_fragments: header.more_fragments,
        fragment_offset: header.fragment_offset.value() * 8,
        ttl: header.time_to_live,
        protocol: header.protocol.0,
        source: header.source.into(),
        destination: header.destination.into(),
    }
}

fn read(header: &Ipv4Header) -> Ipv4Fields {
    Ipv4Fields {
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
    }
}

/// Fields of a segment whose header has no options yet.
fn any_tcp_fields() -> impl Strategy<Value = TcpFields> {
    let words = any::<(u16, u16, u16, u16)>();
    let rest = any::<(u32, u32, u8, bool)>();
    (words, rest).prop_map(|(words, rest)| TcpFields {
        source_port: words.0,
        destination_port: words.1,
        sequence: rest.0,
        acknowledgment: rest.1,
        header_len: tcp::HEADER_LEN,
        flags: TcpFlags::from_bits(rest.2),
        accurate_ecn: rest.3,
        window: words.2,
        urgent_pointer: words.3,
    })
}

/// Any options that the judge knows, each there or not.
fn any_tcp_options() -> impl Strategy<Value = TcpOptions> {
    let rest = any::<(Option<u16>, bool, Option<(u32, u32)>)>();
    let scale = prop::option::of(0..=14_u8);
    let sack = bytes_of(any::<(u32, u32)>(), 0..=1);
    (rest, scale, sack).prop_map(|(rest, window_scale, sack)| TcpOptions {
        mss: rest.0,
        sack_permitted: rest.1,
        timestamps: rest.2,
        window_scale,
        user_timeout: None,
        sack: blocks(sack),
    })
}

fn blocks(pairs: impl IntoIterator<Item = (u32, u32)>) -> SackBlocks {
    let mut blocks = SackBlocks::new();
    pairs.into_iter().for_each(|(left, right)| blocks.push(left, right));
    blocks
}

fn judged_segment(header: &etherparse::TcpHeader) -> TcpFields {
    let flags = [
        (header.fin, TcpFlags::FIN),
        (header.syn, TcpFlags::SYN),
        (header.rst, TcpFlags::RST),
        (header.psh, TcpFlags::PSH),
        (header.ack, TcpFlags::ACK),
        (header.urg, TcpFlags::URG),
        (header.ece, TcpFlags::ECE),
        (header.cwr, TcpFlags::CWR),
    ];
    let flags = flags.into_iter().filter_map(|(set, flag)| set.then_some(flag));
    TcpFields {
        source_port: header.source_port,
        destination_port: header.destination_port,
        sequence: header.sequence_number,
        acknowledgment: header.acknowledgment_number,
        header_len: header.header_len(),
        flags: flags.fold(TcpFlags::empty(), |all, flag| all | flag),
        accurate_ecn: header.ns,
        window: header.window_size,
        urgent_pointer: header.urgent_pointer,
    }
}

fn read_segment(header: &TcpHeader) -> TcpFields {
    TcpFields {
        source_port: header.source_port(),
        destination_port: header.destination_port(),
        sequence: header.sequence(),
        acknowledgment: header.acknowledgment(),
        header_len: header.header_len(),
        flags: header.flags(),
        accurate_ecn: header.accurate_ecn(),
        window: header.window(),
        urgent_pointer: header.urgent_pointer(),
    }
}

fn judged_options(header: &etherparse::TcpHeader) -> TcpOptions {
    let mut options = TcpOptions::default();
    for element in header.options_iterator() {
        match element.unwrap() {
            TcpOptionElement::Noop => {}
            TcpOptionElement::MaximumSegmentSize(mss) => options.mss = Some(mss),
            TcpOptionElement::WindowScale(shift) => options.window_scale = Some(shift),
            TcpOptionElement::SelectiveAcknowledgementPermitted => options.sack_permitted = true,
            TcpOptionElement::SelectiveAcknowledgement(first, more) => {
                options.sack = blocks([first].into_iter().chain(more.into_iter().flatten()));
            }
            TcpOptionElement::Timestamp(value, echo) => options.timestamps = Some((value, echo)),
        }
    }
    options
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn frames_that_we_write(
        destination: [u8; 6], source: [u8; 6], ether_type: u16,
        pcp in 0..8_u8, dei: bool, vid in 0..4096_u16,
    ) {
        let mut frame = [0; ethernet::HEADER_LEN];
        EthernetHeader::write(&mut frame, MacAddr(destination), MacAddr(source), EtherType(ether_type));
        let (header, _) = etherparse::Ethernet2Header::from_slice(&frame).unwrap();
        prop_assert_eq!((header.destination, header.source), (destination, source));
        prop_assert_eq!(header.ether_type.0, ether_type);

        let mut tag = [0; ethernet::VLAN_TAG_LEN];
        VlanTag::write(&mut tag, Tci::new(pcp, dei, vid), EtherType(ether_type));
        let (header, _) = etherparse::SingleVlanHeader::from_slice(&tag).unwrap();
        prop_assert_eq!((header.pcp.value(), header.vlan_id.value()), (pcp, vid));
        prop_assert_eq!((header.drop_eligible_indicator, header.ether_type.0), (dei, ether_type));
    }

    #[test]
    fn frames_that_the_judge_writes(
        destination: [u8; 6], source: [u8; 6], ether_type: u16,
        pcp in 0..8_u8, dei: bool, vid in 0..4096_u16,
    ) {
        let ether_type = etherparse::EtherType(ether_type);
        let frame = etherparse::Ethernet2Header { source, destination, ether_type }.to_bytes();
        let header = EthernetHeader::read(&frame).unwrap();
        prop_assert_eq!((header.destination.0, header.source.0), (destination, source));
        prop_assert_eq!(header.ether_type().0, ether_type.0);

        let tag = etherparse::SingleVlanHeader {
            pcp: pcp.try_into().unwrap(),
            drop_eligible_indicator: dei,
            vlan_id: vid.try_into().unwrap(),
            ether_type,
        };
        let bytes = tag.to_bytes();
        let tag = VlanTag::read(&bytes).unwrap();
        prop_assert_eq!((tag.pcp(), tag.dei(), tag.vid()), (pcp, dei, vid));
        prop_assert_eq!(tag.ether_type().0, ether_type.0);
    }

    #[test]
    fn arp_packets(
        operation: u16, sender_mac: [u8; 6], sender_ipv4: [u8; 4], target_mac: [u8; 6], target_ipv4: [u8; 4],
    ) {
        let mut ours = [0; arp::LEN];
        let sender = (MacAddr(sender_mac), Ipv4Addr::from(sender_ipv4));
        let target = (MacAddr(target_mac), Ipv4Addr::from(target_ipv4));
        ArpPacket::write(&mut ours, operation, sender, target);
        let theirs = etherparse::ArpEthIpv4Packet {
            operation: etherparse::ArpOperation(operation), sender_mac, sender_ipv4, target_mac, target_ipv4,
        };
        prop_assert_eq!(ours, theirs.to_bytes());

        let read = etherparse::ArpPacket::from_slice(&ours).unwrap();
        prop_assert_eq!(read.try_eth_ipv4().unwrap(), theirs);
        let read = ArpPacket::read(&ours).unwrap();
        prop_assert_eq!(read.operation(), operation);
        prop_assert_eq!((read.sender_mac, read.sender_ip()), sender);
        prop_assert_eq!((read.target_mac, read.target_ip()), target);
    }

    #[test]
    fn ipv4_headers_that_we_write(fields in any_fields(), options in any_options(), payload_len in 0..65_475_u16) {
        let header_len = ipv4::HEADER_LEN + options.len();
        let fields = Ipv4Fields { total_len: header_len as u16 + payload_len, ..fields };
        let mut bytes = [0; ipv4::MAX_HEADER_LEN];
        let len = ipv4::write_header_with_options(&mut bytes, &fields, &options).unwrap();
        let (header, rest) = etherparse::Ipv4Header::from_slice(&bytes).unwrap();
        prop_assert_eq!(judged(&header), fields);
        prop_assert_eq!(header.options.as_slice(), &options);
        prop_assert_eq!(header.header_checksum, header.calc_header_checksum());
        prop_assert_eq!(rest.len(), bytes.len() - len);

        let mut bytes = [0; ipv4::HEADER_LEN];
        ipv4::write_header(&mut bytes, &fields);
        let (header, _) = etherparse::Ipv4Header::from_slice(&bytes).unwrap();
        prop_assert_eq!(judged(&header), fields);
        prop_assert_eq!(header.header_checksum, header.calc_header_checksum());
    }

    #[test]
    fn ipv4_headers_that_the_judge_writes(
        fields in any_fields(), options in any_options(), payload_len in 0..65_475_u16,
    ) {
        let total_len = (ipv4::HEADER_LEN + options.len()) as u16 + payload_len;
        let mut header = etherparse::Ipv4Header {
            dscp: (fields.tos >> 2).try_into().unwrap(),
            ecn: (fields.tos & 3).try_into().unwrap(),
            total_len,
            identification: fields.identification,
            dont_fragment: fields.dont_fragment,
            more_fragments: fields.more_fragments,
            fragment_offset: (fields.fragment_offset / 8).try_into().unwrap(),
            time_to_live: fields.ttl,
            protocol: etherparse::IpNumber(fields.protocol),
            header_checksum: 0,
            source: fields.source.octets(),
            destination: fields.destination.octets(),
            options: options[..].try_into().unwrap(),
        };
        header.header_checksum = header.calc_header_checksum();
        let bytes = header.to_bytes();
        let ours = Ipv4Header::read(&bytes).unwrap();
        prop_assert_eq!(read(ours), Ipv4Fields { total_len, ..fields });
        prop_assert_eq!(ours.is_fragment(), header.is_fragmenting_payload());
        prop_assert_eq!(ours.options(&bytes), options);
        prop_assert_eq!(ours.payload_len(), usize::from(payload_len));
        prop_assert_eq!(ours.checksum(), header.header_checksum);
        prop_assert!(ipv4::header_checksum_ok(&bytes));
    }

    #[test]
    fn udp_datagrams(
        (source, destination) in any::<([u8; 4], [u8; 4])>(),
        (source_port, destination_port) in any::<(u16, u16)>(),
        payload in bytes_of(any::<u8>(), 0..=MOST),
    ) {
        let mut theirs = Vec::new();
        PacketBuilder::ipv4(source, destination, 64)
            .udp(source_port, destination_port)
            .write(&mut theirs, &payload)
            .unwrap();
        let ip = Ipv4Header::read(&theirs).unwrap();
        prop_assert_eq!(ip.protocol(), protocol::UDP);
        let datagram = &theirs[ip.header_len()..];
        let header = UdpHeader::read(datagram).unwrap();
        prop_assert_eq!((header.source_port(), header.destination_port()), (source_port, destination_port));
        prop_assert_eq!(udp::udp_length(header, ip.payload_len()), Ok(datagram.len()));
        prop_assert_eq!(&datagram[udp::HEADER_LEN..], &payload);

        let len = datagram.len() as u16;
        let pseudo = pseudo_v4(source.into(), destination.into(), protocol::UDP, len);
        prop_assert!(pseudo.add_bytes(datagram).verifies());

        let sum = pseudo.add_u16(source_port).add_u16(destination_port).add_u16(len).add_bytes(&payload);
        let mut ours = [0; udp::HEADER_LEN];
        UdpHeader::write(&mut ours, source_port, destination_port, len, sum.finish_nonzero());
        prop_assert_eq!(&ours, &datagram[..udp::HEADER_LEN]);
    }

    #[test]
    fn tcp_segments_that_we_write(
        (source, destination) in any::<([u8; 4], [u8; 4])>(),
        (fields, options) in (any_tcp_fields(), any_tcp_options()),
        payload in bytes_of(any::<u8>(), 0..=MOST),
    ) {
        let header_len = tcp::HEADER_LEN + tcp::options_len(&options);
        let fields = TcpFields { header_len, ..fields };
        let mut segment = vec![0; header_len];
        tcp::write_header(segment.first_chunk_mut().unwrap(), &fields);
        tcp::write_options(&mut segment[tcp::HEADER_LEN..], &options);
        segment.extend(&payload);
        let pseudo = pseudo_v4(source.into(), destination.into(), protocol::TCP, segment.len() as u16);
        let sum = pseudo.add_bytes(&segment).finish();
        segment[tcp::CHECKSUM_OFFSET..][..2].copy_from_slice(&sum.to_be_bytes());

        let (header, rest) = etherparse::TcpHeader::from_slice(&segment).unwrap();
        prop_assert_eq!(judged_segment(&header), fields);
        prop_assert_eq!(judged_options(&header), options);
        prop_assert_eq!(rest, &payload);
        prop_assert_eq!(header.checksum, header.calc_checksum_ipv4_raw(source, destination, &payload).unwrap());
    }

    #[test]
    fn tcp_segments_that_the_judge_writes(
        (source, destination) in any::<([u8; 4], [u8; 4])>(),
        fields in any_tcp_fields(),
        (mss, shift, times) in (any::<u16>(), 0..=14_u8, any::<(u32, u32)>()),
        sack in bytes_of(any::<(u32, u32)>(), 4),
        payload in bytes_of(any::<u8>(), 0..=MOST),
    ) {
        let rest = [Some(sack[1]), Some(sack[2]), Some(sack[3])];
        for elements in [
            vec![],
            vec![
                TcpOptionElement::WindowScale(shift),
                TcpOptionElement::Timestamp(times.0, times.1),
                TcpOptionElement::SelectiveAcknowledgementPermitted,
                TcpOptionElement::MaximumSegmentSize(mss),
            ],
            vec![TcpOptionElement::Noop, TcpOptionElement::SelectiveAcknowledgement(sack[0], rest)],
        ] {
            let is = |flag| fields.flags.contains(flag);
            let TcpFields { source_port, destination_port, sequence, window, .. } = fields;
            let mut header = etherparse::TcpHeader {
                acknowledgment_number: fields.acknowledgment,
                ns: fields.accurate_ecn,
                fin: is(TcpFlags::FIN),
                syn: is(TcpFlags::SYN),
                rst: is(TcpFlags::RST),
                psh: is(TcpFlags::PSH),
                ack: is(TcpFlags::ACK),
                urg: is(TcpFlags::URG),
                ece: is(TcpFlags::ECE),
                cwr: is(TcpFlags::CWR),
                urgent_pointer: fields.urgent_pointer,
                ..etherparse::TcpHeader::new(source_port, destination_port, sequence, window)
            };
            header.set_options(&elements).unwrap();
            header.checksum = header.calc_checksum_ipv4_raw(source, destination, &payload).unwrap();
            let segment = [&header.to_bytes()[..], &payload].concat();

            let ours = TcpHeader::read(&segment).unwrap();
            prop_assert_eq!(read_segment(ours), TcpFields { header_len: header.header_len(), ..fields });
            prop_assert_eq!(TcpOptions::read(ours.options(&segment)), judged_options(&header));
            let len = segment.len() as u16;
            let pseudo = pseudo_v4(source.into(), destination.into(), protocol::TCP, len);
            prop_assert!(pseudo.add_bytes(&segment).verifies());
            prop_assert_eq!(ours.checksum(), header.checksum);
        }
    }

    #[test]
    fn icmp_messages(kind: u8, code: u8, rest: [u8; 4], payload in bytes_of(any::<u8>(), 0..=MOST)) {
        let mut ours = vec![0; icmpv4::HEADER_LEN];
        icmpv4::write(ours.first_chunk_mut().unwrap(), kind, code, rest);
        ours.extend(&payload);
        let sum = checksum::checksum(&ours);
        ours[icmpv4::CHECKSUM_OFFSET..][..2].copy_from_slice(&sum.to_be_bytes());

        let raw = Icmpv4Type::Unknown { type_u8: kind, code_u8: code, bytes5to8: rest };
        let theirs = etherparse::Icmpv4Header::with_checksum(raw, &payload).to_bytes();
        prop_assert_eq!(&ours[..icmpv4::HEADER_LEN], &theirs[..icmpv4::HEADER_LEN]);
        let header = IcmpHeader::read(&theirs).unwrap();
        prop_assert_eq!((header.kind, header.code, header.rest), (kind, code, rest));
    }

    #[test]
    fn echoes(identifier: u16, sequence: u16, payload in bytes_of(any::<u8>(), 0..100)) {
        let mut theirs = Vec::new();
        PacketBuilder::ipv4([192, 0, 2, 1], [192, 0, 2, 2], 64)
            .icmpv4_echo_request(identifier, sequence)
            .write(&mut theirs, &payload)
            .unwrap();
        let mut message = theirs[ipv4::HEADER_LEN..].to_vec();
        let header = *IcmpHeader::read(&message).unwrap();
        prop_assert_eq!((header.kind, header.code), (icmpv4::ECHO_REQUEST, 0));
        prop_assert_eq!((header.identifier(), header.sequence()), (identifier, sequence));

        // The answer in place: only kind and checksum change.
        message[0] = icmpv4::ECHO_REPLY;
        let sum = checksum::update(header.checksum(), 0x0800, 0);
        message[icmpv4::CHECKSUM_OFFSET..][..2].copy_from_slice(&sum.to_be_bytes());
        let (reply, rest) = etherparse::Icmpv4Header::from_slice(&message).unwrap();
        let echo = etherparse::IcmpEchoHeader { id: identifier, seq: sequence };
        prop_assert_eq!(&reply.icmp_type, &Icmpv4Type::EchoReply(echo));
        prop_assert_eq!(reply.checksum, reply.icmp_type.calc_checksum(rest));
    }
}
