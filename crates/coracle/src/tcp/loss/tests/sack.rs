//! Blocks, what they tell of losses, and recovery with them.

use super::*;

/// A sender that has measured a round trip of 100 ms, with `segments` in flight since now; their numbers begin with 10.
pub(super) fn measured(segments: u32) -> Sender {
    measured_with(true, segments)
}

/// [6675-1] [6675-2] [6675-4] [5681-4] [RFC 9293 MUST-19]
#[test]
fn the_third_segment_beyond_a_hole_starts_recovery() {
    let mut sender = measured(20);
    sender.wait(100);
    for end in 12..=13 {
        assert_eq!(sender.ack(10, &[(11, end)]).newly_lost, 0);
        assert!(!sender.loss.in_recovery());
    }
    let report = sender.ack(10, &[(11, 14)]);
    assert_eq!((report.newly_lost, report.newly_sacked, report.reduced), (MSS, MSS, true));
    assert_eq!(sender.window.threshold, 10 * MSS);
    assert_eq!(
        (sender.flagged(RecordFlags::LOST), sender.flagged(RecordFlags::SACKED)),
        (vec![10], vec![11, 12, 13])
    );
    assert_eq!(sender.resend(), [10]);
    assert_eq!(
        sender.loss.counts(&sender.pool, MSS as u16),
        Counts { segments: 20, lost: 0, sacked: 3, retransmitted: 1 }
    );
    sender.wait(100);
    assert!(sender.loss.in_recovery());
    assert!(!sender.ack(30, &[]).reduced);
    assert!(!sender.loss.in_recovery());
    assert_eq!(sender.window.window, 10 * MSS);
}

/// [8985-7] [8985-9] [8985-8]
#[test]
fn a_probe_goes_out_before_the_timeout_and_only_one() {
    let mut sender = measured(20);
    assert_eq!(sender.deadline(), Some((TimerKind::Probe, 200)));
    assert_eq!(sender.time_out(TimerKind::Probe), TimerAction::Probe);
    assert!(sender.loss.allowance(&sender.window) >= MSS && sender.loss.next_lost().is_none());
    let last = sender.loss.last(&sender.pool).unwrap();
    assert_eq!(sender.pool.record(last).end(), sender.nxt);
    sender.loss.sent_again(&mut sender.pool, last, sender.now);
    assert_eq!((sender.room(), sender.deadline()), (0, Some((TimerKind::Rto, sender.rtt.rto() / 1_000))));
}

/// [8985-10] A probe that filled a hole at the end tells of a loss; one that came twice does not.
#[test]
fn a_loss_that_a_probe_repaired_reduces_the_window() {
    for duplicate in [false, true] {
        let mut sender = measured(20);
        sender.time_out(TimerKind::Probe);
        let last = sender.loss.last(&sender.pool).unwrap();
        sender.loss.sent_again(&mut sender.pool, last, sender.now);
        sender.wait(100);
        let window = sender.window.window;
        if duplicate {
            assert!(!sender.ack(30, &[]).reduced, "it may be a late answer to the first sending");
            assert!(!sender.ack(30, &[(29, 30)]).reduced);
            assert_eq!(sender.loss.reorder_steps, 1, "[8985-4] the probe was the cause, not reordering");
        } else {
            sender.ack(30, &[]);
        }
        sender.send(2);
        sender.wait(100);
        let report = sender.ack(32, &[]);
        assert_eq!(report.reduced, !duplicate);
        assert_eq!(sender.window.window < window, !duplicate);
        assert!(!sender.loss.in_recovery());
    }
}

/// [8985-9] [8985-7] A probe of new data needs no verdict; and a lone segment is given the time of a delayed answer.
#[test]
fn a_probe_may_be_new_data() {
    let mut sender = measured(1);
    let timer = sender.deadline().unwrap();
    assert_eq!(timer, (TimerKind::Probe, sender.rtt.rto().min(400_000) / 1_000));
    sender.time_out(TimerKind::Probe);
    sender.send(1);
    assert_eq!(sender.deadline(), Some((TimerKind::Rto, sender.rtt.rto() / 1_000)));
    sender.wait(100);
    let window = sender.window.window;
    assert!(!sender.ack(12, &[]).reduced);
    assert!(sender.window.window >= window);
    sender.send(3);
    assert_eq!(sender.deadline().unwrap().0, TimerKind::Probe, "the next end of the flight may be probed");
}

