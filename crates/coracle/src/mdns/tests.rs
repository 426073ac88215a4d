use std::string::{String, ToString};
use std::vec::Vec;

use coracle_wire::dns::{DnsFlags, Message, Name, Section, Writer, class, kind};
use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// What a message says, in lines: questions, then records with their lifetimes.
fn lines(bytes: &[u8]) -> Vec<String> {
    let message = Message::read(bytes).unwrap();
    let mut lines: Vec<String> = message
        .questions()
        .map(|question| {
            let question = question.unwrap();
            std::format!("? {} {}", question.name, question.kind)
        })
        .collect();
    for record in message.records() {
        let record = record.unwrap();
        let mark = ["", "=", "~", "+"][record.section as usize];
        let data = match record.kind {
            kind::A => record.a().unwrap().to_string(),
            kind::PTR => record.target().unwrap().to_string(),
            kind::SRV => std::format!("{} {}", record.srv().unwrap().port, record.srv().unwrap().target),
            kind::TXT => String::from_utf8(record.txt().unwrap().flatten().copied().collect()).unwrap(),
            kind::NSEC => std::format!("{}", record.nsec().unwrap().has(kind::AAAA)),
            _ => String::new(),
        };
        let flush = if record.class & class::CACHE_FLUSH == 0 { "" } else { "!" };
        lines.push(std::format!("{mark}{flush} {} {} {} {data}", record.name, record.kind, record.ttl()));
    }
    lines
}

struct World {
    responder: Responder,
    random: Random,
    now: Instant,
    addresses: Vec<IpAddr>,
    sent: Vec<(Instant, To, Vec<u8>)>,
    events: Vec<Event>,
}

impl World {
    fn new(seed: u8) -> Self {
        let mut responder = Responder::new(&mut Arena::heap(), 4).unwrap();
        let mut random = Random::new(&[seed; 16]);
        let now = Instant::from_secs(100);
        responder.start(Label::new("boat").unwrap(), now, &mut random);
        Self {
            responder,
            random,
            now,
            addresses: [ip("192.0.2.7")].into(),
            sent: Vec::new(),
            events: Vec::new(),
        }
    }

    /// One whose names are its own already, and which has said so.
    fn settled() -> Self {
        let mut world = Self::new(1);
        let label = Label::new("Boat's page").unwrap();
        let texts = ["path=/"];
        world.responder.add_service(label, "_http._tcp", 80, &texts, world.now, &mut world.random).unwrap();
        world.run(SECOND * 10);
        world.sent.clear();
        world
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(next) = self.responder.next_deadline().filter(|&next| next <= end) {
            self.now = self.now.max(next);
            let mut buffer = [0; 1400];
            while let Some((to, len)) = self.responder.next_message(&self.addresses, self.now, &mut buffer) {
                self.sent.push((self.now, to, buffer[..len].to_vec()));
            }
            self.events.extend(self.responder.take_event());
        }
        self.now = end;
    }

    fn hear(&mut self, from: (&str, u16), bytes: &[u8]) {
        let from = (ip(from.0), from.1);
        self.responder.input(from, bytes, &self.addresses, self.now, &mut self.random);
    }

    /// What is answered to a question within two seconds.
    fn asked(&mut self, name: &str, kind: u16, class: u16, port: u16) -> Vec<(To, Vec<String>)> {
        let question = query(name, kind, class);
        self.hear(("192.0.2.9", port), &question);
        self.run(SECOND * 2);
        self.sent.drain(..).map(|(_, to, bytes)| (to, lines(&bytes))).collect()
    }
}

fn query(name: &str, kind: u16, class: u16) -> Vec<u8> {
    let mut buffer = [0; 500];
    let mut writer = Writer::new(&mut buffer, 77, DnsFlags::QUERY).unwrap();
    writer.question(NameBuf::from_text(name).unwrap().name(), kind, class).unwrap();
    let len = writer.finish();
    buffer[..len].to_vec()
}

