//! When things happen.

use super::*;

fn spacings(sent: &[Sent]) -> Vec<u64> {
    sent.windows(2).map(|pair| pair[1].at.as_micros() - pair[0].at.as_micros()).collect()
}

/// [2131-7] 4, 8, 16, 32, 64, 64 … seconds, each give or take one; no two clients in step.
#[test]
fn searching_backs_off() {
    let mut seen = Vec::new();
    for seed in 0..20 {
        let mut bed = Bed::new(seed);
        bed.start(&DhcpConfig { autoip_after: 0, ..plain() });
        bed.pass(400 * SECOND);
        let waits = spacings(&bed.port.sent);
        for (wait, expected) in waits.iter().zip([4, 8, 16, 32, 64, 64, 64]) {
            let range = (expected - 1) * SECOND..(expected + 1) * SECOND;
            assert!(range.contains(wait), "{waits:?}");
        }
        assert!(waits.len() >= 7);
        assert!(bed.kinds().iter().all(|&kind| kind == Discover));
        let transaction = bed.last().transaction();
        assert!(bed.port.sent.iter().all(|sent| sent.transaction() == transaction));
        assert!(!seen.contains(&waits) && !seen.is_empty() || seed == 0);
        seen.push(waits);
    }
}

/// Transaction numbers are no counter: the next one cannot be told from the last.
#[test]
fn transactions_are_unpredictable() {
    let mut numbers = Vec::new();
    let mut bed = Bed::new(3);
    for _ in 0..100 {
        bed.start(&plain());
        numbers.push(bed.last().transaction());
    }
    let mut steps: Vec<u32> = numbers.windows(2).map(|pair| pair[1].wrapping_sub(pair[0])).collect();
    steps.sort_unstable();
    steps.dedup();
    assert_eq!(steps.len(), 99);
}

/// The seconds since the search began are told, as relays may wait for them.
#[test]
fn seconds_are_told() {
    let mut bed = Bed::new(1);
    bed.start(&DhcpConfig { autoip_after: 0, ..plain() });
    bed.pass(100 * SECOND);
    let start = bed.port.sent[0].at;
    for sent in &bed.port.sent {
        let (told, real) = (u64::from(sent.read().header.seconds()), sent.at.since(start).as_secs());
        assert!(told <= real && told + 6 >= real, "{told} of {real}");
    }
}

/// [2131-5, 2131-6] T1, T2 and the end to the microsecond, counted from when the request was sent.
#[test]
fn a_lease_from_its_first_to_its_last_second() {
    let server = Server { lease: 1_000, ..Server::new() };
    let mut bed = bound(&plain(), &server);
    let asked = bed.port.sent[1].at;
    bed.pass(2_000 * SECOND);
    let first = |state: DhcpState| match state {
        DhcpState::Renewing => {
            bed.port.sent.iter().find(|sent| sent.source == OURS && sent.destination == server.id)
        }
        _ => bed.port.sent.iter().find(|sent| sent.source == OURS && sent.destination == ALL),
    };
    let (renewing, rebinding) = (first(DhcpState::Renewing).unwrap(), first(DhcpState::Rebinding).unwrap());
    assert_eq!(renewing.at, asked + Duration::from_secs(500));
    assert_eq!(rebinding.at, asked + Duration::from_secs(875));
    for request in [renewing, rebinding] {
        assert_eq!((request.kind(), request.read().header.client()), (Request, OURS));
        assert_eq!(request.read().server(), None);
        assert_eq!(request.value(code::REQUESTED_ADDRESS), None);
    }
    // At the end the address is gone, and the search begins at once.
    let discover = bed.port.sent.iter().skip(2).find(|sent| sent.kind() == Discover).unwrap();
    assert_eq!(discover.at, asked + Duration::from_secs(1_000));
    assert_eq!(bed.port.ipv4.address.octets()[..2], [169, 254], "meanwhile it gave itself one");
}