/// [8985-9] When the end of the flight was lost, the probe's block shows it, and recovery follows.
#[test]
fn a_probe_turns_a_lost_tail_into_recovery() {
    let mut sender = measured(4);
    sender.wait(100);
    sender.ack(11, &[]);
    sender.time_out(TimerKind::Probe);
    let last = sender.loss.last(&sender.pool).unwrap();
    sender.loss.sent_again(&mut sender.pool, last, sender.now);
    sender.wait(110);
    let report = sender.ack(11, &[(13, 14)]);
    assert_eq!((report.newly_lost, report.reduced), (2 * MSS, true));
    assert!(sender.loss.in_recovery());
    assert_eq!(sender.resend(), [11]);
}

/// [8985-1] [8985-8] Without SACK nothing is probed, nor with something missing.
#[test]
fn there_is_no_probe_where_it_would_tell_nothing() {
    let mut plain = Sender::new(false);
    plain.send(10);
    plain.wait(100);
    plain.ack(5, &[]);
    assert_eq!(plain.deadline().unwrap().0, TimerKind::Rto);
    let mut sender = measured(20);
    sender.wait(100);
    sender.ack(10, &[(12, 13)]);
    assert_eq!(sender.deadline().unwrap().0, TimerKind::Reorder);
    sender.now = sender.now.wrapping_sub(100_000);
    assert_eq!(sender.run_timer(TimerKind::Probe), TimerAction::Nothing);
}

/// [own-SB] A forged or old acknowledgment changes nothing.
#[test]
fn blocks_that_cannot_be_are_ignored() {
    let mut sender = measured(20);
    let (una, nxt) = (sender.una, sender.nxt);
    let bad = [
        (una + 5_000, una + 5_000),
        (una + 5_000, una + 4_000),
        (una - 1_000, una + 3_000),
        (una + 3_000, nxt + 1),
        (nxt, nxt + 1_000),
        (nxt + 1_000, nxt + 5_000),
        (una + 0x8000_0000, una + 0x8000_1000),
        (una + 2_000, una + 0x9000_0000),
    ];
    for block in bad {
        let report = sender.ack_raw(una, &[block], None, false);
        assert_eq!((report.newly_sacked, report.newly_lost), (0, 0), "{block:?}");
    }
    assert!(sender.flagged(RecordFlags::SACKED).is_empty());
    assert_eq!(
        sender.ack_raw(una, &[(nxt, nxt + 1), (una + 1_000, una + 3_000)], None, false).newly_sacked,
        2_000
    );
}

#[test]
fn a_block_counts_whole_records_only() {
    let mut sender = measured(20);
    let report = sender.ack_raw(sender.una, &[(at(11) + 1, at(14) - 1)], None, false);
    assert_eq!((report.newly_sacked, sender.flagged(RecordFlags::SACKED)), (MSS, vec![12]));
}

/// A record of several segments is cut where a block ends within it, at the segments' edges.
#[test]
fn a_block_cuts_a_long_record() {
    let mut sender = measured(0);
    sender.send_len(10 * MSS);
    let una = sender.una;
    assert_eq!(sender.ack_raw(una, &[(at(12) - 300, at(14) + 10)], None, false).newly_sacked, 2 * MSS);
    assert_eq!(sender.flagged(RecordFlags::SACKED), [12]);
    assert_eq!((sender.pool.used(), sender.loss.counts(&sender.pool, MSS as u16).segments), (3, 10));
    // [6675-1] Three segments' worth tells of a loss, in however many records.
    let report = sender.ack_raw(una, &[(at(12), at(15))], None, false);
    assert_eq!(report.newly_lost, 0);
    sender.wait(100);
    assert_eq!(sender.ack_raw(una, &[(at(12), at(16))], None, false).newly_lost, 2 * MSS);
    // No record free to cut one: the block waits.
    let mut full = measured(0);
    full.pool = Segments::new(&mut Arena::heap(), 1).unwrap();
    full.send_len(10 * MSS);
    assert_eq!(full.ack_raw(full.una, &[(at(12), at(14))], None, false).newly_sacked, 0);
}

