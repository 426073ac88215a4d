use core::net::Ipv4Addr;
use core::time::Duration;
use std::vec;
use std::vec::Vec;

use coracle_wire::dhcpv4::MessageType::{Ack, Decline, Discover, Inform, Nak, Offer, Release, Request};
use coracle_wire::dhcpv4::{DhcpFields, DhcpMessage, DhcpWriter, code};

use super::*;
use crate::autoconf::testing::{Bed, SECOND, STATION, Sent, Server};
use crate::netif::{Hostname, Ipv4Settings};
use crate::time::Instant;

mod answers;
mod messages;
mod times;

const NOBODY: Ipv4Addr = Ipv4Addr::UNSPECIFIED;
const ALL: Ipv4Addr = Ipv4Addr::BROADCAST;
const OURS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 50);

/// Without checks, and without a window for more offers.
fn plain() -> DhcpConfig {
    DhcpConfig {
        conflict_check: ConflictCheck::Off,
        offer_window: Duration::ZERO,
        rapid_commit: false,
        ..DhcpConfig::new()
    }
}

/// A client that has its lease from a server since this very moment.
fn bound(config: &DhcpConfig, server: &Server) -> Bed {
    let mut bed = Bed::new(1);
    bed.start(config);
    bed.pass_with(100_000, &mut [server.clone()]);
    assert_eq!(bed.state(), DhcpState::Bound);
    assert_eq!(bed.port.ipv4.address, server.address);
    bed
}

/// The kinds of messages from a place on.
fn kinds_from(bed: &Bed, from: usize) -> Vec<coracle_wire::dhcpv4::MessageType> {
    bed.kinds().split_off(from)
}

#[test]
fn from_the_start_to_a_lease() {
    let mut bed = Bed::new(1);
    bed.start(&plain());
    assert_eq!((bed.state(), bed.kinds()), (DhcpState::Selecting, vec![Discover]));
    let mut server = Server::new();
    bed.input(&server.reply(&bed.last(), Offer));
    assert_eq!((bed.state(), bed.kinds()), (DhcpState::Requesting, vec![Discover, Request]));
    assert_eq!(bed.port.ipv4, Ipv4Settings::NONE, "an offer is no lease");
    assert!(bed.input(&server.reply(&bed.last(), Ack)));
    assert_eq!(bed.state(), DhcpState::Bound);
    let settings = Ipv4Settings::new(OURS, 24).with_gateway(Ipv4Addr::new(192, 0, 2, 1));
    assert_eq!(bed.port.ipv4, settings);
    let lease = bed.auto.client.lease().unwrap();
    assert_eq!((lease.ipv4, lease.server), (settings, server.id));
    assert_eq!(lease.dns_servers, [server.id, NOBODY, NOBODY]);
    // A second acknowledgment, or another server's, changes nothing.
    let again = server.reply(&bed.last(), Ack);
    assert!(!bed.input(&again));
    server.address = Ipv4Addr::new(192, 0, 2, 51);
    assert!(!bed.input(&server.reply(&bed.last(), Ack)));
    assert_eq!(bed.port.ipv4, settings);
}

/// RFC 4039 §3.1: two messages instead of four, if both sides want it.
#[test]
fn rapid_commit() {
    let server = Server { rapid: true, ..Server::new() };
    let config = DhcpConfig { rapid_commit: true, ..plain() };
    let bed = bound(&config, &server);
    assert_eq!(bed.kinds(), [Discover]);
    assert_eq!(bed.last().value(code::RAPID_COMMIT), Some(vec![]));
    // A server that does not know it offers.
    let bed = bound(&config, &Server::new());
    assert_eq!(bed.kinds(), [Discover, Request]);
    // An acknowledgment that nobody asked for is none.
    let mut bed = Bed::new(1);
    bed.start(&plain());
    assert_eq!(bed.last().value(code::RAPID_COMMIT), None);
    assert!(!bed.input(&server.reply(&bed.last(), Ack)));
    assert_eq!(bed.state(), DhcpState::Selecting);
}

