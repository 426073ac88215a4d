use std::vec::Vec;

use coracle_buf::{Kind, Layer, Memory, MemoryLimits};
use proptest::prelude::*;

use super::*;
use crate::random::Random;

const HEADER: usize = 20;

struct Bench {
    memory: Memory,
    key: HashKey,
    table: Reassembly,
    now: Instant,
    scarce: bool,
}

/// What came of a fragment, as tests compare it.
#[derive(PartialEq, Eq, Debug)]
enum Got {
    Held,
    Whole(Vec<u8>),
    Dropped(Dropped),
}

impl Bench {
    fn new(datagrams: usize, fragments: usize) -> Self {
        let mut arena = Arena::heap();
        Self {
            memory: Memory::new(&mut arena, MemoryLimits::default()).unwrap(),
            key: HashKey::new(&mut Random::new(&[1; 16])),
            table: Reassembly::new(&mut arena, datagrams, fragments).unwrap(),
            now: Instant::from_secs(1),
            scarce: false,
        }
    }

    fn packet(&self, header_len: usize, data: &[u8]) -> Pbuf {
        let mut bytes = std::vec![0xee; header_len];
        bytes.extend_from_slice(data);
        self.memory.alloc_copy(Layer::Raw, &bytes, Kind::Ram).unwrap()
    }

    fn give(&mut self, id: DatagramId, fragment: Fragment, data: &[u8]) -> Got {
        let packet = self.packet(fragment.header_len.into(), data);
        fragment.check(packet.len()).unwrap();
        match self.table.insert(&self.key, self.now, id, fragment, packet, self.scarce) {
            Inserted::Held => Got::Held,
            Inserted::Whole(whole) => Got::Whole(bytes(&whole.packet)),
            Inserted::Dropped(why) => Got::Dropped(why),
        }
    }

    fn put(&mut self, id: DatagramId, start: u16, more: bool, data: &[u8]) -> Got {
        self.give(id, at(start, more), data)
    }

    fn is_empty(&self) -> bool {
        let mut free = 0;
        let mut index = self.table.free_piece;
        while let Some(piece) = self.table.pieces.get(index as usize) {
            assert!(piece.data.is_none());
            (free, index) = (free + 1, piece.next);
        }
        self.table.datagrams.used() == 0
            && free == self.table.pieces.len()
            && self.table.shares.iter().all(|share| share.datagrams == 0 && share.pieces == 0)
            && self.memory.stats().is_unused()
    }
}

fn bytes(packet: &Pbuf) -> Vec<u8> {
    let mut bytes = std::vec![0; packet.len()];
    assert_eq!(packet.copy_to(0, &mut bytes), bytes.len());
    bytes
}

fn at(start: u16, more: bool) -> Fragment {
    Fragment { header_len: HEADER as u16, uncounted: 0, start, more, ecn: 0 }
}

fn v4(host: u8, identification: u32) -> DatagramId {
    let address = |last| Address::v4([192, 0, 2, last].into());
    DatagramId { source: address(host), destination: address(1), identification, protocol: 17, netif: 0 }
}

#[cfg(feature = "ipv6")]
fn v6(identification: u32) -> DatagramId {
    let address = |text: &str| Address::from_ip(text.parse().unwrap(), None).unwrap();
    let (source, destination) = (address("2001:db8::2"), address("2001:db8::1"));
    DatagramId { source, destination, identification, protocol: 0, netif: 0 }
}

fn whole(data: &[u8]) -> Got {
    let mut bytes = std::vec![0xee; HEADER];
    bytes.extend_from_slice(data);
    Got::Whole(bytes)
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 7 + at / 256) as u8).collect()
}

/// [1122-IP-7] In order, in reverse order, and with the last one first.
#[test]
fn fragments_in_any_order_are_one_datagram() {
    let data = pattern(40);
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0], [2, 0, 1], [1, 0, 2], [0, 2, 1]] {
        let mut bench = Bench::new(4, 8);
        let mut got = Got::Held;
        for piece in order {
            assert_eq!(got, Got::Held);
            let (from, to) = (piece * 16, (piece * 16 + 16).min(40));
            got = bench.put(v4(2, 5), from as u16, to < 40, &data[from..to]);
        }
        assert_eq!(got, whole(&data), "{order:?}");
        drop(got);
        assert!(bench.is_empty());
    }
}

