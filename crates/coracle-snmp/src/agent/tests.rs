use super::*;
use crate::ber::tag;
use crate::mib::{Column, Context, Node, Output, Row, Rows, Scalars, Table, Tree};
use crate::{Binding, Oid, OidRef, Value};
use coracle::Instant;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::string::{String, ToString};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::vec::Vec;
use std::{format, vec};

/// A response: its error and variables, as text.
#[derive(Debug, PartialEq)]
struct Reply {
    status: i32,
    index: i32,
    variables: Vec<(Vec<u32>, String)>,
}

fn ask_sized(
    agent: &mut Agent<'_>,
    (version, community): (Version, &str),
    kind: PduKind,
    numbers: (i32, i32),
    bindings: &[Binding<'_>],
    size: usize,
) -> Option<Reply> {
    let mut out = [0; 8000];
    let numbers = (77, numbers.0, numbers.1);
    let request =
        CommunityMessage::write(&mut out, version, community.as_bytes(), kind, numbers, bindings).unwrap();
    let mut request = request.to_vec();
    let mut buffer = vec![0; size];
    let from = "192.0.2.9:5000".parse().unwrap();
    let answer = agent.handle(&mut request, from, Instant::from_secs(1), &mut buffer)?;
    let message = Message::open(answer).unwrap();
    assert_eq!(message.version, version as i32);
    let message = CommunityMessage::read(message.body).unwrap();
    assert_eq!(message.community, community.as_bytes());
    assert_eq!((message.pdu.kind, message.pdu.request_id), (PduKind::Response, 77));
    let variables = message.pdu.bindings.into_iter();
    let variables = variables
        .map(|binding| (binding.name.to_oid().arcs().to_vec(), format!("{:?}", binding.value)))
        .collect();
    Some(Reply { status: message.pdu.status, index: message.pdu.index, variables })
}

fn ask(
    agent: &mut Agent<'_>,
    version: Version,
    kind: PduKind,
    numbers: (i32, i32),
    bindings: &[Binding<'_>],
) -> Reply {
    ask_sized(agent, (version, "secret"), kind, numbers, bindings, 1472).expect("an answer")
}

fn names<'a>(names: &[&'a [u32]]) -> Vec<Binding<'a>> {
    names.iter().map(|name| Binding::new(name, Value::Null)).collect()
}