/// Records of somebody else, in a response or a probe.
fn others(flags: DnsFlags, section: Section, list: &[(&str, u16, u32, &[u8])]) -> Vec<u8> {
    let mut buffer = [0; 500];
    let mut writer = Writer::new(&mut buffer, 0, flags).unwrap();
    for (name, kind, ttl, data) in list {
        let name = NameBuf::from_text(name).unwrap();
        writer.record(section, name.name(), *kind, class::IN, *ttl, |out| out.bytes(data)).unwrap();
    }
    let len = writer.finish();
    buffer[..len].to_vec()
}

/// [RFC 6762 §8.1, §8.3] [6762-1] three probes, a quarter of a second apart; then two announcements, a second apart.
#[test]
fn names_are_asked_for_three_times_and_announced_twice() {
    let mut world = World::new(3);
    world.run(SECOND * 100);
    assert_eq!(world.events, [Event::Ours]);
    let times: Vec<_> = world.sent.windows(2).map(|pair| pair[1].0.since(pair[0].0).as_millis()).collect();
    assert_eq!(times, [250, 250, 250, 1000]);
    assert!(world.sent[0].0.since(Instant::from_secs(100)) < Duration::from_millis(250));
    for (_, to, bytes) in &world.sent[..3] {
        assert_eq!(*to, To::Everybody);
        assert_eq!(lines(bytes), ["? boat.local 255", "~ boat.local 1 120 192.0.2.7"]);
    }
    for (_, _, bytes) in &world.sent[3..] {
        assert_eq!(lines(bytes), ["=! boat.local 1 120 192.0.2.7"]);
    }
}

/// [RFC 6762 §6, §6.1]
#[test]
fn questions_are_answered_and_so_are_those_about_what_there_is_not() {
    let mut world = World::settled();
    let address = std::vec!["=! boat.local 1 120 192.0.2.7".to_string()];
    assert_eq!(world.asked("BOAT.local", kind::A, class::IN, 5353), [(To::Everybody, address.clone())]);
    let nothing = std::vec!["+! boat.local 47 120 false".to_string()];
    assert_eq!(world.asked("boat.local", kind::AAAA, class::IN, 5353), [(To::Everybody, nothing)]);
    assert!(world.asked("ship.local", kind::A, class::IN, 5353).is_empty());
    assert!(world.asked("boat.local", kind::A, 3, 5353).is_empty());
    // [RFC 6762 §5.4] Whoever wants the answer alone gets it alone.
    let alone = world.asked("boat.local", kind::A, class::IN | class::UNICAST_RESPONSE, 5353);
    assert_eq!(alone, [(To::One(ip("192.0.2.9"), 5353), address)]);
}

/// [RFC 6762 §6.7] a resolver that speaks plain DNS: the question again, short lives, no bits that it does not know.
#[test]
fn plain_resolvers_get_plain_answers() {
    let mut world = World::settled();
    let answer = world.asked("boat.local", kind::A, class::IN, 40_000);
    let expected = ["? boat.local 1", "= boat.local 1 10 192.0.2.7"].map(String::from).to_vec();
    assert_eq!(answer, [(To::One(ip("192.0.2.9"), 40_000), expected)]);
    world.hear(("192.0.2.9", 40_000), &query("boat.local", kind::A, class::IN));
    world.run(SECOND);
    assert_eq!(world.sent[0].2[..2], [0, 77]);
}

/// [RFC 6763 §4, §9, §12]
#[test]
fn services_are_found_by_their_kind_with_all_that_is_needed_to_use_them() {
    let mut world = World::settled();
    let answer = world.asked("_http._tcp.local", kind::PTR, class::IN, 5353);
    let instance = "Boat's\\032page._http._tcp.local";
    let expected = std::vec![
        std::format!("= _http._tcp.local 12 4500 {instance}"),
        std::format!("+! {instance} 33 120 80 boat.local"),
        std::format!("+! {instance} 16 4500 path=/"),
        "+! boat.local 1 120 192.0.2.7".to_string(),
    ];
    assert_eq!(answer, [(To::Everybody, expected)]);
    let kinds = world.asked("_services._dns-sd._udp.local", kind::PTR, class::IN, 5353);
    assert_eq!(kinds[0].1, ["= _services._dns-sd._udp.local 12 4500 _http._tcp.local"]);
    let place = world.asked(instance, kind::SRV, class::IN, 5353);
    assert_eq!(place[0].1[0], std::format!("=! {instance} 33 120 80 boat.local"));
}

