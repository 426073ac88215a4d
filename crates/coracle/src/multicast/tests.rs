//! The machine without packets: filters, what is reported of them and when.

use std::collections::BTreeSet;
use std::format;
use std::string::String;
use std::time::Duration;
use std::vec;
use std::vec::Vec;

use coracle_wire::membership::QueryDetails;
use proptest::prelude::*;

use super::query::{About, Query};
use super::report::Cursor;
use super::*;
use crate::random::Random;

const ROOM: Room = Room { netifs: 2, groups: 8, own: 2, memberships: 16, sources: 128 };

struct Bench {
    multicast: Multicast,
    key: HashKey,
    random: Random,
    now: Instant,
}

fn v4(text: &str) -> Address {
    Address::from_ip(text.parse().unwrap(), Some(0)).unwrap()
}

fn source(number: u8) -> Address {
    Address::v4([192, 0, 2, number].into())
}

const PLACE: Place = Place { netif: 0, family: Family::V4 };
const UDP: Member = Member::Udp(0);

impl Bench {
    fn with(room: &Room) -> Self {
        let mut random = Random::new(&[3; 16]);
        let key = HashKey::new(&mut random);
        let multicast = Multicast::new(&mut Arena::heap(), room).unwrap();
        let mut bench = Self { multicast, key, random, now: Instant::from_secs(1_000) };
        for netif in 0..2 {
            bench.set_reports(netif, true);
        }
        bench
    }

    fn new() -> Self {
        Self::with(&ROOM)
    }

    fn set_reports(&mut self, netif: u32, reports: bool) {
        let time = (self.now, &mut self.random);
        self.multicast.set_reports(&self.key, Place { netif, ..PLACE }, reports, time);
    }

    fn join(&mut self, group: &str) -> Result<(), Error> {
        self.multicast.join(&self.key, 0, v4(group), self.now)
    }

    fn leave(&mut self, group: &str) -> Result<(), Error> {
        self.multicast.leave(&self.key, 0, v4(group), self.now)
    }

    fn change(&mut self, owner: Member, group: &str, change: Change<'_>) -> Result<(), Error> {
        self.multicast.change_filter(&self.key, (owner, 0, v4(group)), change, self.now)
    }

    fn delivers(&self, owner: Member, group: &str, from: u8) -> bool {
        let group = v4(group);
        self.multicast.contains(&self.key, 0, group)
            && self.multicast.delivers(&self.key, owner, 0, group, source(from))
    }

    /// A query of the newest version.
    fn query(&mut self, group: Option<&str>, within_ms: u32, sources: &[u8]) {
        let details = QueryDetails { suppress: false, robustness: 2, interval_s: 125 };
        self.query_as(Version::Third, Some(details), group, within_ms, sources);
    }

    fn old_query(&mut self, version: Version, group: Option<&str>, within_ms: u32) {
        self.query_as(version, None, group, within_ms, &[]);
    }

    fn query_as(
        &mut self,
        version: Version,
        details: Option<QueryDetails>,
        group: Option<&str>,
        within_ms: u32,
        sources: &[u8],
    ) {
        let has_sources = !sources.is_empty();
        let query = Query { version, group: group.map(v4), within_ms, details, has_sources };
        let mut sources = sources.iter().map(|&number| source(number));
        let time = (self.now, &mut self.random);
        self.multicast.queried(&self.key, PLACE, &query, &mut sources, time);
    }

    /// What is due now, as reports of records, or words of older versions.
    fn due(&mut self) -> Vec<Vec<String>> {
        self.due_in(1_476)
    }

    fn due_in(&mut self, room: usize) -> Vec<Vec<String>> {
        let mut said = Vec::new();
        while let Some((place, about)) = self.multicast.due(self.now) {
            if self.multicast.version(place, self.now) == Version::Third {
                said.extend(self.records((place, about, self.now), room));
            } else {
                said.extend(self.words((place, about, self.now)));
            }
            self.multicast.done(&self.key, place, about, (self.now, &mut self.random));
        }
        self.multicast.find_deadline();
        said
    }

    fn records(&self, subject: (Place, About, Instant), room: usize) -> Vec<Vec<String>> {
        let mut reports = Vec::new();
        let mut at = Cursor::START;
        loop {
            let mut records = Vec::new();
            let mut bytes = 8;
            let (next, len) = self.multicast.fill(subject, at, room, &mut |said| {
                let kinds = ["", "IS_IN", "IS_EX", "TO_IN", "TO_EX", "ALLOW", "BLOCK"];
                let sources = self.multicast.sources_of(said);
                bytes += 8 + 4 * sources.len();
                let mut sources: Vec<_> = sources.map(|source| source.low().octets()[3]).collect();
                sources.sort_unstable();
                records.push(format!("{} {} {sources:?}", kinds[said.kind as usize], said.group.low()));
            });
            if records.is_empty() {
                assert_eq!(len, 0);
                return reports;
            }
            assert_eq!((len, len <= room), (bytes, true));
            reports.push(records);
            at = next;
        }
    }

