//! Recovery without SACK, the pace of recovery, marks of the network, and taking back what proved needless.

use super::sack::measured;
use super::*;

/// As [`measured`], without SACK.
fn measured_plain(segments: u32) -> Sender {
    measured_with(false, segments)
}

/// [5681-6] [5681-7] [6675-1] [RFC 9293 MUST-19] Two duplicates let one new segment out each, the third repairs.
#[test]
fn duplicates_without_sack_start_recovery() {
    let mut sender = measured_plain(20);
    sender.wait(100);
    for count in 1..=2 {
        let report = sender.ack(10, &[]);
        assert_eq!((report.newly_lost, sender.room(), sender.loss.in_recovery()), (0, 1, false), "{count}");
        sender.send(1);
    }
    let report = sender.ack(10, &[]);
    assert_eq!((report.newly_lost, report.reduced), (MSS, true));
    // [RFC 5681 §3.2 step 2] The two segments that limited transmit let out are not counted in.
    assert_eq!((sender.window.threshold, sender.resend()), (10 * MSS, vec![10]));
    // What more duplicates let out is new data, at the pace of the smaller window.
    let mut new = 0;
    for _ in 0..17 {
        sender.ack(10, &[]);
        let room = sender.room();
        sender.send(room);
        new += room;
    }
    assert!((7..=11).contains(&new), "{new}");
    sender.wait(100);
    assert!(sender.loss.in_recovery());
    sender.ack(32, &[]);
    assert_eq!((sender.loss.in_recovery(), sender.window.window), (false, 10 * MSS));
}

/// [6582-1] Each partial acknowledgment shows the next hole.
#[test]
fn partial_acknowledgments_show_one_hole_after_another() {
    let mut sender = measured_plain(10);
    sender.wait(100);
    (0..5).for_each(|_| _ = sender.ack(10, &[]));
    assert_eq!(sender.resend(), [10]);
    sender.wait(100);
    let report = sender.ack(13, &[]);
    assert_eq!((report.newly_lost, report.reduced), (MSS, false));
    assert_eq!(sender.resend(), [13]);
    sender.wait(100);
    sender.ack(15, &[]);
    assert_eq!(sender.resend(), [15]);
    assert!(sender.loss.in_recovery());
    sender.ack(20, &[]);
    assert!(!sender.loss.in_recovery());
}

/// [6582-1] Duplicates of what was just repaired do not start the next recovery.
#[test]
fn old_duplicates_start_nothing() {
    let mut sender = measured_plain(10);
    sender.wait(100);
    (0..3).for_each(|_| _ = sender.ack(10, &[]));
    sender.resend();
    sender.ack(20, &[]);
    sender.send(5);
    for _ in 0..6 {
        let report = sender.ack(20, &[]);
        assert_eq!((report.newly_lost, report.reduced), (0, false));
    }
    sender.ack(21, &[]);
    sender.send(5);
    (0..3).for_each(|_| _ = sender.ack(21, &[]));
    assert_eq!(sender.flagged(RecordFlags::LOST), [21], "what came after is a loss of its own");
}

/// [5681-8] After a timeout duplicates are answers to what was sent needlessly.
#[test]
fn duplicates_after_a_timeout_mean_nothing() {
    let mut sender = measured_plain(10);
    sender.time_out_rto();
    sender.resend();
    for _ in 0..5 {
        assert!(!sender.ack(10, &[]).reduced);
        assert_eq!(sender.room(), 0);
    }
}

/// A peer that sends duplicates without end gets no more than a window of data.
#[test]
fn duplicates_do_not_open_the_window_without_end() {
    let mut sender = measured_plain(10);
    sender.wait(100);
    for _ in 0..1_000 {
        sender.ack(10, &[]);
        sender.resend();
        sender.send(sender.room().min(5));
        assert!(sender.nxt.since(sender.una) <= 40 * MSS);
    }
}

