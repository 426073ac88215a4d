use std::vec::Vec;

use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);
/// What the clocks of the servers show when the test begins.
const START: Duration = Duration::from_hours(500_000);

fn ip(number: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, number])
}

/// A question that left.
#[derive(Clone, Copy, Debug)]
struct Sent {
    at: Instant,
    to: IpAddr,
    message: [u8; HEADER_LEN],
}

/// The client, and the time.
struct World {
    sntp: Sntp,
    random: Random,
    now: Instant,
    begin: Instant,
    sent: Vec<Sent>,
    times: Vec<(Instant, SntpTime)>,
}

/// What a server answers.
type Answers<'a> = &'a mut dyn FnMut(&Sent) -> Option<(Duration, Vec<u8>)>;

impl World {
    fn new(config: SntpConfig, servers: &[u8]) -> Self {
        let mut sntp = Sntp::new(&mut Arena::heap(), servers.len().max(1), config).unwrap();
        let begin = Instant::from_secs(77);
        for (place, &number) in servers.iter().enumerate() {
            sntp.set_server(place, Some((ip(number), 0)), begin).unwrap();
        }
        let mut random = Random::new(&[4; 16]);
        sntp.start(begin, &mut random);
        Self { sntp, random, now: begin, begin, sent: Vec::new(), times: Vec::new() }
    }

    fn plain(servers: &[u8]) -> Self {
        Self::new(SntpConfig::DEFAULT, servers)
    }

    /// Lets time pass.
    fn run(&mut self, time: Duration, net: Answers<'_>) {
        let end = self.now + time;
        let mut under_way: Option<(Instant, Sent, Vec<u8>)> = None;
        loop {
            let arrival = under_way.as_ref().map(|(at, ..)| *at);
            let next = self.sntp.next_deadline().into_iter().chain(arrival).min();
            let Some(next) = next.filter(|&next| next <= end) else { break };
            self.now = self.now.max(next);
            if arrival.is_some_and(|at| at <= self.now)
                && let Some((_, sent, bytes)) = under_way.take()
                && let Some(time) = self.sntp.input(sent.to, PORT, &bytes, self.now)
            {
                self.times.push((self.now, time));
            }
            while let Some(Action::Send { address, scope, message }) =
                self.sntp.advance(self.now, &mut self.random)
            {
                assert_eq!(scope, 0);
                let sent = Sent { at: self.now, to: address, message };
                self.sent.push(sent);
                under_way = net(&sent).map(|(after, bytes)| (self.now + after, sent, bytes));
            }
            assert!(
                self.sntp.next_deadline().is_none_or(|next| next > self.now)
                    || self.sntp.next_deadline() == arrival
            );
        }
        self.now = end;
    }

    fn whom(&self) -> Vec<u8> {
        self.sent
            .iter()
            .map(|sent| match sent.to {
                IpAddr::V4(address) => address.octets()[3],
                IpAddr::V6(_) => 0,
            })
            .collect()
    }
}

/// What the servers' clocks show at a point in time.
fn true_time(world_begin: Instant, at: Instant) -> Duration {
    START + at.since(world_begin)
}

/// An answer with these times at the server.
fn answer(sent: &Sent, received: Duration, left: Duration) -> Vec<u8> {
    let mut bytes = [0; HEADER_LEN];
    bytes[0] = 4 << 3 | mode::SERVER;
    bytes[1] = 2;
    bytes[24..32].copy_from_slice(&sent.message[40..]);
    bytes[32..40].copy_from_slice(&NtpTimestamp::from_unix(received).0.to_be_bytes());
    bytes[40..].copy_from_slice(&NtpTimestamp::from_unix(left).0.to_be_bytes());
    bytes.to_vec()
}

const BEGIN: Instant = Instant::from_secs(77);

/// A good server: 30 ms away in each direction, 10 ms of work.
fn good(sent: &Sent) -> Option<(Duration, Vec<u8>)> {
    let ms = Duration::from_millis;
    let received = START.checked_add(sent.at.since(BEGIN) + ms(30))?;
    Some((ms(70), answer(sent, received, received + ms(10))))
}