    fn words(&self, subject: (Place, About, Instant)) -> Vec<Vec<String>> {
        let mut words = Vec::new();
        let mut from = 0;
        while let Some(word) = self.multicast.word(subject, from) {
            let verb = if word.leaves { "leave" } else { "report" };
            words.push(vec![format!("{verb} {:?} {}", word.version, word.group.low())]);
            from = word.next;
        }
        words
    }

    /// Everything that is said within a time, with how long after now in milliseconds.
    fn said_within(&mut self, time: Duration) -> Vec<(u64, Vec<String>)> {
        let (start, end) = (self.now, self.now + time);
        let mut all = Vec::new();
        loop {
            let after = self.now.since(start).as_millis() as u64;
            all.extend(self.due().into_iter().map(|report| (after, report)));
            match self.multicast.deadline().filter(|&deadline| deadline <= end) {
                Some(deadline) => self.now = deadline,
                None => break,
            }
        }
        self.now = end;
        all
    }

    fn settle(&mut self) {
        self.said_within(Duration::from_mins(1));
    }
}

fn one(record: &str) -> Vec<Vec<String>> {
    vec![vec![record.into()]]
}

/// [3810-5] [RFC 3376 §5.1] and the pitfall: reports are repeated and spread at random.
#[test]
fn changes_are_reported_at_once_and_repeated_after_random_times() {
    let mut times = BTreeSet::new();
    for _ in 0..20 {
        let mut bench = Bench::new();
        bench.random = Random::new(&[times.len() as u8; 16]);
        bench.join("239.1.1.1").unwrap();
        let said = bench.said_within(Duration::from_secs(10));
        let [(0, first), (again, second)] = &said[..] else { panic!("{said:?}") };
        assert_eq!((first, second), (&vec!["TO_EX 239.1.1.1 []".into()], first));
        assert!((1..=1_000).contains(again), "{again} ms");
        times.insert(*again);
        bench.leave("239.1.1.1").unwrap();
        let said = bench.said_within(Duration::from_secs(10));
        assert_eq!(said.len(), 2);
        assert!(said.iter().all(|(_, report)| report == &["TO_IN 239.1.1.1 []"]));
        assert_eq!((bench.multicast.groups.used(), bench.multicast.deadline()), (0, None));
    }
    assert!(times.len() > 15, "{times:?}");
}

#[test]
fn only_the_first_join_and_the_last_leave_are_news() {
    let mut bench = Bench::new();
    bench.join("239.1.1.1").unwrap();
    bench.settle();
    bench.join("239.1.1.1").unwrap();
    bench.change(UDP, "239.1.1.1", Change::Join).unwrap();
    bench.change(Member::Raw(0), "239.1.1.1", Change::JoinSource(source(1))).unwrap();
    bench.leave("239.1.1.1").unwrap();
    bench.leave("239.1.1.1").unwrap();
    assert_eq!(bench.leave("239.1.1.1"), Err(Error::Value));
    bench.change(Member::Raw(0), "239.1.1.1", Change::Leave).unwrap();
    assert_eq!(bench.due(), Vec::<Vec<String>>::new());
    bench.change(UDP, "239.1.1.1", Change::Leave).unwrap();
    assert_eq!(bench.due(), one("TO_IN 239.1.1.1 []"));
}

/// [RFC 3376 §3.2], the examples of that section.
#[test]
fn the_interface_listens_to_the_sum_of_all_filters() {
    let (s1, s2, s3) = ([1, 2, 3], [2, 3, 4], [1, 4]);
    let list = |numbers: &[u8]| numbers.iter().map(|&number| source(number)).collect::<Vec<_>>();
    let mut bench = Bench::new();
    let group = "239.1.1.1";
    bench.change(Member::Udp(1), group, Change::Set(FilterMode::Exclude, &list(&s1))).unwrap();
    assert_eq!(bench.due(), one("TO_EX 239.1.1.1 [1, 2, 3]"));
    bench.settle();
    bench.change(Member::Udp(2), group, Change::Set(FilterMode::Exclude, &list(&s2))).unwrap();
    assert_eq!(bench.due(), one("ALLOW 239.1.1.1 [1]"));
    bench.settle();
    bench.change(Member::Raw(1), group, Change::Set(FilterMode::Include, &list(&[3, 9]))).unwrap();
    assert_eq!(bench.due(), one("ALLOW 239.1.1.1 [3]"));
    bench.settle();
    bench.change(Member::Udp(1), group, Change::Leave).unwrap();
    assert_eq!(bench.due(), one("BLOCK 239.1.1.1 [4]"));
    bench.settle();
    bench.change(Member::Udp(2), group, Change::Set(FilterMode::Include, &list(&s3))).unwrap();
    assert_eq!(bench.due(), one("TO_IN 239.1.1.1 [1, 3, 4, 9]"));
    bench.settle();
    bench.change(Member::Raw(1), group, Change::LeaveSource(source(3))).unwrap();
    assert_eq!(bench.due(), one("BLOCK 239.1.1.1 [3]"));
}

