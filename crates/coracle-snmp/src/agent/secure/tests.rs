use super::*;
use crate::agent::{Access, Community, READ, Setup, WRITE};
use crate::mib::Tree;
use crate::standard;
use crate::v3::{AuthProtocol, PrivProtocol};
use core::net::SocketAddr;
use proptest::prelude::*;
use std::sync::OnceLock;
use std::vec::Vec;

struct Boots(u32);

impl Storage for Boots {
    fn boots(&mut self) -> u32 {
        self.0
    }

    fn store_boots(&mut self, boots: u32) {
        self.0 = boots;
    }
}

fn id() -> EngineId {
    EngineId::of_station(8072, [2, 0, 0, 0, 0, 1])
}

fn users() -> &'static [User<'static>] {
    static USERS: OnceLock<[User<'static>; 2]> = OnceLock::new();
    USERS.get_or_init(|| {
        [
            User::new("admin", WRITE).auth(AuthProtocol::Sha1, "maplesyrup", id()).privacy(
                PrivProtocol::Aes128,
                "maplesyrup",
                id(),
            ),
            User::new("old", READ).auth(AuthProtocol::Md5, "maplesyrup", id()).privacy(
                PrivProtocol::Des,
                "maplesyrup",
                id(),
            ),
        ]
    })
}

fn agent(boots: u32) -> Agent<'static> {
    let mut storage = Boots(boots);
    let engine = Engine::start(id(), users(), &mut storage, 7);
    assert_eq!(storage.0, engine.boots());
    let mut setup = Setup::new(Tree::new(standard::ALL).unwrap());
    setup.communities = const { &[Community::new("public", READ)] };
    setup.access = Access::BASIC;
    Agent::new(setup).with_engine(engine)
}

/// A message for the agent, and what may be wrong with it.
#[derive(Clone, Copy)]
struct Ask {
    user: usize,
    level: SecurityLevel,
    boots: u32,
    time: u32,
    engine: Option<EngineId>,
    max_size: i32,
    kind: PduKind,
}

const ASK: Ask = Ask {
    user: 0,
    level: SecurityLevel::AuthPriv,
    boots: 4,
    time: 0,
    engine: None,
    max_size: 1472,
    kind: PduKind::GetNext,
};

fn message(ask: &Ask) -> Vec<u8> {
    let engine = ask.engine.unwrap_or(id());
    let user = &users()[ask.user];
    let mut buffer = [0; 800];
    let mut writer = Writer::new(&mut buffer[..700]);
    let mark = writer.mark();
    Binding::new(&[1, 3, 6, 1, 2, 1, 1, 1], Value::Null).write(&mut writer);
    Pdu::close(&mut writer, mark, ask.kind, (99, 0, 0));
    writer.octets(b"");
    writer.octets(engine.as_bytes());
    writer.close(tag::SEQUENCE, mark);
    let start = writer.start().unwrap();
    let sealing = Sealing {
        header: Header { id: 5, max_size: ask.max_size, flags: crate::v3::FLAG_REPORTABLE, model: 3 },
        engine: engine.as_bytes(),
        boots: ask.boots,
        time: ask.time,
        user: user.name.as_bytes(),
        keys: &user.keys.at(ask.level).unwrap(),
        salt: 1,
    };
    let range = sealing.close(&mut buffer, start, 700).unwrap();
    buffer[range].to_vec()
}

fn handle(agent: &mut Agent<'_>, message: &[u8], now: u64) -> Option<Vec<u8>> {
    let from: SocketAddr = "192.0.2.9:5000".parse().unwrap();
    let mut buffer = [0; 1472];
    let mut message = message.to_vec();
    agent.handle(&mut message, from, Instant::from_secs(now), &mut buffer).map(<[u8]>::to_vec)
}

/// The kind of an answer, and the name and value of its first variable.
fn open(mut answer: Vec<u8>, keys: &Keys) -> (PduKind, Vec<u32>, std::string::String) {
    let (header, security) = parse(&answer).unwrap();
    assert_eq!((header.id, header.model, header.is_reportable()), (5, 3, false));
    let level = header.level().unwrap();
    if level >= SecurityLevel::AuthNoPriv {
        assert!(security.is_signed(&answer, &keys.auth.unwrap()));
    }
    let encrypted = level == SecurityLevel::AuthPriv;
    if encrypted {
        assert!(security.decrypt(&mut answer, &keys.privacy.unwrap()));
    }
    let scoped = security.scoped(&answer, encrypted).unwrap();
    let first = scoped.pdu.bindings.into_iter().next().unwrap();
    (scoped.pdu.kind, first.name.to_oid().arcs().to_vec(), std::format!("{:?}", first.value))
}