/// Runs are joined from both sides, and shortened from the left.
#[test]
fn runs_grow_and_shrink() {
    let mut sender = measured(30);
    sender.loss.flags.insert(Flags::REORDERED);
    for block in [(12, 13), (14, 15), (20, 25), (13, 14), (18, 20), (11, 12), (30, 31), (26, 30), (17, 18)] {
        sender.ack(10, &[block]);
    }
    assert_eq!(sender.loss.sacked, 4 + 8 + 5);
    assert_eq!(sender.ack(10, &[(11, 15), (17, 25), (26, 31)]).newly_sacked, 0, "all known");
    sender.ack(13, &[]);
    assert_eq!(sender.loss.sacked, 2 + 8 + 5);
    sender.ack(16, &[]);
    sender.ack(26, &[(26, 31)]);
    assert_eq!(sender.flagged(RecordFlags::SACKED), [26, 27, 28, 29, 30]);
    sender.ack(40, &[]);
    assert_eq!(sender.loss.sacked, 0);
}

/// [2018-5] The receiver may drop what it had beyond the left edge; a timeout sends all again.
#[test]
fn a_timeout_forgets_the_blocks() {
    let mut sender = measured(10);
    sender.wait(100);
    sender.ack(10, &[(12, 14), (15, 20)]);
    sender.time_out_rto();
    assert!(sender.flagged(RecordFlags::SACKED).is_empty());
    assert_eq!(sender.flagged(RecordFlags::LOST).len(), 10);
    assert_eq!(sender.resend(), [10]);
    // What the receiver still says to have is not sent again.
    sender.more = false;
    sender.wait(100);
    sender.ack(11, &[(12, 14), (15, 20)]);
    assert_eq!(sender.resend(), [11, 14]);
    sender.ack(20, &[]);
    assert!(sender.loss.is_empty());
}

/// [2018-5] A receiver that drops what it reported, and moves its left edge to there, waits for the timeout.
#[test]
fn a_receiver_that_reneges_gets_its_data_again() {
    let mut sender = measured(3);
    sender.wait(100);
    sender.ack(10, &[(11, 13)]);
    sender.ack(11, &[]);
    assert_eq!((sender.loss.pipe(), sender.loss.next_lost()), (0, None));
    assert_eq!(sender.deadline().unwrap().0, TimerKind::Rto);
    assert_eq!(sender.time_out(TimerKind::Rto), TimerAction::SendLost { attempts: 1 });
    assert_eq!(sender.resend(), [11]);
}

/// [8985-6] What was sent shortly before the timeout is still on its way.
#[test]
fn a_timeout_spares_what_is_young() {
    let mut sender = measured(5);
    sender.wait(sender.rtt.rto() / 1_000 - 50);
    sender.send(2);
    sender.time_out_rto();
    assert_eq!(sender.flagged(RecordFlags::LOST), [10, 11, 12, 13, 14]);
    assert_eq!(sender.loss.pipe(), 2 * MSS);
    assert_eq!((sender.room(), sender.resend()), (1, vec![10]), "the first goes, whatever is in flight");
}

/// [6675-3] What is lost goes out before new data, as the window lets it, in order; once for each loss.
#[test]
fn lost_segments_go_out_in_order_and_at_the_pace_of_delivery() {
    let mut sender = measured(20);
    sender.wait(100);
    sender.ack(10, &[(11, 12), (13, 14), (15, 18)]);
    assert_eq!(sender.flagged(RecordFlags::LOST), [10, 12, 14]);
    let mut sent = sender.resend();
    for end in 19..=30 {
        sender.wait(1);
        sender.ack(10, &[(15, end), (13, 14), (11, 12)]);
        sent.extend(sender.resend());
    }
    assert_eq!(sent, [10, 12, 14]);
    assert!(sender.room() > 0, "then new data");
}

/// [8985-2] [8985-3] A retransmission that is lost is found by what was sent after it.
#[test]
fn a_lost_retransmission_is_sent_again() {
    let mut sender = measured(20);
    sender.wait(100);
    sender.ack(10, &[(11, 30)]);
    assert_eq!(sender.resend(), [10]);
    sender.wait(1);
    sender.send(2);
    sender.wait(100);
    let report = sender.ack(10, &[(11, 32)]);
    assert_eq!((report.newly_lost, report.reduced), (MSS, false));
    assert_eq!(sender.resend(), [10]);
    let record = sender.pool.record(sender.loss.first().unwrap());
    assert_eq!(record.transmissions, 3);
}