#[test]
fn sources_that_come_and_go_are_said_in_one_report() {
    let mut bench = Bench::new();
    let list: Vec<_> = (1..4).map(source).collect();
    bench.change(UDP, "239.1.1.1", Change::Set(FilterMode::Include, &list)).unwrap();
    assert_eq!(bench.due(), one("ALLOW 239.1.1.1 [1, 2, 3]"));
    bench.settle();
    let list: Vec<_> = (3..6).map(source).collect();
    bench.change(UDP, "239.1.1.1", Change::Set(FilterMode::Include, &list)).unwrap();
    let report = ["ALLOW 239.1.1.1 [4, 5]", "BLOCK 239.1.1.1 [1, 2]"];
    assert_eq!(bench.due(), [report]);
}

#[test]
fn a_control_block_hears_what_its_own_filter_lets_through() {
    let mut bench = Bench::new();
    let (group, other) = ("239.1.1.1", "239.2.2.2");
    bench.change(Member::Udp(1), group, Change::JoinSource(source(1))).unwrap();
    bench.change(Member::Udp(2), group, Change::Join).unwrap();
    bench.change(Member::Udp(2), group, Change::Block(source(1))).unwrap();
    let heard = |bench: &Bench, owner| (1..3).filter(|&from| bench.delivers(owner, group, from)).collect();
    let heard: &dyn Fn(&Bench, Member) -> Vec<u8> = &heard;
    assert_eq!(heard(&bench, Member::Udp(1)), [1]);
    assert_eq!(heard(&bench, Member::Udp(2)), [2]);
    assert_eq!(heard(&bench, Member::Udp(3)), [], "who joined nothing hears nothing of others' joins");
    assert_eq!(heard(&bench, Member::Raw(1)), [], "nor does a raw control block in the same slot");
    bench.join(group).unwrap();
    assert_eq!(heard(&bench, Member::Udp(3)), [1, 2], "but what the whole interface joined");
    assert_eq!(heard(&bench, Member::Udp(1)), [1], "to which its own filter is not blind");
    bench.join(other).unwrap();
    assert!(bench.delivers(Member::Udp(1), other, 5), "another group is another matter");
    assert!(bench.delivers(Member::Udp(1), "224.0.0.1", 5));
}

/// [RFC 3678 §4.1.3] What is refused changes nothing.
#[test]
fn filters_of_the_other_kind_and_sources_that_are_not_there_are_refused() {
    let mut bench = Bench::new();
    let group = "239.1.1.1";
    for change in [
        Change::Leave,
        Change::LeaveSource(source(1)),
        Change::Block(source(1)),
        Change::Unblock(source(1)),
        Change::JoinSource(v4("0.0.0.0")),
        Change::JoinSource(v4("239.1.1.1")),
    ] {
        assert_eq!(bench.change(UDP, group, change), Err(Error::Value), "{change:?}");
    }
    assert_eq!(bench.change(UDP, "192.0.2.1", Change::Join), Err(Error::Value));
    bench.change(UDP, group, Change::Join).unwrap();
    bench.change(UDP, group, Change::Block(source(1))).unwrap();
    for (change, error) in [
        (Change::Join, Error::InUse),
        (Change::Block(source(1)), Error::InUse),
        (Change::Unblock(source(2)), Error::Value),
        (Change::JoinSource(source(1)), Error::Argument),
        (Change::LeaveSource(source(1)), Error::Argument),
    ] {
        assert_eq!(bench.change(UDP, group, change), Err(error), "{change:?}");
    }
    bench.change(UDP, group, Change::Leave).unwrap();
    bench.change(UDP, group, Change::JoinSource(source(1))).unwrap();
    for (change, error) in [
        (Change::Join, Error::InUse),
        (Change::JoinSource(source(1)), Error::InUse),
        (Change::LeaveSource(source(2)), Error::Value),
        (Change::Block(source(1)), Error::Argument),
        (Change::Unblock(source(1)), Error::Argument),
    ] {
        assert_eq!(bench.change(UDP, group, change), Err(error), "{change:?}");
    }
    bench.change(UDP, group, Change::LeaveSource(source(1))).unwrap();
    bench.settle();
    assert_eq!((bench.multicast.groups.used(), bench.multicast.sources.used()), (0, 0));
}