/// Changes a byte of a good answer.
fn changed(at: usize, byte: u8) -> impl FnMut(&Sent) -> Option<(Duration, Vec<u8>)> {
    move |sent| {
        good(sent).map(|(after, mut bytes)| {
            bytes[at] = byte;
            (after, bytes)
        })
    }
}

fn silent(_: &Sent) -> Option<(Duration, Vec<u8>)> {
    None
}

/// [RFC 4330 §5] the delay on the way is taken into account, the time at the server is not part of it.
#[test]
fn the_time_is_that_of_the_server_now() {
    let mut world = World::plain(&[1]);
    world.run(SECOND * 10, &mut good);
    let [(at, time)] = world.times[..] else { panic!("{:?}", world.times) };
    let expected = true_time(world.begin, at);
    assert!(time.unix.abs_diff(expected) < Duration::from_micros(1), "{time:?} and not {expected:?}");
    assert!(time.round_trip.abs_diff(Duration::from_millis(60)) < Duration::from_micros(1));
    assert_eq!((time.server, time.stratum, time.leap), (ip(1), 2, 0));
    assert_eq!(world.sntp.server(0).unwrap().reachability, 1);
}

/// [RFC 4330 §10] after a random time, then regularly.
#[test]
fn questions_come_at_a_random_time_and_then_regularly() {
    let mut firsts = std::collections::HashSet::new();
    for seed in 0..20 {
        let mut sntp = Sntp::new(&mut Arena::heap(), 1, SntpConfig::DEFAULT).unwrap();
        sntp.start(BEGIN, &mut Random::new(&[seed; 16]));
        let first = sntp.next_deadline().unwrap().since(BEGIN);
        assert!(first <= SntpConfig::DEFAULT.startup);
        firsts.insert(first);
    }
    assert!(firsts.len() > 15);
    let mut world = World::plain(&[1]);
    world.run(SECOND * 3600 * 3 + SECOND * 60, &mut good);
    assert_eq!(world.sent.len(), 4);
    let steps: Vec<_> = world.sent.windows(2).map(|pair| pair[1].at.since(pair[0].at).as_secs()).collect();
    assert_eq!(steps, [3600; 3]);
    let nonces: std::collections::HashSet<_> = world.sent.iter().map(|sent| sent.message).collect();
    assert_eq!(nonces.len(), 4);
    assert_eq!(world.sntp.server(0).unwrap().reachability, 0b1111);
}

/// [RFC 4330 §5] no more than a second, and no more often than every 15 seconds.
#[test]
fn no_server_is_asked_too_often() {
    let config = SntpConfig { interval: SECOND, retry: SECOND, longest_retry: SECOND, ..SntpConfig::DEFAULT };
    for net in [good, silent] {
        let mut world = World::new(config.clone(), &[1]);
        world.run(SECOND * 300, &mut { net });
        assert!(world.sent.len() >= 14, "{}", world.sent.len());
        assert!(world.sent.windows(2).all(|pair| pair[1].at.since(pair[0].at) >= SHORTEST_INTERVAL));
    }
}

/// [RFC 4330 §10]
#[test]
fn silent_servers_are_left_for_the_next_and_asked_less_and_less() {
    let mut world = World::plain(&[1, 2, 3]);
    let mut net = |sent: &Sent| if sent.to == ip(3) { good(sent) } else { None };
    world.run(SECOND * 3700, &mut net);
    // Whoever answered is asked the next time.
    assert_eq!(world.whom(), [1, 2, 3, 3]);
    let mut world = World::plain(&[1, 2]);
    world.run(SECOND * 3600, &mut silent);
    assert!(world.sntp.counters.timeouts >= 10 && world.times.is_empty());
    let rounds: Vec<_> = world.sent.iter().step_by(2).map(|sent| sent.at).collect();
    let steps: Vec<_> = rounds.windows(2).map(|pair| pair[1].since(pair[0]).as_secs()).collect();
    assert_eq!(steps[..7], [25, 40, 70, 130, 250, 490, 610]);
    // And when there is an answer again, all is as before.
    world.run(SECOND * 3600, &mut good);
    world.run(SECOND * 3600, &mut good);
    let last = &world.sent[world.sent.len() - 2..];
    assert_eq!(last[1].at.since(last[0].at).as_secs(), 3600);
}

