//! Group membership on the wire: IGMP and MLD as an independent decoder and the RFCs' layouts see them, sources
//! filtered for each control block, and queries that are forged or malformed.

mod common;
use common::*;

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use coracle::wire::igmp::{self, IgmpQuery};
use coracle::wire::ipv4::{Ipv4Option, Options};
use coracle::wire::membership::QueryDetails;
use coracle::*;
use etherparse::igmp::ReportGroupRecordType;
use etherparse::{IgmpSlice, NetSlice, SlicedPacket, TransportSlice};

const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 2, 3);
const OTHER: Ipv4Addr = Ipv4Addr::new(239, 1, 2, 4);
const ALERT: [u8; 4] = [148, 4, 0, 0];
const IGMP: u8 = 2;
const DETAILS: QueryDetails = QueryDetails { suppress: false, robustness: 2, interval_s: 125 };
const SECOND: Duration = Duration::from_secs(1);

/// Holds a frame against an independent decoder; where it goes, and its message.
fn judge(frame: &[u8]) -> (Ipv4Addr, Vec<u8>) {
    let packet = SlicedPacket::from_ethernet(frame).unwrap();
    let Some(NetSlice::Ipv4(net)) = &packet.net else { panic!("{frame:02x?}") };
    let header = net.header().to_header();
    assert_eq!(header.calc_header_checksum(), header.header_checksum);
    assert_eq!((header.time_to_live, header.options.as_slice()), (1, &ALERT[..]), "[3376-1]");
    assert_eq!(header.source, OURS.octets());
    assert_eq!((frame[0], frame[1], frame[2]), (1, 0, 0x5e));
    let Some(TransportSlice::Igmp(igmp)) = &packet.transport else { panic!("{frame:02x?}") };
    assert!(igmp.is_checksum_valid());
    (header.destination.into(), igmp.slice().to_vec())
}

/// The messages that left, each with where it went.
fn said(host: &mut Host) -> Vec<(Ipv4Addr, Vec<u8>)> {
    let netif = host.netif;
    host.sent_raw(netif).iter().map(|frame| judge(frame)).collect()
}

/// The records of the one report that left: kind, group, sources.
fn report(host: &mut Host) -> Vec<(u8, Ipv4Addr, Vec<Ipv4Addr>)> {
    let said = said(host);
    let [(to, message)] = &said[..] else { panic!("{said:02x?}") };
    assert_eq!(*to, Ipv4Addr::new(224, 0, 0, 22));
    let Ok(IgmpSlice::MembershipReportV3(slice)) = IgmpSlice::from_slice(message) else {
        panic!("{message:?}")
    };
    let records: Vec<_> = igmp::read_report(message)
        .unwrap()
        .map(|record| record.unwrap())
        .map(|record| (record.kind, record.group.into(), record.sources.iter().map(|&s| s.into()).collect()))
        .collect();
    assert_eq!(usize::from(slice.num_of_records()), records.len());
    assert_eq!(ReportGroupRecordType(records[0].0).0, records[0].0);
    records
}

fn with_ttl(mut packet: Packet, ttl: u8) -> Packet {
    packet.header.time_to_live = ttl;
    packet
}

/// A query as a router sends it.
fn query(query: &IgmpQuery<'_>) -> Packet {
    let mut message = vec![0; 1_400];
    let len = query.write(&mut message).unwrap();
    message.truncate(len);
    let to = if query.group.is_unspecified() { Ipv4Addr::new(224, 0, 0, 1) } else { query.group };
    with_ttl(Packet::new(PEER, to, IGMP, message).options(&ALERT), 1)
}

fn general(response_ds: u16) -> IgmpQuery<'static> {
    let group = Ipv4Addr::UNSPECIFIED;
    IgmpQuery { response_ds, group, version: igmp::Version::V3(DETAILS), sources: &[] }
}

/// A host with a membership whose reports are all out.
fn member() -> Host {
    let mut host = host();
    host.stack.netif(host.netif).unwrap().join_group(GROUP.into()).unwrap();
    host.advance(10 * SECOND);
    host.discard_sent();
    host
}

/// [RFC 3376 §4.2] Every byte of the first report.
#[test]
fn a_report_is_byte_for_byte_what_the_rfc_draws() {
    let mut host = host();
    host.stack.netif(host.netif).unwrap().join_group(GROUP.into()).unwrap();
    let frames = host.sent_raw(host.netif);
    let [frame] = &frames[..] else { panic!("{frames:?}") };
    let link = [1, 0, 0x5e, 0, 0, 22, 2, 0, 0, 0, 0, 2, 8, 0];
    assert_eq!(frame[..14], link);
    assert_eq!((frame[14], frame[15], &frame[16..18]), (0x46, 0xc0, &[0, 40][..]));
    assert_eq!(frame[22..24], [1, 2]);
    assert_eq!(frame[26..38], [192, 0, 2, 2, 224, 0, 0, 22, 148, 4, 0, 0]);
    assert_eq!(frame[38..], [0x22, 0, 0xe8, 0xf9, 0, 0, 0, 1, 4, 0, 0, 0, 239, 1, 2, 3]);
    judge(frame);
}