/// [RFC 3376 §5] [3810-2]
#[test]
fn groups_that_everybody_is_in_or_that_stay_inside_are_never_reported() {
    let mut bench = Bench::new();
    bench.join("224.0.0.1").unwrap();
    assert_eq!(bench.said_within(Duration::from_secs(20)), []);
    bench.query(None, 1_000, &[]);
    bench.query(Some("224.0.0.1"), 1_000, &[]);
    assert_eq!(bench.said_within(Duration::from_secs(20)), []);
    bench.old_query(Version::Second, None, 1_000);
    assert_eq!(bench.said_within(Duration::from_secs(20)), []);
    #[cfg(feature = "ipv6")]
    for (group, reported) in [
        ("ff02::1", false),
        ("ff01::5", false),
        ("ff11::5", false),
        ("ff00::5", false),
        ("ff02::2", true),
        ("ff02::1:ff00:1", true),
        ("ff05::1", true),
    ] {
        assert_eq!(is_reported(v4(group)), reported, "{group}");
    }
}

/// [3810-4] [RFC 3376 §5.2]
#[test]
fn a_general_query_is_answered_once_within_its_time() {
    let mut times = BTreeSet::new();
    let mut bench = Bench::new();
    bench.join("239.1.1.1").unwrap();
    bench.change(UDP, "239.2.2.2", Change::JoinSource(source(7))).unwrap();
    bench.settle();
    for _ in 0..20 {
        bench.query(None, 10_000, &[]);
        bench.query(None, 10_000, &[]);
        let mut said = bench.said_within(Duration::from_secs(20));
        assert_eq!(said.len(), 1, "{said:?}");
        let (after, report) = &mut said[0];
        report.sort();
        assert_eq!(report, &["IS_EX 239.1.1.1 []", "IS_IN 239.2.2.2 [7]"]);
        assert!(*after <= 10_000);
        times.insert(*after);
    }
    assert!(times.len() > 15, "{times:?}");
}

/// [RFC 3376 §5.2], rules 3 to 5.
#[test]
fn specific_queries_are_answered_for_what_they_ask_and_merged() {
    let mut bench = Bench::new();
    let group = "239.1.1.1";
    bench.change(UDP, group, Change::Set(FilterMode::Include, &[source(1), source(2)])).unwrap();
    bench.settle();
    bench.query(Some("239.9.9.9"), 1_000, &[]);
    bench.query(Some(group), 1_000, &[5]);
    assert_eq!(bench.said_within(Duration::from_secs(5)), [], "neither is listened to");
    bench.query(Some(group), 1_000, &[1, 5]);
    assert_eq!(bench.said_within(Duration::from_secs(5))[0].1, ["IS_IN 239.1.1.1 [1]"]);
    bench.query(Some(group), 1_000, &[1]);
    bench.query(Some(group), 1_000, &[2]);
    let said = bench.said_within(Duration::from_secs(5));
    assert_eq!((said.len(), &said[0].1[..]), (1, &["IS_IN 239.1.1.1 [1, 2]".into()][..]));
    bench.change(UDP, group, Change::Set(FilterMode::Exclude, &[source(1), source(2)])).unwrap();
    bench.settle();
    bench.query(Some(group), 1_000, &[1, 5, 6]);
    assert_eq!(bench.said_within(Duration::from_secs(5))[0].1, ["IS_IN 239.1.1.1 [5, 6]"]);
    bench.query(Some(group), 1_000, &[5]);
    bench.query(Some(group), 1_000, &[]);
    bench.query(Some(group), 1_000, &[6]);
    let said = bench.said_within(Duration::from_secs(5));
    assert_eq!((said.len(), &said[0].1[..]), (1, &["IS_EX 239.1.1.1 [1, 2]".into()][..]));
    assert_eq!(bench.multicast.sources.used(), 4, "what was asked is forgotten");
}

/// [3376-2] and the pitfall: a query with a maximum delay of zero is answered at once, but a flood of them is not
/// multiplied.
#[test]
fn a_query_that_leaves_no_time_is_answered_at_once_and_a_flood_of_them_is_not_multiplied() {
    let mut bench = Bench::new();
    bench.join("239.1.1.1").unwrap();
    bench.settle();
    bench.query(None, 0, &[]);
    assert_eq!(bench.due(), one("IS_EX 239.1.1.1 []"));
    let mut answers = 0;
    for _ in 0..1_000 {
        bench.query(None, 0, &[]);
        bench.query(Some("239.1.1.1"), 0, &[]);
        answers += bench.said_within(Duration::from_millis(1)).len();
    }
    assert!((9..=21).contains(&answers), "{answers} answers in a second");
}