#[test]
fn fragments_are_joined_without_a_copy() {
    let mut bench = Bench::new(4, 8);
    let (key, now) = (&bench.key, bench.now);
    let memory = &bench.memory;
    let pieces = [0_u8, 1].map(|byte| memory.alloc_copy(Layer::Raw, &[byte; 28], Kind::Ram).unwrap());
    let places = [0, 1].map(|at| pieces[at].payload()[HEADER * at..].as_ptr());
    let [first, second] = pieces;
    let held = bench.table.insert(key, now, v4(2, 1), at(0, true), first, false);
    assert!(matches!(held, Inserted::Held));
    let Inserted::Whole(whole) = bench.table.insert(key, now, v4(2, 1), at(8, false), second, false) else {
        panic!("not whole");
    };
    let segments: Vec<_> = whole.packet.segments().map(<[u8]>::as_ptr).collect();
    assert_eq!(segments, places);
}

#[test]
fn what_differs_in_anything_is_another_datagram() {
    let mut bench = Bench::new(8, 16);
    let id = v4(2, 5);
    assert_eq!(bench.put(id, 0, true, &[1; 8]), Got::Held);
    let others = [
        v4(3, 5),
        v4(2, 6),
        DatagramId { destination: Address::v4([192, 0, 2, 9].into()), ..id },
        DatagramId { protocol: 1, ..id },
        DatagramId { netif: 1, ..id },
    ];
    for other in others {
        assert_eq!(bench.put(other, 8, false, &[2; 8]), Got::Held);
    }
    assert_eq!(bench.put(id, 8, false, &[3; 8]), whole(&[[1; 8], [3; 8]].concat()));
}

#[test]
fn the_same_fragment_again_changes_nothing() {
    let mut bench = Bench::new(4, 8);
    let id = v4(2, 5);
    assert_eq!(bench.put(id, 0, true, &[1; 8]), Got::Held);
    assert_eq!(bench.put(id, 16, false, &[3; 4]), Got::Held);
    // What came first stays, whatever the second one holds.
    assert_eq!(bench.put(id, 0, true, &[9; 8]), Got::Held);
    assert_eq!(bench.put(id, 16, false, &[9; 4]), Got::Held);
    assert_eq!(bench.put(id, 8, true, &[2; 8]), whole(&[&[1; 8][..], &[2; 8], &[3; 4]].concat()));
}

/// [5722/3128] Teardrop and its kin: before, behind, inside, around; and a second end.
#[test]
fn an_overlap_drops_the_datagram() {
    let cases: [&[(u16, bool, usize)]; 9] = [
        &[(0, true, 16), (8, false, 16)],
        &[(8, false, 16), (0, true, 16)],
        &[(0, true, 32), (8, true, 8)],
        &[(8, true, 8), (0, true, 32)],
        &[(0, true, 8), (0, true, 16)],
        &[(16, false, 8), (8, false, 8)],
        &[(16, false, 8), (24, true, 8)],
        &[(16, false, 8), (24, false, 8)],
        &[(16, true, 8), (8, false, 8)],
    ];
    for case in cases {
        let mut bench = Bench::new(4, 8);
        let id = v4(2, 5);
        let (last, before) = case.split_last().unwrap();
        for &(start, more, len) in before {
            assert_eq!(bench.put(id, start, more, &std::vec![1; len]), Got::Held);
        }
        let got = bench.put(id, last.0, last.1, &std::vec![2; last.2]);
        assert_eq!(got, Got::Dropped(Dropped::Hostile), "{case:?}");
        assert!(bench.is_empty());
    }
}

