//! Tests of packet buffers, each function on its own.

use std::vec;
use std::vec::Vec;

use super::*;
use crate::{Arena, Layer, MemoryLimits};

const LIMITS: MemoryLimits = MemoryLimits {
    pool_buffers: 8,
    pool_buffer_size: 100,
    small_buffers: 0,
    references: 16,
    heap_bytes: 8192,
};

fn memory() -> Memory {
    Memory::new(&mut Arena::heap(), LIMITS).unwrap()
}

#[track_caller]
fn assert_balanced(memory: &Memory) {
    let stats = memory.stats();
    assert_eq!((stats.pool.used, stats.references.used, stats.heap.used), (0, 0, 0));
}

fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 7 + 1) as u8).collect()
}

/// A packet of pool buffers with these bytes.
fn packet(memory: &Memory, len: usize) -> Pbuf {
    let mut packet = memory.alloc(Layer::Raw, len, Kind::Pool).unwrap();
    packet.take(&bytes(len)).unwrap();
    packet
}

#[test]
fn headers_are_added_and_removed_in_place() {
    let memory = memory();
    for kind in [Kind::Ram, Kind::Pool] {
        let mut pbuf = memory.alloc(Layer::Transport, 10, kind).unwrap();
        pbuf.take(&bytes(10)).unwrap();
        let at = pbuf.payload().as_ptr();
        pbuf.add_header(20).unwrap().fill(1);
        pbuf.add_header(60).unwrap().fill(2);
        assert_eq!((pbuf.len(), pbuf.headroom()), (90, 0));
        assert_eq!(pbuf.add_header(1), Err(Error::Buffer));
        assert_eq!(pbuf.remove_header(91), Err(Error::Argument));
        pbuf.remove_header(80).unwrap();
        assert_eq!(pbuf.payload().as_ptr(), at);
        assert_eq!(pbuf, &bytes(10)[..]);
    }
    assert_balanced(&memory);
}

#[test]
fn bytes_are_appended_in_place() {
    let memory = memory();
    let mut pbuf = packet(&memory, 150);
    assert_eq!((pbuf.segment_count(), pbuf.tailroom()), (2, 0));
    pbuf.extend_from_slice(b"behind").unwrap();
    pbuf.extend_from_slice(&[]).unwrap();
    assert_eq!((pbuf.segment_count(), pbuf.len()), (2, 156));
    assert_eq!(pbuf, &[&bytes(150)[..], b"behind"].concat()[..]);
    assert_eq!(pbuf.extend_from_slice(&[7; 45]), Err(Error::Buffer));
    pbuf.extend_from_slice(&[7; 44]).unwrap();
    assert_eq!((pbuf.len(), pbuf.get_at(199)), (200, Some(7)));
    drop(pbuf);

    // Not where somebody else would see it.
    let mut pbuf = packet(&memory, 50);
    let other = pbuf.clone();
    assert_eq!(pbuf.extend_from_slice(b"x"), Err(Error::Buffer));
    drop(other);
    let slice = pbuf.slice(0, 1).unwrap();
    assert_eq!(pbuf.extend_from_slice(b"x"), Err(Error::Buffer));
    drop(slice);
    let mut chain = memory.from_static(b"constant").unwrap();
    assert_eq!(chain.extend_from_slice(b"x"), Err(Error::Buffer));
    chain.cat(pbuf).unwrap();
    chain.extend_from_slice(b"x").unwrap();
    assert_eq!((chain.len(), chain.get_at(58)), (59, Some(b'x')));
    let other = chain.clone();
    assert_eq!(chain.extend_from_slice(b"x"), Err(Error::Buffer));
    assert_eq!(other.len(), 59);
    drop((chain, other));
    assert_balanced(&memory);
}