/// [RFC 3376 §4.1.1] [RFC 3376 §4.1.6] Queriers say how often, and how long to wait.
#[test]
fn the_robustness_of_the_querier_is_adopted() {
    let mut bench = Bench::new();
    for (robustness, times) in [(4, 4), (1, 1), (7, 7), (0, 2)] {
        let details = QueryDetails { suppress: false, robustness, interval_s: 20 };
        bench.query_as(Version::Third, Some(details), None, 100, &[]);
        bench.settle();
        bench.join("239.1.1.1").unwrap();
        assert_eq!(bench.said_within(Duration::from_secs(20)).len(), times);
        bench.leave("239.1.1.1").unwrap();
        assert_eq!(bench.said_within(Duration::from_secs(20)).len(), times);
    }
}

/// [3810-6] [RFC 3376 §7.2.1] and the pitfall: older queriers.
#[test]
fn an_older_querier_is_spoken_to_in_its_version_until_it_is_gone() {
    let mut bench = Bench::new();
    bench.join("239.1.1.1").unwrap();
    bench.change(UDP, "239.2.2.2", Change::JoinSource(source(1))).unwrap();
    bench.settle();
    bench.old_query(Version::Second, Some("239.1.1.1"), 1_000);
    let said = bench.said_within(Duration::from_secs(5));
    assert_eq!(said[0].1, ["IS_EX 239.1.1.1 []"], "only a general query shows an older querier");
    bench.query(None, 10_000, &[]);
    bench.old_query(Version::Second, None, 10_000);
    let mut said: Vec<_> = bench.said_within(Duration::from_secs(10)).into_iter().map(|(_, w)| w).collect();
    said.sort();
    assert_eq!(said, [["report Second 239.1.1.1"], ["report Second 239.2.2.2"]]);
    bench.change(UDP, "239.2.2.2", Change::JoinSource(source(2))).unwrap();
    assert_eq!(bench.said_within(Duration::from_secs(20)), [], "it knows no sources");
    bench.join("239.3.3.3").unwrap();
    let said = bench.said_within(Duration::from_secs(20));
    assert_eq!(
        said.iter().map(|(_, word)| word[0].as_str()).collect::<Vec<_>>(),
        ["report Second 239.3.3.3"; 2]
    );
    bench.leave("239.3.3.3").unwrap();
    assert_eq!(bench.said_within(Duration::from_secs(20)).len(), 1, "leaving is said once");
    // 2 × 125 s and the 10 s of its query, of which 70 s are over.
    bench.now = bench.now + Duration::from_mins(3);
    bench.join("239.4.4.4").unwrap();
    assert_eq!(bench.due(), [["report Second 239.4.4.4"]]);
    bench.now = bench.now + Duration::from_secs(11);
    bench.join("239.5.5.5").unwrap();
    let said = bench.due();
    assert!(said[0].contains(&"TO_EX 239.5.5.5 []".into()), "{said:?}");
}

#[test]
fn a_querier_of_the_first_version_is_told_no_leaving() {
    let mut bench = Bench::new();
    bench.old_query(Version::First, None, 10_000);
    bench.join("239.1.1.1").unwrap();
    assert_eq!(bench.due(), [["report First 239.1.1.1"]]);
    bench.settle();
    bench.leave("239.1.1.1").unwrap();
    assert_eq!(bench.said_within(Duration::from_mins(1)), []);
    assert_eq!(bench.multicast.groups.used(), 0);
}

/// [RFC 2236 §3] [RFC 2710 §4] Others' reports spare us ours, but not when queriers want to hear everyone.
#[test]
fn reports_of_others_spare_us_ours_in_older_versions_only() {
    let mut bench = Bench::new();
    bench.join("239.1.1.1").unwrap();
    bench.settle();
    bench.query(None, 10_000, &[]);
    bench.multicast.reported_by_another(&bench.key, 0, v4("239.1.1.1"), bench.now);
    assert_eq!(bench.said_within(Duration::from_secs(10)).len(), 1);
    bench.old_query(Version::Second, None, 10_000);
    bench.multicast.reported_by_another(&bench.key, 0, v4("239.1.1.1"), bench.now);
    bench.multicast.reported_by_another(&bench.key, 0, v4("239.7.7.7"), bench.now);
    assert_eq!(bench.said_within(Duration::from_secs(10)), []);
    bench.leave("239.1.1.1").unwrap();
    assert_eq!(bench.said_within(Duration::from_secs(20)), [], "the other one will say when it leaves");
}

