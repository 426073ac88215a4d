//! Blocks, what they tell of losses, and recovery with them.

use super::*;

/// A sender that has measured a round trip of 100 ms, with `segments` in flight since now; their numbers begin with 10.
pub(super) fn measured(segments: u32) -> Sender {
    let mut sender = Sender::new(true);
    sender.send(10);
    sender.wait(100);
    sender.ack(10, &[]);
    sender.send(segments);
    sender
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
        sender.loss.counts(&sender.pool),
        Counts { records: 20, lost: 0, sacked: 3, retransmitted: 1 }
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