/// [RFC 4330 §8] who is told to go goes.
#[test]
fn a_kiss_of_death_is_obeyed() {
    let kiss = |code: &'static [u8; 4]| {
        move |sent: &Sent| {
            let (after, mut bytes) = good(sent)?;
            if sent.to == ip(1) {
                bytes[1] = 0;
                bytes[12..16].copy_from_slice(code);
            }
            Some((after, bytes))
        }
    };
    for code in [b"DENY", b"RSTR"] {
        let mut world = World::plain(&[1, 2]);
        world.run(SECOND * 3600 * 30, &mut kiss(code));
        assert_eq!(world.whom()[..3], [1, 2, 2]);
        assert!(world.whom()[1..].iter().all(|&number| number == 2));
        assert!(world.sntp.server(0).unwrap().kissed);
        // Alone, it leaves nobody to ask, until there is another.
        let mut world = World::plain(&[1]);
        world.run(SECOND * 3600 * 30, &mut kiss(code));
        assert_eq!(world.sent.len(), 1);
        world.sntp.set_server(0, Some((ip(5), 0)), world.now).unwrap();
        world.run(SECOND * 60, &mut kiss(code));
        assert_eq!(world.whom(), [1, 5]);
        assert_eq!(world.times.len(), 1);
    }
    // One that is asked too often is asked half as often.
    let mut world = World::plain(&[1]);
    let mut first = true;
    let mut net = |sent: &Sent| if core::mem::take(&mut first) { kiss(b"RATE")(sent) } else { good(sent) };
    world.run(SECOND * 3600 * 9, &mut net);
    let steps: Vec<_> = world.sent.windows(2).map(|pair| pair[1].at.since(pair[0].at).as_secs()).collect();
    assert_eq!(steps, [7200; 4]);
    // Any other is no reason not to try again later.
    let mut world = World::plain(&[1, 2]);
    world.run(SECOND * 3600, &mut kiss(b"INIT"));
    assert_eq!(world.whom()[..2], [1, 2]);
    assert!(!world.sntp.server(0).unwrap().kissed);
}

/// [RFC 4330 §5] a kiss or a time from somebody else is none: the answer must repeat the question's timestamp.
#[test]
fn forged_answers_are_not_believed() {
    let forgeries: [(usize, u8); 4] = [
        (24, 0),
        (31, 0),
        // A client's message, a broadcast.
        (0, 4 << 3 | mode::CLIENT),
        (0, 4 << 3 | mode::BROADCAST),
    ];
    for (at, byte) in forgeries {
        let mut world = World::plain(&[1]);
        let mut net = |sent: &Sent| {
            let (after, mut bytes) = good(sent)?;
            bytes[at] = if byte == 0 { bytes[at] ^ 0x55 } else { byte };
            bytes[1] = 0;
            bytes[12..16].copy_from_slice(b"DENY");
            Some((after, bytes))
        };
        world.run(SECOND * 100, &mut net);
        assert!(world.times.is_empty() && !world.sntp.server(0).unwrap().kissed);
        assert!(world.sntp.counters.refused >= 2 && world.sntp.counters.kisses == 0);
    }
    // From elsewhere.
    let mut world = World::plain(&[1]);
    world.run(SECOND * 5, &mut silent);
    let sent = *world.sent.last().unwrap();
    let (_, bytes) = good(&sent).unwrap();
    assert_eq!(world.sntp.input(ip(2), PORT, &bytes, world.now), None);
    assert_eq!(world.sntp.input(ip(1), 124, &bytes, world.now), None);
    assert!(world.sntp.input(ip(1), PORT, &bytes, world.now).is_some());
    // The same again: a replay of what was answered.
    assert_eq!(world.sntp.input(ip(1), PORT, &bytes, world.now), None);
}