/// [RFC 9937 §6] [6675-3] Through recovery as much leaves as the smaller window has, spread over the acknowledgments.
#[test]
fn recovery_halves_the_pace() {
    let mut sender = measured(20);
    sender.wait(100);
    let mut sent = 0;
    for end in 12..=30 {
        sender.ack(10, &[(11, end)]);
        sent += sender.resend().len() as u32;
        let room = sender.room();
        assert!(room <= 2, "never a burst");
        if sender.loss.next_lost().is_none() {
            sender.send(room);
            sent += room;
        }
    }
    assert!((10..=12).contains(&sent), "{sent}");
    assert_eq!(sender.window.threshold, 10 * MSS, "half of the window");
    assert!(sender.loss.pipe() <= sender.window.threshold + MSS);
    sender.wait(100);
    sender.ack(sender.loss.recover.since(BEGIN) / MSS, &[]);
    assert_eq!((sender.window.window, sender.loss.in_recovery()), (10 * MSS, false));
}

/// [RFC 9937 §6] After heavy losses the window is reached again from below, by one segment for each delivered and one
/// more.
#[test]
fn after_heavy_losses_the_pace_rises_slowly() {
    let mut sender = measured(20);
    sender.wait(100);
    sender.ack(10, &[(27, 30)]);
    assert_eq!(sender.flagged(RecordFlags::LOST).len(), 17);
    assert_eq!(sender.resend(), [10, 11, 12]);
    sender.wait(100);
    sender.ack(11, &[(27, 30)]);
    assert_eq!(sender.resend(), [13, 14]);
    sender.ack(13, &[(27, 30)]);
    assert_eq!(sender.resend(), [15, 16, 17]);
}

/// [3168-2] The network's mark reduces the window once for a window of data, and nothing is sent again.
#[test]
fn a_mark_of_the_network_reduces_once() {
    let mut sender = measured(20);
    sender.wait(100);
    assert!(sender.ack_full(11, &[], None, true).reduced);
    assert_eq!(sender.window.threshold, 10 * MSS);
    for number in 12..30 {
        assert!(!sender.ack_full(number, &[], None, true).reduced);
        assert!(!sender.loss.in_recovery());
        let room = sender.room();
        sender.send(room.min(1));
    }
    assert!(!sender.ack_full(30, &[], None, true).reduced, "sent before CWR");
    assert_eq!(sender.window.window, 10 * MSS);
    sender.send(5);
    sender.wait(100);
    assert!(sender.ack_full(32, &[], None, true).reduced, "a window later it counts again");
    // A loss in the same window does not reduce it further.
    let threshold = sender.window.threshold;
    let last = sender.nxt.since(BEGIN) / MSS;
    let report = sender.ack(32, &[(last - 4, last)]);
    assert!(report.newly_lost > 0 && !report.reduced && sender.loss.in_recovery());
    assert_eq!(sender.window.threshold, threshold);
}

/// [9438-8] [RFC 3522 §3.2] [RFC 4015 §3] The echoed time shows that it was the first sending that arrived.
#[test]
fn a_timeout_that_timestamps_prove_false_is_taken_back() {
    for sack in [false, true] {
        let mut sender = if sack { measured(20) } else { measured_plain(20) };
        let window = sender.window.window;
        sender.time_out_rto();
        sender.resend();
        assert_eq!(sender.window.window, MSS);
        sender.wait(20);
        let echo = sender.now.wrapping_sub(sender.loss.armed_at) / 1_000 + 1_000;
        let report = sender.ack_full(11, &[], Some(echo), false);
        assert!(report.undone);
        assert_eq!((sender.window.window, sender.window.threshold), (window, u32::MAX));
        assert!(!sender.loss.in_recovery() && sender.flagged(RecordFlags::LOST).is_empty());
        assert_eq!((sender.loss.next_lost(), sender.loss.pipe()), (None, 19 * MSS));
        let report = sender.ack_full(30, &[], Some(echo), false);
        assert!(!report.undone && sender.loss.is_empty());
    }
}

/// [RFC 3522 §3.2] The echo of the retransmission, or one too close to it to tell, proves nothing.
#[test]
fn a_timeout_that_was_right_stays() {
    for late in [0, 999] {
        let mut sender = measured(20);
        sender.time_out_rto();
        sender.resend();
        sender.now = sender.now.wrapping_add(21_000 - late);
        let report = sender.ack_full(11, &[], Some(21), false);
        assert_eq!((report.undone, sender.loss.in_recovery()), (false, true));
    }
}