fn answer_to(agent: &mut Agent<'_>, ask: &Ask, now: u64) -> (PduKind, Vec<u32>, std::string::String) {
    open(handle(agent, &message(ask), now).expect("an answer"), &users()[ask.user].keys)
}

const DESCRIPTION: &[u32] = &[1, 3, 6, 1, 2, 1, 1, 1, 0];

#[test]
fn signed_and_encrypted_requests_are_answered_alike() {
    let mut agent = agent(3);
    for user in 0..2 {
        for level in [SecurityLevel::AuthNoPriv, SecurityLevel::AuthPriv] {
            let (kind, name, value) = answer_to(&mut agent, &Ask { user, level, ..ASK }, 1);
            assert_eq!((kind, &name[..]), (PduKind::Response, DESCRIPTION));
            assert_eq!(value, std::format!("{:?}", Value::Octets(b"Coracle")));
        }
    }
    // Encryption never starts twice with the same numbers.
    let salts: Vec<_> = (0..2)
        .map(|_| {
            let answer = handle(&mut agent, &message(&ASK), 1).unwrap();
            let (_, security) = parse(&answer).unwrap();
            answer[security.user.end..security.user.end + 30].to_vec()
        })
        .collect();
    assert_ne!(salts[0], salts[1]);
}

/// [3414-1] [3414-4]
#[test]
fn refusals_have_their_counters_and_reports() {
    let mut agent = agent(3);
    let unsigned = SecurityLevel::NoAuthNoPriv;
    let other = EngineId::new(b"other");
    let report = |agent: &mut Agent<'_>, ask: &Ask, arc: u32, count: u32| {
        let (kind, name, value) = answer_to(agent, ask, 1);
        assert_eq!((kind, name), (PduKind::Report, std::vec![1, 3, 6, 1, 6, 3, 15, 1, 1, arc, 0]));
        assert_eq!(value, std::format!("Counter32({count})"));
    };
    report(&mut agent, &Ask { engine: other, ..ASK }, 4, 1);
    report(&mut agent, &Ask { engine: other, level: unsigned, ..ASK }, 4, 2);
    report(&mut agent, &Ask { boots: 3, ..ASK }, 2, 1);
    // Users that do not sign have no rights.
    let answer = handle(&mut agent, &message(&Ask { level: unsigned, ..ASK }), 1).unwrap();
    let (_, security) = parse(&answer).unwrap();
    let scoped = security.scoped(&answer, false).unwrap();
    assert_eq!(scoped.pdu.status, ErrorStatus::AuthorizationError as i32);
    // PDUs that no agent takes.
    let (kind, name, _) = answer_to(&mut agent, &Ask { kind: PduKind::Trap, ..ASK }, 1);
    assert_eq!((kind, &name[..]), (PduKind::Report, UNKNOWN_HANDLER.object));
    // A signature that is wrong by a bit.
    let mut wrong = message(&ASK);
    let (_, security) = parse(&wrong).unwrap();
    wrong[security.user.end + 5] ^= 1;
    let (_, name, _) = open(handle(&mut agent, &wrong, 1).unwrap(), &users()[0].keys);
    assert_eq!(name, WRONG_DIGEST.object);
    assert_eq!(agent.state().counts.get(Counter::WrongDigests), 1);
}

/// [3414-2]
#[test]
fn messages_out_of_the_time_window_are_refused() {
    let mut agent = agent(3);
    assert_eq!(answer_to(&mut agent, &ASK, 1000).0, PduKind::Response);
    let at = |agent: &mut Agent<'_>, time, now| answer_to(agent, &Ask { time, ..ASK }, now).0;
    assert_eq!(at(&mut agent, 0, 1150), PduKind::Response);
    assert_eq!(at(&mut agent, 0, 1151), PduKind::Report);
    assert_eq!(at(&mut agent, 151, 1151), PduKind::Response);
    assert_eq!(at(&mut agent, 302, 1151), PduKind::Report);
    assert_eq!(agent.state().counts.get(Counter::NotInTimeWindows), 2);
    // The boots are latched at their highest number.
    let mut agent = super::tests::agent(LATCHED);
    assert_eq!(answer_to(&mut agent, &Ask { boots: LATCHED, ..ASK }, 1).0, PduKind::Report);
}

