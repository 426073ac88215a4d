use std::string::ToString;

use super::*;

const TAGGED: [u8; 22] = [
    0x33, 0x33, 0xff, 0x00, 0x00, 0x01, 0x02, 0x00, 0x5e, 0x10, 0x00, 0x01, // addresses
    0x88, 0xa8, 0x00, 0x64, 0x81, 0x00, 0xb0,
    0xc8, // service tag 100, customer tag 200 of priority 5, may be dropped
    0x86, 0xdd,
];

#[test]
fn reads_and_writes_a_frame_with_two_tags() {
    let header = EthernetHeader::read(&TAGGED).unwrap();
    assert_eq!(header.destination, MacAddr::new(0x33, 0x33, 0xff, 0, 0, 1));
    assert_eq!(header.source, MacAddr::new(2, 0, 0x5e, 0x10, 0, 1));
    assert_eq!(header.ether_type(), EtherType::QINQ);
    let outer = VlanTag::read(&TAGGED[HEADER_LEN..]).unwrap();
    assert_eq!((outer.vid(), outer.pcp(), outer.dei(), outer.ether_type()), (100, 0, false, EtherType::VLAN));
    let inner = VlanTag::read(&TAGGED[HEADER_LEN + VLAN_TAG_LEN..]).unwrap();
    assert_eq!((inner.vid(), inner.pcp(), inner.dei(), inner.ether_type()), (200, 5, true, EtherType::IPV6));

    let mut written = [0; 22];
    let (frame, tags) = written.split_first_chunk_mut().unwrap();
    EthernetHeader::write(frame, header.destination, header.source, EtherType::QINQ);
    let (outer, inner) = tags.split_first_chunk_mut().unwrap();
    VlanTag::write(outer, Tci::new(0, false, 100), EtherType::VLAN);
    VlanTag::write(inner.first_chunk_mut().unwrap(), Tci::new(5, true, 200), EtherType::IPV6);
    assert_eq!(written, TAGGED);
}

#[test]
fn a_header_is_read_where_it_lies() {
    let frame = TAGGED;
    let header = EthernetHeader::read(&frame).unwrap();
    assert_eq!(header.destination.0.as_ptr(), frame.as_ptr());
}

#[test]
fn refuses_every_shorter_length() {
    for len in 0..=TAGGED.len() {
        let header = EthernetHeader::read(&TAGGED[..len]);
        assert_eq!(header.err(), (len < HEADER_LEN).then_some(Malformed::Truncated), "{len} bytes");
        let tag = VlanTag::read(&TAGGED[..len]);
        assert_eq!(tag.err(), (len < VLAN_TAG_LEN).then_some(Malformed::Truncated), "{len} bytes");
    }
}

#[test]
fn a_tag_cuts_off_surplus_bits() {
    assert_eq!(Tci::new(0xff, true, 0xffff), Tci(0xffff));
    assert_eq!(Tci::new(8, false, 0x1000), Tci(0));
    assert_eq!(Tci::default(), Tci::new(0, false, 0));
}

#[test]
fn kinds_of_address() {
    let unicast = MacAddr::new(0, 0x1b, 0x21, 1, 2, 3);
    assert!(
        unicast.is_unicast() && !unicast.is_multicast() && !unicast.is_broadcast() && !unicast.is_local()
    );
    let local = MacAddr::new(2, 0, 0, 0, 0, 1);
    assert!(local.is_unicast() && local.is_local());
    let group = MacAddr::new(1, 0, 0x5e, 0, 0, 1);
    assert!(group.is_multicast() && !group.is_unicast() && !group.is_broadcast());
    assert!(MacAddr::BROADCAST.is_broadcast() && MacAddr::BROADCAST.is_multicast());
    assert!(MacAddr::ZERO.is_unicast());
    assert_eq!(MacAddr::default(), MacAddr::ZERO);
    assert_eq!(MacAddr::from([2, 0, 0, 0, 0, 1]), local);
}

#[test]
fn multicast_groups() {
    // [RFC 1112 §6.4]: 23 bits of the group, so that 32 groups share an address.
    for group in [[224, 1, 2, 3], [239, 129, 2, 3]] {
        assert_eq!(MacAddr::multicast_v4(group.into()), MacAddr::new(1, 0, 0x5e, 1, 2, 3));
    }
    let group = "ff02::1:ff12:3456".parse().unwrap();
    assert_eq!(MacAddr::multicast_v6(group), MacAddr::new(0x33, 0x33, 0xff, 0x12, 0x34, 0x56));
}

#[test]
fn addresses_as_text() {
    let address = MacAddr::new(2, 0, 0x5e, 0x10, 0xab, 0xff);
    assert_eq!(address.to_string(), "02:00:5e:10:ab:ff");
    assert_eq!(std::format!("{address:?}"), "02:00:5e:10:ab:ff");
    for text in ["02:00:5e:10:ab:ff", "02-00-5e-10-ab-ff", "02:00:5E:10:AB:fF"] {
        assert_eq!(text.parse(), Ok(address));
    }
    let refused = [
        "",
        "02:00:5e:10:ab",
        "02:00:5e:10:ab:ff:",
        "02:00:5e:10:ab:ff:00",
        "02:00-5e:10:ab:ff",
        "02005e10abff",
        "02 00 5e 10 ab ff",
        "2:0:5e:10:ab:ff::",
        "0g:00:5e:10:ab:ff",
        "+2:00:5e:10:ab:ff",
        "02:00:5e:10:ab:\u{e9}",
    ];
    for text in refused {
        assert_eq!(text.parse::<MacAddr>(), Err(ParseMacAddrError), "{text}");
    }
    assert!(ParseMacAddrError.to_string().contains("02:00:00:00:00:01"));
    assert_eq!(std::format!("{:?}", EtherType::ARP), "EtherType(0x0806)");
}
