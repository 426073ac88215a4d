use std::collections::HashMap;
use std::string::String;
use std::vec::Vec;
use std::{format, vec};

use coracle_wire::dns::NameBuf;
use proptest::prelude::*;

use super::*;

fn cache(bytes: usize) -> Cache {
    Cache::new(&mut Arena::heap(), bytes, &mut Random::new(&[3; 16])).unwrap()
}

fn name(text: &str) -> NameBuf {
    NameBuf::from_text(text).unwrap()
}

fn at(secs: u64) -> Instant {
    Instant::from_secs(secs)
}

const ADDRESS: &[u8] = &[0, 4, 192, 0, 2, 1];

#[test]
fn facts_live_until_they_expire() {
    let mut cache = cache(1024);
    let host = name("host.test");
    cache.learn(host.name(), kind::A, Fact::Records(ADDRESS), at(60), at(0));
    cache.learn(host.name(), kind::AAAA, Fact::NoData, at(30), at(0));
    let other = name("HOST.test");
    assert_eq!(cache.find(other.name(), kind::A, at(60)), Some(Known::Records(ADDRESS)));
    assert_eq!(cache.find(other.name(), kind::AAAA, at(30)), Some(Known::NoData));
    assert_eq!(cache.find(other.name(), kind::AAAA, at(31)), None);
    assert_eq!(cache.find(other.name(), kind::TXT, at(1)), None);
    assert_eq!(cache.find(host.name(), kind::A, at(61)), None);
}

/// [RFC 2308 §5] that a name does not exist is true for all kinds.
#[test]
fn who_does_not_exist_has_nothing_until_it_exists() {
    let mut cache = cache(1024);
    let host = name("host.test");
    cache.learn(host.name(), kind::A, Fact::Records(ADDRESS), at(60), at(0));
    cache.learn(host.name(), kind::AAAA, Fact::NoName, at(60), at(0));
    assert_eq!(cache.find(host.name(), kind::A, at(1)), Some(Known::NoName));
    cache.learn(host.name(), kind::A, Fact::Records(ADDRESS), at(60), at(0));
    assert_eq!(cache.find(host.name(), kind::A, at(1)), Some(Known::Records(ADDRESS)));
    assert_eq!(cache.find(host.name(), kind::AAAA, at(1)), None);
}

#[test]
fn an_alias_is_found_for_every_kind() {
    let mut cache = cache(1024);
    let (alias, target) = (name("www.test"), name("host.test"));
    let mut data = vec![0, target.wire().len() as u8];
    data.extend(target.wire());
    cache.learn(alias.name(), kind::CNAME, Fact::Records(&data), at(60), at(0));
    assert_eq!(cache.find(alias.name(), kind::AAAA, at(1)), Some(Known::Alias(target.name())));
    assert_eq!(cache.find(alias.name(), kind::CNAME, at(1)), Some(Known::Records(&data)));
}

#[test]
fn the_oldest_gives_way_and_what_is_too_large_is_not_kept() {
    let mut cache = cache(256);
    for number in 0..100 {
        cache.learn(
            name(&format!("host{number}.test")).name(),
            kind::A,
            Fact::Records(ADDRESS),
            at(60),
            at(0),
        );
    }
    let left: Vec<_> = (0..100)
        .filter(|number| cache.find(name(&format!("host{number}.test")).name(), kind::A, at(1)).is_some())
        .collect();
    assert_eq!(left, [96, 97, 98, 99]);
    cache.learn(name("large.test").name(), kind::TXT, Fact::Records(&[0; 60]), at(60), at(0));
    assert_eq!(cache.find(name("large.test").name(), kind::TXT, at(1)), None);
    assert!(cache.find(name("host99.test").name(), kind::A, at(1)).is_some());
    cache.clear();
    assert_eq!(cache.find(name("host99.test").name(), kind::A, at(1)), None);
}

#[test]
fn a_cache_of_nothing_keeps_nothing() {
    let mut cache = cache(0);
    cache.learn(name("a.test").name(), kind::A, Fact::NoName, at(60), at(0));
    assert_eq!(cache.find(name("a.test").name(), kind::A, at(0)), None);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Held against a map: what is found is what was learned last, and the newest is always found.
    #[test]
    fn behaves_like_a_map_that_forgets(
        size in 0..2_000_usize,
        steps in proptest::collection::vec((0..30_u8, 0..60_usize, 1..20_u64, 0..3_u64), 1..300),
    ) {
        let mut cache = cache(size);
        let mut model: HashMap<u8, (Vec<u8>, u64)> = HashMap::new();
        let mut now = 0;
        for (number, len, ttl, passes) in steps {
            now += passes;
            let owner = name(&format!("{}.test", String::from("x").repeat(1 + usize::from(number))));
            let mut data = vec![0, len as u8];
            data.extend(vec![number ^ len as u8; len]);
            cache.learn(owner.name(), kind::TXT, Fact::Records(&data), at(now + ttl), at(now));
            let kept = owner.wire().len() + data.len() <= size / 4;
            prop_assert_eq!(cache.find(owner.name(), kind::TXT, at(now)).is_some(), kept && size >= 64);
            model.insert(number, (data, now + ttl));
            for (&number, (data, expires)) in &model {
                let owner = name(&format!("{}.test", String::from("x").repeat(1 + usize::from(number))));
                if let Some(known) = cache.find(owner.name(), kind::TXT, at(now)) {
                    prop_assert_eq!(known, Known::Records(data));
                    prop_assert!(*expires >= now);
                }
            }
        }
    }
}