const COMMUNITIES: &[Community<'_>] = &[Community::new("public", READ), Community::new("secret", WRITE)];

/// A table whose rows a map has: one column of numbers, one that is long and sparse.
struct Map(BTreeMap<Vec<u32>, i32>, AtomicUsize);

impl Map {
    fn row(&self, number: usize) -> &i32 {
        self.0.values().nth(number).unwrap()
    }
}

impl Rows for Map {
    fn find(&self, _cx: &Context<'_>, index: &[u32]) -> Option<Row> {
        self.0.keys().position(|key| key == index).map(Row)
    }

    fn next(&self, _cx: &Context<'_>, after: &[u32], index: &mut Oid) -> Option<Row> {
        let (key, _) = self.0.iter().find(|(key, _)| key.as_slice() > after)?;
        index.extend(key).ok()?;
        self.0.keys().position(|other| other == key).map(Row)
    }

    fn read(&self, _cx: &Context<'_>, row: Row, column: u32, out: &mut Output<'_, '_>) {
        self.1.fetch_add(1, Ordering::Relaxed);
        let value = *self.row(row.0);
        match column {
            3 if value % 2 == 0 => out.counter64(u64::try_from(value).unwrap()),
            3 => {}
            _ => out.integer(value),
        }
    }
}

const ONE: &[Column] = &[Column::integer(1)];
const MAP: &[Column] = &[Column::integer(1), Column::counter64(3), Column::integer(4)];

proptest! {
    /// Every walk of a tree is the sorted list of its instances, by GETNEXT and by GETBULK alike [3416-3] [3416-4].
    #[test]
    fn walks_are_in_lexicographic_order(
        tables in proptest::collection::vec(
            proptest::collection::btree_map(proptest::collection::vec(0_u32..4, 1..4), 0..9_i32, 0..6), 1..6),
        repetitions in 1..9_i32, size in 484..1472_usize,
    ) {
        let maps: Vec<Map> = tables.iter().map(|rows| Map(rows.clone(), AtomicUsize::new(0))).collect();
        let prefixes: Vec<[u32; 4]> = (0..maps.len()).map(|number| [1, 3, number as u32 / 2, number as u32 % 2]).collect();
        let nodes: Vec<Node<'_>> =
            maps.iter().zip(&prefixes).map(|(map, prefix)| Node::new(prefix, MAP, map)).collect();
        // The parts interleave.
        let (even, odd): (Vec<_>, Vec<_>) = nodes.iter().enumerate().partition(|(number, _)| number % 2 == 0);
        let even: Vec<_> = even.into_iter().map(|(_, node)| *node).collect();
        let odd: Vec<_> = odd.into_iter().map(|(_, node)| *node).collect();
        let parts = [&odd[..], &even[..]];
        let mut expected = vec![];
        for (prefix, rows) in prefixes.iter().zip(&tables) {
            for column in [1, 3, 4] {
                for (index, value) in rows {
                    if column != 3 || value % 2 == 0 {
                        expected.push([&prefix[..], &[column], index].concat());
                    }
                }
            }
        }
        expected.sort();
        let mut agent = Agent::new(Setup::new(Tree::new(&parts).unwrap()).communities(COMMUNITIES));

        let (mut walked, mut at) = (vec![], vec![0, 0]);
        loop {
            let reply = ask(&mut agent, Version::V2c, PduKind::GetNext, (0, 0), &names(&[&at]));
            let (name, value) = reply.variables.into_iter().next().unwrap();
            if value == "EndOfMibView" {
                prop_assert_eq!(name, at);
                break;
            }
            let same = ask(&mut agent, Version::V2c, PduKind::Get, (0, 0), &names(&[&name]));
            prop_assert_eq!(&same.variables[0].1, &value);
            at.clone_from(&name);
            walked.push(name);
        }
        prop_assert_eq!(&walked, &expected);

        let (mut walked, mut at) = (vec![], vec![0, 0]);
        'bulk: loop {
            let request = names(&[&at]);
            let secret = (Version::V2c, "secret");
            let reply =
                ask_sized(&mut agent, secret, PduKind::GetBulk, (0, repetitions), &request, size).unwrap();
            prop_assert!(!reply.variables.is_empty());
            prop_assert!(reply.variables.len() <= repetitions.unsigned_abs() as usize);
            for (name, value) in reply.variables {
                if value == "EndOfMibView" {
                    break 'bulk;
                }
                at.clone_from(&name);
                walked.push(name);
            }
        }
        prop_assert_eq!(walked, expected);
    }

    /// Malformed messages of all sorts are dropped and counted, or answered; what is answered is well-formed.
    #[test]
    fn mutated_messages_do_no_harm(
        kind in 0..4_usize, version in 0..2, place: prop::sample::Index, byte: u8, cut: prop::sample::Index,
        cutting: bool, bulk in -1..400_i32,
    ) {
        let kinds = [PduKind::Get, PduKind::GetNext, PduKind::GetBulk, PduKind::Set];
        let rows = Sorted(300);
        let rows = rows.rows();
        let nodes = [Node::new(&[1, 3, 6, 1, 2], ONE, &rows)];
        let parts = [&nodes[..]];
        let mut agent = Agent::new(Setup::new(Tree::new(&parts).unwrap()).communities(COMMUNITIES));
        let version = if version == 0 { Version::V1 } else { Version::V2c };
        let bindings = [
            Binding::new(&[1, 3, 6, 1, 2, 1, 7], Value::Integer(4)),
            Binding::new(&[1, 3, 6, 1, 2, 1, 9], Value::Oid(OidRef::new(&[1, 3, 70_000]))),
        ];
        let mut out = [0; 500];
        let request =
            CommunityMessage::write(&mut out, version, b"secret", kinds[kind], (1, 1, bulk), &bindings).unwrap();
        let mut request = request.to_vec();
        let place = place.index(request.len());
        request[place] = byte;
        if cutting {
            request.truncate(cut.index(request.len()));
        }
        let mut buffer = [0; 600];
        let from = "192.0.2.9:5000".parse().unwrap();
        let answer = agent.handle(&mut request, from, Instant::ZERO, &mut buffer).map(<[u8]>::to_vec);
        let counts = &agent.state().counts;
        if let Some(answer) = answer {
            let message = Message::open(&answer).unwrap();
            prop_assert!(CommunityMessage::read(message.body).is_ok());
            prop_assert_eq!(counts.get(Counter::OutPackets), 1);
        } else {
            let reasons = [
                Counter::InAsnParseErrors, Counter::InBadVersions, Counter::InBadCommunityNames,
                Counter::UnknownPduHandlers,
            ];
            prop_assert_eq!(reasons.iter().map(|reason| counts.get(*reason)).sum::<u32>(), 1);
        }
        prop_assert_eq!(counts.get(Counter::InPackets), 1);
    }
}