/// Several offers within the window: the best counts, not the first.
#[test]
fn offers_are_compared() {
    let poor = Server { options: vec![(code::NETMASK, vec![255, 255, 255, 0])], ..Server::new() };
    let rich = Server { id: [192, 0, 2, 2].into(), address: [192, 0, 2, 60].into(), ..Server::new() };
    let config = DhcpConfig { offer_window: Duration::from_millis(50), ..plain() };
    for servers in [[poor.clone(), rich.clone()], [rich.clone(), poor.clone()]] {
        let mut bed = Bed::new(1);
        bed.start(&config);
        let start = bed.port.now;
        bed.pass_with(SECOND, &mut servers.clone());
        assert_eq!(bed.port.ipv4.address, rich.address);
        assert_eq!(bed.last().read().server(), Some(rich.id));
        // The window counts from the first offer, which came after a millisecond.
        assert_eq!(bed.last().at.since(start), Duration::from_millis(51));
    }
    // An offer behind the window is too late.
    let mut bed = Bed::new(1);
    bed.start(&config);
    let discover = bed.last();
    bed.input(&poor.reply(&discover, Offer));
    bed.pass(60_000);
    assert_eq!(bed.state(), DhcpState::Requesting);
    bed.input(&rich.reply(&discover, Offer));
    assert_eq!(bed.last().read().server(), Some(poor.id));
}

/// The address from before is worth no waiting for others.
#[test]
fn the_address_from_before_is_best() {
    let old = Server { options: vec![], ..Server::new() };
    let rich = Server { id: [192, 0, 2, 2].into(), address: [192, 0, 2, 60].into(), ..Server::new() };
    let config = DhcpConfig { offer_window: Duration::from_secs(1), remembered: Some(OURS), ..plain() };
    let mut bed = Bed::new(1);
    bed.start(&config);
    assert_eq!(bed.kinds(), [Request], "it is asked for first");
    bed.pass(15 * SECOND);
    let discover = bed.last();
    assert_eq!(discover.kind(), Discover);
    assert_eq!(discover.value(code::REQUESTED_ADDRESS), Some(OURS.octets().to_vec()));
    bed.input(&rich.reply(&discover, Offer));
    assert_eq!(bed.state(), DhcpState::Selecting);
    bed.input(&old.reply(&discover, Offer));
    assert_eq!(bed.state(), DhcpState::Requesting);
    assert_eq!(bed.last().read().server(), Some(old.id));
}

/// [2131-11] Stopped and started again, it asks for the same address: no server named, nothing claimed.
#[test]
fn init_reboot() {
    let server = Server::new();
    let mut bed = bound(&plain(), &server);
    bed.auto.dhcp_stop(&mut bed.port, false);
    assert_eq!((bed.state(), bed.port.ipv4), (DhcpState::Off, Ipv4Settings::NONE));
    assert_eq!(bed.auto.deadline(), None);
    bed.start(&plain());
    assert_eq!(bed.state(), DhcpState::Rebooting);
    let request = bed.last();
    assert_eq!((request.kind(), request.source, request.destination), (Request, NOBODY, ALL));
    assert_eq!(request.read().header.client(), NOBODY);
    assert_eq!(request.read().server(), None);
    assert_eq!(request.value(code::REQUESTED_ADDRESS), Some(OURS.octets().to_vec()));
    bed.pass_with(10_000, &mut [server.clone()]);
    assert_eq!(bed.kinds(), [Discover, Request, Request]);
    assert_eq!((bed.state(), bed.port.ipv4.address), (DhcpState::Bound, OURS));

    // In another network: refused, and the search begins without a wait.
    bed.auto.dhcp_stop(&mut bed.port, false);
    let other = Server { address: [192, 0, 2, 77].into(), ..server };
    let before = bed.port.sent.len();
    bed.start(&plain());
    bed.pass_with(10_000, &mut [other.clone()]);
    assert_eq!(bed.port.ipv4.address, other.address);
    assert_eq!(kinds_from(&bed, before), [Request, Discover, Request]);
    assert_eq!(bed.port.sent[before + 1].value(code::REQUESTED_ADDRESS), None, "the address is forgotten");
}

/// Nobody answers for the address from before: after two requests the search begins.
#[test]
fn init_reboot_without_an_answer() {
    let mut bed = Bed::new(1);
    bed.start(&DhcpConfig { remembered: Some(OURS), ..plain() });
    bed.pass(40 * SECOND);
    assert_eq!(bed.kinds()[..4], [Request, Request, Discover, Discover]);
}

