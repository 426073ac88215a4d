use crate::address::{Address, Endpoint};
use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::random::Random;

const WAIT: u32 = 240_000_000;

fn key() -> HashKey {
    HashKey::new(&mut Random::new(&[1; 16]))
}

fn flow(port: u16) -> Flow {
    Flow {
        local: Endpoint::new(Address::v4(core::net::Ipv4Addr::new(192, 0, 2, 1)), 80),
        remote: Endpoint::new(Address::v4(core::net::Ipv4Addr::new(192, 0, 2, 2)), port),
    }
}

fn waiting(port: u16) -> Waiting {
    Waiting::new(flow(port), Seq(1_000), Seq(u32::MAX), 500, Some(70), (64, 0))
}

fn table(capacity: usize) -> TimeWaitTable {
    TimeWaitTable::new(&mut Arena::heap(), capacity, WAIT).unwrap()
}

fn ports(table: &TimeWaitTable) -> Vec<u16> {
    table.iter().map(|waiting| waiting.flow.remote.port).collect()
}

/// [MUST-13]
#[test]
fn each_waits_for_twice_the_segment_lifetime_and_a_restart_begins_anew() {
    let (key, mut table) = (key(), table(4));
    let start = u32::MAX - 10;
    for port in 1..=3 {
        assert_eq!(table.insert(&key, waiting(port), start.wrapping_add(u32::from(port))), None);
    }
    let first = table.find(&key, &flow(1)).unwrap();
    table.restart(first, start.wrapping_add(100));
    assert_eq!(ports(&table), [2, 3, 1]);
    assert_eq!(table.next_deadline(), Some(start.wrapping_add(2).wrapping_add(WAIT)));
    assert_eq!(table.expire(&key, start.wrapping_add(1).wrapping_add(WAIT)), 0);
    assert_eq!(table.expire(&key, start.wrapping_add(3).wrapping_add(WAIT)), 2);
    assert_eq!(ports(&table), [1]);
    assert_eq!(table.expire(&key, start.wrapping_add(100).wrapping_add(WAIT)), 1);
    assert_eq!((table.len(), table.next_deadline(), table.oldest()), (0, None, None));
}

#[test]
fn the_oldest_gives_way_when_all_are_taken() {
    let (key, mut table) = (key(), table(2));
    table.insert(&key, waiting(1), 0);
    table.insert(&key, waiting(2), 1);
    assert_eq!(table.insert(&key, waiting(3), 2), Some(waiting(1)));
    assert_eq!(ports(&table), [2, 3]);
    assert_eq!(table.insert(&key, waiting(2), 3), Some(waiting(2)), "the same once more replaces the first");
    assert_eq!(ports(&table), [3, 2]);
}

#[test]
fn a_table_for_none_keeps_none() {
    let (key, mut table) = (key(), table(0));
    assert_eq!(table.insert(&key, waiting(1), 0), Some(waiting(1)));
    assert_eq!((table.find(&key, &flow(1)), table.expire(&key, WAIT)), (None, 0));
}

#[derive(Clone, Debug)]
enum Step {
    Insert(u16),
    Restart(u16),
    Remove(u16),
    Pass(u32),
}

proptest! {
    /// Against a vector that holds ports and times in order.
    #[test]
    fn it_is_a_queue_that_can_be_searched(steps in prop::collection::vec(prop_oneof![
        (0_u16..12).prop_map(Step::Insert),
        (0_u16..12).prop_map(Step::Restart),
        (0_u16..12).prop_map(Step::Remove),
        (0..WAIT).prop_map(Step::Pass),
    ], 0..120)) {
        let (key, mut table) = (key(), table(5));
        let mut model: Vec<(u16, u32)> = Vec::new();
        let mut now = u32::MAX - WAIT;
        for step in steps {
            match step {
                Step::Insert(port) => {
                    model.retain(|&(other, _)| other != port);
                    if model.len() == 5 {
                        model.remove(0);
                    }
                    model.push((port, now));
                    table.insert(&key, waiting(port), now);
                }
                Step::Restart(port) => {
                    let found = table.find(&key, &flow(port));
                    prop_assert_eq!(found.is_some(), model.iter().any(|&(other, _)| other == port));
                    if let Some(position) = found {
                        model.retain(|&(other, _)| other != port);
                        model.push((port, now));
                        table.restart(position, now);
                    }
                }
                Step::Remove(port) => {
                    if let Some(position) = table.find(&key, &flow(port)) {
                        prop_assert_eq!(table.get(position), &waiting(port));
                        prop_assert_eq!(table.remove(&key, position), waiting(port));
                    }
                    model.retain(|&(other, _)| other != port);
                }
                Step::Pass(micros) => {
                    now = now.wrapping_add(micros);
                    let before = model.len();
                    model.retain(|&(_, since)| now.wrapping_sub(since) < WAIT);
                    prop_assert_eq!(table.expire(&key, now), before - model.len());
                }
            }
            prop_assert_eq!(ports(&table), model.iter().map(|&(port, _)| port).collect::<Vec<_>>());
            prop_assert_eq!(table.len(), model.len());
        }
    }
}

