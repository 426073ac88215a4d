use std::vec::Vec;

use coracle_buf::{Arena, Kind, MemoryLimits};
use coracle_wire::EtherType;
use coracle_wire::MacAddr;
use coracle_wire::ipv4::header_checksum_ok;

use super::*;
use crate::netif::{Interface, NetifConfig};

fn memory() -> Memory {
    Memory::new(&mut Arena::heap(), MemoryLimits::default()).unwrap()
}

fn link(header: &LinkHeader, mtu: usize) -> Link<'_> {
    Link { header, mtu, room: 64, checksum: true }
}

/// A packet with these options and so much data.
fn packet(memory: &Memory, options: &[u8], len: usize, change: impl FnOnce(&mut Ipv4Fields)) -> Pbuf {
    let header_len = HEADER_LEN + options.len();
    let mut fields = Ipv4Fields {
        tos: 0x28,
        total_len: (header_len + len) as u16,
        identification: 0x1234,
        ttl: 9,
        protocol: 17,
        source: [192, 0, 2, 1].into(),
        destination: [192, 0, 2, 2].into(),
        ..Ipv4Fields::default()
    };
    change(&mut fields);
    let mut bytes = std::vec![0; header_len];
    write_header_with_options(&mut bytes, &fields, options).unwrap();
    bytes.extend((0..len).map(|at| at as u8));
    memory.alloc_copy(Layer::Raw, &bytes, Kind::Ram).unwrap()
}

fn bytes(packet: &Pbuf) -> Vec<u8> {
    let mut bytes = std::vec![0; packet.len()];
    packet.copy_to(0, &mut bytes);
    bytes
}

fn cut(packet: &Pbuf, mtu: usize) -> Vec<Vec<u8>> {
    let frames = cut_v4(&packet.memory(), packet, link(&LinkHeader::NONE, mtu)).unwrap();
    frames.iter().map(bytes).collect()
}

/// Every byte is in exactly one fragment, each fits, and all but the last are multiples of eight.
fn check(fragments: &[Vec<u8>], mtu: usize, data: &[u8], base: usize, more: bool) {
    let mut at = 0;
    for (index, fragment) in fragments.iter().enumerate() {
        let header = Ipv4Header::read(fragment).unwrap();
        let last = index + 1 == fragments.len();
        assert!(header_checksum_ok(&fragment[..header.header_len()]));
        assert!(fragment.len() <= mtu);
        assert_eq!(header.total_len(), fragment.len());
        assert_eq!((header.identification(), header.ttl(), header.tos()), (0x1234, 9, 0x28));
        assert_eq!(header.fragment_offset(), base + at);
        assert_eq!(header.more_fragments(), !last || more);
        let part = &fragment[header.header_len()..];
        assert!(last || part.len().is_multiple_of(8));
        assert_eq!(part, &data[at..at + part.len()]);
        at += part.len();
    }
    assert_eq!(at, data.len());
}

#[test]
fn fragments_carry_every_byte_once_for_any_mtu() {
    let memory = memory();
    for mtu in [28, 68, 69, 75, 76, 576, 1_499, 1_500] {
        for len in [1, 8, 40, 48, 49, 1_480, 1_481] {
            let packet = packet(&memory, &[], len, |_| {});
            let fragments = cut_v4(&memory, &packet, Link { room: 300, ..link(&LinkHeader::NONE, mtu) });
            let fragments: Vec<_> = fragments.unwrap().iter().map(bytes).collect();
            check(&fragments, mtu, &bytes(&packet)[HEADER_LEN..], 0, false);
        }
    }
    assert!(memory.stats().is_unused());
}

#[test]
fn a_fragment_is_cut_further() {
    let memory = memory();
    let packet = packet(&memory, &[], 1_480, |fields| {
        (fields.fragment_offset, fields.more_fragments) = (2_960, true);
    });
    check(&cut(&packet, 576), 576, &bytes(&packet)[HEADER_LEN..], 2_960, true);
}