/// [5722-1] Fragments that come later are dropped too, until the datagram's time is over.
#[cfg(feature = "ipv6")]
#[test]
fn of_ipv6_the_rest_of_an_overlapping_datagram_is_dropped_too() {
    let mut bench = Bench::new(4, 8);
    assert_eq!(bench.put(v6(5), 8, false, &[1; 16]), Got::Held);
    assert_eq!(bench.put(v6(5), 16, false, &[1; 8]), Got::Dropped(Dropped::Hostile));
    assert!(bench.memory.stats().is_unused());
    assert_eq!(bench.put(v6(5), 0, true, &[1; 8]), Got::Dropped(Dropped::Hostile));
    assert_eq!(bench.put(v6(5), 8, false, &[1; 16]), Got::Dropped(Dropped::Hostile));
    let over = bench.table.expire(Instant::from_secs(61)).unwrap();
    assert!(over.first.is_none());
    assert!(bench.is_empty());
    assert_eq!(bench.put(v6(5), 0, true, &[1; 8]), Got::Held);
    assert_eq!(bench.put(v6(5), 8, false, &[2; 1]), whole(&[1, 1, 1, 1, 1, 1, 1, 1, 2]));
}

/// [8200-8] [8200-9] and ping of death.
#[test]
fn bounds_are_checked_before_anything_is_held() {
    let fits = |fragment: Fragment, len: usize| fragment.check(usize::from(fragment.header_len) + len);
    assert_eq!(fits(at(0, true), 7), Err(Unfit::Length));
    assert_eq!(fits(at(0, true), 0), Err(Unfit::Length));
    assert_eq!(fits(at(8, false), 0), Err(Unfit::Length));
    assert_eq!(fits(at(8, false), 7), Ok(()));
    assert_eq!(fits(at(65_504, false), 11), Ok(()));
    assert_eq!(fits(at(65_504, false), 12), Err(Unfit::TooLong));
    assert_eq!(fits(at(65_528, true), 8), Err(Unfit::TooLong));
    // The fixed header of IPv6 and the fragment header do not count.
    let v6 = Fragment { header_len: 48, uncounted: 48, ..at(65_528, false) };
    assert_eq!(fits(v6, 7), Ok(()));
    assert_eq!(fits(v6, 8), Err(Unfit::TooLong));
}

/// The first fragment comes last, and has options that the others did not have.
#[test]
fn the_first_fragments_header_counts_for_the_whole() {
    let mut bench = Bench::new(4, 128);
    let id = v4(2, 5);
    assert_eq!(bench.put(id, 65_504, false, &[1; 11]), Got::Held);
    for start in (504..65_504).step_by(1_000) {
        assert_eq!(bench.put(id, start, true, &[1; 1_000]), Got::Held);
    }
    let longer = Fragment { header_len: 24, ..at(0, true) };
    assert_eq!(bench.give(id, longer, &[1; 504]), Got::Dropped(Dropped::Hostile));
    assert!(bench.is_empty());
}

/// [1122-IP-8] [8200-7]
#[test]
fn what_is_not_whole_in_time_is_dropped_and_the_first_fragment_comes_back() {
    let mut bench = Bench::new(4, 8);
    assert_eq!(bench.put(v4(2, 1), 0, true, &[1; 8]), Got::Held);
    bench.now = Instant::from_secs(2);
    assert_eq!(bench.put(v4(2, 2), 8, true, &[2; 8]), Got::Held);
    assert_eq!(bench.table.next_deadline(), Some(Instant::from_secs(61)));
    assert!(bench.table.expire(Instant::from_millis(60_999)).is_none());
    let first = bench.table.expire(Instant::from_secs(61)).unwrap();
    assert_eq!(bytes(&first.first.unwrap())[HEADER..], [1; 8]);
    assert!(bench.table.expire(Instant::from_secs(61)).is_none());
    assert!(bench.table.expire(Instant::from_secs(62)).unwrap().first.is_none());
    assert_eq!(bench.table.next_deadline(), None);
    assert!(bench.is_empty());
}

