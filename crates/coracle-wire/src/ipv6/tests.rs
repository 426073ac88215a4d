use std::string::ToString;

use etherparse::{Ipv6FlowLabel, Ipv6HeaderSlice};
use proptest::prelude::*;

use super::*;
use crate::testing::config;

/// An echo request from `fe80::1` to `ff02::1` with a hop limit of 255 and a flow label.
const HEADER: [u8; HEADER_LEN] = [
    0x60, 0x0b, 0x7a, 0xbc, 0x00, 0x40, 0x3a, 0xff, //
    0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, //
    0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
];

const FIELDS: Ipv6Fields = Ipv6Fields {
    traffic_class: 0,
    flow_label: 0xb7abc,
    payload_len: 64,
    next_header: next_header::ICMPV6,
    hop_limit: 255,
    source: Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1),
    destination: group::ALL_NODES,
};

fn fields_of(header: &Ipv6Header) -> Ipv6Fields {
    Ipv6Fields {
        traffic_class: header.traffic_class(),
        flow_label: header.flow_label(),
        payload_len: header.payload_len() as u16,
        next_header: header.next_header(),
        hop_limit: header.hop_limit(),
        source: header.source(),
        destination: header.destination(),
    }
}

#[test]
fn reads_a_header() {
    let header = Ipv6Header::read(&HEADER).unwrap();
    assert_eq!(fields_of(header), FIELDS);
    assert_eq!(header.total_len(), 104);
    assert_eq!(header.source_octets()[..], HEADER[8..24]);
    assert_eq!(header.destination_octets()[..], HEADER[24..]);
}

#[test]
fn writes_a_header() {
    let mut bytes = [0xaa; HEADER_LEN];
    write_header(&mut bytes, &FIELDS);
    assert_eq!(bytes, HEADER);
    assert_eq!(u16::from_be_bytes([bytes[PAYLOAD_LEN_OFFSET], bytes[PAYLOAD_LEN_OFFSET + 1]]), 64);
    assert_eq!(bytes[NEXT_HEADER_OFFSET], next_header::ICMPV6);
}

#[test]
fn refuses_every_shorter_length() {
    for len in 0..=HEADER_LEN {
        let expected = (len < HEADER_LEN).then_some(Malformed::Truncated);
        assert_eq!(Ipv6Header::read(&HEADER[..len]).err(), expected, "{len} bytes");
    }
}

#[test]
fn refuses_other_versions() {
    for version in (0..16).filter(|version| *version != 6) {
        let mut bytes = HEADER;
        bytes[0] = version << 4;
        assert_eq!(Ipv6Header::read(&bytes), Err(Malformed::Version));
    }
}

/// A surplus bit of the flow label would be one of the traffic class.
#[test]
fn a_flow_label_is_cut_to_its_bits() {
    let header = Ipv6Fields { flow_label: u32::MAX, traffic_class: 0, ..FIELDS }.header();
    assert_eq!((header.traffic_class(), header.flow_label()), (0, 0xf_ffff));
}

/// [RFC 4291 §2.7.1], with the example given there.
#[test]
fn the_group_of_a_solicited_node() {
    let address = "4037::1:800:200e:8c6c".parse().unwrap();
    assert_eq!(group::solicited_node(address), "ff02::1:ff0e:8c6c".parse::<Ipv6Addr>().unwrap());
    assert_eq!(group::ALL_ROUTERS.to_string(), "ff02::2");
    assert_eq!(group::ALL_MLDV2_ROUTERS.to_string(), "ff02::16");
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn what_is_written_is_what_another_decoder_reads(
        (traffic_class, next_header, hop_limit) in any::<(u8, u8, u8)>(),
        (payload_len, flow_label) in (any::<u16>(), 0..=0xf_ffff_u32),
        (source, destination) in any::<(Ipv6Addr, Ipv6Addr)>(),
    ) {
        let fields = Ipv6Fields {
            traffic_class, flow_label, payload_len, next_header, hop_limit, source, destination,
        };
        let mut bytes = [0; HEADER_LEN];
        write_header(&mut bytes, &fields);
        prop_assert_eq!(fields_of(Ipv6Header::read(&bytes).unwrap()), fields);

        let other = Ipv6HeaderSlice::from_slice(&bytes).unwrap();
        prop_assert_eq!(other.traffic_class(), traffic_class);
        prop_assert_eq!(other.flow_label(), Ipv6FlowLabel::try_new(flow_label).unwrap());
        prop_assert_eq!(other.payload_length(), payload_len);
        prop_assert_eq!((other.next_header().0, other.hop_limit()), (next_header, hop_limit));
        prop_assert_eq!((other.source_addr(), other.destination_addr()), (source, destination));
    }
}