/// A segment at an offset from what is expected next.
fn late(flags: TcpFlags, offset: i32, len: u32, timestamp: Option<u32>) -> LateSegment {
    let seq = Seq(u32::MAX.wrapping_add_signed(offset));
    LateSegment { seq, ack: Seq(1_000), flags, len, timestamp }
}

const ACK: TcpFlags = TcpFlags::ACK;
const SYN: TcpFlags = TcpFlags::SYN;

#[test]
fn the_fin_again_is_acknowledged_and_begins_the_wait_anew() {
    let (key, mut table) = (key(), table(1));
    table.insert(&key, waiting(1), 0);
    let position = table.find(&key, &flow(1)).unwrap();
    let connection = table.get_mut(position);
    let again = TimeWaitAction::Acknowledge { restart: true };
    assert_eq!(connection.judge(&late(ACK | TcpFlags::FIN, -1, 0, Some(75))), again);
    assert_eq!(connection.ts_recent(), Some(75), "[7323-7]");
    assert_eq!(connection.judge(&late(ACK | TcpFlags::FIN, -101, 100, Some(75))), again, "with its data");
}

/// [1337-1]
#[test]
fn a_reset_is_ignored() {
    for offset in [-1, 0, 1, 10_000] {
        for flags in [TcpFlags::RST, TcpFlags::RST | ACK, TcpFlags::RST | SYN] {
            assert_eq!(waiting(1).judge(&late(flags, offset, 0, None)), TimeWaitAction::Ignore);
        }
    }
}

#[test]
fn old_data_is_answered_and_what_is_expected_is_not() {
    for (segment, action) in [
        // Everything of the peer's was taken before.
        (late(ACK, -100, 100, Some(70)), TimeWaitAction::Challenge),
        (late(ACK, -1, 0, Some(70)), TimeWaitAction::Challenge),
        (late(ACK, 500, 0, Some(70)), TimeWaitAction::Challenge),
        (late(ACK | TcpFlags::FIN, -50, 10, Some(70)), TimeWaitAction::Challenge),
        // The last acknowledgment, or data after the FIN.
        (late(ACK, 0, 0, Some(70)), TimeWaitAction::Ignore),
        (late(ACK, 0, 10, Some(70)), TimeWaitAction::Ignore),
        (late(ACK, -5, 10, Some(70)), TimeWaitAction::Ignore),
        (late(TcpFlags::empty(), 0, 0, Some(70)), TimeWaitAction::Ignore),
        (late(TcpFlags::empty(), -9, 0, Some(70)), TimeWaitAction::Challenge),
        // [7323-8] and [7323-5]
        (late(ACK | TcpFlags::FIN, -1, 0, Some(69)), TimeWaitAction::Challenge),
        (late(ACK | TcpFlags::FIN, -1, 0, None), TimeWaitAction::Ignore),
        // An acknowledgment of what was never sent.
        (LateSegment { ack: Seq(1_001), ..late(ACK, 0, 0, Some(70)) }, TimeWaitAction::Challenge),
        (
            LateSegment { ack: Seq(1_001), ..late(ACK | TcpFlags::FIN, -1, 0, Some(70)) },
            TimeWaitAction::Challenge,
        ),
    ] {
        let mut connection = waiting(1);
        assert_eq!(connection.judge(&segment), action, "{segment:?}");
        assert_eq!(connection, waiting(1));
    }
}

/// [MAY-2, SHLD-4] as RFC 6191 §2 has it.
#[test]
fn a_syn_that_is_surely_newer_opens_the_connection_again() {
    let reopen = TimeWaitAction::Reopen { after: Seq(1_000) };
    let with = waiting(1);
    let without = Waiting::new(flow(1), Seq(1_000), Seq(u32::MAX), 500, None, (64, 0));
    for (mut connection, segment, action) in [
        (with, late(SYN, -900, 0, Some(71)), reopen),
        (with, late(SYN, 0, 0, Some(70)), reopen),
        (with, late(SYN, -1, 0, Some(70)), TimeWaitAction::Challenge),
        (with, late(SYN, 900, 0, Some(69)), TimeWaitAction::Challenge),
        (with, late(SYN, 900, 0, None), reopen),
        (with, late(SYN, -900, 0, None), TimeWaitAction::Challenge),
        (without, late(SYN, -900, 0, Some(1)), reopen),
        (without, late(SYN, 900, 0, None), reopen),
        (without, late(SYN, -1, 0, None), TimeWaitAction::Challenge),
        (with, late(SYN | ACK, 900, 0, Some(71)), TimeWaitAction::Challenge),
        (with, late(SYN | TcpFlags::FIN, 900, 0, Some(71)), TimeWaitAction::Challenge),
    ] {
        assert_eq!(connection.judge(&segment), action, "{segment:?}");
    }
}

#[test]
fn what_an_answer_needs_is_kept() {
    let kept = Waiting::new(flow(9), Seq(1), Seq(2), 3, None, (4, 0b1011_1011));
    assert_eq!((kept.ttl, kept.tos(), kept.ts_recent(), kept.window), (4, 0b1011_1000, None, 3));
    let kept = Waiting::new(flow(9), Seq(1), Seq(2), 3, Some(0), (4, 0));
    assert_eq!((kept.tos(), kept.ts_recent()), (0, Some(0)));
}