#[test]
fn a_chain_of_pool_buffers_holds_everything() {
    let memory = memory();
    let pbuf = packet(&memory, 250);
    assert_eq!((pbuf.len(), pbuf.segment_count()), (250, 3));
    assert_eq!(pbuf.segments().map(<[u8]>::len).collect::<Vec<_>>(), vec![100, 100, 50]);
    assert_eq!(pbuf, &bytes(250)[..]);
    drop(pbuf);
    assert_balanced(&memory);
}

#[test]
fn a_handle_is_one_pointer() {
    fn is_send_and_sync<T: Send + Sync>() {}
    is_send_and_sync::<Pbuf>();
    assert_eq!(size_of::<Option<Pbuf>>(), size_of::<usize>());
}

#[test]
fn advance_drops_what_is_empty_and_keeps_the_last() {
    let memory = memory();
    let mut pbuf = packet(&memory, 250);
    assert_eq!(pbuf.advance(251), Err(Error::Argument));
    pbuf.advance(100).unwrap();
    assert_eq!((pbuf.segment_count(), memory.stats().pool.used), (2, 2));
    pbuf.advance(120).unwrap();
    assert_eq!(pbuf, &bytes(250)[220..]);
    assert_eq!(memory.stats().pool.used, 1);
    let other = pbuf.clone();
    pbuf.advance(30).unwrap();
    assert!(pbuf.is_empty() && other.len() == 30);
    drop((pbuf, other));
    assert_balanced(&memory);
}

#[test]
fn truncate_shrinks_only_and_frees() {
    let memory = memory();
    let mut pbuf = packet(&memory, 250);
    assert_eq!(pbuf.truncate(251), Err(Error::Argument));
    pbuf.truncate(250).unwrap();
    pbuf.truncate(200).unwrap();
    assert_eq!((pbuf.segment_count(), memory.stats().pool.used), (2, 2));
    pbuf.truncate(0).unwrap();
    assert_eq!((pbuf.segment_count(), memory.stats().pool.used, pbuf.len()), (1, 1, 0));
    // The end of a heap block goes back, unless somebody sees it.
    let mut ram = memory.alloc(Layer::Raw, 4000, Kind::Ram).unwrap();
    let before = memory.stats().heap.used;
    let slice = ram.slice(3000, 1000).unwrap();
    ram.truncate(3900).unwrap();
    assert_eq!(memory.stats().heap.used, before);
    drop(slice);
    ram.truncate(100).unwrap();
    assert_eq!(memory.stats().heap.used, before - 3900);
    assert_eq!(ram.tailroom(), 0);
    ram.take(&bytes(100)).unwrap();
    assert_eq!(ram.truncate(101), Err(Error::Argument));
    drop((pbuf, ram));
    assert_balanced(&memory);
}

#[test]
fn pull_up_makes_headers_contiguous_and_keeps_what_is_known() {
    let memory = memory();
    let mut pbuf = memory.from_static(b"abc").unwrap();
    pbuf.cat(memory.from_static(b"defgh").unwrap()).unwrap();
    pbuf.set_flags(PbufFlags::LINK_BROADCAST);
    pbuf.set_netif_index(2);
    assert_eq!(pbuf.pull_up(9), Err(Error::Argument));
    pbuf.pull_up(3).unwrap();
    assert_eq!(pbuf.kind(), Kind::Rom);
    pbuf.pull_up(5).unwrap();
    assert_eq!((pbuf.payload(), pbuf.segment_count()), (&b"abcde"[..], 2));
    assert_eq!((pbuf.flags(), pbuf.netif_index()), (PbufFlags::LINK_BROADCAST, 2));
    pbuf.pull_up(8).unwrap();
    assert_eq!((pbuf.payload(), pbuf.segment_count()), (&b"abcdefgh"[..], 1));
}

#[test]
fn pull_up_falls_back_to_the_pool() {
    let memory = Memory::new(&mut Arena::heap(), MemoryLimits { heap_bytes: 0, ..LIMITS }).unwrap();
    let mut pbuf = packet(&memory, 150);
    pbuf.advance(80).unwrap();
    pbuf.pull_up(30).unwrap();
    assert_eq!((pbuf.payload(), pbuf.kind()), (&bytes(150)[80..110], Kind::Pool));
    assert_eq!(pbuf, &bytes(150)[80..]);
}