/// [RFC 4330 §5]
#[test]
fn servers_without_a_time_to_give_are_left_for_the_next() {
    let insane: [(usize, u8); 6] = [
        // A clock that is not set, stratum 16, a second of delay, a second of dispersion, no time at all.
        (0, 0xe4),
        (1, 16),
        (5, 1),
        (9, 1),
        (32, 0x10),
        (40, 0x10),
    ];
    for (at, byte) in insane {
        let mut world = World::plain(&[1, 2]);
        let mut net = |sent: &Sent| if sent.to == ip(1) { changed(at, byte)(sent) } else { good(sent) };
        world.run(SECOND * 60, &mut net);
        assert_eq!((world.whom(), world.times.len()), ([1, 2].to_vec(), 1), "byte {at}");
        assert_eq!(world.times[0].1.server, ip(2));
    }
}

#[test]
fn an_unreachable_server_is_left_at_once() {
    let mut world = World::plain(&[1, 2]);
    let mut net = |sent: &Sent| if sent.to == ip(1) { None } else { good(sent) };
    while world.sent.is_empty() {
        world.run(SECOND / 10, &mut net);
    }
    world.sntp.unreachable(world.now);
    world.run(SECOND, &mut net);
    assert_eq!((world.whom(), world.times.len()), ([1, 2].to_vec(), 1));
}

/// [RFC 5905 §6] also on the other side of 2036, and a hundred years later.
#[test]
fn eras_go_by() {
    for begin in [2_085_978_490_u64, 4_000_000_000, 6_380_945_780] {
        let begin = Duration::from_secs(begin);
        let about = begin.checked_sub(SECOND * 1_000_000_000).unwrap();
        let mut world = World::new(SntpConfig { about, ..SntpConfig::DEFAULT }, &[1]);
        let mut net = |sent: &Sent| {
            let time = begin + sent.at.since(BEGIN);
            Some((Duration::ZERO, answer(sent, time, time)))
        };
        world.run(SECOND * 8000, &mut net);
        assert_eq!(world.times.len(), 3);
        for (at, time) in &world.times {
            assert!(time.unix.abs_diff(begin + at.since(BEGIN)) < Duration::from_micros(1));
        }
    }
}

#[test]
fn who_is_off_asks_nobody() {
    let mut world = World::plain(&[1]);
    assert!(world.sntp.is_on());
    world.sntp.stop();
    world.run(SECOND * 10_000, &mut good);
    assert!(world.sent.is_empty() && !world.sntp.is_on());
    assert_eq!(world.sntp.set_server(1, None, world.now), Err(Error::Argument));
    // Without servers nothing is asked either, until there is one.
    let mut world = World::plain(&[]);
    world.run(SECOND * 10_000, &mut good);
    assert!(world.sent.is_empty());
    world.sntp.set_server(0, Some((ip(1), 0)), world.now).unwrap();
    world.run(SECOND * 5, &mut good);
    assert_eq!(world.times.len(), 1);
    // A server that goes while it is asked is not waited for.
    world.run(SECOND * 3595, &mut silent);
    world.sntp.set_server(0, None, world.now).unwrap();
    world.run(SECOND * 10_000, &mut good);
    assert_eq!(world.times.len(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever comes, the client goes on, and what it says of the time is no longer ago than 1970.
    #[test]
    fn no_bytes_do_harm(
        bytes in proptest::collection::vec(any::<u8>(), 0..80),
        nonce in any::<bool>(),
        after in 0..6_000_u64,
    ) {
        let mut world = World::plain(&[1, 2]);
        let mut net = |sent: &Sent| {
            let mut bytes = bytes.clone();
            if nonce && bytes.len() >= 32 {
                bytes[0] = bytes[0] & 0xc0 | 4 << 3 | mode::SERVER;
                bytes[24..32].copy_from_slice(&sent.message[40..]);
            }
            (sent.to == ip(1)).then_some((Duration::from_millis(after), bytes))
        };
        world.run(SECOND * 20, &mut net);
        let before = world.times.len();
        world.run(SECOND * 8000, &mut good);
        prop_assert!(world.times.len() > before);
    }
}