/// A link that was down for a moment costs no connection: the address stays, and the server is asked.
#[test]
fn a_link_that_comes_back() {
    let server = Server::new();
    let mut bed = bound(&plain(), &server);
    bed.link(false);
    let before = bed.port.sent.len();
    bed.pass(60 * SECOND);
    assert_eq!((bed.port.sent.len(), bed.port.ipv4.address), (before, OURS));
    bed.link(true);
    assert_eq!((bed.state(), bed.port.ipv4.address), (DhcpState::Rebooting, OURS));
    assert_eq!(bed.last().source, NOBODY);
    let request = bed.last();
    bed.input(&server.reply(&request, Ack));
    assert_eq!(bed.state(), DhcpState::Bound);

    // The same with a server that does not answer: the address stays to the end of its lease, and a server that comes
    // back gives it again.
    bed.link(false);
    bed.link(true);
    bed.pass(600 * SECOND);
    assert_eq!((bed.state(), bed.port.ipv4.address), (DhcpState::Selecting, OURS));
    bed.pass_with(120 * SECOND, &mut [server.clone()]);
    assert_eq!((bed.state(), bed.port.ipv4.address), (DhcpState::Bound, OURS));

    // And in another network, whose server refuses: at once another address.
    bed.link(false);
    bed.link(true);
    let mut other =
        Server { id: [198, 51, 100, 1].into(), address: [198, 51, 100, 9].into(), ..Server::new() };
    other.options.truncate(1);
    bed.pass_with(SECOND, &mut [other.clone()]);
    assert_eq!(bed.port.ipv4.address, other.address);
    assert_eq!(kinds_from(&bed, bed.kinds().len() - 3), [Request, Discover, Request]);
}

/// [2131-10] Without a link too.
#[test]
fn a_lease_ends_without_a_link() {
    let server = Server { lease: 100, ..Server::new() };
    let mut bed = bound(&plain(), &server);
    bed.link(false);
    bed.pass(99 * SECOND);
    assert_eq!(bed.port.ipv4.address, OURS);
    bed.pass(SECOND);
    assert_eq!(bed.port.ipv4, Ipv4Settings::NONE);
    assert_eq!(bed.auto.deadline(), None);
    let before = bed.port.sent.len();
    bed.link(true);
    assert_eq!(kinds_from(&bed, before), [Discover]);
}

#[test]
fn release_gives_the_address_back() {
    let server = Server::new();
    let mut bed = bound(&plain(), &server);
    bed.auto.dhcp_stop(&mut bed.port, true);
    let release = bed.last();
    assert_eq!((release.kind(), release.source, release.destination), (Release, OURS, server.id));
    assert_eq!(release.read().header.client(), OURS);
    assert_eq!(release.read().server(), Some(server.id));
    assert_eq!(release.value(code::REQUESTED_ADDRESS), None);
    assert_eq!(release.value(code::PARAMETERS), None);
    assert_eq!((bed.port.ipv4, bed.auto.deadline()), (Ipv4Settings::NONE, None));
    bed.start(&plain());
    assert_eq!((bed.last().kind(), bed.last().value(code::REQUESTED_ADDRESS)), (Discover, None));
    // Without an address there is nothing to give back.
    bed.auto.dhcp_stop(&mut bed.port, true);
    assert_eq!(bed.last().kind(), Discover);
}

/// [RFC 2131 §3.4] Settings for an address set by hand, which stays what it is.
#[test]
fn inform() {
    let mut bed = Bed::new(1);
    let by_hand = Ipv4Settings::new(Ipv4Addr::new(192, 0, 2, 200), 24);
    bed.port.ipv4 = by_hand;
    bed.auto.dhcp_inform(&mut bed.port, STATION, &plain());
    let inform = bed.last();
    assert_eq!((inform.kind(), inform.source, inform.destination), (Inform, by_hand.address, ALL));
    assert_eq!(inform.read().header.client(), by_hand.address);
    assert_eq!(inform.value(code::REQUESTED_ADDRESS), None);
    bed.pass(5 * SECOND);
    assert_eq!(bed.kinds(), [Inform, Inform], "once more, as nobody answered");
    assert!(bed.input(&Server::new().reply(&inform, Ack)));
    assert_eq!((bed.state(), bed.port.ipv4), (DhcpState::Informed, by_hand));
    bed.pass(10_000 * SECOND);
    assert_eq!(bed.kinds().len(), 2);
    bed.link(false);
    bed.link(true);
    assert_eq!(bed.kinds().len(), 3, "another network may have other settings");
}

#[test]
fn renewed_when_asked() {
    let server = Server::new();
    let mut bed = bound(&plain(), &server);
    bed.pass(10 * SECOND);
    bed.auto.dhcp_renew(&mut bed.port);
    assert_eq!((bed.state(), bed.last().destination), (DhcpState::Renewing, server.id));
    let asked = bed.port.now;
    bed.pass(3 * SECOND);
    bed.input(&server.reply(&bed.last(), Ack));
    assert_eq!(bed.auto.client.lease().unwrap().expires_at, asked + Duration::from_hours(1));
    bed.auto.dhcp_stop(&mut bed.port, true);
    let count = bed.port.sent.len();
    bed.auto.dhcp_renew(&mut bed.port);
    assert_eq!(bed.port.sent.len(), count, "one that is off stays off");
}