#[test]
fn joins_and_leaves_are_told_to_routers_and_again() {
    let mut host = host();
    host.stack.netif(host.netif).unwrap().join_group(GROUP.into()).unwrap();
    assert_eq!(report(&mut host), [(4, GROUP, vec![])]);
    host.advance(SECOND);
    assert_eq!(report(&mut host), [(4, GROUP, vec![])]);
    host.advance(600 * SECOND);
    assert_eq!(said(&mut host), []);
    host.stack.netif(host.netif).unwrap().leave_group(GROUP.into()).unwrap();
    assert_eq!(report(&mut host), [(3, GROUP, vec![])]);
    host.advance(SECOND);
    assert_eq!(report(&mut host), [(3, GROUP, vec![])]);
    assert_eq!(host.stack.next_deadline(), None);
    assert_eq!(host.stack.counters().igmp.reports_sent, 4);
    assert_eq!(host.memory_used(), (0, 0, 0));
}

#[test]
fn control_blocks_choose_sources_and_their_interface_reports_the_sum() {
    let mut host = host();
    let [first, second] = ["first", "second"].map(|who| {
        let app = host.app(who);
        let udp = host.stack.udp_new(app).unwrap();
        host.stack.udp(udp).unwrap().set_reuse_address(true).unwrap();
        host.stack.udp(udp).unwrap().bind((Ipv4Addr::UNSPECIFIED, 5_000).into()).unwrap();
        udp
    });
    let netif = Some(host.netif);
    let mut udp = host.stack.udp(first).unwrap();
    udp.join_source(GROUP.into(), PEER.into(), netif).unwrap();
    assert_eq!(report(&mut host), [(5, GROUP, vec![PEER])]);
    host.advance(SECOND);
    host.discard_sent();
    let mut udp = host.stack.udp(second).unwrap();
    udp.join(GROUP.into(), None).unwrap();
    udp.block_source(GROUP.into(), GATEWAY.into(), None).unwrap();
    let mut sources = [IpAddr::V4(OURS)];
    assert_eq!(udp.filter(GROUP.into(), None, &mut sources), Ok((FilterMode::Exclude, 1)));
    assert_eq!(sources, [IpAddr::V4(GATEWAY)]);
    host.discard_sent();
    for from in [PEER, GATEWAY, Ipv4Addr::new(192, 0, 2, 77)] {
        let [a, b, c, d] = from.octets();
        host.input(Packet::udp(&format!("{a}.{b}.{c}.{d}:9"), "239.1.2.3:5000", &[d]).frame());
    }
    let heard: Vec<_> = host.heard();
    let mut heard: Vec<_> = heard
        .iter()
        .map(|heard| match heard {
            Heard::Datagram { who, data, .. } => (*who, data[0]),
            other => panic!("{other:?}"),
        })
        .collect();
    heard.sort_unstable();
    assert_eq!(heard, [("first", 9), ("second", 9), ("second", 77)]);
    // Removing a control block ends what it joined.
    host.advance(SECOND);
    host.discard_sent();
    host.stack.udp_remove(second).unwrap();
    assert_eq!(report(&mut host), [(3, GROUP, vec![PEER])]);
    host.advance(SECOND);
    host.discard_sent();
    host.stack.udp_remove(first).unwrap();
    assert_eq!(report(&mut host), [(6, GROUP, vec![PEER])]);
    host.input(Packet::udp("192.0.2.9:9", "239.1.2.3:5000", b"x").frame());
    assert_eq!(host.stack.counters().ip.not_for_us, 1);
}

#[test]
fn a_raw_control_block_filters_sources_too() {
    let mut host = host();
    let app = host.app("raw");
    let raw = host.stack.raw_new(200, app).unwrap();
    let mut raw = host.stack.raw(raw).unwrap();
    raw.set_filter(GROUP.into(), None, FilterMode::Include, &[PEER.into()]).unwrap();
    for from in [GATEWAY, PEER] {
        host.input(Packet::new(from, GROUP, 200, vec![from.octets()[3]]).frame());
    }
    let heard = host.heard();
    assert!(matches!(&heard[..], [Heard::Packet { packet, .. }] if packet.last() == Some(&9)), "{heard:?}");
}