/// An old timer that runs out in time stays [RFC 2236 §3]: a flood of queries does not put an answer off for ever.
#[test]
fn a_flood_of_older_queries_does_not_put_the_answer_off() {
    let mut bench = Bench::new();
    bench.join("239.1.1.1").unwrap();
    bench.settle();
    let mut answers = 0;
    for _ in 0..100 {
        bench.old_query(Version::Second, None, 10_000);
        answers += bench.said_within(Duration::from_millis(500)).len();
    }
    assert!((3..30).contains(&answers), "{answers}");
}

#[test]
fn an_interface_that_comes_up_again_reports_everything() {
    let mut bench = Bench::new();
    bench.join("239.1.1.1").unwrap();
    bench.change(UDP, "239.2.2.2", Change::JoinSource(source(1))).unwrap();
    bench.old_query(Version::Second, None, 1_000);
    bench.set_reports(0, false);
    assert_eq!((bench.due(), bench.multicast.deadline()), (vec![], None));
    bench.join("239.3.3.3").unwrap();
    bench.leave("239.3.3.3").unwrap();
    assert_eq!(bench.said_within(Duration::from_secs(20)), []);
    bench.set_reports(0, true);
    let said = bench.said_within(Duration::from_secs(20));
    assert_eq!(said.len(), 2);
    for (after, mut report) in said {
        report.sort();
        assert_eq!(report, ["ALLOW 239.2.2.2 [1]", "TO_EX 239.1.1.1 []"]);
        assert!((1..=2_000).contains(&after));
    }
}

/// [RFC 3376 §4.2.16] What does not fit is split, but for what is excluded.
#[test]
fn long_lists_of_sources_are_split_over_reports() {
    let mut bench = Bench::new();
    let list: Vec<_> = (1..=40).map(source).collect();
    bench.change(UDP, "239.1.1.1", Change::Set(FilterMode::Include, &list)).unwrap();
    bench.join("239.2.2.2").unwrap();
    let reports = bench.due_in(100);
    let mut said = BTreeSet::new();
    for record in reports.iter().flatten().filter(|record| record.starts_with("ALLOW 239.1.1.1")) {
        let numbers = record.rsplit_once('[').unwrap().1.trim_end_matches(']');
        for number in numbers.split(", ") {
            assert!(said.insert(number.parse::<u8>().unwrap()), "{number} is said twice");
        }
    }
    assert_eq!(said.len(), 40);
    assert_eq!(reports.iter().flatten().filter(|record| record.starts_with("TO_EX 239.2.2.2")).count(), 1);
    bench.settle();
    bench.change(UDP, "239.1.1.1", Change::Set(FilterMode::Exclude, &list)).unwrap();
    let reports = bench.due_in(100);
    assert_eq!(reports.len(), 1);
    assert_eq!(reports[0][0].matches(',').count() + 1, (100 - 8 - 8) / 4);
    assert_eq!(bench.due_in(10), Vec::<Vec<String>>::new());
}

#[test]
fn a_link_too_narrow_for_any_report_is_no_endless_loop() {
    let mut bench = Bench::new();
    bench.join("239.1.1.1").unwrap();
    assert_eq!(bench.due_in(15), Vec::<Vec<String>>::new());
}

/// Every table runs dry without harm: an ordinary error, and all works again once there is room.
#[test]
fn full_tables_are_memory_errors_and_queriers_cannot_fill_them_for_applications() {
    let room = Room { netifs: 1, groups: 2, own: 0, memberships: 2, sources: 4 };
    let mut bench = Bench::with(&Room { netifs: 2, ..room });
    let group = "239.1.1.1";
    bench.change(UDP, group, Change::Set(FilterMode::Exclude, &[source(1), source(2)])).unwrap();
    assert_eq!(bench.due(), one("TO_EX 239.1.1.1 [1, 2]"));
    assert_eq!(bench.change(UDP, group, Change::Block(source(3))), Err(Error::Memory));
    let long = [source(7), source(8)];
    assert_eq!(bench.change(UDP, group, Change::Set(FilterMode::Exclude, &long)), Err(Error::Memory));
    assert!(!bench.delivers(UDP, group, 1) && bench.delivers(UDP, group, 7), "the old filter holds");
    bench.settle();
    bench.query(Some(group), 10_000, &[5]);
    assert_eq!(bench.said_within(Duration::from_secs(20))[0].1, ["IS_EX 239.1.1.1 [1, 2]"], "no room for 5");
    bench.change(UDP, group, Change::Unblock(source(2))).unwrap();
    bench.settle();
    bench.query(Some(group), 10_000, &[5, 6]);
    bench.change(Member::Udp(1), group, Change::JoinSource(source(6))).unwrap();
    assert_eq!(bench.change(Member::Udp(2), group, Change::Join), Err(Error::Memory));
    bench.change(Member::Udp(1), group, Change::Leave).unwrap();
    bench.change(UDP, group, Change::Leave).unwrap();
    bench.settle();
    assert_eq!((bench.multicast.groups.used(), bench.multicast.sources.used()), (0, 0));
    assert_eq!((bench.multicast.members.used(), bench.multicast.joined), (0, 0));
    // A group that was left and is only reported as such gives its place up.
    bench.join("239.2.2.2").unwrap();
    bench.join("239.3.3.3").unwrap();
    assert_eq!(bench.join("239.4.4.4"), Err(Error::Memory));
    bench.leave("239.2.2.2").unwrap();
    bench.join("239.4.4.4").unwrap();
    assert!(bench.due()[0].contains(&"TO_EX 239.4.4.4 []".into()));
}

