//! What servers, neighbours and others answer.

use super::*;
use crate::netif::Ipv4Settings;

/// An acknowledgment or offer with these options, whatever they are.
fn answer(
    request: &Sent,
    kind: coracle_wire::dhcpv4::MessageType,
    address: Ipv4Addr,
    options: &[(u8, &[u8])],
) -> Vec<u8> {
    let fields =
        DhcpFields { operation: 2, yours: address, ..DhcpFields::request(request.transaction(), STATION) };
    let mut bytes = vec![0; 1_000];
    let mut writer = DhcpWriter::new(&mut bytes, &fields, kind).unwrap();
    for (code, data) in options {
        assert!(writer.option(*code, data));
    }
    let len = writer.finish();
    bytes.truncate(len);
    bytes
}

const SERVER: (u8, &[u8]) = (code::SERVER_ID, &[192, 0, 2, 1]);
const LEASE: (u8, &[u8]) = (code::LEASE_TIME, &[0, 0, 0x0e, 0x10]);

/// What becomes of an offer with these options: the settings once it is acknowledged, `None` if it is passed over.
fn settings_from(address: Ipv4Addr, options: &[(u8, &[u8])]) -> Option<Ipv4Settings> {
    let mut bed = Bed::new(1);
    bed.start(&plain());
    let discover = bed.last();
    bed.input(&answer(&discover, Offer, address, options));
    if bed.state() == DhcpState::Selecting {
        return None;
    }
    assert!(bed.input(&answer(&discover, Ack, address, options)));
    Some(bed.port.ipv4)
}

/// [2131-1] Another transaction, another station, a request, another's client identifier [RFC 6842 §3].
#[test]
fn answers_for_others_are_passed_over() {
    let server = Server::new();
    let mut bed = Bed::new(1);
    bed.start(&plain());
    let good = server.reply(&bed.last(), Offer);
    for (at, what) in
        [(0, "operation"), (4, "transaction"), (7, "transaction"), (28, "station"), (33, "station")]
    {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        bed.input(&bytes);
        assert_eq!(bed.state(), DhcpState::Selecting, "{what}");
    }
    let place = good.windows(2).position(|pair| pair == [code::CLIENT_ID, 15]).unwrap();
    let mut bytes = good.clone();
    bytes[place + 16] ^= 1;
    bed.input(&bytes);
    assert_eq!(bed.state(), DhcpState::Selecting, "client identifier");
    // Many servers do not echo it.
    bytes[place] = code::MESSAGE;
    bed.input(&bytes);
    assert_eq!(bed.state(), DhcpState::Requesting);
}

/// Brings a client to a state.
type Reach = fn(&mut Bed, &Server);

/// Every kind of message in every state: only those that are asked for do anything.
#[test]
fn messages_out_of_place() {
    use coracle_wire::dhcpv4::MessageType;
    let server = Server::new();
    let reach: [(DhcpState, Reach, &[MessageType]); 7] = [
        (DhcpState::Off, |bed, _| bed.auto.dhcp_stop(&mut bed.port, false), &[]),
        (DhcpState::Selecting, |bed, _| bed.start(&plain()), &[Offer]),
        (
            DhcpState::Requesting,
            |bed, server| {
                bed.start(&plain());
                bed.input(&server.reply(&bed.last(), Offer));
            },
            &[Ack, Nak],
        ),
        (
            DhcpState::Bound,
            |bed, server| {
                bed.start(&plain());
                bed.pass_with(100_000, &mut [server.clone()]);
            },
            &[],
        ),
        (
            DhcpState::Renewing,
            |bed, server| {
                bed.start(&plain());
                bed.pass_with(100_000, &mut [server.clone()]);
                bed.pass(1_801 * SECOND);
            },
            &[Ack, Nak],
        ),
        (
            DhcpState::Rebinding,
            |bed, server| {
                bed.start(&plain());
                bed.pass_with(100_000, &mut [server.clone()]);
                bed.pass(3_200 * SECOND);
            },
            &[Ack, Nak],
        ),
        (
            DhcpState::Rebooting,
            |bed, _| bed.start(&DhcpConfig { remembered: Some(OURS), ..plain() }),
            &[Ack, Nak],
        ),
    ];
    for (state, reach, expected) in reach {
        for number in 1..=8 {
            let kind = MessageType::new(number).unwrap();
            let mut bed = Bed::new(1);
            bed.start(&plain());
            reach(&mut bed, &server);
            assert_eq!(bed.state(), state);
            let before = (bed.port.sent.len(), bed.port.ipv4, bed.auto.deadline());
            bed.input(&server.reply(&bed.last(), kind));
            let after = (bed.port.sent.len(), bed.port.ipv4, bed.auto.deadline());
            assert_eq!(before != after, expected.contains(&kind), "{kind:?} in {state:?}");
        }
    }
}