#[test]
fn cat_moves_and_chain_keeps() {
    let memory = memory();
    let (mut head, tail) = (packet(&memory, 10), packet(&memory, 150));
    head.chain(&tail).unwrap();
    assert_eq!((head.len(), head.segment_count(), tail.len()), (160, 3, 150));
    assert!(!head.is_exclusive() && head.head().exclusive());
    let rest = head.dechain().unwrap().unwrap();
    assert_eq!((rest.as_raw(), head.len()), (tail.as_raw(), 10));
    assert!(head.dechain().unwrap().is_none());
    drop(rest);
    head.cat(tail).unwrap();
    assert!(head.is_exclusive());
    // Appending a packet to itself makes no cycle.
    let itself = head.clone();
    head.cat(itself).unwrap();
    assert_eq!((head.len(), head.segment_count()), (320, 6));
    drop(head);
    assert_balanced(&memory);
}

#[test]
fn a_packet_has_an_end() {
    let memory = memory();
    let mut pbuf = memory.from_static(b"0123456789abcdef").unwrap();
    let (error, _) = loop {
        let half = packet(&memory, 0);
        // SAFETY: the segment is new and exclusive; the bytes are never looked at.
        unsafe { half.head().set_len(0, 1 << 30) };
        if let Err(refused) = pbuf.cat(half) {
            break refused;
        }
    };
    assert_eq!((error, pbuf.len()), (Error::Value, (1 << 30) + 16));
}

#[test]
fn slices_share_the_bytes() {
    let memory = memory();
    let mut pbuf = packet(&memory, 250);
    let at = pbuf.payload().as_ptr();
    let slice = pbuf.slice(50, 100).unwrap();
    assert_eq!(slice, &bytes(250)[50..150]);
    assert_eq!(slice.payload().as_ptr(), at.wrapping_add(50));
    assert_eq!((slice.kind(), slice.segment_count()), (Kind::Pool, 2));
    assert_eq!(pbuf.payload_mut(), Err(Error::Value));
    assert_eq!(pbuf.add_header(0), Err(Error::Buffer));
    // A slice of a slice holds the storage, not the slice.
    let inner = slice.slice(60, 10).unwrap();
    drop(slice);
    assert_eq!(memory.stats().references.used, 1);
    assert_eq!(inner, &bytes(250)[110..120]);
    for (offset, len) in [(251, 0), (0, 251), (250, 1), (usize::MAX, 1), (1, usize::MAX)] {
        assert_eq!(pbuf.slice(offset, len).unwrap_err(), Error::Argument);
    }
    assert!(pbuf.slice(250, 0).unwrap().is_empty());
    drop(inner);
    pbuf.payload_mut().unwrap()[0] = 9;
    drop(pbuf);
    assert_balanced(&memory);
}

#[test]
fn split_off_cuts_between_and_inside_segments() {
    let memory = memory();
    for (at, references) in [(0, 1), (50, 1), (100, 0), (150, 1), (200, 0), (250, 1)] {
        let mut pbuf = packet(&memory, 250);
        let rest = pbuf.split_off(at).unwrap();
        assert_eq!(pbuf, &bytes(250)[..at]);
        assert_eq!(rest, &bytes(250)[at..]);
        assert_eq!(memory.stats().references.used, references, "at {at}");
    }
    assert_eq!(packet(&memory, 9).split_off(10).unwrap_err(), Error::Argument);
    assert_balanced(&memory);
}