/// Ten thousand rows, or so, that are in order.
struct Sorted(usize);

static LOOKED_AT: AtomicUsize = AtomicUsize::new(0);

impl Table for Sorted {
    fn len(&self, _cx: &Context<'_>) -> usize {
        self.0
    }

    fn index(&self, _cx: &Context<'_>, place: usize, index: &mut Oid) -> bool {
        if self.0 == 10_000 {
            LOOKED_AT.fetch_add(1, Ordering::Relaxed);
        }
        index.push(place as u32 * 3).is_ok()
    }

    fn read(&self, _cx: &Context<'_>, place: usize, _column: u32, out: &mut Output<'_, '_>) {
        out.integer(i32::try_from(place).unwrap());
    }

    fn is_sorted(&self) -> bool {
        true
    }
}

#[test]
fn a_walk_of_ten_thousand_rows_takes_logarithmic_steps() {
    let rows = Sorted(10_000).rows();
    let nodes = [Node::new(&[1, 3], ONE, &rows)];
    let parts = [&nodes[..]];
    let mut agent = Agent::new(Setup::new(Tree::new(&parts).unwrap()).communities(COMMUNITIES));
    let mut at = vec![0, 0];
    let mut count = 0;
    loop {
        let reply = ask(&mut agent, Version::V2c, PduKind::GetBulk, (0, 50), &names(&[&at]));
        let found = reply.variables.iter().filter(|(_, value)| value != "EndOfMibView").count();
        count += found;
        if found < reply.variables.len() {
            break;
        }
        at.clone_from(&reply.variables.last().unwrap().0);
    }
    assert_eq!(count, 10_000);
    let steps = LOOKED_AT.load(Ordering::Relaxed);
    assert!(steps < 10_000 * 18, "{steps}");
    let reply =
        ask(&mut agent, Version::V2c, PduKind::Get, (0, 0), &names(&[&[1, 3, 1, 29_997], &[1, 3, 1, 1]]));
    assert_eq!(reply.variables[0].1, "Integer(9999)");
    assert_eq!(reply.variables[1].1, "NoSuchInstance");
}

/// Three numbers that can be set: the third refuses to be committed, or undone, at will.
#[derive(Default)]
struct Settable {
    values: Mutex<[i32; 3]>,
    undo_fails: bool,
}

impl crate::mib::Writable for Settable {
    fn read(&self, _cx: &Context<'_>, id: u32, out: &mut Output<'_, '_>) {
        out.integer(self.values.lock().unwrap()[id as usize - 1]);
    }

    fn test(&self, _cx: &Context<'_>, _id: u32, value: &Value<'_>) -> Result<(), ErrorStatus> {
        if matches!(value, Value::Integer(0..100)) { Ok(()) } else { Err(ErrorStatus::WrongValue) }
    }

    fn commit(&self, _cx: &Context<'_>, id: u32, value: &Value<'_>) -> Result<(), ErrorStatus> {
        let Value::Integer(new) = value else { return Err(ErrorStatus::WrongType) };
        let mut values = self.values.lock().unwrap();
        if id == 3 && *new == 13 || self.undo_fails && *new == 0 {
            return Err(ErrorStatus::ResourceUnavailable);
        }
        values[id as usize - 1] = *new;
        Ok(())
    }
}

const SETTABLE: &[Column] = &[
    Column::writable(1, tag::INTEGER),
    Column::writable(2, tag::INTEGER),
    Column::writable(3, tag::INTEGER),
];

