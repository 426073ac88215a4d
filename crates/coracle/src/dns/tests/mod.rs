mod hostile;
mod world;

use std::string::{String, ToString};
use std::vec;
use std::vec::Vec;

use coracle_wire::dns::{Section, kind, rcode};

use super::*;
use world::*;

const SECOND: Duration = Duration::from_secs(1);

/// What the servers of most tests know.
fn records() -> Vec<Rr> {
    vec![
        address("host.test", 60, "192.0.2.10"),
        address("host.test", 120, "192.0.2.11"),
        address("host.test", 60, "2001:db8::10"),
        alias("www.test", 30, "host.test"),
        alias("long.test", 30, "www.test"),
        address("old.test", 60, "198.51.100.1"),
        ("host.test", kind::TXT, 60, b"\x05hello".to_vec()),
        ("_http._tcp.test", kind::SRV, 60, [&[0, 1, 0, 2, 0, 80][..], name("host.test").wire()].concat()),
        ("10.2.0.192.in-addr.arpa", kind::PTR, 60, name("host.test").wire().to_vec()),
        ("host.test", 65_280, 60, vec![1, 2, 3]),
    ]
}

fn all(sent: &Sent) -> Vec<Reply> {
    vec![zone(sent, &records())]
}

fn silent(_: &Sent) -> Vec<Reply> {
    Vec::new()
}

/// Only these servers answer.
fn only(numbers: &'static [u8]) -> impl FnMut(&Sent) -> Vec<Reply> {
    move |sent| if numbers.contains(&sent.server()) { all(sent) } else { Vec::new() }
}

#[test]
fn addresses_of_both_families_come_together() {
    let mut world = World::plain(&[1]);
    let done = world.resolve("host.test", Lookup::Addresses, &mut all);
    assert_eq!(done.result, Ok(()));
    assert_eq!(done.addresses, ["192.0.2.10", "192.0.2.11", "2001:db8::10"].map(ip));
    assert_eq!(done.at.since(Instant::from_secs(1000)), Duration::from_millis(20));
    assert_eq!(world.sent.len(), 2);
    assert_eq!(world.sent.iter().map(Sent::payload).collect::<Vec<_>>(), [Some(1232); 2]);
    let done = world.resolve("old.test", Lookup::Addresses, &mut all);
    assert_eq!((done.result, done.addresses), (Ok(()), vec![ip("198.51.100.1")]));
    let done = world.resolve("old.test", Lookup::Ipv6, &mut all);
    assert_eq!(done.result, Err(DnsError::NoData));
}

#[test]
fn records_of_every_kind_come_without_pointers() {
    let mut world = World::plain(&[1]);
    for turn in 0..2 {
        let txt = world.resolve("host.test", Lookup::Records(kind::TXT), &mut all);
        assert_eq!(txt.records, [b"\x05hello"]);
        let srv = world.resolve("_http._tcp.test", Lookup::Records(kind::SRV), &mut all);
        assert_eq!(srv.records, [[&[0, 1, 0, 2, 0, 80][..], name("host.test").wire()].concat()]);
        let ptr = world.resolve("10.2.0.192.in-addr.arpa", Lookup::Records(kind::PTR), &mut all);
        assert_eq!(ptr.records, [name("host.test").wire()]);
        let raw = world.resolve("host.test", Lookup::Records(65_280), &mut all);
        assert_eq!(raw.records, [[1, 2, 3]]);
        let through_alias = world.resolve("www.test", Lookup::Records(kind::TXT), &mut all);
        assert_eq!(through_alias.records, [b"\x05hello"]);
        let nothing = world.resolve("host.test", Lookup::Records(kind::MX), &mut all);
        assert_eq!((nothing.result, nothing.records.len()), (Err(DnsError::NoData), 0));
        // The second time, everything is remembered.
        assert_eq!(world.sent.len(), 6, "turn {turn}");
    }
    assert_eq!(world.resolver.counters.hits, 5);
}