/// [9438-8] [RFC 3708 §2] All that was sent again had arrived: recovery was a mistake, and reordering is possible here.
#[test]
fn a_recovery_that_duplicates_prove_needless_is_taken_back() {
    let mut sender = measured(20);
    let window = sender.window.window;
    sender.wait(100);
    sender.ack(10, &[(11, 12), (13, 20)]);
    assert!(sender.loss.in_recovery());
    assert_eq!(sender.resend(), [10]);
    sender.ack(10, &[(13, 24), (11, 12)]);
    assert_eq!(sender.resend(), [12]);
    sender.wait(50);
    assert!(!sender.ack(20, &[]).undone, "the late ones, or the new ones");
    assert!(!sender.ack(21, &[(10, 11)]).undone);
    let report = sender.ack(22, &[(12, 13)]);
    assert!(report.undone && sender.loss.flags.any(Flags::REORDERED));
    assert!(sender.window.window >= window && !sender.loss.in_recovery());
    sender.ack(30, &[]);
}

/// [RFC 3708 §2] Duplicates of something else, or too late, prove nothing.
#[test]
fn duplicates_of_something_else_prove_nothing() {
    let mut sender = measured(20);
    sender.wait(100);
    sender.ack(10, &[(11, 15)]);
    sender.resend();
    assert!(!sender.ack(10, &[(3, 4), (11, 15)]).undone, "sent before recovery");
    let mut early = measured(20);
    early.wait(100);
    early.ack(10, &[(11, 15)]);
    assert!(!early.ack(10, &[(11, 12), (11, 15)]).undone, "nothing was sent again yet");
    sender.wait(100);
    sender.ack(30, &[]);
    sender.send(5);
    sender.wait(100);
    sender.ack(35, &[]);
    let window = sender.window.window;
    assert!(!sender.ack(35, &[(10, 11)]).undone, "a round trip too late");
    assert_eq!(sender.window.window, window);
}

/// [9438-8] [RFC 5682 §2.1] Without timestamps: after a timeout new data goes out first, and if then arrives what was sent
/// once, nothing was lost.
#[test]
fn a_timeout_that_later_arrivals_prove_false_is_taken_back() {
    for sack in [false, true] {
        let mut sender = if sack { measured(10) } else { measured_plain(10) };
        let window = sender.window.window;
        sender.time_out_rto();
        assert_eq!(sender.resend(), [10]);
        sender.wait(20);
        assert!(!sender.ack(11, &[]).undone);
        assert_eq!((sender.loss.next_lost(), sender.room()), (None, 2), "new data first");
        sender.send(2);
        sender.wait(1);
        let report = sender.ack(12, &[]);
        assert!(report.undone && sender.flagged(RecordFlags::LOST).is_empty());
        assert_eq!(sender.window.window, window);
    }
}

/// [RFC 5682 §2.1] A duplicate instead, or no new data to send: the repair goes on as ever.
#[test]
fn a_timeout_that_nothing_proves_false_is_repaired() {
    for more in [false, true] {
        let mut sender = measured_plain(10);
        sender.more = more;
        sender.time_out_rto();
        sender.resend();
        sender.wait(100);
        sender.ack(11, &[]);
        if more {
            assert_eq!(sender.loss.next_lost(), None);
            sender.send(2);
            sender.wait(100);
            assert!(!sender.ack(11, &[]).undone);
            sender.time_out_rto();
            assert_eq!(sender.resend(), [11]);
        } else {
            assert_eq!(sender.resend(), [11, 12]);
        }
        assert!(sender.loss.in_recovery());
    }
}

/// A record too long for a smaller path is cut when it is sent again; nothing else changes.
#[test]
fn long_records_are_sent_again_in_pieces() {
    let mut sender = measured(4);
    sender.loss.mtu_lowered(&mut sender.pool, 600);
    assert_eq!(sender.flagged(RecordFlags::LOST), [10, 11, 12, 13]);
    assert_eq!((sender.loss.in_recovery(), sender.window.window), (false, 20 * MSS));
    sender.window.set_segment(600);
    while let Some(id) = sender.loss.next_lost() {
        if sender.pool.record(id).len > 600 {
            sender.pool.split(id, 600).unwrap();
        }
        sender.loss.sent_again(&mut sender.pool, id, sender.now);
        sender.check();
    }
    assert_eq!(
        sender.loss.counts(&sender.pool, MSS as u16),
        Counts { segments: 8, lost: 0, sacked: 0, retransmitted: 8 }
    );
    sender.wait(100);
    sender.ack(14, &[]);
    assert!(sender.loss.is_empty());
}