fn with_settable<T>(undo_fails: bool, run: impl FnOnce(&mut Agent<'_>, &dyn Fn() -> [i32; 3]) -> T) -> T {
    use crate::mib::Writable;
    let rows = Settable { undo_fails, ..Settable::default() }.rows();
    let fixed = Scalars(|_: &Context<'_>, _: u32, out: &mut Output<'_, '_>| out.octets(&[7; 100]));
    let nodes = [
        Node::new(&[1, 3, 1], SETTABLE, &rows),
        Node::new(&[1, 3, 2], const { &[Column::octets(1), Column::octets(2)] }, &fixed),
    ];
    let parts = [&nodes[..]];
    let mut agent = Agent::new(Setup::new(Tree::new(&parts).unwrap()).communities(COMMUNITIES));
    run(&mut agent, &|| *rows.0.values.lock().unwrap())
}

fn set(oid: &[u32], value: i32) -> Binding<'_> {
    Binding::new(oid, Value::Integer(value))
}

/// [3416-5]
#[test]
fn a_set_that_half_fails_changes_nothing() {
    with_settable(false, |agent, values| {
        let good = [set(&[1, 3, 1, 1, 0], 1), set(&[1, 3, 1, 2, 0], 2)];
        let reply = ask(agent, Version::V2c, PduKind::Set, (0, 0), &good);
        assert_eq!((reply.status, reply.index, reply.variables.len()), (0, 0, 2));
        assert_eq!(reply.variables[1], (vec![1, 3, 1, 2, 0], "Integer(2)".to_string()));
        assert_eq!(values(), [1, 2, 0]);
        // The test of the second fails.
        let bad = [set(&[1, 3, 1, 1, 0], 5), set(&[1, 3, 1, 2, 0], 100)];
        let reply = ask(agent, Version::V2c, PduKind::Set, (0, 0), &bad);
        assert_eq!((reply.status, reply.index), (ErrorStatus::WrongValue as i32, 2));
        assert_eq!(ask(agent, Version::V1, PduKind::Set, (0, 0), &bad).status, ErrorStatus::BadValue as i32);
        // Setting the third fails.
        let bad = [set(&[1, 3, 1, 1, 0], 5), set(&[1, 3, 1, 2, 0], 6), set(&[1, 3, 1, 3, 0], 13)];
        let reply = ask(agent, Version::V2c, PduKind::Set, (0, 0), &bad);
        assert_eq!((reply.status, reply.index), (ErrorStatus::CommitFailed as i32, 3));
        assert_eq!(values(), [1, 2, 0]);
    });
    with_settable(true, |agent, values| {
        let bad = [set(&[1, 3, 1, 1, 0], 5), set(&[1, 3, 1, 3, 0], 13)];
        let reply = ask(agent, Version::V2c, PduKind::Set, (0, 0), &bad);
        assert_eq!((reply.status, reply.index), (ErrorStatus::UndoFailed as i32, 0));
        assert_eq!(values(), [5, 0, 0]);
    });
}

/// [3416-5]
#[test]
fn errors_of_set_are_told_in_their_order() {
    with_settable(false, |agent, values| {
        let cases: [(&[u32], Value<'_>, ErrorStatus); 6] = [
            (&[1, 3, 1, 1, 0], Value::Octets(b"x"), ErrorStatus::WrongType),
            (&[1, 3, 1, 1, 1], Value::Integer(1), ErrorStatus::NoCreation),
            (&[1, 3, 1, 4, 0], Value::Integer(1), ErrorStatus::NotWritable),
            (&[1, 3, 2, 1, 0], Value::Octets(b"x"), ErrorStatus::NotWritable),
            (&[1, 9], Value::Integer(1), ErrorStatus::NotWritable),
            (&[2, 9], Value::Integer(1), ErrorStatus::NoAccess),
        ];
        for (oid, value, error) in cases {
            let request = [set(&[1, 3, 1, 2, 0], 9), Binding::new(oid, value)];
            let reply = ask(agent, Version::V2c, PduKind::Set, (0, 0), &request);
            assert_eq!((reply.status, reply.index), (error as i32, 2), "{oid:?}");
            let reply = ask(agent, Version::V1, PduKind::Set, (0, 0), &request);
            assert_eq!((reply.status, reply.index), (error.for_v1() as i32, 2), "{oid:?}");
        }
        assert_eq!(values(), [0; 3]);
        // A community that may only read.
        let request = [set(&[1, 3, 1, 2, 0], 9)];
        let reply = ask_sized(agent, (Version::V2c, "public"), PduKind::Set, (0, 0), &request, 600).unwrap();
        assert_eq!((reply.status, reply.index), (ErrorStatus::NoAccess as i32, 1));
        assert_eq!(agent.state().counts.get(Counter::InBadCommunityUses), 1);
        assert_eq!(values(), [0; 3]);
    });
}

/// [3416-2]
#[test]
fn what_is_missing_is_told_in_the_words_of_the_version() {
    with_settable(false, |agent, _| {
        let request = names(&[&[1, 3, 1, 1, 0], &[1, 3, 1, 1, 1], &[1, 3, 1, 9, 0], &[1, 4]]);
        let reply = ask(agent, Version::V2c, PduKind::Get, (0, 0), &request);
        assert_eq!(reply.status, 0);
        let values: Vec<_> = reply.variables.iter().map(|(_, value)| value.as_str()).collect();
        assert_eq!(values, ["Integer(0)", "NoSuchInstance", "NoSuchObject", "NoSuchObject"]);
        let reply = ask(agent, Version::V1, PduKind::Get, (0, 0), &request);
        assert_eq!((reply.status, reply.index), (ErrorStatus::NoSuchName as i32, 2));
        assert_eq!(reply.variables.len(), 4);
        let reply = ask(agent, Version::V1, PduKind::GetNext, (0, 0), &names(&[&[1, 3, 2, 2, 0]]));
        assert_eq!((reply.status, reply.index), (ErrorStatus::NoSuchName as i32, 1));
    });
}

/// [3416-6]
#[test]
fn an_answer_that_does_not_fit_is_too_big() {
    with_settable(false, |agent, values| {
        let many: Vec<&[u32]> = vec![&[1, 3, 2, 1, 0]; 5];
        let secret = (Version::V2c, "secret");
        let reply = ask_sized(agent, secret, PduKind::Get, (0, 0), &names(&many), 484).unwrap();
        assert_eq!((reply.status, reply.index), (ErrorStatus::TooBig as i32, 0));
        assert!(reply.variables.is_empty());
        let v1 = (Version::V1, "secret");
        let reply = ask_sized(agent, v1, PduKind::Get, (0, 0), &names(&many), 484).unwrap();
        assert_eq!((reply.status, reply.variables.len()), (ErrorStatus::TooBig as i32, 5));
        // A SET whose answer does not fit does nothing.
        let many = vec![set(&[1, 3, 1, 1, 0], 9); 60];
        let reply = ask_sized(agent, secret, PduKind::Set, (0, 0), &many, 484).unwrap();
        assert_eq!(reply.status, ErrorStatus::TooBig as i32);
        assert_eq!(values(), [0; 3]);
        // In version 1 the answer would have the variables, so there is none.
        assert_eq!(ask_sized(agent, v1, PduKind::Set, (0, 0), &many, 484), None);
        assert_eq!(ask_sized(agent, secret, PduKind::Get, (0, 0), &names(&[&[1, 3]]), 20), None);
        assert_eq!(agent.state().counts.get(Counter::SilentDrops), 1);
        assert_eq!(agent.state().counts.get(Counter::OutTooBigs), 3);
    });
}

/// [3416-4]
#[test]
fn a_bulk_request_repeats_and_ends() {
    with_settable(false, |agent, _| {
        let request = names(&[&[1, 3, 1], &[1, 3, 1, 2], &[1, 3, 2]]);
        let bulk = |agent: &mut Agent<'_>, once, times| {
            let reply = ask(agent, Version::V2c, PduKind::GetBulk, (once, times), &request);
            assert_eq!(reply.status, 0);
            reply.variables.into_iter().map(|(name, _)| name[2..].to_vec()).collect::<Vec<_>>()
        };
        assert_eq!(bulk(agent, 1, 2), [[1, 1, 0], [1, 2, 0], [2, 1, 0], [1, 3, 0], [2, 2, 0]]);
        assert_eq!(bulk(agent, 3, 10).len(), 3);
        assert_eq!(bulk(agent, 9, 10).len(), 3);
        assert_eq!(bulk(agent, 2, 0).len(), 2);
        assert!(bulk(agent, 0, 0).is_empty());
        // Negative numbers are zero.
        assert_eq!(bulk(agent, -5, 1).len(), 3);
        assert!(bulk(agent, 0, -1).is_empty());
        // It ends when all have ended.
        let reply = ask(agent, Version::V2c, PduKind::GetBulk, (0, i32::MAX), &names(&[&[1, 3, 1, 3]]));
        assert_eq!(reply.variables.len(), 4);
        assert_eq!(reply.variables[3].1, "EndOfMibView");
    });
}

/// [3416-8]
#[test]
fn strangers_are_not_answered_but_counted() {
    with_settable(false, |agent, _| {
        let request = names(&[&[1, 3, 1, 1, 0]]);
        for (who, kind) in [
            ((Version::V2c, "guess"), PduKind::Get),
            ((Version::V2c, "public"), PduKind::Trap),
            ((Version::V1, "public"), PduKind::GetBulk),
            ((Version::V3, "public"), PduKind::Get),
        ] {
            assert_eq!(ask_sized(agent, who, kind, (0, 0), &request, 600), None);
        }
        let counts = &agent.state().counts;
        assert_eq!(counts.get(Counter::InBadCommunityNames), 1);
        assert_eq!(counts.get(Counter::UnknownPduHandlers), 2);
        assert_eq!((counts.get(Counter::InPackets), counts.get(Counter::OutPackets)), (4, 0));
    });
}

#[test]
fn long_counters_are_passed_over_in_version_1() {
    let map = Map(BTreeMap::from([(vec![1], 2)]), AtomicUsize::new(0));
    let nodes = [Node::new(&[1, 3], MAP, &map)];
    let parts = [&nodes[..]];
    let mut agent = Agent::new(Setup::new(Tree::new(&parts).unwrap()).communities(COMMUNITIES));
    let next = |agent: &mut Agent<'_>, version| {
        ask(agent, version, PduKind::GetNext, (0, 0), &names(&[&[1, 3, 1, 1]])).variables[0].clone()
    };
    assert_eq!(next(&mut agent, Version::V2c), (vec![1, 3, 3, 1], "Counter64(2)".to_string()));
    assert_eq!(next(&mut agent, Version::V1), (vec![1, 3, 4, 1], "Integer(2)".to_string()));
    let reply = ask(&mut agent, Version::V1, PduKind::Get, (0, 0), &names(&[&[1, 3, 3, 1]]));
    assert_eq!(reply.status, ErrorStatus::NoSuchName as i32);
}

