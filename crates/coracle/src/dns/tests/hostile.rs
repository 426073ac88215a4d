//! Forged, broken and lost answers.

use std::collections::HashSet;
use std::vec;
use std::vec::Vec;

use coracle_wire::dns::{kind, rcode};
use proptest::prelude::*;

use super::world::*;
use super::*;

/// A forged answer that says what the attacker wants.
fn forged(sent: &Sent) -> Vec<u8> {
    answer_bytes(sent, 0, 0, &[address("host.test", 9999, "203.0.113.66")], &[])
}

/// The good answer, 20 ms later, behind forged ones.
fn behind(sent: &Sent, forged: Vec<Reply>) -> Vec<Reply> {
    let mut replies = all(sent);
    for mut reply in forged {
        reply.after = Duration::from_millis(10);
        replies.push(reply);
    }
    replies
}

/// The query is answered truthfully, whatever these say in front of the truth.
#[track_caller]
fn survives(text: &str, mut forge: impl FnMut(&Sent) -> Vec<Reply>) -> World {
    let mut world = World::plain(&[1]);
    let mut net = |sent: &Sent| behind(sent, forge(sent));
    let done = world.resolve(text, Lookup::Ipv4, &mut net);
    assert_eq!((done.result, done.addresses), (Ok(()), ["192.0.2.10", "192.0.2.11"].map(ip).to_vec()));
    world
}

/// [5452-1] as in CVE-2020-17439, CVE-2018-16598: a wrong id, server, port, question, kind, class, or no answer at all.
#[test]
fn only_an_answer_to_the_question_from_whom_was_asked_counts() {
    let other_id = |sent: &Sent| {
        let mut bytes = forged(sent);
        bytes[0] ^= 0x80;
        reply(sent, bytes)
    };
    let other_server = |sent: &Sent| {
        let mut reply = reply(sent, forged(sent));
        reply.sender.address = server(99);
        reply
    };
    let other_port = |sent: &Sent| {
        let mut reply = reply(sent, forged(sent));
        reply.sender.port = 5353;
        reply
    };
    let question = |at: usize, byte: u8| {
        move |sent: &Sent| {
            let mut bytes = forged(sent);
            bytes[at] = byte;
            reply(sent, bytes)
        }
    };
    let world = survives("host.test", |sent| {
        vec![
            other_id(sent),
            other_server(sent),
            other_port(sent),
            // Another name, another kind, another class, a query, another operation, two questions, none.
            question(13, b'X')(sent),
            question(24, 28)(sent),
            question(26, 3)(sent),
            question(2, 0x01)(sent),
            question(2, 0x91)(sent),
            question(5, 2)(sent),
        ]
    });
    assert_eq!(world.resolver.counters.mismatches, 9);
    assert_eq!(world.sent.len(), 1);
}

/// [5452-5] an attacker who may try as often as he likes is cut off: the question goes over TCP.
#[test]
fn too_many_wrong_answers_send_the_question_over_tcp() {
    let mut world = World::plain(&[1]);
    let mut net = |sent: &Sent| {
        if sent.transport == Transport::Tcp {
            return all(sent);
        }
        let one = |number: u16| {
            let mut bytes = forged(sent);
            bytes[..2].copy_from_slice(&(sent.id() ^ (number + 1)).to_be_bytes());
            reply(sent, bytes)
        };
        (0..1000).map(one).collect()
    };
    let done = world.resolve("host.test", Lookup::Ipv4, &mut net);
    assert_eq!(done.addresses, ["192.0.2.10", "192.0.2.11"].map(ip));
    assert_eq!(world.resolver.counters.mismatches, 10);
    assert_eq!(world.sent.len(), 2);
}

/// [5452-1] a forger who knows everything but the case of the letters.
#[test]
fn an_answer_in_another_case_is_not_believed() {
    let mut world = World::plain(&[1]);
    let mut net = |sent: &Sent| {
        let mut bytes = forged(sent);
        for byte in &mut bytes[12..26] {
            if byte.is_ascii_alphabetic() {
                *byte ^= 0x20;
            }
        }
        match sent.transport {
            Transport::Tcp => all(sent),
            _ => vec![reply(sent, bytes)],
        }
    };
    let done = world.resolve("host.test", Lookup::Ipv4, &mut net);
    assert_eq!(done.addresses, ["192.0.2.10", "192.0.2.11"].map(ip));
}