/// Where the sources cannot be said for lack of room, everything is asked for, and the control block's filter decides.
#[test]
fn a_filter_that_cannot_be_reported_is_reported_as_none() {
    let mut bench = Bench::with(&Room { sources: 3, ..ROOM });
    let list = [source(1), source(2)];
    bench.change(UDP, "239.1.1.1", Change::Set(FilterMode::Include, &list)).unwrap();
    assert_eq!(bench.due(), one("TO_EX 239.1.1.1 []"));
    assert!(bench.delivers(UDP, "239.1.1.1", 2) && !bench.delivers(UDP, "239.1.1.1", 3));
}

/// What a router that hears reports believes of one host and group [RFC 3376 §6.4].
#[derive(Default, Debug, PartialEq, Clone)]
struct Belief {
    excludes: bool,
    sources: BTreeSet<u8>,
}

impl Belief {
    fn hear(&mut self, record: &str) {
        let mut words = record.splitn(3, ' ');
        let (kind, _, list) = (words.next().unwrap(), words.next(), words.next().unwrap());
        let list = list.trim_matches(['[', ']']).split(", ");
        let sources: BTreeSet<u8> =
            list.filter(|number| !number.is_empty()).map(|n| n.parse().unwrap()).collect();
        let allow = match kind {
            "TO_IN" | "TO_EX" => {
                *self = Self { excludes: kind == "TO_EX", sources };
                return;
            }
            "ALLOW" => true,
            "BLOCK" => false,
            other => panic!("{other}"),
        };
        if allow == self.excludes {
            self.sources.retain(|number| !sources.contains(number));
        } else {
            self.sources.extend(sources);
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Change(u8, u8, Vec<u8>),
    Join,
    Leave,
    Pass(u16),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..3_u8, 0..7_u8, proptest::collection::vec(1..6_u8, 1..4))
            .prop_map(|(owner, what, list)| Step::Change(owner, what, list)),
        1 => Just(Step::Join),
        1 => Just(Step::Leave),
        2 => (0..1_500_u16).prop_map(Step::Pass),
    ]
}

/// The filters of three control blocks, as sets.
type Model = [Option<(FilterMode, BTreeSet<u8>)>; 3];

fn sum(model: &Model, open: u32) -> Belief {
    let filters = || model.iter().flatten();
    let excluding: Vec<_> = filters().filter(|(mode, _)| *mode == FilterMode::Exclude).collect();
    let included: BTreeSet<u8> = filters()
        .filter(|(mode, _)| *mode == FilterMode::Include)
        .flat_map(|(_, list)| list.clone())
        .collect();
    if open > 0 {
        return Belief { excludes: true, sources: BTreeSet::new() };
    }
    let Some((_, first)) = excluding.first() else { return Belief { excludes: false, sources: included } };
    let common =
        first.iter().copied().filter(|number| excluding.iter().all(|(_, list)| list.contains(number)));
    Belief { excludes: true, sources: common.filter(|number| !included.contains(number)).collect() }
}