/// [1035-5] [RFC 2181 §8]
#[test]
fn answers_are_believed_for_the_shortest_of_their_lifetimes() {
    let mut world = World::plain(&[1]);
    for (passes, asked) in [(0, 1), (30, 1), (1, 2)] {
        world.pass(SECOND * passes);
        assert_eq!(world.resolve("www.test", Lookup::Ipv4, &mut all).addresses.len(), 2);
        assert_eq!(world.sent.len(), asked);
    }
    let mut forever = |sent: &Sent| vec![zone(sent, &[address("host.test", 0x7fff_ffff, "192.0.2.1")])];
    world.resolve("host.test", Lookup::Ipv4, &mut forever);
    world.pass(DnsConfig::DEFAULT.longest_life + SECOND);
    world.resolve("host.test", Lookup::Ipv4, &mut forever);
    assert_eq!(world.sent.len(), 4);
    // A lifetime of zero is for those who asked, and for nobody later.
    let mut now =
        |sent: &Sent| vec![zone(sent, &[address("now.test", 0, "192.0.2.1"), ("now.test", 16, 0, vec![0])])];
    for asked in 5..8 {
        assert_eq!(world.resolve("now.test", Lookup::Ipv4, &mut now).addresses.len(), 1);
        world.pass(Duration::from_micros(1));
        assert_eq!(world.sent.len(), asked);
    }
    assert_eq!(world.resolve("now.test", Lookup::Records(16), &mut now).records, [[0]]);
}

/// [2308-1]
#[test]
fn what_does_not_exist_is_remembered_as_long_as_its_zone_says() {
    let mut world = World::plain(&[1]);
    assert_eq!(world.resolve("no.test", Lookup::Ipv4, &mut all).result, Err(DnsError::NoName));
    assert_eq!(world.resolve("no.test", Lookup::Ipv6, &mut all).result, Err(DnsError::NoName));
    assert_eq!(world.sent.len(), 1);
    world.pass(SECOND * 31);
    assert_eq!(world.resolve("no.test", Lookup::Ipv4, &mut all).result, Err(DnsError::NoName));
    assert_eq!(world.sent.len(), 2);
    // Without a zone, or with one that is none of the name's, nothing is remembered [RFC 2308 §5].
    for authority in [vec![], vec![soa("other", 60, 60)]] {
        let mut net =
            |sent: &Sent| vec![reply(sent, answer_bytes(sent, rcode::NO_ERROR, 0, &[], &authority))];
        let before = world.sent.len();
        assert_eq!(world.resolve("none.test", Lookup::Ipv4, &mut net).result, Err(DnsError::NoData));
        assert_eq!(world.resolve("none.test", Lookup::Ipv4, &mut net).result, Err(DnsError::NoData));
        assert_eq!(world.sent.len(), before + 2);
    }
    // And not for longer than we believe such things.
    let mut net = |sent: &Sent| {
        vec![reply(sent, answer_bytes(sent, rcode::NAME_ERROR, 0, &[], &[soa(".", 999_999, 999_999)]))]
    };
    world.resolve("never.test", Lookup::Ipv4, &mut net);
    world.pass(DnsConfig::DEFAULT.longest_negative_life + SECOND);
    let before = world.sent.len();
    world.resolve("never.test", Lookup::Ipv4, &mut net);
    assert_eq!(world.sent.len(), before + 1);
}

#[test]
fn aliases_are_followed_within_an_answer_and_by_new_questions() {
    let mut world = World::plain(&[1]);
    assert_eq!(world.resolve("long.test", Lookup::Ipv4, &mut all).addresses.len(), 2);
    assert_eq!(world.sent.len(), 1);
    // A server that tells one step at a time.
    let mut steps = |sent: &Sent| {
        let name = sent.name();
        let list: Vec<_> =
            records().into_iter().filter(|rr| rr.0 == name && [1, 5].contains(&rr.1)).collect();
        vec![reply(sent, answer_bytes(sent, 0, 0, &list, &[]))]
    };
    let mut world = World::plain(&[1]);
    assert_eq!(world.resolve("long.test", Lookup::Ipv4, &mut steps).addresses.len(), 2);
    let asked: Vec<_> = world.sent.iter().map(Sent::name).collect();
    assert_eq!(asked, ["long.test", "www.test", "host.test"]);
    assert_eq!(world.resolve("www.test", Lookup::Ipv4, &mut steps).addresses.len(), 2);
    assert_eq!(world.sent.len(), 3);
}

