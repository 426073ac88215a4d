//! Messages of DHCP that broke other stacks, put before a client that waits for just them. Each is dropped or made sane;
//! nothing panics, and the next good server is heard.
#![cfg(feature = "dhcp")]
#![allow(missing_docs)]

mod common;

use std::net::Ipv4Addr;
use std::time::Duration;

use common::*;
use coracle::wire::dhcpv4::{BOOT_REPLY, DhcpFields, DhcpMessage, DhcpWriter, HEADER_LEN, MessageType};
use coracle::*;
use proptest::prelude::*;

const OFFERED: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 100);

/// A client that looks for servers, and its message.
fn searching() -> (Host, Vec<u8>) {
    let mut host = Host::configured(|setup| setup.netif.ipv4 = Ipv4Settings::NONE);
    let config = DhcpConfig {
        conflict_check: ConflictCheck::Off,
        offer_window: Duration::ZERO,
        autoip_after: 0,
        ..DhcpConfig::new()
    };
    host.stack.netif(host.netif).unwrap().dhcp_start(&config).unwrap();
    let discover = host.sent_one().udp_data().to_vec();
    (host, discover)
}

/// An answer with exactly these bytes behind its type.
fn raw(request: &[u8], kind: MessageType, yours: Ipv4Addr, options: &[u8]) -> Vec<u8> {
    let request = DhcpMessage::read(request).unwrap().header;
    let fields = DhcpFields {
        operation: BOOT_REPLY,
        yours,
        ..DhcpFields::request(request.transaction(), request.hardware())
    };
    let mut bytes = vec![0; HEADER_LEN + 4];
    let _ = DhcpWriter::new(&mut bytes, &fields, kind).unwrap();
    bytes.truncate(HEADER_LEN + 3);
    bytes.extend_from_slice(options);
    bytes
}

const GOOD: &[u8] = &[54, 4, 192, 0, 2, 1, 51, 4, 0, 0, 14, 16, 1, 4, 255, 255, 255, 0, 255];

fn hand(host: &mut Host, message: &[u8]) {
    host.input(Packet::udp("192.0.2.1:67", "255.255.255.255:68", message).frame());
}

fn address(host: &mut Host) -> Ipv4Addr {
    host.stack.netif(host.netif).unwrap().ipv4().unwrap().address
}

/// The next good server is heard, however long the client may wait by now; every buffer is back.
fn unharmed(host: &mut Host) {
    host.stack.netif(host.netif).unwrap().dhcp_release().unwrap();
    host.advance(Duration::from_secs(30));
    host.discard_sent();
    host.stack
        .netif(host.netif)
        .unwrap()
        .dhcp_start(&DhcpConfig { offer_window: Duration::ZERO, ..DhcpConfig::new() })
        .unwrap();
    let discover = host.sent_one().udp_data().to_vec();
    hand(host, &raw(&discover, MessageType::Offer, OFFERED, GOOD));
    let request = host.sent_one().udp_data().to_vec();
    hand(host, &raw(&request, MessageType::Ack, OFFERED, GOOD));
    assert_eq!(address(host), OFFERED);
    host.stack.netif(host.netif).unwrap().dhcp_stop().unwrap();
    host.discard_sent();
    assert_eq!(host.memory_used(), (0, 0, 0));
}

/// What becomes of these options in an offer: whether the client asks for it.
fn taken(yours: Ipv4Addr, options: &[u8]) -> bool {
    let (mut host, discover) = searching();
    hand(&mut host, &raw(&discover, MessageType::Offer, yours, options));
    let asked = !host.sent().is_empty();
    unharmed(&mut host);
    asked
}

/// CVE-2019-12257, CVE-2018-16602, CVE-2020-11903, NUCLEUS:13 -31881 to -31883: options whose length goes past the end,
/// of the message or of an overloaded field.
#[test]
fn lengths_past_the_end() {
    assert!(taken(OFFERED, GOOD));
    let good = &GOOD[..GOOD.len() - 1];
    for end in [&[43, 1][..], &[43], &[43, 255, 1, 2], &[12, 200], &[6, 8, 192, 0, 2, 1], &[121, 5, 24]] {
        assert!(!taken(OFFERED, &[good, end].concat()), "{end:?}");
    }
    for overload in [1, 2, 3] {
        let (mut host, discover) = searching();
        let mut offer =
            raw(&discover, MessageType::Offer, OFFERED, &[good, &[52, 1, overload, 255]].concat());
        offer[44] = 43;
        offer[45] = 63;
        offer[108] = 43;
        offer[109] = 127;
        hand(&mut host, &offer);
        assert_eq!((host.sent().len(), host.stack.counters().dhcp.malformed), (0, 1), "{overload}");
        unharmed(&mut host);
    }
}