/// Addresses that no host has, as in CVE-2019-12264, and offers without a server or a time.
#[test]
fn offers_that_nobody_can_use() {
    let mask: (u8, &[u8]) = (code::NETMASK, &[255, 255, 255, 0]);
    for address in [
        [0, 0, 0, 0],
        [0, 1, 2, 3],
        [127, 0, 0, 1],
        [224, 0, 0, 1],
        [239, 1, 1, 1],
        [240, 0, 0, 1],
        [255, 255, 255, 255],
        [192, 0, 2, 0],
        [192, 0, 2, 255],
    ] {
        assert_eq!(settings_from(address.into(), &[SERVER, LEASE, mask]), None, "{address:?}");
    }
    assert!(settings_from(OURS, &[SERVER, LEASE, mask]).is_some());
    assert_eq!(settings_from(OURS, &[LEASE, mask]), None, "no server");
    assert_eq!(settings_from(OURS, &[SERVER, mask]), None, "no time");
    assert_eq!(settings_from(OURS, &[(code::SERVER_ID, &[1, 2, 3]), LEASE]), None, "a cut server");
    assert_eq!(settings_from(OURS, &[SERVER, (code::LEASE_TIME, &[0, 0, 1]), mask]), None, "a cut time");
    assert_eq!(settings_from(OURS, &[SERVER, LEASE, LEASE]), None, "two times");
}

/// A netmask with holes, of zero, cut or missing gives way to that of the address's class.
#[test]
fn netmasks() {
    for (mask, expected) in [
        (&[255, 255, 255, 128][..], 25),
        (&[255, 255, 255, 255], 32),
        (&[128, 0, 0, 0], 1),
        (&[255, 0, 255, 0], 24),
        (&[0, 255, 255, 255], 24),
        (&[0, 0, 0, 0], 24),
        (&[255, 255, 0], 24),
        (&[], 24),
    ] {
        let settings = settings_from(OURS, &[SERVER, LEASE, (code::NETMASK, mask)]).unwrap();
        assert_eq!(settings.prefix_len(), expected, "{mask:?}");
    }
    for (address, expected) in [([10, 1, 2, 3], 8), ([172, 16, 1, 2], 16), ([198, 51, 100, 7], 24)] {
        assert_eq!(settings_from(address.into(), &[SERVER, LEASE]).unwrap().prefix_len(), expected);
    }
}

/// Routers that are none are left out; classless routes speak alone [RFC 3442].
#[test]
fn gateways() {
    let mask: (u8, &[u8]) = (code::NETMASK, &[255, 255, 255, 0]);
    let gateway = |options: &[(u8, &[u8])]| {
        let all = [&[SERVER, LEASE, mask], options].concat();
        settings_from(OURS, &all).unwrap().gateway.octets()
    };
    let routers = |addresses: &'static [u8]| [(code::ROUTERS, addresses)];
    assert_eq!(gateway(&[]), [0; 4]);
    assert_eq!(gateway(&routers(&[192, 0, 2, 1, 192, 0, 2, 2])), [192, 0, 2, 1]);
    for wrong in [
        &[224, 0, 0, 1][..],
        &[127, 0, 0, 1],
        &[255, 255, 255, 255],
        &[192, 0, 2, 255],
        &[192, 0, 2, 50],
        &[192, 0, 2, 1, 9],
        &[192, 0],
    ] {
        assert_eq!(gateway(&[(code::ROUTERS, wrong)]), [0; 4], "{wrong:?}");
    }
    let routers = routers(&[192, 0, 2, 1])[0];
    assert_eq!(gateway(&[routers, (code::CLASSLESS_ROUTES, &[0, 192, 0, 2, 9])]), [192, 0, 2, 9]);
    assert_eq!(gateway(&[routers, (code::CLASSLESS_ROUTES, &[8, 10, 192, 0, 2, 9])]), [0; 4]);
}

#[test]
fn mtus_and_name_servers() {
    let lease = |options: &[(u8, Vec<u8>)]| {
        let mut server = Server::new();
        server.options = options.to_vec();
        *bound(&plain(), &server).auto.client.lease().unwrap()
    };
    for (mtu, expected) in [
        (0, None),
        (67, None),
        (68, None),
        (575, None),
        (576, Some(576)),
        (1_400, Some(1_400)),
        (9_000, Some(9_000)),
    ] {
        let mtu: u16 = mtu;
        assert_eq!(lease(&[(code::MTU, mtu.to_be_bytes().to_vec())]).mtu, expected);
    }
    assert_eq!(lease(&[(code::MTU, vec![1])]).mtu, None);
    let servers: Vec<u8> = (0..8).flat_map(|last| [192, 0, 2, last]).collect();
    let expected = [0, 1, 2].map(|last| Ipv4Addr::new(192, 0, 2, last));
    assert_eq!(lease(&[(code::DNS_SERVERS, servers)]).dns_servers, expected);
    let with_wrong = [224, 0, 0, 1, 0, 0, 0, 0, 192, 0, 2, 9].to_vec();
    assert_eq!(
        lease(&[(code::DNS_SERVERS, with_wrong)]).dns_servers,
        [[192, 0, 2, 9].into(), NOBODY, NOBODY]
    );
}