/// [2131-7] Requests to extend a lease come at half of what is left, a minute apart at least.
#[test]
fn extending_backs_off() {
    let server = Server { lease: 86_400, ..Server::new() };
    let mut bed = bound(&plain(), &server);
    bed.pass(86_398 * SECOND);
    let requests: Vec<Sent> = bed.port.sent[2..].to_vec();
    let asked = bed.port.sent[1].at;
    let (renew, rebind) = (asked + Duration::from_hours(12), asked + Duration::from_hours(21));
    let end = asked + Duration::from_hours(24);
    assert_eq!(requests[0].at, renew);
    assert!(requests.iter().any(|request| request.at == rebind));
    for pair in requests.windows(2) {
        let until = if pair[0].at < rebind { rebind } else { end };
        let left = until.since(pair[0].at);
        let wait = pair[1].at.since(pair[0].at);
        let expected = (left / 2).max(Duration::from_mins(1));
        assert!(
            wait >= expected.min(left) && wait <= expected + Duration::from_secs(1),
            "{wait:?} of {left:?}"
        );
    }
    assert!(requests.len() < 25, "{}", requests.len());
}

/// [2131-6] T1 and T2 in any order, beyond the end, zero, missing: always T1 < T2 < end. Lease times of a second and for
/// ever.
#[test]
fn times_are_made_sane() {
    let number = |value: u32| value.to_be_bytes().to_vec();
    let insane = [0, 1, 30, 60, 99, 100, 101, 1_000, u32::MAX - 1, u32::MAX];
    for lease in [1, 2, 100, u32::MAX - 1, u32::MAX] {
        for t1 in insane {
            for t2 in insane {
                let mut server = Server { lease, ..Server::new() };
                server.options.push((code::RENEWAL_TIME, number(t1)));
                server.options.push((code::REBINDING_TIME, number(t2)));
                let bed = bound(&plain(), &server);
                let lease_read = *bed.auto.client.lease().unwrap();
                let at = |secs: u32| bed.port.sent[1].at + Duration::from_secs(u64::from(secs));
                if lease == u32::MAX {
                    assert_eq!(lease_read.expires_at, Instant::MAX);
                    assert_eq!((lease_read.renew_at, lease_read.rebind_at), (Instant::MAX, Instant::MAX));
                    assert_eq!(bed.auto.deadline(), None);
                    continue;
                }
                assert_eq!(lease_read.expires_at, at(lease));
                assert!(
                    lease_read.renew_at < lease_read.rebind_at
                        && lease_read.rebind_at < lease_read.expires_at
                );
                if 0 < t1 && t1 < t2 && t2 < lease {
                    assert_eq!((lease_read.renew_at, lease_read.rebind_at), (at(t1), at(t2)));
                }
            }
        }
    }
    // One that is over before it began is none.
    let mut bed = Bed::new(1);
    bed.start(&plain());
    bed.pass_with(SECOND, &mut [Server { lease: 0, ..Server::new() }]);
    assert_eq!((bed.state(), bed.kinds()), (DhcpState::Selecting, vec![Discover]));
}

/// The time counts from the first request, even if a later one is answered: the server may have counted from there.
#[test]
fn a_lease_counts_from_the_first_request() {
    let server = Server::new();
    let mut bed = Bed::new(1);
    bed.start(&plain());
    bed.input(&server.reply(&bed.last(), Offer));
    let asked = bed.port.now;
    bed.pass(6 * SECOND);
    assert_eq!(bed.kinds(), [Discover, Request, Request]);
    bed.input(&server.reply(&bed.last(), Ack));
    assert_eq!(bed.auto.client.lease().unwrap().expires_at, asked + Duration::from_hours(1));
}

/// A server that never acknowledges what it offers is asked three times, then all are asked again.
#[test]
fn offers_that_come_to_nothing() {
    let server = Server { only_offers: true, ..Server::new() };
    let mut bed = Bed::new(1);
    bed.start(&DhcpConfig { autoip_after: 0, ..plain() });
    bed.pass_with(60 * SECOND, &mut [server]);
    assert_eq!(bed.kinds()[..6], [Discover, Request, Request, Request, Discover, Request]);
}

/// [RFC 2131 §4.4.1] A random wait before the first message, if that is wanted.
#[test]
fn a_random_start() {
    let mut waits: Vec<u64> = (0..20)
        .map(|seed| {
            let mut bed = Bed::new(seed);
            let start = bed.port.now;
            bed.start(&DhcpConfig { start_delay: Duration::from_secs(10), ..plain() });
            assert_eq!((bed.state(), bed.port.sent.len()), (DhcpState::Init, 0));
            bed.pass(11 * SECOND);
            bed.port.sent[0].at.since(start).as_secs()
        })
        .collect();
    waits.sort_unstable();
    assert!(waits[0] < 3 && waits[19] >= 7 && waits[19] < 10, "{waits:?}");
}