#[test]
fn joining_needs_a_group_an_interface_and_room() {
    let mut host = host();
    let udp = host.udp("udp", 5_000);
    let gone = host.add(&NetifConfig::ip());
    host.stack.netif_remove(gone).unwrap();
    host.poll();
    let handle = udp;
    let mut udp = host.stack.udp(handle).unwrap();
    assert_eq!(udp.join(PEER.into(), None), Err(Error::Value));
    assert_eq!(udp.join(GROUP.into(), Some(gone)), Err(Error::Interface));
    assert_eq!(udp.leave(GROUP.into(), None), Err(Error::Value));
    let many = [IpAddr::V4(PEER); 65];
    assert_eq!(udp.set_filter(GROUP.into(), None, FilterMode::Include, &many), Err(Error::Memory));
    udp.join(GROUP.into(), None).unwrap();
    assert_eq!(udp.join(GROUP.into(), None), Err(Error::InUse));
    host.stack.netif(host.netif).unwrap().set_up(false).unwrap();
    let mut udp = host.stack.udp(handle).unwrap();
    assert_eq!(udp.join(OTHER.into(), None), Err(Error::Route));
}

#[test]
fn queries_of_every_version_are_answered_in_it() {
    let cases = [
        (igmp::Version::V1, 0x12, GROUP),
        (igmp::Version::V2, 0x16, GROUP),
        (igmp::Version::V3(DETAILS), 0x22, Ipv4Addr::new(224, 0, 0, 22)),
    ];
    for (version, kind, to) in cases {
        let mut host = member();
        host.input(query(&IgmpQuery { version, ..general(100) }).frame());
        assert_eq!(said(&mut host), [], "not at once");
        host.advance(10 * SECOND);
        let said = said(&mut host);
        let [(destination, message)] = &said[..] else { panic!("{said:?}") };
        assert_eq!((*destination, message[0]), (to, kind));
        host.stack.netif(host.netif).unwrap().leave_group(GROUP.into()).unwrap();
        let left: Vec<_> = self::said(&mut host).into_iter().map(|(to, message)| (to, message[0])).collect();
        match version {
            igmp::Version::V1 => assert_eq!(left, []),
            igmp::Version::V2 => assert_eq!(left, [(Ipv4Addr::new(224, 0, 0, 2), 0x17)]),
            igmp::Version::V3(_) => assert_eq!(left, [(Ipv4Addr::new(224, 0, 0, 22), 0x22)]),
        }
    }
}

#[test]
fn a_report_of_another_host_spares_ours_to_an_old_querier() {
    let mut host = member();
    host.input(query(&IgmpQuery { version: igmp::Version::V2, ..general(100) }).frame());
    let message = vec![0x16, 0, 0xf8, 0xfa, 239, 1, 2, 3];
    let other = Packet::new(PEER, GROUP, IGMP, message).options(&ALERT);
    host.input(with_ttl(other, 1).frame());
    host.advance(20 * SECOND);
    assert_eq!(said(&mut host), []);
    assert_eq!(host.stack.counters().igmp.reports, 1);
}

/// [3376-1] [3376-2] CVE-2019-12265 and its like.
#[test]
fn forged_and_malformed_queries_are_dropped_and_counted() {
    let sources = [[192, 0, 2, 1]; 3];
    let specific = IgmpQuery { group: GROUP, sources: &sources, ..general(10) };
    let wrong_sum = query(&general(10)).with_payload(|message| message[2] ^= 1);
    let lies = |count: [u8; 2]| {
        query(&specific).with_payload(|message| {
            message[10..12].copy_from_slice(&count);
            message[2..4].fill(0);
            let sum = internet_checksum(&[message]);
            message[2..4].copy_from_slice(&sum.to_be_bytes());
        })
    };
    let short = |len| {
        query(&general(10)).with_payload(move |message| {
            message.truncate(len);
            if len > 3 {
                message[2..4].fill(0);
                let sum = internet_checksum(&[message]);
                message[2..4].copy_from_slice(&sum.to_be_bytes());
            }
        })
    };
    let no_group = IgmpQuery { group: PEER, ..general(10) };
    let counted = |packet: Packet| {
        let mut host = member();
        host.input(packet.frame());
        host.advance(20 * SECOND);
        assert_eq!(said(&mut host), []);
        let counters = host.stack.counters().igmp;
        (counters.forged, counters.bad_checksum, counters.malformed)
    };
    assert_eq!(counted(with_ttl(query(&general(10)), 2)), (1, 0, 0));
    assert_eq!(counted(with_ttl(query(&general(10)), 255)), (1, 0, 0));
    assert_eq!(counted(query(&general(10)).options(&[])), (1, 0, 0));
    assert_eq!(counted(wrong_sum), (0, 1, 0));
    assert_eq!(counted(lies([0xff, 0xff])), (0, 0, 1));
    assert_eq!(counted(lies([0, 4])), (0, 0, 1));
    assert_eq!(counted(short(7)), (0, 0, 1));
    assert_eq!(counted(short(9)), (0, 0, 1));
    assert_eq!(counted(query(&no_group).destination(GROUP)), (0, 0, 1));
}