/// [5452-4] circles of aliases, within one answer and over many.
#[test]
fn circles_of_aliases_end() {
    for whole in [true, false] {
        let mut world = World::plain(&[1]);
        let circle = [alias("a.test", 60, "b.test"), alias("b.test", 60, "a.test")];
        let mut net = |sent: &Sent| {
            let own: Vec<_> = circle.iter().filter(|rr| whole || rr.0 == sent.name()).cloned().collect();
            vec![reply(sent, answer_bytes(sent, 0, 0, &own, &[]))]
        };
        assert_eq!(world.resolve("a.test", Lookup::Ipv4, &mut net).result, Err(DnsError::Server));
        assert!(world.sent.len() <= 13, "{} questions", world.sent.len());
        // Also from memory.
        assert!(world.resolve("b.test", Lookup::Ipv4, &mut net).result.is_err());
    }
}

#[test]
fn one_failure_of_one_server_does_not_end_the_query() {
    for code in [rcode::SERVER_FAILURE, rcode::REFUSED, rcode::NOT_IMPLEMENTED, 9, 15] {
        let mut world = World::new(DnsLimits::HOST, DnsConfig { payload: 0, ..DnsConfig::DEFAULT }, &[1, 2]);
        let mut net = |sent: &Sent| match sent.server() {
            1 => vec![reply(sent, answer_bytes(sent, code, 0, &[], &[]))],
            _ => all(sent),
        };
        let done = world.resolve("host.test", Lookup::Ipv4, &mut net);
        assert_eq!((done.result, done.addresses.len()), (Ok(()), 2), "code {code}");
        assert_eq!(world.sent.iter().map(Sent::server).collect::<Vec<_>>(), [1, 2]);
    }
    // When all fail, they are asked once more, a little later, and that is the end.
    let mut world = World::plain(&[1, 2]);
    let mut net = |sent: &Sent| vec![reply(sent, answer_bytes(sent, rcode::SERVER_FAILURE, 0, &[], &[]))];
    let done = world.resolve("host.test", Lookup::Ipv4, &mut net);
    assert_eq!(done.result, Err(DnsError::Server));
    assert_eq!(world.sent.iter().map(Sent::server).collect::<Vec<_>>(), [1, 2, 1, 2]);
    assert_eq!(done.at.since(world.sent[0].at), SECOND + Duration::from_millis(80));
}

/// A server that names others instead of asking them is of no use to a stub.
#[test]
fn a_referral_is_no_answer() {
    let mut world = World::plain(&[1, 2]);
    let mut net = |sent: &Sent| {
        let mut bytes =
            answer_bytes(sent, 0, 0, &[], &[("test", kind::NS, 60, name("ns.test").wire().to_vec())]);
        bytes[3] &= 0x7f;
        if sent.server() == 1 { vec![reply(sent, bytes)] } else { all(sent) }
    };
    assert_eq!(world.resolve("host.test", Lookup::Ipv4, &mut net).addresses.len(), 2);
}