/// [3412-1]
#[test]
fn contradicting_headers_are_dropped() {
    let mut agent = agent(3);
    let good = message(&Ask { level: SecurityLevel::AuthNoPriv, ..ASK });
    let flags = good.windows(3).position(|window| window == [4, 1, 5]).unwrap() + 2;
    let mut wrong = good.clone();
    wrong[flags] = 6;
    assert_eq!(handle(&mut agent, &wrong, 1), None);
    let encrypted = message(&ASK);
    let flags = encrypted.windows(3).position(|window| window == [4, 1, 7]).unwrap() + 2;
    let mut wrong = encrypted.clone();
    wrong[flags] = 6;
    assert_eq!(handle(&mut agent, &wrong, 1), None);
    let mut wrong = good.clone();
    wrong[flags + 3] = 9;
    assert_eq!(handle(&mut agent, &wrong, 1), None);
    assert_eq!(agent.state().counts.get(Counter::UnknownSecurityModels), 1);
    assert_eq!(handle(&mut agent, &message(&Ask { max_size: 483, ..ASK }), 1), None);
    assert!(handle(&mut agent, &message(&Ask { max_size: 484, ..ASK }), 1).is_some());
    assert_eq!(agent.state().counts.get(Counter::InvalidMessages), 2);
    assert_eq!(agent.state().counts.get(Counter::InAsnParseErrors), 1);
}

/// CVE-2026-8836 and its kind: parameters that are longer than any place for them. [3414-5]
#[test]
fn parameters_of_any_length_do_no_harm() {
    let mut agent = agent(3);
    for (engine, user, signature, salt) in [
        (33, 5, 12, 8),
        (300, 5, 12, 8),
        (11, 33, 12, 8),
        (11, 1000, 12, 8),
        (11, 5, 49, 8),
        (11, 5, 1000, 8),
        (11, 5, 0, 0),
        (11, 5, 12, 9),
        (11, 5, 12, 1000),
        (0, 0, 0, 0),
    ] {
        let mut buffer = [0; 4000];
        let mut writer = Writer::new(&mut buffer);
        let end = writer.mark();
        writer.octets(&[0; 32]);
        let parameters = writer.mark();
        writer.octets(&std::vec![1; salt]);
        writer.octets(&std::vec![2; signature]);
        let mut name = b"admin".to_vec();
        name.resize(user, b'x');
        writer.octets(&name);
        writer.integer(0);
        writer.integer(4);
        let mut own = id().as_bytes().to_vec();
        own.resize(engine, 0);
        writer.octets(&own);
        writer.close(tag::SEQUENCE, parameters);
        writer.close(tag::OCTET_STRING, parameters);
        let header = writer.mark();
        writer.integer(3);
        writer.octets(&[7]);
        writer.integer(1472);
        writer.integer(5);
        writer.close(tag::SEQUENCE, header);
        writer.integer(3);
        writer.close(tag::SEQUENCE, end);
        let message = writer.written().to_vec();
        let before = agent.state().counts.get(Counter::OutGetResponses);
        if let Some(answer) = handle(&mut agent, &message, 1) {
            assert_eq!(open(answer, &users()[0].keys).0, PduKind::Report);
        }
        assert_eq!(agent.state().counts.get(Counter::OutGetResponses), before);
    }
}

proptest! {
    /// Whatever is changed in a signed message, it is not obeyed.
    #[test]
    fn a_changed_message_is_not_obeyed(
        user in 0..2_usize, place: prop::sample::Index, change in 1..=255_u8, cut: prop::sample::Index, cutting: bool,
    ) {
        let mut agent = agent(3);
        let mut message = message(&Ask { user, ..ASK });
        if cutting {
            message.truncate(cut.index(message.len()));
        } else {
            let place = place.index(message.len());
            message[place] ^= change;
        }
        let answer = handle(&mut agent, &message, 1);
        let counts = &agent.state().counts;
        prop_assert_eq!(counts.get(Counter::InGetNexts), 0);
        if let Some(answer) = answer {
            prop_assert!(parse(&answer).is_ok());
            prop_assert_eq!(counts.get(Counter::OutPackets), 1);
        }
    }
}