#[test]
fn a_view_hides_without_a_look_at_every_row() {
    let map = Map((0..1000).map(|row| (vec![row], 1)).collect(), AtomicUsize::new(0));
    let last = Scalars(|_: &Context<'_>, _: u32, out: &mut Output<'_, '_>| out.integer(9));
    let columns = [Column::integer(1)];
    let nodes = [Node::new(&[1, 3, 1], &columns, &map), Node::new(&[1, 3, 2], &columns, &last)];
    let parts = [&nodes[..]];
    let families = [Family::included("v", &[1, 3]), Family::excluded("v", &[1, 3, 1, 1])];
    let grants = [Grant::read(READ, SecurityModel::Any, SecurityLevel::NoAuthNoPriv, "v")];
    let mut setup = Setup::new(Tree::new(&parts).unwrap()).communities(COMMUNITIES);
    setup.access = Access { grants: &grants, families: &families };
    let mut agent = Agent::new(setup);
    let public = (Version::V2c, "public");
    let reply = ask_sized(&mut agent, public, PduKind::GetNext, (0, 0), &names(&[&[1, 3]]), 600).unwrap();
    assert_eq!(reply.variables, [(vec![1, 3, 2, 1, 0], "Integer(9)".to_string())]);
    assert_eq!(map.1.load(Ordering::Relaxed), 0);
    let reply =
        ask_sized(&mut agent, public, PduKind::Get, (0, 0), &names(&[&[1, 3, 1, 1, 5]]), 600).unwrap();
    assert_eq!(reply.variables[0].1, "NoSuchObject");
    // The group of the other community has no rights at all.
    assert_eq!(ask_sized(&mut agent, (Version::V2c, "secret"), PduKind::Get, (0, 0), &[], 600), None);
    assert_eq!(agent.state().counts.get(Counter::InBadCommunityUses), 1);
}

/// CVE-2020-12141, CVE-2020-14934 to -14937, CVE-2024-41125, CVE-2024-41126: tiny messages, long identifiers, more
/// variables than anybody reads, answers that would outgrow the buffer, a byte after an identifier at the end.
/// CVE-2026-102718: a length of several bytes inside of an identifier.
#[test]
fn probes_of_other_agents_flaws() {
    with_settable(false, |agent, _| {
        let mut buffer = [0; 484];
        let from = "192.0.2.9:5000".parse().unwrap();
        for message in [&[][..], &[0x30], &[0x30, 0x82], &[0x30, 0], &[2, 1, 1]] {
            assert_eq!(agent.handle(&mut message.to_vec(), from, Instant::ZERO, &mut buffer), None);
        }
        assert_eq!(agent.state().counts.get(Counter::InAsnParseErrors), 5);
        let reply = ask(agent, Version::V2c, PduKind::GetNext, (0, 0), &names(&[&[1; 128]]));
        assert_eq!(reply.variables[0].0, [1, 3, 1, 1, 0]);
        let many: Vec<&[u32]> = vec![&[1, 3, 1, 1, 0]; 500];
        let reply = ask_sized(agent, (Version::V2c, "secret"), PduKind::GetNext, (0, 0), &names(&many), 8000);
        assert_eq!(reply.unwrap().variables.len(), 500);
        let reply =
            ask_sized(agent, (Version::V2c, "secret"), PduKind::GetBulk, (0, 1000), &names(&many), 484);
        assert!(reply.unwrap().variables.len() < 40);
        // The identifier ends in the middle of an arc; a length inside of it has many bytes.
        for oid in [&b"\x06\x03\x2b\x06\x81"[..], b"\x06\x84\x00\x00\x00\x03\x2b\x06\x81"] {
            let mut message = b"\x30\x00\x02\x01\x01\x04\x06secret\xa0\x00\x02\x01\x07\x02\x01\x00\x02\x01\x00\x30\x00\x30\x00".to_vec();
            message.extend(oid);
            message.extend([5, 0]);
            let len = message.len();
            message[1] = (len - 2) as u8;
            message[14] = (len - 15) as u8;
            message[25] = (len - 26) as u8;
            message[27] = (len - 28) as u8;
            assert_eq!(agent.handle(&mut message, from, Instant::ZERO, &mut buffer), None);
        }
        assert_eq!(agent.state().counts.get(Counter::InAsnParseErrors), 7);
    });
}

/// [3418-1]: the counters of the snmp group agree with what happened, as a manager sees them, and so does the time.
#[test]
fn the_snmp_group_tells_what_happened() {
    let mut agent = Agent::new(Setup::new(Tree::new(crate::standard::ALL).unwrap()).communities(COMMUNITIES));
    let count = |agent: &mut Agent<'_>, arc: u32| {
        let name = [1, 3, 6, 1, 2, 1, 11, arc, 0];
        ask(agent, Version::V2c, PduKind::Get, (0, 0), &names(&[&name])).variables[0].1.clone()
    };
    // The question counts already, the answer does not yet.
    assert_eq!(count(&mut agent, 1), "Counter32(1)");
    assert_eq!(count(&mut agent, 2), "Counter32(1)");
    ask_sized(&mut agent, (Version::V2c, "guess"), PduKind::Get, (0, 0), &[], 600);
    assert_eq!(count(&mut agent, 4), "Counter32(1)");
    ask(&mut agent, Version::V1, PduKind::GetNext, (0, 0), &names(&[&[1, 9], &[1, 9]]));
    assert_eq!(count(&mut agent, 21), "Counter32(1)");
    assert_eq!(count(&mut agent, 16), "Counter32(1)");
    assert_eq!(count(&mut agent, 15), "Counter32(6)");
    assert_eq!(count(&mut agent, 1), "Counter32(9)");
    // What was set is as it was set, and the traps of wrong communities are off until somebody turns them on.
    assert_eq!(count(&mut agent, 30), "Integer(2)");
    let on = [set(&[1, 3, 6, 1, 2, 1, 11, 30, 0], 1)];
    assert_eq!(ask(&mut agent, Version::V2c, PduKind::Set, (0, 0), &on).status, 0);
    assert_eq!(count(&mut agent, 30), "Integer(1)");

    let time = |agent: &mut Agent<'_>, now| {
        let mut out = [0; 200];
        let uptime = [Binding::new(&[1, 3, 6, 1, 2, 1, 1, 3, 0], Value::Null)];
        let numbers = (1, 0, 0);
        let request =
            CommunityMessage::write(&mut out, Version::V2c, b"public", PduKind::Get, numbers, &uptime)
                .unwrap();
        let mut request = request.to_vec();
        let from = "192.0.2.9:5000".parse().unwrap();
        let mut buffer = [0; 600];
        let answer = agent.handle(&mut request, from, Instant::from_millis(now), &mut buffer).unwrap();
        let message = CommunityMessage::read(Message::open(answer).unwrap().body).unwrap();
        message.pdu.bindings.into_iter().next().map(|binding| format!("{:?}", binding.value)).unwrap()
    };
    // The agent was first called at one second.
    assert_eq!(time(&mut agent, 1_000), "TimeTicks(0)");
    assert_eq!(time(&mut agent, 61_239), "TimeTicks(6023)");
    // It wraps after 497 days.
    assert_eq!(time(&mut agent, 1_000 + 10 * (1 << 32) + 20), "TimeTicks(2)");
}