/// [RFC 6762 §7.1]
#[test]
fn what_the_asker_knows_is_not_told_again() {
    let mut world = World::settled();
    let pointer = NameBuf::from_text("Boat's\\032page._http._tcp.local").unwrap();
    for (ttl, answers) in [(4_500, 0), (2_250, 0), (2_249, 1)] {
        let mut buffer = [0; 500];
        let mut writer = Writer::new(&mut buffer, 0, DnsFlags::QUERY).unwrap();
        let kind_name = NameBuf::from_text("_http._tcp.local").unwrap();
        writer.question(kind_name.name(), kind::PTR, class::IN).unwrap();
        writer
            .record(Section::Answer, kind_name.name(), kind::PTR, class::IN, ttl, |out| {
                out.name(pointer.name())
            })
            .unwrap();
        let len = writer.finish();
        world.hear(("192.0.2.9", 5353), &buffer[..len]);
        world.run(SECOND * 2);
        assert_eq!(world.sent.drain(..).count(), answers, "{ttl}");
    }
}

/// [RFC 6762 §6] nothing is told to everybody more than once a second, however many ask.
#[test]
fn many_questions_make_few_answers() {
    let mut world = World::settled();
    for _ in 0..1000 {
        world.hear(("192.0.2.9", 5353), &query("boat.local", kind::A, class::IN));
        world.run(Duration::from_millis(5));
    }
    world.run(SECOND * 2);
    assert!((5..=7).contains(&world.sent.len()), "{} answers in five seconds", world.sent.len());
}

/// [RFC 6762 §9] [6762-1]
#[test]
fn a_name_that_somebody_has_is_changed() {
    let mut world = World::new(3);
    let response = DnsFlags::RESPONSE.with(DnsFlags::AUTHORITATIVE);
    let taken = others(response, Section::Answer, &[("boat.local", kind::A, 120, &[192, 0, 2, 99])]);
    world.run(Duration::from_millis(300));
    // From elsewhere than port 5353 it is nobody's word.
    world.hear(("192.0.2.99", 1234), &taken);
    assert_eq!(world.responder.host(), b"boat");
    world.hear(("192.0.2.99", 5353), &taken);
    world.run(SECOND * 5);
    assert_eq!(
        (world.responder.host(), &world.events[..]),
        (&b"boat-2"[..], &[Event::Renamed, Event::Ours][..])
    );
    // A name that is ours is defended by asking again; who says so then has it.
    let taken = others(response, Section::Answer, &[("boat-2.local", kind::A, 120, &[192, 0, 2, 99])]);
    world.sent.clear();
    world.hear(("192.0.2.99", 5353), &taken);
    world.run(Duration::from_millis(300));
    assert_eq!(lines(&world.sent[0].2)[0], "? boat-2.local 255");
    world.hear(("192.0.2.99", 5353), &taken);
    world.run(SECOND * 5);
    assert_eq!(world.responder.host(), b"boat-3");
    // Our own words, come back, are no conflict.
    let own = others(response, Section::Answer, &[("boat-3.local", kind::A, 120, &[192, 0, 2, 7])]);
    world.sent.clear();
    world.hear(("192.0.2.7", 5353), &own);
    world.run(SECOND * 5);
    assert!(world.sent.is_empty());
}