#[test]
fn copies_are_deep() {
    let memory = memory();
    let mut pbuf = packet(&memory, 150);
    pbuf.set_flags(PbufFlags::PUSH);
    let ram = pbuf.duplicate(Layer::Ip, Kind::Ram).unwrap();
    let pool = pbuf.duplicate(Layer::Ip, Kind::Pool).unwrap();
    assert_eq!((ram.segment_count(), ram.headroom(), ram.flags()), (1, 60, PbufFlags::PUSH));
    for kind in [Kind::Rom, Kind::Ref, Kind::Custom] {
        assert_eq!(pbuf.duplicate(Layer::Ip, kind).unwrap_err(), Error::Argument);
    }
    pbuf.take(&[0; 150]).unwrap();
    assert!(ram == bytes(150)[..] && pool == bytes(150)[..]);
    let at = ram.as_raw();
    let mut ram = ram;
    ram.coalesce(Layer::Raw).unwrap();
    assert_eq!(ram.as_raw(), at);
}

#[test]
fn bytes_are_read_and_written_at_any_offset() {
    let memory = memory();
    let mut pbuf = packet(&memory, 150);
    pbuf.take_at(95, b"0123456789").unwrap();
    pbuf.put_at(149, 7).unwrap();
    assert_eq!(pbuf.put_at(150, 7), Err(Error::Argument));
    assert_eq!(pbuf.take_at(usize::MAX, b"x"), Err(Error::Argument));
    assert_eq!(pbuf.take_at(141, b"0123456789"), Err(Error::Argument));
    assert_eq!(pbuf.take(&[0; 151]), Err(Error::Argument));
    pbuf.take_at(150, b"").unwrap();
    assert_eq!((pbuf.get_at(149), pbuf.get_at(150), pbuf.get_at(usize::MAX)), (Some(7), None, None));
    assert_eq!(pbuf.skip(99), Some((0, 99)));
    assert_eq!(pbuf.skip(100), Some((1, 0)));
    assert_eq!(pbuf.skip(150), None);
    let mut scratch = [0; 10];
    assert_eq!(pbuf.contiguous(95, 10, &mut scratch), Some(&b"0123456789"[..]));
    assert_eq!(pbuf.contiguous(95, 5, &mut []), Some(&b"01234"[..]));
    assert_eq!(pbuf.contiguous(95, 10, &mut [0; 9]), None);
    assert_eq!(pbuf.contiguous(150, 1, &mut scratch), None);
    assert_eq!(pbuf.contiguous(150, 0, &mut []), Some(&[][..]));
    let mut into = [0; 20];
    assert_eq!(pbuf.copy_to(140, &mut into), 10);
    assert_eq!(pbuf.copy_to(150, &mut into) + pbuf.copy_to(usize::MAX, &mut into), 0);
    assert_eq!(pbuf.find(b"456789", 0), Some(99));
    assert_eq!((pbuf.find(b"456789", 100), pbuf.find(b"4x", 0)), (None, None));
    assert_eq!((pbuf.find(b"", 150), pbuf.find(b"", 151), pbuf.find(&[0; 151], 0)), (Some(150), None, None));
    assert_eq!(pbuf.compare(98, b"345"), Comparison::Equal);
    assert_eq!(pbuf.compare(98, b"34x"), Comparison::DiffersAt(2));
    assert_eq!(pbuf.compare(149, b"xx"), Comparison::OutOfRange);
    assert_eq!(pbuf.compare(usize::MAX, b"xx"), Comparison::OutOfRange);
}

#[test]
fn copies_between_chains() {
    let memory = memory();
    let from = memory.from_static(b"hello, world").unwrap();
    let mut to = packet(&memory, 110);
    to.copy_range_from(&from, 12, 95).unwrap();
    assert_eq!(to.compare(95, b"hello, world"), Comparison::Equal);
    to.copy_from(&from).unwrap();
    assert_eq!(to.compare(0, b"hello, world"), Comparison::Equal);
    assert_eq!(to.copy_range_from(&from, 13, 0), Err(Error::Argument));
    assert_eq!(to.copy_range_from(&from, 12, 99), Err(Error::Argument));
    let shared = to.clone();
    assert_eq!(to.copy_from(&from), Err(Error::Value));
    assert_eq!(packet(&memory, 5).copy_from(&shared), Err(Error::Argument));
}