/// Rows that managers make and remove: a number, and a status [RFC 2579 §2] that makes the row.
#[derive(Default)]
struct Made(Mutex<BTreeMap<Vec<u32>, i32>>);

const NUMBER: u32 = 2;
const STATUS: u32 = 3;
const CREATE_AND_GO: Value<'_> = Value::Integer(4);
const DESTROY: Value<'_> = Value::Integer(6);

impl Made {
    const PREFIX: &'static [u32] = &[1, 3, 6, 1, 4, 1, 99_999, 2, 1];
    const COLUMNS: &'static [Column] =
        &[Column::creatable(NUMBER, tag::INTEGER), Column::creatable(STATUS, tag::INTEGER)];

    /// Whether the request makes the row.
    fn is_made(cx: &Context<'_>, index: &[u32]) -> bool {
        let name = [Self::PREFIX, &[STATUS], index].concat();
        cx.request.into_iter().any(|set| set.name == OidRef::new(&name) && set.value == CREATE_AND_GO)
    }
}

impl Rows for Made {
    fn find(&self, _cx: &Context<'_>, index: &[u32]) -> Option<Row> {
        self.0.lock().unwrap().keys().position(|key| key == index).map(Row)
    }

    fn next(&self, _cx: &Context<'_>, after: &[u32], index: &mut Oid) -> Option<Row> {
        let rows = self.0.lock().unwrap();
        let place = rows.keys().position(|key| key.as_slice() > after)?;
        index.extend(rows.keys().nth(place)?).ok()?;
        Some(Row(place))
    }