#[test]
fn the_oldest_gives_way_when_there_are_too_many_datagrams() {
    let mut bench = Bench::new(4, 64);
    for host in 1..=4 {
        assert_eq!(bench.put(v4(host, 1), 0, true, &[host; 8]), Got::Held);
    }
    assert_eq!(bench.put(v4(5, 1), 0, true, &[5; 8]), Got::Held);
    assert_eq!(bench.put(v4(2, 1), 8, false, &[2; 1]), whole(&[2; 9]));
    // The first one's is gone.
    assert_eq!(bench.put(v4(1, 1), 8, false, &[1; 1]), Got::Held);
}

#[test]
fn one_source_does_not_push_out_the_others() {
    let mut bench = Bench::new(8, 16);
    assert_eq!(bench.put(v4(2, 1), 0, true, &[2; 8]), Got::Held);
    for identification in 0..100 {
        assert_eq!(bench.put(v4(3, identification), 0, true, &[3; 8]), Got::Held);
        assert_eq!(bench.put(v4(3, identification), 16, true, &[3; 8]), Got::Held);
    }
    assert_eq!(bench.put(v4(2, 1), 8, false, &[2; 1]), whole(&[2; 9]));
    assert_eq!(bench.put(v4(3, 99), 8, true, &[3; 8]), Got::Held);
    assert_eq!(bench.put(v4(3, 99), 24, false, &[3; 1]), whole(&[3; 25]));
}

#[test]
fn one_datagram_takes_no_more_than_its_sources_share() {
    let mut bench = Bench::new(4, 16);
    assert_eq!(bench.put(v4(2, 1), 0, true, &[2; 8]), Got::Held);
    for piece in 0..12 {
        assert_eq!(bench.put(v4(3, 1), piece * 8, true, &[3; 8]), Got::Held);
    }
    assert_eq!(bench.put(v4(3, 1), 96, true, &[3; 8]), Got::Dropped(Dropped::Memory));
    assert_eq!(bench.put(v4(2, 1), 8, false, &[2; 1]), whole(&[2; 9]));
    assert!(bench.is_empty());
}

/// A flood of the smallest fragments makes no more work than there are pieces to a datagram.
#[test]
fn a_datagram_of_crumbs_is_dropped() {
    let mut bench = Bench::new(4, 1_024);
    for piece in 0..128 {
        assert_eq!(bench.put(v4(3, 1), piece * 16, true, &[3; 8]), Got::Held);
    }
    assert_eq!(bench.put(v4(3, 1), 128 * 16, true, &[3; 8]), Got::Dropped(Dropped::Hostile));
    assert!(bench.is_empty());
}

#[test]
fn when_buffers_are_scarce_the_oldest_datagrams_go() {
    let mut bench = Bench::new(4, 16);
    assert_eq!(bench.put(v4(2, 1), 0, true, &[2; 8]), Got::Held);
    bench.scarce = true;
    assert_eq!(bench.put(v4(3, 1), 0, true, &[3; 8]), Got::Held);
    assert_eq!(bench.table.datagrams.used(), 1);
    assert_eq!(bench.put(v4(3, 1), 8, true, &[3; 8]), Got::Dropped(Dropped::Memory));
    assert!(bench.is_empty());
}

#[test]
fn a_table_of_nothing_drops_everything() {
    for (datagrams, fragments) in [(0, 0), (0, 4), (4, 0)] {
        let mut bench = Bench::new(datagrams, fragments);
        assert_eq!(bench.put(v4(2, 1), 0, true, &[2; 8]), Got::Dropped(Dropped::Memory));
        assert!(bench.is_empty());
    }
}

#[test]
fn an_interface_that_goes_takes_its_fragments_along() {
    let mut bench = Bench::new(8, 16);
    for host in 1..=3 {
        let id = DatagramId { netif: host % 2, ..v4(host, 1) };
        assert_eq!(bench.put(id, 0, true, &[host; 8]), Got::Held);
    }
    bench.table.forget(1);
    assert_eq!(bench.table.datagrams.used(), 1);
    bench.table.forget(0);
    assert!(bench.is_empty());
}