#[test]
fn servers_that_are_silent_are_passed_over_and_come_last_afterwards() {
    let mut world = World::plain(&[1, 2, 3]);
    let done = world.resolve("host.test", Lookup::Ipv4, &mut only(&[3]));
    assert_eq!(done.result, Ok(()));
    assert_eq!(world.sent.iter().map(Sent::server).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(done.at.since(world.sent[0].at), SECOND * 2 + Duration::from_millis(20));
    world.resolve("old.test", Lookup::Ipv4, &mut only(&[3]));
    assert_eq!(world.sent.last().unwrap().server(), 3);
    assert_eq!(world.sent.len(), 4);
    // In time they get another chance.
    world.pass(SECOND * 10);
    world.resolve("no.test", Lookup::Ipv4, &mut all);
    assert_eq!(world.sent.last().unwrap().server(), 1);
}

#[test]
fn without_any_answer_time_runs_out_as_configured() {
    let mut world = World::plain(&[1]);
    let done = world.resolve("host.test", Lookup::Ipv4, &mut silent);
    assert_eq!((done.result, world.sent.len()), (Err(DnsError::Timeout), 4));
    assert_eq!(done.at.since(world.sent[0].at), SECOND * 15);
    assert_eq!(world.resolver.counters.timeouts, 4);
    let mut world = World::plain(&[]);
    let done = world.resolve("host.test", Lookup::Ipv4, &mut silent);
    assert_eq!((done.result, world.sent.len()), (Err(DnsError::NoServer), 0));
}

#[test]
fn a_server_whose_host_refuses_is_left_at_once() {
    let mut world = World::plain(&[1, 2]);
    world.ask("host.test", Lookup::Ipv4);
    world.act(&mut silent);
    let exchange = world.sent[0].exchange;
    world.resolver.failed(exchange, world.now);
    world.run(&mut all);
    assert_eq!(world.sent.iter().map(Sent::server).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(world.sent[0].at, world.sent[1].at);
    assert_eq!(world.done[0].addresses.len(), 2);
}

/// [1035-4] [RFC 7766 §5]
#[test]
fn what_was_cut_is_asked_for_over_tcp() {
    let mut world = World::plain(&[1]);
    let mut net = |sent: &Sent| match sent.transport {
        // What is in the cut answer counts for nothing.
        Transport::Udp => {
            vec![reply(sent, answer_bytes(sent, 0, 0x0200, &[address("host.test", 60, "203.0.113.9")], &[]))]
        }
        _ => all(sent),
    };
    let done = world.resolve("host.test", Lookup::Ipv4, &mut net);
    assert_eq!(done.addresses, ["192.0.2.10", "192.0.2.11"].map(ip));
    let ways: Vec<_> = world.sent.iter().map(|sent| (sent.transport, sent.server())).collect();
    assert_eq!(ways, [(Transport::Udp, 1), (Transport::Tcp, 1)]);
    assert_ne!(world.sent[0].id(), world.sent[1].id());
    // A server that takes no connections is like one that does not answer.
    let mut world = World::plain(&[1, 2]);
    let mut net = |sent: &Sent| match (sent.transport, sent.server()) {
        (Transport::Udp, 1) => vec![reply(sent, answer_bytes(sent, 0, 0x0200, &[], &[]))],
        (Transport::Udp, 2) => all(sent),
        _ => Vec::new(),
    };
    let done = world.resolve("host.test", Lookup::Ipv4, &mut net);
    assert_eq!((done.addresses.len(), done.at.since(world.sent[0].at).as_secs()), (2, 4));
}

/// [6891-1] [RFC 6891 §6.2.2]
#[test]
fn a_server_that_does_not_know_of_extensions_is_asked_without() {
    for code in [rcode::FORMAT_ERROR, rcode::NOT_IMPLEMENTED] {
        let mut world = World::plain(&[1]);
        let mut net = |sent: &Sent| match sent.payload() {
            Some(_) if code == rcode::FORMAT_ERROR => {
                // Such a server may repeat nothing but the header.
                let mut bytes = answer_bytes(sent, code, 0, &[], &[]);
                bytes.truncate(12);
                bytes[5] = 0;
                vec![reply(sent, bytes)]
            }
            Some(_) => vec![reply(sent, answer_bytes(sent, code, 0, &[], &[]))],
            None => all(sent),
        };
        assert_eq!(world.resolve("host.test", Lookup::Ipv4, &mut net).addresses.len(), 2);
        assert_eq!(world.sent.iter().map(Sent::payload).collect::<Vec<_>>(), [Some(1232), None]);
        assert_eq!(world.resolve("old.test", Lookup::Ipv4, &mut net).addresses.len(), 1);
        assert_eq!(world.sent.last().unwrap().payload(), None);
        assert_eq!(world.sent.len(), 3);
    }
    // One that knows a later version only [RFC 6891 §6.1.3].
    let mut world = World::plain(&[1]);
    let mut net = |sent: &Sent| {
        if sent.payload().is_none() {
            return all(sent);
        }
        let mut bytes = answer_bytes(sent, 0, 0, &[], &[]);
        bytes[11] = 1;
        bytes.extend([0, 0, 41, 4, 208, 1, 0, 0, 0, 0, 0]);
        vec![reply(sent, bytes)]
    };
    assert_eq!(world.resolve("host.test", Lookup::Ipv4, &mut net).addresses.len(), 2);
    assert_eq!(world.sent.len(), 2);
}

#[test]
fn a_server_that_changes_the_case_of_names_is_asked_over_tcp_once() {
    let mut world = World::plain(&[1]);
    let mut net = |sent: &Sent| {
        let mut reply = all(sent).remove(0);
        reply.bytes[12..].make_ascii_lowercase();
        vec![reply]
    };
    let long = "a-name-with-many-letters.host.test";
    world.resolve(long, Lookup::Ipv4, &mut net);
    let ways: Vec<_> = world.sent.iter().map(|sent| sent.transport).collect();
    assert_eq!(ways, [Transport::Udp, Transport::Tcp]);
    assert_ne!(world.sent[0].question().0, long);
    world.resolve("another-name-with-many-letters.test", Lookup::Ipv4, &mut net);
    assert_eq!(world.sent.len(), 3);
    assert_eq!(world.sent[2].question().0, "another-name-with-many-letters.test");
}

/// [5452-3]
#[test]
fn the_same_question_is_never_asked_twice_at_once() {
    let mut world = World::plain(&[1]);
    let keys = ["host.test", "HOST.test", "host.test."].map(|text| world.ask(text, Lookup::Ipv4));
    let txt = world.ask("host.test", Lookup::Records(kind::TXT));
    let txt_too = world.ask("host.test", Lookup::Records(kind::TXT));
    world.run(&mut all);
    assert_eq!(world.sent.len(), 2);
    for key in keys {
        assert_eq!(world.done.iter().find(|done| done.key == key).unwrap().addresses.len(), 2);
    }
    for key in [txt, txt_too] {
        assert_eq!(world.done.iter().find(|done| done.key == key).unwrap().records, [b"\x05hello"]);
    }
    // Two aliases of one name, told step by step, come together at its name.
    let mut world = World::plain(&[1]);
    let mut steps = |sent: &Sent| {
        let name = sent.name();
        let list = match &*name {
            "one.test" => vec![alias("one.test", 60, "host.test")],
            "two.test" => vec![alias("two.test", 60, "host.test")],
            _ => records().into_iter().filter(|rr| rr.0 == name && rr.1 == 1).collect(),
        };
        vec![reply(sent, answer_bytes(sent, 0, 0, &list, &[]))]
    };
    world.ask("one.test", Lookup::Ipv4);
    world.ask("two.test", Lookup::Ipv4);
    world.run(&mut steps);
    assert_eq!((world.sent.len(), world.done.len()), (3, 2));
    assert!(world.done.iter().all(|done| done.addresses.len() == 2));
}

#[test]
fn search_domains_are_tried_in_order_and_dots_decide_when() {
    let domains = ["corp.test", "test"].map(name);
    let asked = |text: &str, ndots: u8| {
        let mut world = World::new(DnsLimits::HOST, DnsConfig { ndots, ..DnsConfig::DEFAULT }, &[1]);
        for domain in &domains {
            world.resolver.add_search(Source::Owner, domain.name());
        }
        let done = world.resolve(text, Lookup::Ipv4, &mut all);
        (world.sent.iter().map(Sent::name).collect::<Vec<_>>(), done.result)
    };
    assert_eq!(asked("host", 1), (vec!["host.corp.test".to_string(), "host.test".into()], Ok(())));
    let none = Err(DnsError::NoName);
    assert_eq!(asked("no", 1), (["no.corp.test", "no.test", "no"].map(String::from).to_vec(), none));
    let first = ["a.b", "a.b.corp.test", "a.b.test"].map(String::from).to_vec();
    assert_eq!(asked("a.b", 1), (first, none));
    let last = ["a.b.corp.test", "a.b.test", "a.b"].map(String::from).to_vec();
    assert_eq!(asked("a.b", 2), (last, none));
    assert_eq!(asked("no.", 1), (vec!["no".into()], none));
    // One of them exists, without such records.
    let (names, result) = asked("10.2.0.192.in-addr.arpa", 1);
    assert_eq!((names.len(), result), (3, Err(DnsError::NoData)));
}

#[test]
fn a_failure_ends_the_search() {
    let mut world = World::plain(&[1]);
    world.resolver.add_search(Source::Owner, name("test").name());
    let done = world.resolve("host", Lookup::Ipv4, &mut silent);
    assert_eq!(done.result, Err(DnsError::Timeout));
    assert!(world.sent.iter().all(|sent| sent.name() == "host.test"));
}

#[test]
fn literal_addresses_need_no_server() {
    let mut world = World::plain(&[]);
    let done = world.resolve("192.0.2.1", Lookup::Addresses, &mut silent);
    assert_eq!(done.addresses, [ip("192.0.2.1")]);
    let done = world.resolve("2001:db8::1", Lookup::Ipv6, &mut silent);
    assert_eq!(done.addresses, [ip("2001:db8::1")]);
    assert_eq!(world.resolve("2001:db8::1", Lookup::Ipv4, &mut silent).result, Err(DnsError::NoData));
    assert_eq!(
        world.resolver.known("192.0.2.1", Lookup::Addresses, world.now).unwrap().as_slice(),
        [ip("192.0.2.1")]
    );
}

/// [RFC 6761 §6.3, §6.4]
#[test]
fn special_names_are_never_asked_about() {
    let mut world = World::plain(&[1]);
    world.resolver.add_search(Source::Owner, name("test").name());
    let done = world.resolve("localhost", Lookup::Addresses, &mut all);
    assert_eq!(done.addresses, ["127.0.0.1", "::1"].map(ip));
    let done = world.resolve("deep.LOCALHOST.", Lookup::Ipv6, &mut all);
    assert_eq!(done.addresses, [ip("::1")]);
    assert_eq!(
        world.resolve("localhost", Lookup::Records(kind::TXT), &mut all).result,
        Err(DnsError::NoData)
    );
    for nowhere in ["x.invalid", "a.onion", "1.2.3"] {
        assert_eq!(world.resolve(nowhere, Lookup::Ipv4, &mut all).result, Err(DnsError::NoName));
    }
    assert!(world.sent.is_empty());
}

#[test]
fn the_owners_hosts_come_first() {
    let mut world = World::plain(&[1]);
    world.resolver.hosts.add(name("host.test").name(), ip("203.0.113.1")).unwrap();
    let done = world.resolve("host.test", Lookup::Addresses, &mut all);
    assert_eq!(done.addresses, [ip("203.0.113.1")]);
    assert_eq!(world.resolve("host.test", Lookup::Ipv6, &mut all).result, Err(DnsError::NoData));
    assert!(world.sent.is_empty());
    world.resolver.hosts.remove(Some(name("host.test").name()), None);
    assert_eq!(world.resolve("host.test", Lookup::Ipv6, &mut all).addresses.len(), 1);
}

#[test]
fn what_is_known_is_told_at_once_and_what_is_not_is_not_asked_for() {
    let mut world = World::plain(&[1]);
    assert!(world.resolver.known("host.test", Lookup::Addresses, world.now).is_none());
    world.run(&mut all);
    assert!(world.sent.is_empty());
    world.resolve("host.test", Lookup::Addresses, &mut all);
    let known = world.resolver.known("host.test", Lookup::Addresses, world.now).unwrap();
    assert_eq!(known.as_slice().len(), 3);
    world.resolver.forget_answers();
    assert!(world.resolver.known("host.test", Lookup::Addresses, world.now).is_none());
    world.run(&mut silent);
}

#[test]
fn a_query_can_be_taken_back_and_others_are_not_disturbed() {
    let mut world = World::plain(&[1]);
    let first = world.ask("host.test", Lookup::Addresses);
    let second = world.ask("host.test", Lookup::Ipv4);
    world.act(&mut all);
    assert_eq!(world.open.len(), 2);
    assert!(world.resolver.cancel(first) && !world.resolver.cancel(first));
    world.act(&mut all);
    assert_eq!(world.open.len(), 1);
    world.run(&mut all);
    assert_eq!((world.done.len(), world.done[0].key), (1, second));
    // One that is over, but was not reported yet.
    let third = world.ask("host.test", Lookup::Ipv4);
    assert!(world.resolver.cancel(third));
    world.run(&mut all);
    assert_eq!(world.done.len(), 1);
}

/// [RFC 8305 §3]
#[test]
fn one_family_does_not_wait_for_ever_for_the_other() {
    let mut world = World::plain(&[1]);
    let mut net = |sent: &Sent| if sent.question().1 == kind::A { all(sent) } else { Vec::new() };
    let done = world.resolve("host.test", Lookup::Addresses, &mut net);
    assert_eq!((done.result, done.addresses.len()), (Ok(()), 2));
    let patience = DnsConfig::DEFAULT.patience;
    assert_eq!(done.at.since(world.sent[0].at), patience + Duration::from_millis(20));
}

#[test]
fn one_family_that_fails_does_not_take_the_other_with_it() {
    let mut world = World::plain(&[1]);
    let mut net = |sent: &Sent| match sent.question().1 {
        kind::AAAA => vec![reply(sent, answer_bytes(sent, rcode::SERVER_FAILURE, 0, &[], &[]))],
        _ => all(sent),
    };
    let done = world.resolve("host.test", Lookup::Addresses, &mut net);
    assert_eq!((done.result, done.addresses.len()), (Ok(()), 2));
}

#[test]
fn many_addresses_leave_room_for_the_other_family() {
    let mut world = World::plain(&[1]);
    let mut net = |sent: &Sent| {
        let mut list = Vec::new();
        for number in 0..30 {
            list.push(("host.test", kind::A, 60, vec![192, 0, 2, number]));
            list.push(("host.test", kind::AAAA, 60, vec![number; 16]));
        }
        vec![zone(sent, &list)]
    };
    let done = world.resolve("host.test", Lookup::Addresses, &mut net);
    assert_eq!(done.addresses.iter().filter(|address| address.is_ipv4()).count(), 4);
    assert_eq!(done.addresses.len(), MAX_ADDRESSES);
    assert_eq!(world.resolve("host.test", Lookup::Ipv4, &mut net).addresses.len(), MAX_ADDRESSES);
}

#[test]
fn tables_that_are_full_say_so_and_serve_again() {
    let mut world = World::new(DnsLimits::SMALL, DnsConfig::DEFAULT, &[1]);
    let first = world.ask("a.test", Lookup::Addresses);
    world.ask("b.test", Lookup::Addresses);
    assert_eq!(world.resolver.query("c.test", Lookup::Ipv4, world.now), Err(Error::Memory));
    world.act(&mut silent);
    world.resolver.cancel(first);
    // Its exchanges are still being closed, and there is room all the same.
    world.ask("host.test", Lookup::Addresses);
    world.run(&mut all);
    assert_eq!(world.done.iter().filter(|done| done.result.is_ok()).count(), 1);
    assert_eq!(world.done.len(), 2);
    let mut none = World::new(DnsLimits::NONE, DnsConfig::DEFAULT, &[]);
    assert_eq!(none.resolver.query("a.test", Lookup::Ipv4, none.now), Err(Error::Memory));
    none.run(&mut silent);
}

#[test]
fn an_answer_larger_than_there_is_room_for_is_cut() {
    let mut world = World::new(DnsLimits::SMALL, DnsConfig::DEFAULT, &[1]);
    let mut net = |sent: &Sent| {
        let texts: Vec<_> =
            (0..9).map(|_| ("big.test", kind::TXT, 60, [&[99][..], &[b'x'; 99]].concat())).collect();
        vec![zone(sent, &texts)]
    };
    let done = world.resolve("big.test", Lookup::Records(kind::TXT), &mut net);
    assert_eq!((done.result, done.records.len()), (Ok(()), 2));
}

#[test]
fn names_that_cannot_be_are_refused() {
    let mut world = World::plain(&[1]);
    for wrong in ["", "..", "a..b", &"x".repeat(64), &"y.".repeat(200)] {
        assert_eq!(world.resolver.query(wrong, Lookup::Ipv4, world.now), Err(Error::Argument), "{wrong:?}");
    }
}

#[test]
fn new_servers_are_asked_from_the_next_try_on() {
    let mut world = World::plain(&[1]);
    world.ask("host.test", Lookup::Ipv4);
    world.act(&mut silent);
    world.resolver.set_servers(Source::Owner, [server(5)].into_iter());
    world.run(&mut only(&[5]));
    assert_eq!(world.done[0].addresses.len(), 2);
    assert_eq!(world.sent.last().unwrap().server(), 5);
    assert_eq!(world.resolver.servers().collect::<Vec<_>>(), [server(5)]);
}

/// [RFC 6762 §5.1]
#[test]
fn names_of_the_link_are_asked_of_everybody_on_it() {
    let known = [address("printer.local", 120, "192.0.2.50")];
    let mut world = World::plain(&[1]);
    let mut net = |sent: &Sent| {
        assert_eq!((sent.transport, sent.to), (Transport::Multicast, None));
        if sent.question().1 == kind::A { vec![zone(sent, &known)] } else { Vec::new() }
    };
    let done = world.resolve("printer.local", Lookup::Ipv4, &mut net);
    assert_eq!(done.addresses, [ip("192.0.2.50")]);
    assert_eq!(world.sent[0].question().0, "printer.local");
    assert_eq!(world.sent[0].payload(), None);
    // Nobody has the name: after three questions there is none.
    let done = world.resolve("nobody.local", Lookup::Ipv4, &mut silent);
    assert_eq!((done.result, world.sent.len()), (Err(DnsError::NoName), 4));
    // Unless the link is not to be asked.
    let mut world = World::new(DnsLimits::HOST, DnsConfig { multicast: false, ..DnsConfig::DEFAULT }, &[1]);
    assert_eq!(world.resolve("printer.local", Lookup::Ipv4, &mut all).result, Err(DnsError::NoName));
    assert!(world.sent.is_empty());
}

/// [RFC 6762 §6.1]
#[test]
fn the_owner_of_a_link_name_can_say_what_it_does_not_have() {
    let mut world = World::plain(&[1]);
    let mut nsec = name("printer.local").wire().to_vec();
    nsec.extend([0, 1, 0x40]);
    let mut net = |sent: &Sent| {
        let list = [("printer.local", kind::NSEC, 120, nsec.clone())];
        vec![reply(sent, answer_bytes(sent, 0, 0, &list, &[]))]
    };
    let done = world.resolve("printer.local", Lookup::Ipv6, &mut net);
    assert_eq!((done.result, world.sent.len()), (Err(DnsError::NoData), 1));
}

/// [RFC 6762 §11] `.local` answers come from the link alone, and from the port of those who answer there.
#[test]
fn link_names_are_answered_from_the_link_only() {
    let known = [address("printer.local", 120, "192.0.2.50")];
    for (on_link, port) in [(false, 5353), (true, 53), (true, 40_000)] {
        let mut world = World::plain(&[1]);
        let mut net = |sent: &Sent| {
            let mut reply = zone(sent, &known);
            reply.sender = Sender { address: server(1), port, on_link };
            vec![reply]
        };
        let done = world.resolve("printer.local", Lookup::Ipv4, &mut net);
        assert_eq!(done.result, Err(DnsError::NoName), "{on_link} {port}");
        assert_eq!(world.resolver.counters.mismatches, 3);
    }
}

#[test]
fn a_message_has_the_parts_that_it_should() {
    let mut world = World::plain(&[1]);
    world.ask("host.test", Lookup::Ipv6);
    world.act(&mut silent);
    let bytes = &world.sent[0].bytes;
    // Recursion desired, one question, one additional record.
    assert_eq!(bytes[2..12], [1, 0, 0, 1, 0, 0, 0, 0, 0, 1]);
    assert_eq!(bytes[12..23].to_ascii_lowercase(), b"\x04host\x04test\x00");
    assert_eq!(bytes[23..], [0, 28, 0, 1, 0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]);
    assert_eq!(Section::Additional as usize, 3);
}