/// [2131-9] Only the server that was asked may refuse; when all were asked, any.
#[test]
fn refusals() {
    let server = Server::new();
    let other = Server { id: [192, 0, 2, 66].into(), ..Server::new() };
    let mut bed = Bed::new(1);
    bed.start(&plain());
    bed.input(&server.reply(&bed.last(), Offer));
    bed.input(&other.reply(&bed.last(), Nak));
    assert_eq!(bed.state(), DhcpState::Requesting);
    bed.input(&server.reply(&bed.last(), Nak));
    assert_eq!(bed.state(), DhcpState::Selecting);

    let mut bed = bound(&plain(), &server);
    bed.pass(1_801 * SECOND);
    assert_eq!(bed.state(), DhcpState::Renewing);
    bed.input(&other.reply(&bed.last(), Nak));
    assert_eq!((bed.state(), bed.port.ipv4.address), (DhcpState::Renewing, OURS));
    bed.pass(1_400 * SECOND);
    assert_eq!(bed.state(), DhcpState::Rebinding);
    bed.input(&other.reply(&bed.last(), Nak));
    assert_eq!((bed.state(), bed.port.ipv4), (DhcpState::Selecting, Ipv4Settings::NONE));
}

/// A server that offers and refuses in circles is not asked ever faster, and once it changes its mind all is well.
#[test]
fn refusals_in_a_row_slow_down() {
    let mut servers = [Server { refuses: true, ..Server::new() }];
    let mut bed = Bed::new(1);
    bed.start(&DhcpConfig { autoip_after: 0, ..plain() });
    bed.pass_with(600 * SECOND, &mut servers);
    assert!((8..40).contains(&bed.kinds().len()), "{} messages", bed.kinds().len());
    servers[0].refuses = false;
    bed.pass_with(70 * SECOND, &mut servers);
    assert_eq!(bed.state(), DhcpState::Bound);
}

/// A renewal that says something else than what was asked is none; one with other settings counts.
#[test]
fn renewals() {
    let server = Server::new();
    let mut bed = bound(&plain(), &server);
    bed.pass(1_801 * SECOND);
    let request = bed.last();
    let other_address = Server { address: [192, 0, 2, 51].into(), ..Server::new() };
    assert!(!bed.input(&other_address.reply(&request, Ack)));
    let other_server = Server { id: [192, 0, 2, 66].into(), ..Server::new() };
    assert!(!bed.input(&other_server.reply(&request, Ack)));
    let settings = vec![(code::NETMASK, vec![255, 255, 255, 128]), (code::ROUTERS, vec![192, 0, 2, 2])];
    let changed = Server { options: settings, lease: 7_200, ..Server::new() };
    assert!(bed.input(&changed.reply(&request, Ack)));
    assert_eq!(bed.port.ipv4, Ipv4Settings::new(OURS, 25).with_gateway([192, 0, 2, 2].into()));
    assert_eq!(bed.auto.client.lease().unwrap().expires_at, request.at + Duration::from_hours(2));
    // While rebinding any server may extend it.
    bed.pass(6_500 * SECOND);
    assert_eq!(bed.state(), DhcpState::Rebinding);
    assert!(bed.input(&other_server.reply(&bed.last(), Ack)));
    assert_eq!((bed.state(), bed.auto.client.lease().unwrap().server), (DhcpState::Bound, other_server.id));
}

