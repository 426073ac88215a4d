use std::vec;
use std::vec::Vec;

use coracle_wire::dhcpv4::{BOOT_REPLY, DhcpFields, DhcpWriter, MessageType, code};
use proptest::prelude::*;

use super::testing::{Bed, SECOND, STATION, Server};
use super::*;
use crate::dhcp::ConflictCheck;

fn is_link_local(settings: Ipv4Settings) -> bool {
    settings.address.is_link_local() && settings.prefix_len() == 16 && settings.gateway.is_unspecified()
}

#[test]
fn a_link_local_address_alone() {
    let mut bed = Bed::new(1);
    bed.auto.autoip_start(&mut bed.port, STATION);
    assert!(bed.auto.is_on());
    bed.pass(10 * SECOND);
    assert!(is_link_local(bed.port.ipv4) && bed.auto.has_autoip());
    let address = bed.port.ipv4.address;
    let announced: Vec<bool> = bed.port.arps.iter().map(|arp| arp.2).collect();
    assert_eq!(announced, [false, false, false, true], "setting the address was the first announcement");
    // [3927-2] Another network, another check.
    bed.link(false);
    bed.link(true);
    assert_eq!(bed.port.ipv4, Ipv4Settings::NONE);
    bed.pass(10 * SECOND);
    assert_eq!(bed.port.ipv4.address, address);
    bed.claim(address);
    assert_eq!(bed.port.arps.last().unwrap().1, address, "defended");
    bed.claim(address);
    assert_eq!(bed.port.ipv4, Ipv4Settings::NONE);
    bed.pass(10 * SECOND);
    assert!(is_link_local(bed.port.ipv4) && bed.port.ipv4.address != address);
    bed.auto.autoip_stop(&mut bed.port);
    assert_eq!((bed.port.ipv4, bed.auto.deadline(), bed.auto.is_on()), (Ipv4Settings::NONE, None, false));
}

/// Two hosts that look for an address at the same time both see a conflict, and part.
#[test]
fn another_who_probes_the_same() {
    let mut bed = Bed::new(1);
    bed.auto.autoip_start(&mut bed.port, STATION);
    bed.pass(1_000_000);
    let first = bed.port.arps[0].1;
    bed.claim(first);
    bed.pass(10 * SECOND);
    assert_ne!(bed.port.ipv4.address, first);
    bed.port.taken = Some(bed.port.ipv4.address);
    // Another interface of the same stack has the next one.
    bed.link(false);
    bed.link(true);
    bed.pass(20 * SECOND);
    assert!(is_link_local(bed.port.ipv4) && Some(bed.port.ipv4.address) != bed.port.taken);
}

/// No server: a link-local address within 20 s. The server comes: its address. It goes for longer than the lease: a
/// link-local address again. It comes back: a lease again.
#[test]
fn servers_come_and_go() {
    let config = DhcpConfig { conflict_check: ConflictCheck::Off, ..DhcpConfig::new() };
    let mut bed = Bed::new(1);
    bed.start(&config);
    bed.pass(11 * SECOND);
    assert_eq!(bed.port.arps, []);
    bed.pass(10 * SECOND);
    assert!(is_link_local(bed.port.ipv4));
    let own = bed.port.ipv4.address;
    let server = Server { lease: 600, ..Server::new() };
    for _ in 0..3 {
        bed.pass_with(66 * SECOND, &mut [server.clone()]);
        assert_eq!(bed.port.ipv4.address, server.address);
        assert!(!bed.auto.has_autoip());
        bed.pass(599 * SECOND - 66 * SECOND);
        assert_eq!(bed.port.ipv4.address, server.address, "to the end of the lease");
        bed.pass(100 * SECOND);
        assert_eq!(bed.port.ipv4.address, own, "the same as before");
    }
    // A link-local address does not keep the search from going on, however long it takes.
    bed.pass(100_000 * SECOND);
    bed.pass_with(66 * SECOND, &mut [server.clone()]);
    assert_eq!(bed.port.ipv4.address, server.address);
    bed.auto.dhcp_stop(&mut bed.port, true);
    assert_eq!((bed.port.ipv4, bed.auto.is_on(), bed.auto.deadline()), (Ipv4Settings::NONE, false, None));
}

