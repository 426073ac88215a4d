//! Records, the left edge, round-trip times, and the retransmission timer.

use super::*;

#[test]
fn what_is_acknowledged_is_freed_at_once_and_what_is_not_stays() {
    let mut sender = Sender::new(true);
    sender.send(4);
    assert_eq!((sender.loss.pipe(), sender.pool.used()), (4_000, 4));
    sender.wait(10);
    let report = sender.ack(3, &[]);
    assert_eq!((report.acked, report.rtt), (3_000, Some(10_000)));
    assert_eq!((sender.loss.pipe(), sender.pool.used()), (1_000, 1));
    assert_eq!(sender.ack(4, &[]).acked, 1_000);
    assert!(sender.loss.is_empty() && sender.pool.used() == 0);
    assert_eq!(
        sender.memory.stats().heap.used,
        0,
        "[2018-6] data lives until it is acknowledged, and no longer"
    );
}

#[test]
fn syn_and_fin_count_as_numbers_but_not_as_data() {
    let mut sender = Sender::new(true);
    let syn = NewSegment { seq: sender.nxt, len: 1, flags: RecordFlags::SYN, data: None };
    assert!(sender.loss.sent(&mut sender.pool, syn, sender.now).is_ok());
    sender.nxt += 1;
    let data = Some(sender.data(10));
    let fin = NewSegment { seq: sender.nxt, len: 11, flags: RecordFlags::FIN, data };
    assert!(sender.loss.sent(&mut sender.pool, fin, sender.now).is_ok());
    sender.nxt += 11;
    let report = sender.ack_to(BEGIN + 1);
    assert!(report.syn_acked && !report.fin_acked && report.acked == 0);
    let report = sender.ack_to(BEGIN + 6);
    assert!(!report.syn_acked && !report.fin_acked && report.acked == 5);
    let report = sender.ack_to(BEGIN + 12);
    assert!(report.fin_acked && report.acked == 5);
}

#[test]
fn half_a_record_is_freed_too() {
    let mut sender = Sender::new(true);
    sender.send(1);
    sender.wait(3);
    let report = sender.ack_to(BEGIN + 400);
    assert_eq!((report.acked, report.rtt, sender.loss.pipe()), (400, Some(3_000), 600));
    let record = sender.pool.record(sender.loss.first().unwrap());
    assert_eq!((record.seq, record.len), (BEGIN + 400, 600));
    assert_eq!(record.data.as_ref().map(Pbuf::len), Some(600));
}

#[test]
fn a_segment_without_a_record_comes_back() {
    let mut sender = Sender::new(true);
    sender.pool = Segments::new(&mut Arena::heap(), 1).unwrap();
    sender.send(1);
    let segment =
        NewSegment { seq: sender.nxt, len: 5, flags: RecordFlags::PUSH, data: Some(sender.data(5)) };
    let back = sender.loss.sent(&mut sender.pool, segment, sender.now).err().unwrap();
    assert_eq!(back.data.map(|data| data.len()), Some(5));
    sender.check();
    sender.ack(1, &[]);
    sender.send(1);
    assert_eq!((sender.pool.used(), sender.pool.capacity()), (1, 1));
}

#[test]
fn a_record_is_cut_where_it_may_be() {
    let mut sender = Sender::new(true);
    let data = Some(sender.data(3_000));
    let flags = RecordFlags::FIN.with(RecordFlags::PUSH);
    let segment = NewSegment { seq: sender.nxt, len: 3_001, flags, data };
    assert!(sender.loss.sent(&mut sender.pool, segment, sender.now).is_ok());
    sender.nxt += 3_001;
    let first = sender.loss.first().unwrap();
    for at in [0, 3_001, 4_000] {
        assert_eq!(sender.pool.split(first, at), Err(coracle_buf::Error::Argument));
    }
    let second = sender.pool.split(first, 1_000).unwrap();
    let third = sender.pool.split(second, 2_000).unwrap();
    sender.check();
    let part = |id: u32| {
        let record = sender.pool.record(id);
        (record.seq.since(BEGIN), record.len, record.data.as_ref().map(Pbuf::len), record.flags)
    };
    assert_eq!(part(first), (0, 1_000, Some(1_000), RecordFlags::default()));
    assert_eq!(part(second), (1_000, 2_000, Some(2_000), RecordFlags::default()));
    assert_eq!(part(third), (3_000, 1, None, flags));
    assert_eq!(sender.loss.last(&sender.pool), Some(third));
}