/// CVE-2019-12264: an address that is multicast, loopback, zero or of class E.
#[test]
fn addresses_of_nobody() {
    for first in [0, 127, 224, 239, 240, 255] {
        assert!(!taken(Ipv4Addr::new(first, 0, 2, 100), GOOD), "{first}");
    }
}

/// smoltcp's change log: T1, T2 and the lease out of order; address options of the wrong size; no and too many servers.
#[test]
fn times_and_lists_out_of_order() {
    let good = &GOOD[..GOOD.len() - 1];
    let many = [&[6, 252][..], &[192; 252]].concat();
    for more in [
        &[58, 4, 0, 1, 0, 0, 59, 4, 0, 0, 0, 1][..],
        &[58, 4, 255, 255, 255, 255, 59, 4, 255, 255, 255, 255],
        &[58, 1, 1, 59, 0],
        &[3, 0, 6, 0, 28, 0],
        &[3, 3, 1, 2, 3, 6, 5, 1, 2, 3, 4, 5],
        &[1, 4, 255, 0, 255, 0],
        &[26, 2, 0, 0],
        &many,
    ] {
        let (mut host, discover) = searching();
        let options = [good, more, &[255]].concat();
        hand(&mut host, &raw(&discover, MessageType::Offer, OFFERED, &options));
        let request = host.sent_one().udp_data().to_vec();
        hand(&mut host, &raw(&request, MessageType::Ack, OFFERED, &options));
        assert_eq!(address(&mut host), OFFERED, "{more:?}");
        assert_eq!(host.stack.netif(host.netif).unwrap().mtu(), Ok(1_500));
        host.advance(Duration::from_hours(2));
        unharmed(&mut host);
    }
}

/// CVE-2020-7461, NUCLEUS:13 -31884: names that loop, are cut, or end nowhere.
#[test]
fn names_that_are_none() {
    let good = &GOOD[..GOOD.len() - 1];
    for name in [
        &[119, 2, 0xc0, 0][..],
        &[119, 4, 1, b'a', 0xc0, 0],
        &[119, 1, 63],
        &[15, 3, 0, 0, 0],
        &[12, 0],
        &[15, 2, 46, 46],
    ] {
        let (mut host, discover) = searching();
        let options = [good, name, &[255]].concat();
        hand(&mut host, &raw(&discover, MessageType::Offer, OFFERED, &options));
        let request = host.sent_one().udp_data().to_vec();
        hand(&mut host, &raw(&request, MessageType::Ack, OFFERED, &options));
        assert_eq!(address(&mut host), OFFERED, "{name:?}");
        unharmed(&mut host);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    /// A server that answers anything to everything, whole messages and broken ones: the client stays sane.
    #[test]
    fn a_server_gone_mad(
        answers in prop::collection::vec(
            (1..9_u8, any::<[u8; 4]>(), any::<bool>(), prop::collection::vec(any::<u8>(), 0..60), 0..400_u64, 0..280_usize),
            1..30,
        ),
    ) {
        let (mut host, mut last) = searching();
        for (kind, yours, good, options, seconds, broken_at) in answers {
            let kind = MessageType::new(kind).unwrap();
            let options = if good { [&GOOD[..GOOD.len() - 1], &options].concat() } else { options };
            let yours = if good { OFFERED } else { yours.into() };
            let mut message = raw(&last, kind, yours, &options);
            if let Some(byte) = message.get_mut(broken_at).filter(|_| !good) {
                *byte = byte.wrapping_add(1);
            }
            hand(&mut host, &message);
            host.advance(Duration::from_secs(seconds));
            for seen in host.sent() {
                if !seen.is_arp() {
                    last = seen.udp_data().to_vec();
                    prop_assert!(DhcpMessage::read(&last).is_ok());
                }
            }
            let own = host.stack.netif(host.netif).unwrap();
            let (ipv4, lease) = (own.ipv4().unwrap(), own.dhcp_lease());
            prop_assert_eq!(ipv4, lease.map_or(Ipv4Settings::NONE, |lease| lease.ipv4));
            if let Some(lease) = lease {
                prop_assert!(lease.renew_at <= lease.rebind_at && lease.rebind_at <= lease.expires_at);
                prop_assert!(lease.expires_at > host.now);
            }
        }
        unharmed(&mut host);
    }
}
