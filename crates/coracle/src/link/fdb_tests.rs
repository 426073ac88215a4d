use super::*;
use crate::random::Random;

const LIFETIME: Duration = Duration::from_mins(5);

struct Bench {
    key: HashKey,
    fdb: Fdb,
    now: Instant,
}

impl Bench {
    fn new(stations: usize) -> Self {
        let fdb = Fdb::new(&mut Arena::heap(), stations).unwrap();
        Self { key: HashKey::new(&mut Random::new(&[1; 16])), fdb, now: Instant::from_secs(1_000) }
    }

    fn learn(&mut self, mac: MacAddr, port: usize) {
        self.fdb.learn(&self.key, 0, mac, Ports::one(port), self.now, LIFETIME);
    }

    fn find(&self, mac: MacAddr) -> Option<Ports> {
        self.find_of(0, mac)
    }

    fn find_of(&self, bridge: usize, mac: MacAddr) -> Option<Ports> {
        self.fdb.find(&self.key, bridge, mac, self.now, LIFETIME)
    }

    fn pass(&mut self, secs: u64) {
        self.now = self.now + Duration::from_secs(secs);
    }
}

fn station(number: u32) -> MacAddr {
    let [a, b, c, d] = number.to_be_bytes();
    MacAddr::new(2, 9, a, b, c, d)
}

#[test]
fn a_station_is_found_behind_the_port_where_it_was_heard_last() {
    let mut bench = Bench::new(4);
    assert_eq!(bench.find(station(1)), None);
    bench.learn(station(1), 3);
    assert_eq!(bench.find(station(1)), Some(Ports::one(3)));
    bench.learn(station(1), 63);
    assert_eq!(bench.find(station(1)), Some(Ports::one(63)));
    // Another bridge's stations are others.
    assert_eq!(bench.find_of(1, station(1)), None);
}

#[test]
fn a_silent_station_is_forgotten_and_one_that_speaks_is_not() {
    let mut bench = Bench::new(4);
    bench.learn(station(1), 1);
    bench.learn(station(2), 2);
    bench.pass(300);
    assert_eq!(bench.find(station(1)), Some(Ports::one(1)));
    bench.learn(station(2), 2);
    bench.pass(1);
    assert_eq!(bench.find(station(1)), None);
    assert_eq!(bench.find(station(2)), Some(Ports::one(2)));
}

#[test]
fn what_the_owner_set_is_neither_forgotten_nor_learned_over() {
    let mut bench = Bench::new(2);
    let ports = Ports::one(1).with(Ports::one(2));
    bench.fdb.set(&bench.key, 0, station(1), ports).unwrap();
    bench.learn(station(1), 5);
    bench.pass(10_000);
    for number in 2..100 {
        bench.learn(station(number), 5);
    }
    assert_eq!(bench.find(station(1)), Some(ports));
    // A learned entry gives way to it, another of its kind does not.
    bench.fdb.set(&bench.key, 0, station(200), Ports::NONE).unwrap();
    assert_eq!(bench.fdb.set(&bench.key, 0, station(201), Ports::NONE), Err(Error::Memory));
    assert_eq!(bench.find(station(200)), Some(Ports::NONE));
    bench.learn(station(3), 5);
    assert_eq!(bench.find(station(3)), None);
    assert_eq!(bench.fdb.unset(&bench.key, 0, station(1)), Ok(()));
    assert_eq!(bench.fdb.unset(&bench.key, 0, station(1)), Err(Error::Value));
    bench.learn(station(3), 5);
    assert_eq!(bench.fdb.unset(&bench.key, 0, station(3)), Err(Error::Value));
}

#[test]
fn a_port_that_floods_pushes_out_its_own() {
    let mut bench = Bench::new(64);
    for number in 0..16 {
        bench.learn(station(number), 1);
    }
    for number in 100..10_000 {
        bench.learn(station(number), 2);
    }
    let kept = (0..16).filter(|&number| bench.find(station(number)).is_some()).count();
    assert!(kept >= 8, "{kept} of 16 kept");
    assert_eq!(bench.find(station(9_999)), Some(Ports::one(2)));
}

#[test]
fn what_is_too_old_gives_way_first() {
    let mut bench = Bench::new(8);
    for number in 0..4 {
        bench.learn(station(number), 1);
    }
    bench.pass(200);
    for number in 4..8 {
        bench.learn(station(number), 1);
    }
    bench.pass(150);
    for number in 8..12 {
        bench.learn(station(number), 1);
    }
    assert!((4..12).all(|number| bench.find(station(number)).is_some()));
}

#[test]
fn ports_and_bridges_that_go_take_their_stations_along() {
    let mut bench = Bench::new(8);
    bench.learn(station(1), 1);
    bench.learn(station(2), 2);
    let both = Ports::one(1).with(Ports::one(2));
    bench.fdb.set(&bench.key, 0, station(3), both).unwrap();
    bench.fdb.learn(&bench.key, 9, station(4), Ports::one(3), bench.now, LIFETIME);
    bench.fdb.forget_port(&bench.key, Ports::one(1));
    assert_eq!(bench.find(station(1)), None);
    assert_eq!(bench.find(station(3)), Some(Ports::one(2)));
    bench.fdb.forget_bridge(&bench.key, 0);
    assert_eq!(bench.find(station(2)), None);
    assert_eq!(bench.find_of(9, station(4)), Some(Ports::one(3)));
}

#[test]
fn a_table_of_no_stations_learns_nothing() {
    let mut bench = Bench::new(0);
    bench.learn(station(1), 1);
    assert_eq!(bench.find(station(1)), None);
    assert_eq!(bench.fdb.set(&bench.key, 0, station(1), Ports::NONE), Err(Error::Memory));
}

#[test]
fn ports_come_out_in_order_and_slots_beyond_64_are_none() {
    let mut ports = Ports::one(63).with(Ports::one(0)).with(Ports::one(7));
    assert_eq!(core::array::from_fn(|_| ports.pop()), [Some(0), Some(7), Some(63), None]);
    assert!(Ports::one(64).is_empty() && Ports::one(usize::MAX).is_empty());
}