/// [RFC 3168 §5.3]
#[test]
fn congestion_noted_on_one_fragment_is_the_whole_ones() {
    for (first, second, outcome) in
        [(2, 2, Some(false)), (2, 3, Some(true)), (3, 1, Some(true)), (0, 0, Some(false)), (0, 3, None)]
    {
        let mut bench = Bench::new(4, 8);
        let id = v4(2, 1);
        assert_eq!(bench.give(id, Fragment { ecn: first, ..at(0, true) }, &[1; 8]), Got::Held);
        let packet = bench.packet(HEADER, &[2; 8]);
        let fragment = Fragment { ecn: second, ..at(8, false) };
        let congested = match bench.table.insert(&bench.key, bench.now, id, fragment, packet, false) {
            Inserted::Whole(whole) => Some(whole.congested),
            Inserted::Dropped(Dropped::Hostile) => None,
            _ => panic!("not decided"),
        };
        assert_eq!(congested, outcome, "{first} {second}");
        assert!(bench.is_empty());
    }
}

proptest! {
    /// Datagrams cut anywhere and shuffled, with duplicates among them, come out as they went in.
    #[test]
    fn any_cut_and_any_order_is_put_together(
        len in 1..3_000_usize,
        cuts in proptest::collection::btree_set(1..375_usize, 0..20),
        order in proptest::collection::vec(any::<u32>(), 64),
        again in proptest::collection::vec(0..20_usize, 0..5),
    ) {
        let data = pattern(len);
        let mut bounds: Vec<usize> = cuts.into_iter().map(|cut| cut * 8).filter(|&cut| cut < len).collect();
        bounds.insert(0, 0);
        bounds.push(len);
        let mut pieces: Vec<_> = bounds.windows(2).map(|pair| (pair[0], pair[1])).collect();
        if pieces.len() > 1 {
            let copies: Vec<_> = again.iter().map(|&at| pieces[at % pieces.len()]).collect();
            pieces.extend(copies);
        }
        let mut keyed: Vec<_> = pieces.iter().copied().zip(order).collect();
        keyed.sort_by_key(|&(_, key)| key);
        let mut bench = Bench::new(2, 64);
        let mut done = None;
        for ((from, to), _) in keyed {
            match bench.put(v4(2, 9), from as u16, to < len, &data[from..to]) {
                Got::Held => {}
                Got::Whole(bytes) => {
                    prop_assert!(done.is_none());
                    done = Some(bytes);
                }
                Got::Dropped(why) => prop_assert!(false, "{:?}", why),
            }
            if done.is_some() {
                // Duplicates of what is whole begin another datagram.
                break;
            }
        }
        prop_assert_eq!(&done.unwrap()[HEADER..], &data[..]);
        prop_assert!(bench.is_empty());
    }

    /// Whatever comes, nothing is lost track of, and what comes out has no byte of another datagram.
    #[test]
    fn hostile_fragments_leave_the_tables_whole(
        fragments in proptest::collection::vec((0..3_u8, 0..2_u32, 0..12_u16, any::<bool>(), 1..4_usize), 1..200),
    ) {
        let mut bench = Bench::new(3, 8);
        for (host, identification, start, more, len) in fragments {
            let mark = host << 4 | identification as u8;
            let len = if more { len * 8 } else { len * 8 - 3 };
            let got = bench.put(v4(host, identification), start * 8, more, &std::vec![mark; len]);
            if let Got::Whole(bytes) = got {
                prop_assert!(bytes[HEADER..].iter().all(|&byte| byte == mark));
            }
            let held: u32 = bench.table.shares.iter().map(|share| share.pieces).sum();
            let linked = bench.table.pieces.iter().filter(|piece| piece.data.is_some()).count();
            prop_assert_eq!(held as usize, linked);
        }
        bench.now = Instant::from_secs(100);
        while bench.table.expire(bench.now).is_some() {}
        prop_assert!(bench.is_empty());
    }
}