/// [RFC 791 §3.1] Options with the copied flag are in every fragment, others in the first.
#[test]
fn options_are_copied_as_they_say() {
    let memory = memory();
    let router_alert = [148, 4, 0, 0];
    let options = [&[1, 7, 7, 4, 0, 0, 0, 0][..], &router_alert, &[1, 0, 0, 0]].concat();
    let packet = packet(&memory, &options, 200, |_| {});
    let fragments = cut(&packet, 100);
    check(&fragments, 100, &bytes(&packet)[HEADER_LEN + options.len()..], 0, false);
    assert_eq!(Ipv4Header::read(&fragments[0]).unwrap().options(&fragments[0]), options);
    for fragment in &fragments[1..] {
        assert_eq!(Ipv4Header::read(fragment).unwrap().options(fragment), router_alert);
    }
}

#[test]
fn malformed_options_stay_in_the_first_fragment() {
    let memory = memory();
    for options in [[148, 0, 0, 0], [148, 1, 0, 0], [148, 9, 0, 0], [1, 1, 1, 148], [137, 3, 4, 148]] {
        let packet = packet(&memory, &options, 100, |_| {});
        let fragments = cut(&packet, 68);
        check(&fragments, 68, &bytes(&packet)[HEADER_LEN + 4..], 0, false);
    }
    let mut into = [0; 40];
    assert_eq!(copied_options(&[148, 0], &mut into), 0);
    assert_eq!(copied_options(&[137, 3, 4, 148], &mut into), 4);
}

#[test]
fn data_is_viewed_and_not_copied() {
    let memory = memory();
    let packet = packet(&memory, &[], 100, |_| {});
    let frames = cut_v4(&memory, &packet, link(&LinkHeader::NONE, 68)).unwrap();
    let mut at = packet.payload()[HEADER_LEN..].as_ptr();
    for frame in &frames {
        let data = frame.segments().nth(1).unwrap();
        assert_eq!(data.as_ptr(), at);
        at = at.wrapping_add(data.len());
    }
}

#[test]
fn the_link_header_is_in_front_of_each() {
    let memory = memory();
    let packet = packet(&memory, &[], 100, |_| {});
    let interface = Interface::new(&NetifConfig::ethernet(MacAddr::new(2, 0, 0, 0, 0, 1)));
    let header = interface.link_header(MacAddr::new(2, 0, 0, 0, 0, 2), EtherType::IPV4, None);
    let frames = cut_v4(&memory, &packet, link(&header, 68)).unwrap();
    assert_eq!(frames.len(), 3);
    for frame in &frames {
        assert_eq!(frame.payload()[..14], [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0]);
        assert!(Ipv4Header::read(&frame.payload()[14..]).is_ok());
    }
}

#[test]
fn all_fragments_or_none() {
    let memory = memory();
    let packet = packet(&memory, &[], 100, |_| {});
    let before = memory.stats();
    let few = Link { room: 2, ..link(&LinkHeader::NONE, 68) };
    assert_eq!(cut_v4(&memory, &packet, few).err(), Some(Error::WouldBlock));
    assert_eq!(cut_v4(&memory, &packet, link(&LinkHeader::NONE, 27)).err(), Some(Error::Value));
    assert_eq!(memory.stats().heap.used, before.heap.used);
    // References for two of three views.
    let limits = MemoryLimits { references: 2, ..MemoryLimits::default() };
    let scarce = Memory::new(&mut Arena::heap(), limits).unwrap();
    let packet = self::packet(&scarce, &[], 100, |_| {});
    assert_eq!(cut_v4(&scarce, &packet, link(&LinkHeader::NONE, 68)).err(), Some(Error::Memory));
    assert_eq!(scarce.stats().references.used, 0);
}

#[test]
fn a_device_that_makes_checksums_finds_zero() {
    let memory = memory();
    let packet = packet(&memory, &[], 100, |_| {});
    let device = Link { checksum: false, ..link(&LinkHeader::NONE, 68) };
    for frame in &cut_v4(&memory, &packet, device).unwrap() {
        assert_eq!(Ipv4Header::read(frame.payload()).unwrap().checksum(), 0);
    }
}