#[test]
fn copy_and_checksum_in_one_pass_over_odd_pieces() {
    let memory = memory();
    let data = bytes(33);
    for offset in [0, 1, 67, 68, 90, 99, 100] {
        let mut pbuf = packet(&memory, 150);
        let sum = pbuf.take_and_checksum(offset, &data).unwrap();
        assert_eq!(!sum, coracle_wire::checksum::checksum(&data));
        assert_eq!(pbuf.compare(offset, &data), Comparison::Equal);
    }
    assert_eq!(packet(&memory, 5).take_and_checksum(4, b"xy"), Err(Error::Argument));
    assert_eq!(memory.from_static(b"12").unwrap().take_and_checksum(0, b"xy"), Err(Error::Value));
}

#[test]
fn handles_go_through_c_and_back() {
    let memory = memory();
    let raw = packet(&memory, 150).into_raw();
    // SAFETY: the handle is alive, as `raw`; C code reads these fields.
    unsafe {
        let segment = raw.as_ptr();
        assert_eq!(((*segment).tot_len, (*segment).len, (*segment).kind), (150, 100, 0x82));
        assert_eq!((*segment).refs.load(Ordering::Relaxed), 1);
        assert!(!(*segment).next.is_null());
        drop(Pbuf::from_raw(raw));
    }
    assert_balanced(&memory);
}

#[test]
fn too_many_handles_leak_instead_of_wrapping() {
    let memory = memory();
    let pbuf = packet(&memory, 5);
    let segment = pbuf.as_raw();
    // SAFETY: the segment is alive.
    let refs = unsafe { &(*segment.as_ptr()).refs };
    refs.store(u16::MAX - 1, Ordering::Relaxed);
    let (a, b) = (pbuf.clone(), pbuf.clone());
    assert_eq!(refs.load(Ordering::Relaxed), u16::MAX);
    drop((a, b, pbuf));
    assert_eq!(refs.load(Ordering::Relaxed), u16::MAX);
    assert_eq!(memory.stats().pool.used, 1);
    // So that Miri finds no leak: the last handle again.
    refs.store(1, Ordering::Relaxed);
    // SAFETY: there is no other handle.
    drop(unsafe { Pbuf::from_raw(segment) });
}

#[test]
fn debug_output_shows_lengths_not_contents() {
    let text = std::format!("{:?}", packet(&memory(), 120));
    assert!(text.contains("len: 120") && text.contains("segments: [100, 20]"), "{text}");
    assert_eq!(std::format!("{:?}", packet(&memory(), 120).segments()), "[100, 20]");
}

#[test]
fn pieces_are_the_slices_one_behind_the_other() {
    let memory = memory();
    // Segments of 100, 100 and 50 bytes, then an empty one, then 30 more.
    let mut whole = packet(&memory, 250);
    whole.cat(memory.alloc(Layer::Raw, 0, Kind::Pool).unwrap()).unwrap();
    whole.cat(packet(&memory, 30)).unwrap();
    let expected: Vec<u8> = bytes(250).into_iter().chain(bytes(30)).collect();
    for len in 1..300 {
        let mut at = 0;
        for piece in whole.pieces(len) {
            let piece = piece.unwrap();
            assert_eq!(piece, &expected[at..expected.len().min(at + len)]);
            at += piece.len();
        }
        assert_eq!(at, 280, "in pieces of {len}");
    }
    assert_eq!(whole.pieces(0).count(), 0);
    // References run out, and come back with the pieces.
    let kept: Vec<_> = whole.pieces(10).collect();
    assert_eq!(kept.iter().filter(|piece| piece.is_ok()).count(), LIMITS.references);
    assert!(kept.iter().all(|piece| piece.as_ref().err().is_none_or(|error| *error == Error::Memory)));
    drop((kept, whole));
    assert_balanced(&memory);
}