fn apply(model: &mut Model, owner: u8, what: u8, list: &[u8]) -> Option<()> {
    let filter = &mut model[owner as usize];
    let (first, set) = (list[0], list.iter().copied().collect::<BTreeSet<_>>());
    match (what, filter.as_mut()) {
        (0, None) => *filter = Some((FilterMode::Exclude, BTreeSet::new())),
        (1, Some(_)) => *filter = None,
        (2, None) => *filter = Some((FilterMode::Include, [first].into())),
        (2, Some((FilterMode::Include, sources))) | (4, Some((FilterMode::Exclude, sources))) => {
            return sources.insert(first).then_some(());
        }
        (3, Some((FilterMode::Include, sources))) => {
            if !sources.remove(&first) {
                return None;
            }
            if sources.is_empty() {
                *filter = None;
            }
        }
        (5, Some((FilterMode::Exclude, sources))) => return sources.remove(&first).then_some(()),
        (6, _) => {
            let mode = if first % 2 == 0 { FilterMode::Include } else { FilterMode::Exclude };
            *filter = Some((mode, set));
        }
        _ => return None,
    }
    Some(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Whatever applications do, the interface's filter is the sum of theirs; every control block hears what it asked
    /// for; and a router that hears but every other report knows in the end what is listened to [3810-5].
    #[test]
    fn routers_know_what_is_listened_to_though_every_other_report_is_lost(
        steps in proptest::collection::vec(step(), 1..40),
        mut lost in any::<bool>(),
    ) {
        let mut bench = Bench::new();
        let group = "239.1.1.1";
        let (mut model, mut open) = (Model::default(), 0_u32);
        let (mut all, mut half) = (Belief::default(), Belief::default());
        let mut listen = |bench: &mut Bench, time| {
            for (_, report) in bench.said_within(time) {
                for record in report {
                    all.hear(&record);
                    if !lost {
                        half.hear(&record);
                    }
                }
                lost = !lost;
            }
            (all.clone(), half.clone())
        };
        for step in steps {
            match step {
                Step::Change(owner, what, list) => {
                    let sources: Vec<_> = list.iter().map(|&number| source(number)).collect();
                    let change = match what {
                        0 => Change::Join,
                        1 => Change::Leave,
                        2 => Change::JoinSource(sources[0]),
                        3 => Change::LeaveSource(sources[0]),
                        4 => Change::Block(sources[0]),
                        5 => Change::Unblock(sources[0]),
                        _ if list[0] % 2 == 0 => Change::Set(FilterMode::Include, &sources),
                        _ => Change::Set(FilterMode::Exclude, &sources),
                    };
                    let expected = apply(&mut model, owner, what, &list).is_some();
                    prop_assert_eq!(bench.change(Member::Udp(owner.into()), group, change).is_ok(), expected);
                }
                Step::Join => {
                    bench.join(group).unwrap();
                    open += 1;
                }
                Step::Leave => {
                    prop_assert_eq!(bench.leave(group).is_ok(), open > 0);
                    open = open.saturating_sub(1);
                }
                Step::Pass(time) => {
                    listen(&mut bench, Duration::from_millis(time.into()));
                }
            }
            let (heard, _) = listen(&mut bench, Duration::ZERO);
            prop_assert_eq!(&heard, &sum(&model, open), "what is said at once is the whole truth");
            for (owner, filter) in model.iter().enumerate() {
                for number in 1..7 {
                    let hears = match filter {
                        Some((mode, list)) => list.contains(&number) == (*mode == FilterMode::Include),
                        None => open > 0,
                    };
                    prop_assert_eq!(bench.delivers(Member::Udp(owner as u32), group, number), hears);
                }
            }
        }
        let (_, half) = listen(&mut bench, Duration::from_secs(10));
        prop_assert_eq!(half, sum(&model, open));
        prop_assert_eq!(bench.multicast.deadline(), None);
        for owner in 0..3 {
            bench.multicast.forget_owner(&bench.key, Member::Udp(owner), bench.now);
        }
        while open > 0 {
            bench.leave(group).unwrap();
            open -= 1;
        }
        bench.settle();
        let left = &bench.multicast;
        prop_assert_eq!((left.groups.used(), left.sources.used(), left.members.used(), left.joined), (0, 0, 0, 0));
    }
}

#[test]
fn an_interface_that_goes_takes_its_memberships_with_it() {
    let mut bench = Bench::new();
    bench.join("239.1.1.1").unwrap();
    bench.change(UDP, "239.1.1.1", Change::JoinSource(source(1))).unwrap();
    bench.change(UDP, "239.2.2.2", Change::Join).unwrap();
    bench.multicast.change_filter(&bench.key, (UDP, 1, v4("239.2.2.2")), Change::Join, bench.now).unwrap();
    bench.multicast.forget_netif(&bench.key, 0);
    let left = &bench.multicast;
    assert_eq!((left.groups.used(), left.sources.used(), left.members.used(), left.joined), (1, 0, 1, 1));
    assert!(left.contains(&bench.key, 1, v4("239.2.2.2")) && !left.contains(&bench.key, 0, v4("239.2.2.2")));
    assert_eq!(left.of_netif(1).collect::<Vec<_>>(), [v4("239.2.2.2")]);
    let there = |owner, netif| left.filter_of(&bench.key, owner, netif, v4("239.2.2.2"));
    assert!(there(UDP, 0).is_none());
    assert_eq!(there(UDP, 1).map(|(mode, sources)| (mode, sources.count())), Some((FilterMode::Exclude, 0)));
}