/// [6298-4] [RFC 9293 MUST-18]
#[test]
fn what_was_sent_twice_gives_no_round_trip_time_unless_a_timestamp_tells() {
    for echo in [None, Some(30)] {
        let mut sender = Sender::new(true);
        sender.send(1);
        assert_eq!(sender.time_out_rto(), TimerAction::SendLost { attempts: 1 });
        sender.resend();
        sender.wait(30);
        assert_eq!(sender.ack_full(1, &[], echo, false).rtt, echo.map(|millis| millis * 1_000));
    }
}

/// [6298-6] [RFC 9293 MUST-18]
#[test]
fn the_timer_starts_with_the_first_segment_and_anew_with_each_that_is_acknowledged() {
    let mut sender = Sender::new(false);
    assert_eq!(sender.deadline(), None);
    sender.send(1);
    sender.wait(100);
    sender.send(1);
    assert_eq!(sender.deadline(), Some((TimerKind::Rto, 900)));
    sender.ack(1, &[]);
    assert_eq!(sender.deadline(), Some((TimerKind::Rto, sender.rtt.rto() / 1_000)));
    sender.wait(100);
    sender.ack(1, &[]);
    assert_eq!(sender.deadline(), Some((TimerKind::Rto, sender.rtt.rto() / 1_000 - 100)), "no news");
    sender.ack(2, &[]);
    assert_eq!(sender.deadline(), None, "all is acknowledged");
    sender.wait(5_000);
    sender.send(1);
    assert_eq!(sender.deadline(), Some((TimerKind::Rto, sender.rtt.rto() / 1_000)));
}

/// [6298-7] [5681-4] [5681-5] [RFC 9293 MUST-19]
#[test]
fn a_timeout_sends_the_first_again_and_doubles() {
    for sack in [false, true] {
        let mut sender = Sender::new(sack);
        sender.send(10);
        assert_eq!(sender.time_out_rto(), TimerAction::SendLost { attempts: 1 });
        assert_eq!((sender.window.window, sender.window.threshold), (MSS, 5 * MSS));
        assert_eq!(sender.resend(), [0]);
        assert_eq!((sender.room(), sender.deadline()), (0, Some((TimerKind::Rto, 2_000))));
        assert_eq!(sender.time_out_rto(), TimerAction::SendLost { attempts: 2 });
        assert_eq!((sender.window.window, sender.window.threshold), (MSS, 5 * MSS), "the threshold stays");
        assert_eq!(sender.deadline(), Some((TimerKind::Rto, 4_000)));
        assert_eq!(sender.resend(), [0]);
        // Slow start from here on: what is lost goes out in order.
        sender.more = false;
        sender.ack(1, &[]);
        assert_eq!(sender.resend(), [1, 2]);
        sender.ack(2, &[]);
        assert_eq!(sender.resend(), [3, 4]);
        assert!(sender.loss.in_recovery());
        sender.ack(10, &[]);
        assert!(!sender.loss.in_recovery() && sender.loss.is_empty());
    }
}

#[test]
fn a_timer_that_is_late_for_what_is_gone_does_nothing() {
    let mut sender = Sender::new(true);
    for kind in [TimerKind::Rto, TimerKind::Probe, TimerKind::Reorder] {
        assert_eq!(sender.run_timer(kind), TimerAction::Nothing);
    }
    assert_eq!(sender.rtt.backoffs(), 0);
    sender.send(2);
    assert_eq!(sender.run_timer(TimerKind::Reorder), TimerAction::Nothing);
    assert_eq!((sender.loss.pipe(), sender.window.window), (2 * MSS, 10 * MSS));
}

#[test]
fn the_end_of_a_connection_gives_all_back() {
    let mut sender = Sender::new(true);
    sender.send(8);
    sender.wait(10);
    sender.ack(1, &[(3, 5)]);
    sender.loss.clear(&mut sender.pool);
    assert_eq!((sender.pool.used(), sender.memory.stats().heap.used), (0, 0));
    assert!(sender.loss.is_empty() && sender.loss.pipe() == 0);
}

/// [9438-7] A window that was not full does not grow; of several acknowledgments in a row all count that follow on a full
/// one.
#[test]
fn only_a_window_that_was_used_grows() {
    let mut sender = Sender::new(true);
    sender.send(10);
    for number in 1..=10 {
        sender.ack(number, &[]);
    }
    assert_eq!(sender.window.window, 20 * MSS);
    sender.send(3);
    for number in 11..=13 {
        sender.ack(number, &[]);
    }
    assert_eq!(sender.window.window, 20 * MSS);
}