/// A lease that is checked before use leaves the link-local address in place until then.
#[test]
fn a_lease_that_is_checked_first() {
    let mut bed = Bed::new(1);
    bed.start(&DhcpConfig { conflict_check: ConflictCheck::BeforeUse, ..DhcpConfig::new() });
    bed.pass(30 * SECOND);
    let own = bed.port.ipv4.address;
    assert!(own.is_link_local());
    while bed.state() != DhcpState::Checking {
        bed.pass_with(SECOND, &mut [Server::new()]);
    }
    assert_eq!(bed.port.ipv4.address, own);
    bed.claim(Server::new().address);
    assert_eq!(bed.port.ipv4.address, own, "the conflict was about another address");
    while bed.state() != DhcpState::Checking {
        bed.pass_with(SECOND, &mut [Server::new()]);
    }
    bed.pass(10 * SECOND);
    assert_eq!((bed.state(), bed.port.ipv4.address), (DhcpState::Bound, Server::new().address));
}

/// A server that offers and never acknowledges leaves nobody without any address.
#[test]
fn a_server_that_only_offers() {
    let mut servers = [Server { only_offers: true, ..Server::new() }];
    let mut bed = Bed::new(1);
    bed.start(&DhcpConfig::new());
    bed.pass_with(60 * SECOND, &mut servers);
    assert!(is_link_local(bed.port.ipv4));
    servers[0].only_offers = false;
    bed.pass_with(66 * SECOND, &mut servers);
    assert_eq!(bed.port.ipv4.address, servers[0].address);
    // And one that refuses what it offers.
    let mut servers = [Server { refuses: true, ..Server::new() }];
    let mut bed = Bed::new(1);
    bed.start(&DhcpConfig::new());
    bed.pass_with(60 * SECOND, &mut servers);
    assert!(is_link_local(bed.port.ipv4));
}

/// Cooperation is optional, and a link-local address wanted for itself stays when the client stops.
#[test]
fn each_alone() {
    let mut bed = Bed::new(1);
    bed.start(&DhcpConfig { autoip_after: 0, ..DhcpConfig::new() });
    bed.pass(10_000 * SECOND);
    assert_eq!(bed.port.ipv4, Ipv4Settings::NONE);
    bed.auto.autoip_start(&mut bed.port, STATION);
    bed.pass(10 * SECOND);
    assert!(is_link_local(bed.port.ipv4));
    bed.auto.dhcp_stop(&mut bed.port, false);
    assert!(is_link_local(bed.port.ipv4));
    bed.start(&DhcpConfig { conflict_check: ConflictCheck::Off, ..DhcpConfig::new() });
    bed.pass_with(SECOND, &mut [Server::new()]);
    assert_eq!(bed.port.ipv4.address, Server::new().address);
    bed.auto.dhcp_stop(&mut bed.port, false);
    bed.pass(10 * SECOND);
    assert!(is_link_local(bed.port.ipv4), "it was wanted before");
}

/// [RFC 2563 §2.3] A network where nobody is to give himself an address.
#[test]
fn a_server_that_forbids() {
    let mut bed = Bed::new(1);
    bed.start(&DhcpConfig::new());
    bed.pass(30 * SECOND);
    assert!(is_link_local(bed.port.ipv4));
    let fields =
        DhcpFields { operation: BOOT_REPLY, ..DhcpFields::request(bed.last().transaction(), STATION) };
    let mut bytes = vec![0; 300];
    let mut writer = DhcpWriter::new(&mut bytes, &fields, MessageType::Offer).unwrap();
    assert!(writer.option(code::AUTO_CONFIGURE, &[0]));
    writer.finish();
    let before = bed.port.sent.len();
    bed.input(&bytes);
    assert_eq!(bed.port.ipv4, Ipv4Settings::NONE);
    bed.pass(299 * SECOND);
    assert_eq!((bed.port.ipv4, bed.port.sent.len()), (Ipv4Settings::NONE, before));
    bed.pass(2 * SECOND);
    assert_eq!(bed.port.sent.len(), before + 1, "it may be allowed by now");
    // Elsewhere it is allowed.
    bed.link(false);
    bed.link(true);
    bed.pass(30 * SECOND);
    assert!(is_link_local(bed.port.ipv4));
}