/// [6298-5] [6298-4] While the left edge rests, what arrives beyond it gives round-trip times.
#[test]
fn blocks_give_round_trip_times() {
    let mut sender = measured(20);
    sender.wait(120);
    assert_eq!(sender.ack(10, &[(11, 13)]).rtt, Some(120_000));
    assert_eq!(sender.ack(10, &[(11, 13)]).rtt, None, "nothing new");
    sender.ack(10, &[(11, 15)]);
    sender.resend();
    sender.wait(100);
    assert_eq!(sender.ack(10, &[(11, 15)]).rtt, None);
    assert_eq!(sender.ack(11, &[]).rtt, None, "sent twice");
}

/// Segments that leave at the same time as a retransmission before it do not count as sent after it.
#[test]
fn what_leaves_at_once_keeps_its_order() {
    let mut sender = measured(20);
    sender.wait(100);
    sender.ack(10, &[(11, 12)]);
    sender.send(1);
    sender.ack(10, &[(11, 14)]);
    assert_eq!(sender.resend(), [10]);
    sender.wait(100);
    assert_eq!(sender.ack(10, &[(11, 31)]).newly_lost, 0, "30 left before 10 did again");
    assert_eq!(sender.ack(31, &[]).newly_lost, 0);
    assert!(sender.loss.is_empty());
}

/// [RFC 3522 §3.2] What was sent three times may have arrived the second time: that is a loss.
#[test]
fn an_echo_from_between_two_retransmissions_proves_nothing() {
    let mut sender = measured(20);
    sender.time_out_rto();
    sender.resend();
    let between = sender.now;
    sender.time_out_rto();
    sender.resend();
    sender.wait(20);
    let echo = sender.now.wrapping_sub(between) / 1_000;
    let report = sender.ack_full(11, &[], Some(echo), false);
    assert_eq!((report.undone, report.rtt), (false, Some(echo * 1_000)));
    assert!(sender.loss.in_recovery());
}

/// [RFC 9937 §6] The one more is not given when yet more is found lost.
#[test]
fn the_pace_does_not_rise_while_more_is_lost() {
    let mut sender = measured(20);
    sender.wait(100);
    sender.ack(10, &[(27, 30)]);
    assert_eq!(sender.resend(), [10, 11, 12]);
    sender.wait(100);
    assert_eq!(sender.ack(11, &[(12, 13), (27, 30)]).newly_lost, MSS);
    assert_eq!(sender.resend(), [11, 13]);
}

/// [8985-4] Where nothing was ever reordered, a hole is not given time in the repair after a timeout either.
#[test]
fn a_hole_in_the_repair_after_a_timeout_is_lost_at_once() {
    let mut sender = measured(10);
    sender.more = false;
    sender.time_out_rto();
    assert_eq!(sender.resend(), [10]);
    sender.wait(100);
    sender.ack(11, &[]);
    assert_eq!(sender.resend(), [11, 12]);
    sender.wait(100);
    assert_eq!(sender.ack(11, &[(12, 13)]).newly_lost, MSS);
    assert_eq!(sender.resend().first(), Some(&11));
}

/// [RFC 5682 §2.1] What was sent again before the timeout tells nothing about it.
#[test]
fn a_timeout_in_recovery_is_repaired_at_once() {
    let mut sender = measured_plain(10);
    sender.wait(100);
    (0..3).for_each(|_| _ = sender.ack(10, &[]));
    assert_eq!(sender.resend(), [10]);
    assert_eq!(sender.time_out_rto(), TimerAction::SendLost { attempts: 2 });
    assert_eq!(sender.resend(), [10]);
    sender.wait(100);
    sender.ack(11, &[]);
    assert_eq!(sender.resend(), [11, 12]);
}