/// [RFC 6762 §8.1] whoever always has the name cannot make us flood the link.
#[test]
fn many_conflicts_slow_down() {
    let mut world = World::new(3);
    let response = DnsFlags::RESPONSE.with(DnsFlags::AUTHORITATIVE);
    let end = world.now + SECOND * 60;
    while world.now < end {
        let mut name = String::from_utf8(world.responder.host().to_vec()).unwrap();
        name.push_str(".local");
        let taken = others(response, Section::Answer, &[(&name, kind::A, 120, &[192, 0, 2, 99])]);
        world.hear(("192.0.2.99", 5353), &taken);
        world.run(Duration::from_millis(300));
    }
    assert!(world.sent.len() < 60, "{} probes", world.sent.len());
}

/// [RFC 6762 §8.2] both ask at the same time: the greater address wins at once, the lesser waits for a second.
#[test]
fn of_two_who_ask_at_once_the_greater_wins() {
    for (theirs, waits) in [([192, 0, 2, 8], true), ([192, 0, 2, 6], false), ([192, 0, 2, 7], false)] {
        let mut world = World::new(3);
        world.run(Duration::from_millis(300));
        let before = world.now;
        let probe = others(DnsFlags::QUERY, Section::Authority, &[("boat.local", kind::A, 120, &theirs)]);
        world.hear(("192.0.2.8", 5353), &probe);
        let next = world.responder.next_deadline().unwrap().since(before);
        assert_eq!(next >= SECOND, waits, "{theirs:?}: {next:?}");
        world.run(SECOND * 10);
        assert_eq!(world.responder.host(), b"boat");
    }
}

/// [RFC 6762 §10.1]
#[test]
fn what_is_taken_back_is_said_to_be_gone() {
    let mut world = World::settled();
    world.responder.remove_service(0).unwrap();
    world.run(SECOND);
    let gone = lines(&world.sent[0].2);
    assert!(gone.iter().take(3).all(|line| line.contains(" 0 ")) && gone.len() >= 3, "{gone:?}");
    world.sent.clear();
    assert!(world.asked("_http._tcp.local", kind::PTR, class::IN, 5353).is_empty());
    assert_eq!(world.responder.remove_service(0), Err(Error::Closed));
    world.sent.clear();
    world.responder.stop();
    world.run(SECOND);
    assert_eq!(lines(&world.sent[0].2), ["=! boat.local 1 0 192.0.2.7"]);
    world.sent.clear();
    assert!(world.asked("boat.local", kind::A, class::IN, 5353).is_empty());
}

#[test]
fn names_are_numbered_and_never_too_long() {
    for (before, after) in
        [("boat", "boat-2"), ("boat-2", "boat-3"), ("boat-99", "boat-100"), ("-9", "-9-2"), ("7", "7-2")]
    {
        let mut label = Label::new(before).unwrap();
        label.rename();
        assert_eq!(label.bytes(), after.as_bytes());
    }
    let mut label = Label::new(&"x".repeat(63)).unwrap();
    for _ in 0..100 {
        label.rename();
        assert!(label.bytes().len() <= 63);
    }
    assert!(label.bytes().ends_with(b"-101"));
    assert!(Label::new("").is_err() && Label::new(&"x".repeat(64)).is_err());
    assert!(Name::ROOT.is_root());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever comes, the responder goes on to answer.
    #[test]
    fn no_bytes_do_harm(list in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..120), 1..10), port in any::<bool>()) {
        let mut world = World::settled();
        for mut bytes in list {
            if bytes.len() > 12 {
                bytes[2] &= 0x82;
                bytes[3] = 0;
                bytes[4..12].iter_mut().for_each(|byte| *byte &= 3);
            }
            world.hear(("192.0.2.9", if port { 5353 } else { 9 }), &bytes);
            world.run(Duration::from_millis(100));
        }
        world.run(SECOND * 20);
        world.sent.clear();
        let name = String::from_utf8(world.responder.host().to_vec()).unwrap() + ".local";
        prop_assert_eq!(world.asked(&name, kind::A, class::IN, 5353).len(), 1);
    }
}