/// An address by hand that is checked first [5227-1], then watched over [5227-4].
#[test]
fn a_given_address_is_checked() {
    let given = Ipv4Settings::new(Ipv4Addr::new(192, 0, 2, 200), 24);
    let mut bed = Bed::new(1);
    bed.auto.acd_start(&mut bed.port, given);
    assert_eq!(bed.port.ipv4, Ipv4Settings::NONE);
    bed.pass(10 * SECOND);
    assert_eq!((bed.port.ipv4, bed.port.conflicts), (given, 0));
    bed.claim(given.address);
    assert_eq!(bed.port.ipv4, given, "defended");
    bed.claim(given.address);
    assert_eq!((bed.port.ipv4, bed.port.conflicts), (Ipv4Settings::NONE, 1));
    assert!(!bed.auto.is_on());

    bed.auto.acd_start(&mut bed.port, given);
    bed.pass(SECOND);
    bed.claim(given.address);
    bed.pass(100 * SECOND);
    assert_eq!((bed.port.ipv4, bed.port.conflicts), (Ipv4Settings::NONE, 2));

    bed.port.taken = Some(given.address);
    bed.auto.acd_start(&mut bed.port, given);
    bed.pass(100 * SECOND);
    assert_eq!((bed.port.ipv4, bed.port.conflicts, bed.auto.is_on()), (Ipv4Settings::NONE, 3, false));
}

/// The owner's word counts: an address by hand ends what the machines do, without taking the address away.
#[test]
fn the_owner_takes_over() {
    let mut bed = Bed::new(1);
    bed.start(&DhcpConfig { conflict_check: ConflictCheck::Off, ..DhcpConfig::new() });
    bed.pass_with(SECOND, &mut [Server::new()]);
    let by_hand = Ipv4Settings::new(Ipv4Addr::new(192, 0, 2, 9), 24);
    bed.port.ipv4 = by_hand;
    bed.auto.give_way(&mut bed.port);
    bed.pass(10_000 * SECOND);
    assert_eq!((bed.port.ipv4, bed.auto.is_on(), bed.auto.deadline()), (by_hand, false, None));
}

/// Something that happens to an interface.
#[derive(Clone, Debug)]
enum Step {
    Pass(u64),
    Serve(u64, u8),
    Link(bool),
    Claim(u8),
    Message(u8, u8, Vec<u8>),
    Start(u8),
    Renew,
    Release,
    AutoIp(bool),
    Given,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..200 * SECOND).prop_map(Step::Pass),
        1 => (0..50_000 * SECOND).prop_map(Step::Pass),
        4 => (0..200 * SECOND, any::<u8>()).prop_map(|(micros, how)| Step::Serve(micros, how)),
        1 => any::<bool>().prop_map(Step::Link),
        2 => any::<u8>().prop_map(Step::Claim),
        4 => (1..9_u8, any::<u8>(), prop::collection::vec(any::<u8>(), 0..80))
            .prop_map(|(kind, last, options)| Step::Message(kind, last, options)),
        1 => any::<u8>().prop_map(Step::Start),
        1 => Just(Step::Renew),
        1 => Just(Step::Release),
        1 => any::<bool>().prop_map(Step::AutoIp),
        1 => Just(Step::Given),
    ]
}