    fn read(&self, _cx: &Context<'_>, row: Row, column: u32, out: &mut Output<'_, '_>) {
        let value = *self.0.lock().unwrap().values().nth(row.0).unwrap();
        out.integer(if column == NUMBER { value } else { 1 });
    }

    fn test(
        &self,
        cx: &Context<'_>,
        index: &[u32],
        column: u32,
        value: &Value<'_>,
    ) -> Result<(), ErrorStatus> {
        let there = self.find(cx, index).is_some();
        match (column, *value) {
            _ if index.len() != 1 => Err(ErrorStatus::NoCreation),
            (STATUS, CREATE_AND_GO) if there => Err(ErrorStatus::InconsistentValue),
            (STATUS, CREATE_AND_GO | DESTROY) => Ok(()),
            (STATUS, _) => Err(ErrorStatus::WrongValue),
            _ if there || Self::is_made(cx, index) => Ok(()),
            _ => Err(ErrorStatus::InconsistentName),
        }
    }

    fn commit(
        &self,
        _cx: &Context<'_>,
        index: &[u32],
        column: u32,
        value: &Value<'_>,
    ) -> Result<(), ErrorStatus> {
        let mut rows = self.0.lock().unwrap();
        match (column, *value) {
            (STATUS, DESTROY) => drop(rows.remove(index)),
            (STATUS, _) => drop(rows.entry(index.to_vec()).or_insert(0)),
            // A number that shows what happens when setting fails.
            (_, Value::Integer(13)) => return Err(ErrorStatus::ResourceUnavailable),
            (_, Value::Integer(number)) => drop(rows.insert(index.to_vec(), number)),
            _ => return Err(ErrorStatus::CommitFailed),
        }
        Ok(())
    }