/// CVE-2019-12259: a query before there is any group.
#[test]
fn a_query_to_a_host_without_groups_or_address_is_no_matter() {
    let mut host = host();
    host.input(query(&general(10)).frame());
    host.input(query(&IgmpQuery { group: GROUP, ..general(10) }).frame());
    host.stack.netif(host.netif).unwrap().set_ipv4(Ipv4Settings::NONE).unwrap();
    host.input(query(&general(0)).frame());
    host.advance(20 * SECOND);
    assert_eq!(said(&mut host), []);
    assert_eq!(host.stack.counters().igmp.queries, 2);
}

/// A query that comes in many pieces is read all the same.
#[test]
fn a_scattered_query_is_put_together() {
    let mut host = member();
    let frame = query(&general(1)).frame();
    let mut scattered = host.frame(&frame[..20]);
    for piece in frame[20..].chunks(7) {
        let piece = host.frame(piece);
        scattered.cat(piece).unwrap();
    }
    host.stack.input(host.netif, scattered, host.now).unwrap();
    host.advance(SECOND);
    assert_eq!(report(&mut host), [(2, GROUP, vec![])]);
}

#[test]
fn reports_that_find_no_room_are_counted_and_repeated() {
    let mut host = Host::configured(|setup| setup.netif.queue = 1);
    host.udp("udp", 5_000);
    host.stack.netif(host.netif).unwrap().announce().unwrap();
    host.stack.netif(host.netif).unwrap().join_group(GROUP.into()).unwrap();
    assert_eq!(host.stack.counters().igmp.send_failed, 1);
    host.discard_sent();
    host.advance(SECOND);
    assert_eq!(report(&mut host), [(4, GROUP, vec![])]);
    assert_eq!(host.memory_used(), (0, 0, 0));
}

#[test]
fn an_interface_that_comes_up_again_tells_all_its_groups() {
    let mut host = member();
    host.stack.netif(host.netif).unwrap().set_link_up(false).unwrap();
    host.advance(10 * SECOND);
    host.stack.netif(host.netif).unwrap().set_link_up(true).unwrap();
    assert!(host.sent_one().is_arp());
    host.advance(2 * SECOND);
    let said: Vec<_> = said(&mut host).into_iter().map(|(_, message)| message[8..].to_vec()).collect();
    assert_eq!(said, [[4, 0, 0, 0, 239, 1, 2, 3]; 2]);
}

/// Bare IP says nothing of groups, unless it is asked to.
#[test]
fn bare_ip_reports_groups_only_if_asked_to() {
    for on in [false, true] {
        let mut host = host();
        let netif = host.add(&NetifConfig::ip().group_reports(on));
        host.stack.netif(netif).unwrap().join_group(GROUP.into()).unwrap();
        let packets = host.sent_raw(netif);
        assert_eq!(packets.len(), usize::from(on));
        assert!(packets.iter().all(|packet| packet[..2] == [0x46, 0xc0] && packet[9] == IGMP));
    }
}

#[test]
fn the_loopback_interface_reports_to_nobody() {
    let mut host = host();
    let loopback = host.add(&NetifConfig::loopback());
    host.stack.netif(loopback).unwrap().join_group(GROUP.into()).unwrap();
    host.advance(10 * SECOND);
    assert_eq!(host.stack.counters().igmp.reports_sent, 0);
    let netif = host.stack.netif(loopback).unwrap();
    assert!(netif.groups().any(|group| group == IpAddr::V4(GROUP)));
}

/// [3376-1] What others put into their options is passed over.
#[test]
fn the_router_alert_is_found_among_other_options() {
    let options = [1, 68, 4, 5, 0, 148, 4, 0, 0, 0, 0, 0];
    assert!(Options::new(&options).any(|option| option == Ok(Ipv4Option::RouterAlert(0))));
    let mut host = member();
    host.input(query(&general(1)).options(&options).frame());
    host.advance(SECOND);
    assert_eq!(report(&mut host), [(2, GROUP, vec![])]);
}