fn apply(bed: &mut Bed, step: Step) {
    match step {
        Step::Pass(micros) => bed.pass(micros),
        Step::Serve(micros, how) => {
            let server = Server {
                silent: how & 1 != 0,
                refuses: how & 6 == 6,
                only_offers: how & 0x18 == 0x18,
                rapid: how & 32 != 0,
                lease: if how & 64 != 0 { 1 + u32::from(how) } else { 86_400 },
                ..Server::new()
            };
            bed.pass_with(micros, &mut [server]);
        }
        Step::Link(up) => bed.link(up),
        Step::Claim(which) => {
            let address = match which % 4 {
                0 => Server::new().address,
                1 => bed.port.ipv4.address,
                2 => bed.port.arps.last().map_or(Ipv4Addr::LOCALHOST, |arp| arp.1),
                _ => Ipv4Addr::new(192, 0, 2, which),
            };
            bed.claim(address);
        }
        Step::Message(kind, last, options) => {
            let transaction = bed.port.sent.last().map_or(0, super::testing::Sent::transaction);
            let fields = DhcpFields {
                operation: BOOT_REPLY,
                yours: Ipv4Addr::new(192, 0, 2, last),
                ..DhcpFields::request(transaction, STATION)
            };
            let mut bytes = vec![0; 600];
            let kind = MessageType::new(kind).unwrap();
            let mut writer = DhcpWriter::new(&mut bytes, &fields, kind).unwrap();
            let _ = writer.number(code::SERVER_ID, 0xc000_0201)
                && writer.number(code::LEASE_TIME, u32::from(last));
            writer.finish();
            let end = bytes.iter().rposition(|&byte| byte == code::END).unwrap();
            bytes[end..end + options.len()].copy_from_slice(&options);
            if let Ok(message) = DhcpMessage::read(&bytes) {
                bed.auto.input(&mut bed.port, &message);
            }
        }
        Step::Start(how) => {
            let check = [ConflictCheck::Off, ConflictCheck::Background, ConflictCheck::BeforeUse];
            let config = DhcpConfig { conflict_check: check[usize::from(how % 3)], ..DhcpConfig::new() };
            bed.start(&config);
        }
        Step::Renew => bed.auto.dhcp_renew(&mut bed.port),
        Step::Release => bed.auto.dhcp_stop(&mut bed.port, true),
        Step::AutoIp(true) => bed.auto.autoip_start(&mut bed.port, STATION),
        Step::AutoIp(false) => bed.auto.autoip_stop(&mut bed.port),
        Step::Given => {
            let given = Ipv4Settings::new(Ipv4Addr::new(192, 0, 2, 200), 24);
            if bed.port.ipv4 == Ipv4Settings::NONE {
                bed.auto.acd_start(&mut bed.port, given);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 2 } else { 256 }, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever happens: the interface has an address exactly when one of the machines says so, and only its own;
    /// nothing spins, and nobody is flooded; and with a good server and a link there is a lease in the end.
    #[test]
    fn nothing_is_a_dead_end(steps in prop::collection::vec(step(), 0..40), seed in any::<u8>()) {
        let mut bed = Bed::new(seed);
        bed.start(&DhcpConfig::new());
        for step in steps {
            let (start, sent) = (bed.port.now, bed.port.sent.len());
            apply(&mut bed, step.clone());
            let leased = bed.auto.client.lease().map(|lease| lease.ipv4);
            let own = bed.auto.autoip.address().map(|_| bed.auto.autoip.settings());
            let given = bed.auto.given_in_use.then_some(bed.auto.given);
            let holders = [leased, own, given].into_iter().flatten().collect::<Vec<_>>();
            prop_assert!(holders.len() <= 1, "{holders:?} after {step:?}");
            prop_assert_eq!(bed.port.ipv4, holders.first().copied().unwrap_or(Ipv4Settings::NONE), "after {:?}", step);
            // Two messages in each two seconds, and a few at once, are the most, with the shortest lease.
            let seconds = bed.port.now.since(start).as_secs() as usize;
            prop_assert!(bed.port.sent.len() - sent <= 12 + 3 * seconds, "{} in {seconds} s", bed.port.sent.len() - sent);
        }
        bed.link(false);
        bed.link(true);
        bed.start(&DhcpConfig::new());
        bed.pass_with(200 * SECOND, &mut [Server::new()]);
        prop_assert_eq!(bed.port.ipv4.address, Server::new().address);
    }
}