/// [5452-2] as in CVE-2020-17470, CVE-2020-25926, CVE-2021-31228, CVE-2021-25677, CVE-2014-4883: over a thousand
/// questions, ids differ and have no order, and so does the case of letters. Each has a socket of its own.
#[test]
fn ids_and_case_cannot_be_guessed() {
    let mut world = World::plain(&[1]);
    for number in 0..1000 {
        world.resolve(&std::format!("a-name-of-letters-{number}.test"), Lookup::Ipv4, &mut all);
    }
    let ids: Vec<_> = world.sent.iter().map(Sent::id).collect();
    let distinct: HashSet<_> = ids.iter().collect();
    assert!(distinct.len() > 980, "{} ids", distinct.len());
    let steps: HashSet<_> = ids.windows(2).map(|pair| pair[1].wrapping_sub(pair[0])).collect();
    assert!(steps.len() > 980, "{} steps", steps.len());
    let cases: HashSet<_> = world.sent.iter().map(|sent| sent.question().0[..16].to_string()).collect();
    assert!(cases.len() > 900, "{} ways to write a name", cases.len());
    let sockets: HashSet<_> = world.sent.iter().map(|sent| sent.socket).collect();
    assert_eq!(sockets.len(), world.sent.len());
}

/// [5452-4] what was not asked is not believed, kept or used.
#[test]
fn records_of_other_names_are_not_believed() {
    let mut world = World::plain(&[1]);
    let mut net = |sent: &Sent| {
        let answers = [
            address("bank.test", 9999, "203.0.113.66"),
            address("host.test", 60, "192.0.2.10"),
            alias("other.test", 9999, "evil.test"),
        ];
        let authority = [("test", kind::NS, 9999, name("evil.test").wire().to_vec())];
        vec![reply(sent, answer_bytes(sent, 0, 0, &answers, &authority))]
    };
    assert_eq!(world.resolve("host.test", Lookup::Ipv4, &mut net).addresses, [ip("192.0.2.10")]);
    for other in ["bank.test", "other.test", "evil.test"] {
        assert!(world.resolver.known(other, Lookup::Ipv4, world.now).is_none());
    }
    // The end of a chain of aliases is known for the name that was asked about, not for itself.
    let mut net = |sent: &Sent| {
        let answers = [alias("www.test", 9999, "bank.test"), address("bank.test", 9999, "203.0.113.66")];
        vec![reply(sent, answer_bytes(sent, 0, 0, &answers, &[]))]
    };
    world.resolve("www.test", Lookup::Ipv4, &mut net);
    assert!(world.resolver.known("www.test", Lookup::Ipv4, world.now).is_some());
    assert!(world.resolver.known("bank.test", Lookup::Ipv4, world.now).is_none());
}

/// As in CVE-2020-17439: without a question there is no answer.
#[test]
fn answers_that_nobody_waits_for_change_nothing() {
    let mut world = World::plain(&[1]);
    world.resolve("host.test", Lookup::Ipv4, &mut all);
    let late = world.sent[0].clone();
    let sender = Sender { address: server(1), port: 53, on_link: false };
    for exchange in [0, 1, 63, 64, usize::MAX] {
        for transport in [Transport::Udp, Transport::Tcp, Transport::Multicast] {
            world.resolver.input(exchange, transport, sender, &forged(&late), world.now);
        }
        world.resolver.failed(exchange, world.now);
    }
    world.run(&mut silent);
    assert!(world.done.is_empty());
}

/// As in CVE-2020-24334, CVE-2020-24335, CVE-2020-24336, CVE-2020-24338, CVE-2020-25928, CVE-2020-11901: the query goes
/// on at the next server.
#[test]
fn a_broken_answer_sends_the_question_to_the_next_server() {
    let good = answer_bytes;
    let broken: [fn(&mut Vec<u8>); 6] = [
        |bytes| bytes[7] = 200,
        |bytes| bytes[6] = 0xff,
        |bytes| bytes.truncate(bytes.len() - 1),
        |bytes| {
            let at = bytes.len() - 5;
            bytes[at] = 200;
        },
        |bytes| bytes[27..29].copy_from_slice(&[0xc0, 0xff]),
        |bytes| bytes[27] = 0x80,
    ];
    for (number, damage) in broken.into_iter().enumerate() {
        let mut world = World::plain(&[1, 2]);
        let mut net = |sent: &Sent| {
            if sent.server() == 2 {
                return all(sent);
            }
            let mut bytes = good(sent, 0, 0, &[address("host.test", 60, "203.0.113.66")], &[]);
            damage(&mut bytes);
            vec![reply(sent, bytes)]
        };
        let done = world.resolve("host.test", Lookup::Ipv4, &mut net);
        assert_eq!(done.addresses, ["192.0.2.10", "192.0.2.11"].map(ip), "{number}");
        assert_eq!((world.resolver.counters.malformed, world.sent.len()), (1, 2), "{number}");
    }
}

/// As in CVE-2018-16525, CVE-2020-13601, CVE-2026-1678: nothing, or less than a header.
#[test]
fn messages_without_a_header_are_counted() {
    let world =
        survives("host.test", |sent| (0..12).map(|len| reply(sent, forged(sent)[..len].to_vec())).collect());
    assert_eq!(world.resolver.counters.malformed, 12);
}