    fn undo(
        &self,
        cx: &Context<'_>,
        index: &[u32],
        column: u32,
        before: Option<&Value<'_>>,
    ) -> Result<(), ErrorStatus> {
        match before {
            None => self.commit(cx, index, STATUS, &DESTROY),
            Some(value) => self.commit(cx, index, column, value),
        }
    }
}

/// [3416-5]
#[test]
fn rows_are_made_and_removed() {
    let rows = Made::default();
    let nodes = [Node::new(Made::PREFIX, Made::COLUMNS, &rows)];
    let parts = [&nodes[..]];
    let mut agent = Agent::new(Setup::new(Tree::new(&parts).unwrap()).communities(COMMUNITIES));
    let name = |column, index| [Made::PREFIX, &[column, index]].concat();
    let mut set = |sets: &[(u32, u32, i32)]| {
        let names: Vec<_> = sets.iter().map(|(column, index, _)| name(*column, *index)).collect();
        let bindings: Vec<_> =
            names.iter().zip(sets).map(|(name, set)| Binding::new(name, Value::Integer(set.2))).collect();
        let reply = ask(&mut agent, Version::V2c, PduKind::Set, (0, 0), &bindings);
        (ErrorStatus::of_number(reply.status).unwrap(), reply.index)
    };
    let there = || rows.0.lock().unwrap().clone();
    assert_eq!(set(&[(NUMBER, 7, 70)]), (ErrorStatus::InconsistentName, 1));
    // The row may be made by a later variable of the same request.
    assert_eq!(set(&[(NUMBER, 7, 70), (STATUS, 7, 4)]), (ErrorStatus::NoError, 0));
    assert_eq!(there(), BTreeMap::from([(vec![7], 70)]));
    assert_eq!(set(&[(STATUS, 7, 4)]), (ErrorStatus::InconsistentValue, 1));
    assert_eq!(set(&[(STATUS, 7, 9)]), (ErrorStatus::WrongValue, 1));
    // A row that was made goes again when the request fails.
    assert_eq!(set(&[(STATUS, 8, 4), (NUMBER, 7, 71), (NUMBER, 8, 13)]), (ErrorStatus::CommitFailed, 3));
    assert_eq!(there(), BTreeMap::from([(vec![7], 70)]));
    assert_eq!(set(&[(STATUS, 7, 6)]), (ErrorStatus::NoError, 0));
    assert!(there().is_empty());
}