/// [2131-8, 5227-1] Checked before use: three probes, and the address 2 s later.
#[test]
fn checked_before_use() {
    let server = Server::new();
    let mut bed = Bed::new(1);
    bed.start(&DhcpConfig { conflict_check: ConflictCheck::BeforeUse, ..plain() });
    bed.pass_with(100_000, &mut [server.clone()]);
    assert_eq!((bed.state(), bed.port.ipv4), (DhcpState::Checking, Ipv4Settings::NONE));
    bed.pass(7 * SECOND);
    assert_eq!((bed.state(), bed.port.ipv4.address), (DhcpState::Bound, OURS));
    bed.pass(10 * SECOND);
    let probes: Vec<bool> = bed
        .port
        .arps
        .iter()
        .map(|&(_, address, announce)| {
            assert_eq!(address, OURS);
            announce
        })
        .collect();
    assert_eq!(probes, [false, false, false, true], "setting the address was the first announcement");

    // Somebody has it.
    let mut bed = Bed::new(1);
    bed.start(&DhcpConfig { conflict_check: ConflictCheck::BeforeUse, ..plain() });
    bed.pass_with(100_000, &mut [server.clone()]);
    let asked = bed.port.now;
    bed.claim(OURS);
    assert_eq!((bed.state(), bed.last().kind()), (DhcpState::Init, Decline));
    bed.pass(9 * SECOND);
    assert_eq!(bed.last().kind(), Decline, "ten seconds at least");
    let other = Server { address: [192, 0, 2, 51].into(), ..server };
    bed.pass_with(20 * SECOND, &mut [other]);
    assert!(
        bed.port.sent.iter().rev().find(|sent| sent.kind() == Discover).unwrap().at.since(asked).as_secs()
            >= 10
    );
    assert_eq!(bed.port.ipv4.address, Ipv4Addr::new(192, 0, 2, 51));
}

/// Checked in the background: usable at once, and given up when somebody turns out to have it.
#[test]
fn checked_in_the_background() {
    let config = DhcpConfig { conflict_check: ConflictCheck::Background, ..plain() };
    let mut bed = bound(&config, &Server::new());
    bed.pass(20 * SECOND);
    let announced: Vec<bool> = bed.port.arps.iter().map(|arp| arp.2).collect();
    assert_eq!(announced, [false, false, false, true, true]);
    assert_eq!(bed.port.ipv4.address, OURS);

    let mut bed = bound(&config, &Server::new());
    bed.pass(SECOND);
    bed.claim(Ipv4Addr::new(192, 0, 2, 51));
    assert_eq!(bed.port.ipv4.address, OURS);
    bed.claim(OURS);
    assert_eq!((bed.port.ipv4, bed.last().kind()), (Ipv4Settings::NONE, Decline));
}

/// [5227-4] An address in use is defended once in ten seconds, and given up when that does not help.
#[test]
fn conflicts_later_on() {
    let mut bed = bound(&plain(), &Server::new());
    bed.pass(100 * SECOND);
    bed.claim(OURS);
    assert_eq!(bed.port.arps.last(), Some(&(bed.port.now, OURS, true)));
    assert_eq!(bed.port.ipv4.address, OURS);
    bed.pass(60 * SECOND);
    bed.claim(OURS);
    assert_eq!(bed.port.ipv4.address, OURS);
    bed.claim(OURS);
    assert_eq!((bed.port.ipv4, bed.last().kind()), (Ipv4Settings::NONE, Decline));
    // And with a server that has another address all is well again.
    let other = Server { address: [192, 0, 2, 51].into(), ..Server::new() };
    bed.pass_with(20 * SECOND, &mut [other]);
    assert_eq!(bed.port.ipv4.address, Ipv4Addr::new(192, 0, 2, 51));
}

/// An address that another interface of the same stack has is declined like anybody's.
#[test]
fn an_address_of_another_interface() {
    let mut bed = Bed::new(1);
    bed.port.taken = Some(OURS);
    bed.start(&plain());
    bed.pass_with(100_000, &mut [Server::new()]);
    assert_eq!(
        (bed.state(), bed.last().kind(), bed.port.ipv4),
        (DhcpState::Init, Decline, Ipv4Settings::NONE)
    );
}

/// Servers that do not answer, again and again, leave no state without a way out.
#[test]
fn there_is_always_a_way_back() {
    let mut silent = [Server { silent: true, ..Server::new() }];
    let mut bed = bound(&plain(), &Server::new());
    for round in 0..5 {
        bed.pass_with(20_000 * SECOND, &mut silent);
        assert_eq!(bed.state(), DhcpState::Selecting, "round {round}");
        bed.link(false);
        bed.pass(50 * SECOND);
        bed.link(true);
        bed.pass_with(130 * SECOND, &mut [Server::new()]);
        assert_eq!((bed.state(), bed.port.ipv4.address), (DhcpState::Bound, OURS), "round {round}");
    }
}

/// A cut message is none, wherever it is cut.
#[test]
fn cut_messages() {
    let mut bed = Bed::new(1);
    bed.start(&plain());
    let offer = Server::new().reply(&bed.last(), Offer);
    for len in 0..offer.len() {
        if let Ok(message) = DhcpMessage::read(&offer[..len]) {
            bed.auto.input(&mut bed.port, &message);
            if bed.state() == DhcpState::Requesting {
                // Only what does not matter was cut.
                assert!(len > 250);
                bed.start(&plain());
                return;
            }
        }
    }
}