/// [8985-2] What a retransmission seems to have brought back sooner than any path can was the first sending.
#[test]
fn an_answer_that_is_too_fast_tells_nothing_of_the_retransmission() {
    let mut sender = measured(20);
    sender.wait(100);
    sender.ack(10, &[(11, 14)]);
    sender.resend();
    sender.wait(50);
    let rack = sender.loss.rack.end;
    sender.ack(11, &[]);
    assert_eq!(sender.loss.rack.end, rack);
    let mut sender = measured(20);
    sender.wait(100);
    sender.ack(10, &[(11, 14)]);
    sender.resend();
    sender.wait(100);
    sender.ack(11, &[]);
    assert_eq!(sender.loss.rack.end, at(11));
}

/// [8985-4] [8985-3] Where segments were seen to overtake each other, a hole is given time.
#[test]
fn after_reordering_a_hole_is_given_a_quarter_of_a_round_trip() {
    let mut sender = measured(20);
    sender.wait(100);
    sender.ack(10, &[(11, 13)]);
    assert_eq!(sender.deadline(), Some((TimerKind::Reorder, 25)), "two are no proof, time is");
    sender.wait(5);
    let report = sender.ack(13, &[]);
    assert!(sender.loss.flags.any(Flags::REORDERED) && !report.reduced);
    sender.ack(13, &[(14, 20)]);
    assert!(!sender.loss.in_recovery(), "no number of segments is a proof any more");
    assert_eq!(sender.deadline(), Some((TimerKind::Reorder, 25)));
    assert!(matches!(sender.time_out(TimerKind::Reorder), TimerAction::SendLost { .. }));
    assert!(sender.loss.in_recovery());
    assert_eq!(sender.resend(), [13]);
}

/// [8985-4] [8985-5] [2883-1] Duplicates widen the reordering window once a round trip, up to the smoothed time, and
/// sixteen recoveries later it is as at first.
#[test]
fn duplicates_widen_the_reordering_window_for_a_while() {
    let mut sender = measured(20);
    sender.loss.flags.insert(Flags::REORDERED);
    let mut sent = 30;
    let mut expected = 25;
    for round in 0..6 {
        sender.wait(100);
        assert!(sender.ack(sent - 20, &[(0, 1)]).duplicate);
        sender.ack(sent - 20, &[(1, 2)]);
        expected = (expected + 25).min(100);
        sender.ack(sent - 20, &[(sent - 19, sent)]);
        let (kind, after) = sender.deadline().unwrap();
        assert_eq!(kind, TimerKind::Reorder);
        assert!(after.abs_diff(expected) <= 1, "round {round}: {after}");
        sender.ack(sent, &[]);
        sender.send(20);
        sent += 20;
    }
    for _ in 0..16 {
        assert!(sender.loss.reorder_steps > 1);
        sender.loss.narrow();
    }
    assert_eq!(sender.loss.reorder_steps, 1);
}

/// An acknowledgment far from everything known costs a bounded search, and the next one finds what it did not.
#[test]
fn the_search_for_a_block_is_bounded() {
    let mut sender = Sender::new(true);
    sender.pool = Segments::new(&mut Arena::heap(), 2_000).unwrap();
    (0..1_600).for_each(|_| sender.send_len(10));
    let middle = BEGIN + 8_000;
    let report = sender.ack_raw(sender.una, &[(middle, middle + 10)], None, false);
    assert_eq!(report.newly_sacked, 0, "too far from both ends");
    let near = BEGIN + 2_000;
    assert_eq!(sender.ack_raw(sender.una, &[(near, near + 10)], None, false).newly_sacked, 10);
    sender.wait(1);
    // Every second record: the runs between are many, and known ones cost a step each.
    for number in (1..400).step_by(2) {
        let left = BEGIN + number * 10;
        sender.ack_raw(sender.una, &[(left, left + 10)], None, false);
    }
    assert!(sender.loss.sacked > 200);
}

/// A hole as long as a lost burst does not keep blocks behind it from being found: the search goes on with each
/// acknowledgment.
#[test]
fn blocks_behind_a_long_hole_are_found() {
    let mut sender = measured(3_000);
    for end in 1..=20 {
        sender.ack(0, &[(1_500, 1_500 + end)]);
    }
    assert_eq!(sender.loss.counts(&sender.pool, MSS as u16).sacked, 20);
    // From then on at once, however long the run has grown.
    sender.ack(0, &[(1_500, 2_900)]);
    sender.ack(0, &[(1_500, 2_901)]);
    assert_eq!(sender.loss.counts(&sender.pool, MSS as u16).sacked, 1_401);
}