/// An address of the other family in disguise is none.
#[test]
fn mapped_addresses_are_not_believed() {
    let mut world = World::plain(&[1]);
    let mut net = |sent: &Sent| {
        let list =
            [("host.test", kind::AAAA, 60, "::ffff:127.0.0.1".parse::<core::net::Ipv6Addr>().unwrap())];
        let list = list.map(|(owner, kind, ttl, address)| (owner, kind, ttl, address.octets().to_vec()));
        vec![zone(sent, &list)]
    };
    for _ in 0..2 {
        assert_eq!(world.resolve("host.test", Lookup::Ipv6, &mut net).result, Err(DnsError::NoData));
    }
}

/// A name that does not exist has no records, whatever else the answer says.
#[test]
fn nobody_has_no_records() {
    let mut world = World::plain(&[1]);
    let mut net = |sent: &Sent| {
        let list = [address("host.test", 60, "203.0.113.66")];
        vec![reply(sent, answer_bytes(sent, rcode::NAME_ERROR, 0, &list, &[]))]
    };
    assert_eq!(world.resolve("host.test", Lookup::Ipv4, &mut net).result, Err(DnsError::NoName));
}

/// Loss, delay, duplicates and servers that come and go: every query ends, most of them well, and nothing stays open.
#[test]
fn a_network_that_loses_a_third_is_survived() {
    let mut answered = 0;
    for seed in 0..40 {
        let mut dice = Random::new(&[seed; 16]);
        let mut world = World::plain(&[1, 2, 3]);
        let keys: Vec<_> = (0..10)
            .map(|number| {
                let text = ["host.test", "www.test", "long.test", "old.test", "no.test"][number % 5];
                world.ask(text, if number < 5 { Lookup::Addresses } else { Lookup::Records(kind::TXT) })
            })
            .collect();
        let mut net = |sent: &Sent| {
            let mut replies = Vec::new();
            if dice.below(100) < 33 {
                return replies;
            }
            for _ in 0..=dice.below(2) {
                let mut reply = all(sent).remove(0);
                reply.after = Duration::from_millis(dice.below(1_500).into());
                if dice.below(10) == 0 {
                    let at = dice.below(reply.bytes.len() as u32) as usize;
                    reply.bytes[at] ^= 1 << dice.below(8);
                }
                replies.push(reply);
            }
            replies
        };
        world.run(&mut net);
        assert_eq!(world.done.len(), keys.len());
        answered += world.done.iter().filter(|done| done.result.is_ok()).count();
        // What is damaged may be a bit of an address. A name or a lifetime is never longer than it may be.
        world.resolver.forget_answers();
        assert_eq!(world.resolve("host.test", Lookup::Ipv4, &mut all).addresses.len(), 2);
    }
    assert!(answered > 200, "{answered} of 400");
}

fn damaged() -> impl Strategy<Value = Vec<(usize, u8)>> {
    proptest::collection::vec((0..200_usize, any::<u8>()), 1..6)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the first server answers, the query ends, and the next one is served.
    #[test]
    fn no_damage_to_an_answer_does_harm(damage in damaged(), cut in 0..200_usize, wanted in 0..4_usize) {
        let mut world = World::plain(&[1, 2]);
        let mut net = |sent: &Sent| {
            let mut reply = all(sent).remove(0);
            if sent.server() == 1 {
                for &(at, byte) in &damage {
                    if let Some(place) = reply.bytes.get_mut(at + 2) {
                        *place = byte;
                    }
                }
                let len = reply.bytes.len();
                reply.bytes.truncate(len.max(cut) - cut);
            }
            vec![reply]
        };
        let lookup = [Lookup::Addresses, Lookup::Ipv6, Lookup::Records(kind::TXT), Lookup::Records(kind::ANY)][wanted];
        world.resolve("long.test", lookup, &mut net);
        prop_assert!(world.sent.len() < 60);
        world.resolver.forget_answers();
        world.pass(Duration::from_mins(10));
        let done = world.resolve("host.test", Lookup::Ipv4, &mut all);
        prop_assert_eq!(done.addresses.len(), 2);
    }

    /// Bytes of any kind behind the right id, in any order, as often as there is a question.
    #[test]
    fn no_bytes_do_harm(bytes in proptest::collection::vec(any::<u8>(), 0..300), keep in 0..30_usize) {
        let mut world = World::new(DnsLimits::SMALL, DnsConfig::DEFAULT, &[1]);
        let mut net = |sent: &Sent| {
            let mut forged = forged(sent);
            forged.truncate(keep);
            forged.extend(&bytes);
            vec![reply(sent, forged)]
        };
        world.resolve("host.test", Lookup::Addresses, &mut net);
        world.resolver.forget_answers();
        world.pass(Duration::from_mins(10));
        prop_assert_eq!(world.resolve("host.test", Lookup::Ipv4, &mut all).addresses.len(), 2);
    }
}
