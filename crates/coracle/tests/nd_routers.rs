//! Routers asked for, believed, chosen and lost; redirects; what routers say about names; and being a router
//! [RFC 4861 §6] [RFC 4191] [RFC 8106].
#![cfg(feature = "ipv6")]

mod common;
mod nd_common;

use std::net::Ipv6Addr;
use std::time::Duration;

use coracle::wire::ipv6::group;
use coracle::wire::ndp::{AdvertisementFields, INFINITE, Preference, PrefixFields, RouteInformation, Writer};
use coracle::*;
use nd_common::*;

use common::{Heard, Host};

const SECOND: Duration = Duration::from_secs(1);
const THIRD_MAC: MacAddr = MacAddr::new(2, 0, 0, 0, 0, 4);
const THIRD: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 4);

/// A host with an address of the usual router's prefix.
fn with_router() -> Host {
    let mut host = settled();
    usual_router(&mut host);
    host.advance(3 * SECOND);
    host.sent_raw(host.netif);
    host
}

fn routers(host: &mut Host) -> Vec<Ipv6Addr> {
    host.stack.netif(host.netif).unwrap().ipv6_routers().collect()
}

fn send_far(host: &mut Host) -> Vec<Vec<u8>> {
    let app = host.app("sender");
    let udp = host.stack.udp_new(app).unwrap();
    let sent = host.stack.udp(udp).unwrap().send_bytes_to(b"data", (FAR, 9).into());
    host.stack.udp_remove(udp).unwrap();
    sent.unwrap();
    host.sent_raw(host.netif)
}

/// [4861-5] [4861-10]: a router that is heard ends the asking; one whose lifetime is over is none.
#[test]
fn a_router_is_used_for_as_long_as_it_says() {
    let mut host = settled();
    assert_eq!(way(&mut host, FAR), None);
    advertise(&mut host, (ROUTER_MAC, ROUTER), &lifetime(100), |_| {});
    assert_eq!((way(&mut host, FAR), routers(&mut host)), (Some(ROUTER), vec![ROUTER]));
    host.advance(Duration::from_secs(99));
    assert!(seen(&mut host).is_empty(), "no more solicitations");
    assert_eq!(way(&mut host, FAR), Some(ROUTER));
    host.advance(SECOND);
    assert_eq!((way(&mut host, FAR), routers(&mut host)), (None, vec![]));

    advertise(&mut host, (ROUTER_MAC, ROUTER), &lifetime(100), |_| {});
    advertise(&mut host, (ROUTER_MAC, ROUTER), &lifetime(0), |_| {});
    assert_eq!(way(&mut host, FAR), None);
}

/// [4861-4] [4861-1]
#[test]
fn advertisements_that_break_the_rules_are_not_believed() {
    let mut host = settled();
    let global = ip("2001:db8:1::1");
    say(&mut host, ROUTER_MAC, global, group::ALL_NODES, |into| {
        Writer::router_advertisement(into, &lifetime(1_800))
    });
    let mut bytes = [0; 16];
    Writer::router_advertisement(&mut bytes, &lifetime(1_800)).finish(ROUTER, group::ALL_NODES).unwrap();
    let ends = (ROUTER, group::ALL_NODES);
    host.input(packet((ROUTER_MAC, common::OUR_MAC), ends, (58, 64), &bytes));
    assert_eq!((way(&mut host, FAR), host.stack.counters().nd.malformed), (None, 2));
    host.input(packet((ROUTER_MAC, common::OUR_MAC), ends, (58, 255), &bytes));
    assert_eq!(way(&mut host, FAR), Some(ROUTER));
}

/// [RFC 4191 §3.2]
#[test]
fn the_preferred_router_is_used() {
    let mut host = settled();
    advertise(&mut host, (ROUTER_MAC, ROUTER), &preferred(1_800, Preference::Low), |_| {});
    advertise(&mut host, (OTHER_MAC, OTHER), &preferred(1_800, Preference::Medium), |_| {});
    assert_eq!(way(&mut host, FAR), Some(OTHER));
    advertise(&mut host, (THIRD_MAC, THIRD), &preferred(1_800, Preference::High), |_| {});
    assert_eq!(routers(&mut host), [THIRD, OTHER, ROUTER]);
    advertise(&mut host, (THIRD_MAC, THIRD), &lifetime(0), |_| {});
    assert_eq!(way(&mut host, FAR), Some(OTHER));
    advertise(&mut host, (ROUTER_MAC, ROUTER), &preferred(1_800, Preference::High), |_| {});
    assert_eq!(way(&mut host, FAR), Some(ROUTER));
}

/// [RFC 4191 §2.3]: the longest prefix first, whatever the preference.
#[test]
fn routes_of_routers_are_used() {
    let mut host = settled();
    usual_router(&mut host);
    let route = |prefix, prefix_len, preference, lifetime| RouteInformation {
        prefix: ip(prefix),
        prefix_len,
        preference,
        lifetime,
    };
    advertise(&mut host, (OTHER_MAC, OTHER), &lifetime(0), |writer| {
        writer.route(&route("2001:db8:ffff::", 48, Preference::Low, 600));
        writer.route(&route("2001:db8:aaaa::", 48, Preference::Low, 600));
        writer.route(&route("fe80::", 10, Preference::High, 600));
    });
    advertise(&mut host, (THIRD_MAC, THIRD), &lifetime(0), |writer| {
        writer.route(&route("2001:db8:aaaa::", 48, Preference::High, 300));
    });
    assert_eq!(way(&mut host, FAR), Some(OTHER));
    assert_eq!(way(&mut host, ip("2001:db8:aaaa::1")), Some(THIRD));
    assert_eq!(way(&mut host, ip("2001:db8:bbbb::1")), Some(ROUTER));
    host.advance(Duration::from_secs(301));
    assert_eq!(way(&mut host, ip("2001:db8:aaaa::1")), Some(OTHER));
    advertise(&mut host, (OTHER_MAC, OTHER), &lifetime(0), |writer| {
        writer.route(&route("2001:db8:ffff::", 48, Preference::Low, 0));
    });
    assert_eq!(way(&mut host, FAR), Some(ROUTER));
}

/// [4861-9]: says that it is no router any more; and does not answer any more.
#[test]
fn a_router_that_is_lost_is_replaced() {
    let mut host = with_router();
    advertise(&mut host, (OTHER_MAC, OTHER), &preferred(1_800, Preference::Low), |_| {});
    assert_eq!(way(&mut host, FAR), Some(ROUTER));
    let own = link_local(&mut host);
    answer(&mut host, ROUTER_MAC, ROUTER, own, (false, true, true));
    assert_eq!((way(&mut host, FAR), routers(&mut host)), (Some(OTHER), vec![OTHER]));

    usual_router(&mut host);
    assert_eq!(way(&mut host, FAR), Some(ROUTER));
    host.advance(Duration::from_secs(46));
    send_far(&mut host);
    // Five seconds of delay, and three questions a second apart.
    host.advance(Duration::from_secs(9));
    assert_eq!(routers(&mut host), [OTHER, ROUTER], "it may come back, but comes last");
    assert_eq!(way(&mut host, FAR), Some(OTHER));
    // The other does not answer either: both are tried in turn [RFC 4861 §6.3.6].
    send_far(&mut host);
    host.advance(Duration::from_secs(9));
    assert_eq!(way(&mut host, FAR), Some(ROUTER));
    send_far(&mut host);
    answer(&mut host, ROUTER_MAC, ROUTER, own, (true, true, true));
    assert_eq!(neighbour(&mut host, ROUTER).unwrap().0, NeighbourState::Reachable);
    assert_eq!(way(&mut host, FAR), Some(ROUTER));
}

/// [4861-11]
#[test]
fn what_routers_say_about_the_link_is_taken_if_it_can_be() {
    let mut host = settled();
    let told = |host: &mut Host, hop_limit, mtu: &[u32]| {
        let fields = AdvertisementFields { hop_limit, managed: true, ..lifetime(1_800) };
        advertise(host, (ROUTER_MAC, ROUTER), &fields, |writer| {
            for mtu in mtu {
                writer.mtu(*mtu);
            }
        });
        let said = host.stack.netif(host.netif).unwrap().ipv6_advertised().unwrap();
        assert!(said.managed && !said.other);
        (said.hop_limit, said.mtu)
    };
    assert_eq!(told(&mut host, 0, &[]), (0, 0));
    assert_eq!(told(&mut host, 17, &[1_279, 1_501, 65_536, u32::MAX]), (17, 0));
    assert_eq!(told(&mut host, 0, &[1_400]), (17, 1_400));
    assert_eq!(told(&mut host, 64, &[1_280]), (64, 1_280));
    assert_eq!(told(&mut host, 64, &[1_500]), (64, 1_500));
}

/// [4861-11]: whoever chose no hop limit sends with that of the routers.
#[test]
fn packets_leave_with_the_hop_limit_that_routers_want() {
    let mut host = with_router();
    let hop_limit = |host: &mut Host| send_far(host)[0][21];
    assert_eq!(hop_limit(&mut host), 64);
    let fields = AdvertisementFields { hop_limit: 17, ..lifetime(1_800) };
    advertise(&mut host, (ROUTER_MAC, ROUTER), &fields, |_| {});
    assert_eq!(hop_limit(&mut host), 17);
    let app = host.app("sender");
    let udp = host.stack.udp_new(app).unwrap();
    host.stack.udp(udp).unwrap().set_ttl(5).unwrap();
    host.stack.udp(udp).unwrap().send_bytes_to(b"data", (FAR, 9).into()).unwrap();
    assert_eq!(host.sent_raw(host.netif)[0][21], 5);
    // Neighbour discovery goes by its own rule.
    usual_router(&mut host);
    host.advance(Duration::from_mins(1));
    send_far(&mut host);
    host.advance(Duration::from_secs(6));
    assert!(!seen(&mut host).is_empty(), "each judged to have a hop limit of 255");
}

/// [4861-13]: only by the present first hop, for that destination alone.
#[test]
fn a_redirect_is_believed_from_the_first_hop_only() {
    let mut host = with_router();
    let own = of_prefix(&mut host, PREFIX).unwrap().0;
    let redirect = |host: &mut Host, mac, source, target, destination| {
        say(host, mac, source, own, |into| {
            let mut writer = Writer::redirect(into, target, destination);
            writer.target_station(OTHER_MAC);
            writer
        });
        way(host, FAR)
    };
    assert_eq!(redirect(&mut host, THIRD_MAC, THIRD, OTHER, FAR), Some(ROUTER), "not the first hop");
    assert_eq!(redirect(&mut host, ROUTER_MAC, ROUTER, ip("2001:db8:9::9"), FAR), Some(ROUTER));
    assert_eq!(host.stack.counters().nd.malformed, 2);
    assert_eq!(redirect(&mut host, ROUTER_MAC, ROUTER, OTHER, FAR), Some(OTHER));
    assert_eq!(way(&mut host, ip("2001:db8:ffff::2")), Some(ROUTER));
    assert_eq!(neighbour(&mut host, OTHER), Some((NeighbourState::Stale, Some(OTHER_MAC))));
    // Now the other is the first hop, and says that the destination is on the link.
    assert_eq!(redirect(&mut host, ROUTER_MAC, ROUTER, THIRD, FAR), Some(OTHER));
    assert_eq!(redirect(&mut host, OTHER_MAC, OTHER, FAR, FAR), Some(FAR));
    assert_eq!(host.stack.counters().nd.redirects, 2);
    host.advance(Duration::from_mins(11));
    assert_eq!(way(&mut host, FAR), Some(ROUTER), "believed for a while");
}

/// A better first hop that does not answer is left again.
#[test]
fn a_redirect_into_nowhere_is_undone() {
    let mut host = with_router();
    let own = of_prefix(&mut host, PREFIX).unwrap().0;
    say(&mut host, ROUTER_MAC, ROUTER, own, |into| Writer::redirect(into, OTHER, FAR));
    assert_eq!(way(&mut host, FAR), Some(OTHER));
    send_far(&mut host);
    host.advance(Duration::from_secs(4));
    assert_eq!(way(&mut host, FAR), Some(ROUTER));
}

/// No more redirects than there is room for, and nothing else lost for them.
#[test]
fn a_flood_of_redirects_is_bounded() {
    let mut host = with_router();
    let own = of_prefix(&mut host, PREFIX).unwrap().0;
    for low in 0..1_000 {
        let destination = Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, low);
        say(&mut host, ROUTER_MAC, ROUTER, own, |into| Writer::redirect(into, OTHER, destination));
    }
    let redirected = (0..1_000)
        .filter(|low| way(&mut host, Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, *low)) == Some(OTHER));
    assert_eq!(redirected.count(), 4);
    assert_eq!(way(&mut host, ip("2001:db8:eeee::1")), Some(ROUTER));
    assert_eq!(way(&mut host, ip("2001:db8:1::77")), Some(ip("2001:db8:1::77")));
}

/// [8106-1] [8106-2] [8106-3] [8106-4]
#[test]
fn servers_and_domains_are_kept_for_resolvers() {
    let mut host = settled();
    let app = host.app("listener");
    host.stack.netif_listen(None, Reasons::ALL, app).unwrap();
    host.heard();
    let (near, far) = (ip("fe80::53"), ip("2001:db8:53::53"));
    let told = |host: &mut Host, lifetime_s, servers: &[Ipv6Addr], names: &[u8]| {
        let servers: Vec<_> = servers.iter().map(Ipv6Addr::octets).collect();
        advertise(host, (ROUTER_MAC, ROUTER), &lifetime(1_800), |writer| {
            writer.rdnss(lifetime_s, &servers);
            writer.dnssl(lifetime_s, names);
        });
        host.poll();
        let told = host.heard().iter().any(|heard| {
            matches!(heard, Heard::Netif { event, .. } if event.reasons.contains(Reasons::RESOLVERS_CHANGED))
        });
        let netif = host.stack.netif(host.netif).unwrap();
        let servers: Vec<_> = netif.ipv6_dns_servers().collect();
        let domains: Vec<_> = netif.ipv6_search_domains().map(<[u8]>::to_vec).collect();
        (told, servers, domains)
    };
    let domain = b"\x07example\x00".to_vec();
    assert_eq!(told(&mut host, 300, &[near, far], &domain), (true, vec![near, far], vec![domain.clone()]));
    assert_eq!(told(&mut host, 300, &[far], &domain), (false, vec![near, far], vec![domain.clone()]));
    assert_eq!(told(&mut host, 0, &[far], b"\x01x\x00"), (true, vec![near], vec![domain.clone()]));
    assert_eq!(told(&mut host, INFINITE, &[far], &domain), (true, vec![near, far], vec![domain.clone()]));
    host.advance(Duration::from_secs(301));
    let netif = host.stack.netif(host.netif).unwrap();
    assert_eq!(netif.ipv6_dns_servers().collect::<Vec<_>>(), [far]);
    assert_eq!(netif.ipv6_search_domains().count(), 1);
    assert!(!host.heard().is_empty());
    let flood: Vec<_> = (1..60).map(|low| Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, low)).collect();
    let (_, servers, _) = told(&mut host, 10, &flood, &domain);
    assert_eq!(servers.len(), 3);
    assert!(servers.contains(&far), "what lasts longer stays");
}

/// What follows from routers goes with the interface, and comes back with nothing.
#[test]
fn nothing_outlives_its_interface() {
    let mut host = with_router();
    host.stack.netif_remove(host.netif).unwrap();
    host.poll();
    assert_eq!(way(&mut host, FAR), None);
    assert_eq!(host.stack.next_deadline(), None);
}

static ROUTER_SETTINGS: RouterSettings = RouterSettings {
    max_interval_s: 60,
    mtu: 1_400,
    prefixes: [
        Some(PrefixFields {
            prefix: PREFIX,
            prefix_len: 64,
            on_link: true,
            autonomous: true,
            valid: 7_200,
            preferred: 3_600,
        }),
        None,
    ],
    servers: [Some(Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0x53)), None],
    ..RouterSettings::DEFAULT
};

fn router() -> Host {
    let mut host = host_with(Ipv6Settings::router(&ROUTER_SETTINGS), |_| {});
    host.advance(2 * SECOND);
    host
}

fn advertisements(host: &mut Host) -> Vec<Message> {
    seen(host).into_iter().filter(|message| message.kind == 134).collect()
}

/// [RFC 4861 §6.2.4]: three quickly, then one now and then.
#[test]
fn a_router_advertises_itself() {
    let mut host = router();
    let own = link_local(&mut host);
    let sent = advertisements(&mut host);
    let [first] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!((first.source, first.destination), (own, group::ALL_NODES));
    assert!([1, 5, 3, 25].iter().all(|kind| first.has_option(*kind)), "{first:?}");
    let prefixes: Vec<_> = first.options.iter().filter_map(|option| prefix_option(option)).collect();
    assert_eq!(prefixes, [(PREFIX, 64)]);
    host.advance(Duration::from_secs(33));
    assert_eq!(advertisements(&mut host).len(), 2);
    host.advance(Duration::from_mins(10));
    let count = advertisements(&mut host).len();
    assert!((10..=30).contains(&count), "{count} in ten minutes");
}

/// [RFC 4861 §6.2.6]: soon, to all, and not too often.
#[test]
fn a_router_answers_who_asks() {
    let mut host = router();
    host.advance(Duration::from_secs(40));
    seen(&mut host);
    host.advance(Duration::from_secs(4));
    seen(&mut host);
    for _ in 0..100 {
        say(&mut host, OTHER_MAC, OTHER, group::ALL_ROUTERS, |into| {
            let mut writer = Writer::router_solicitation(into);
            writer.source_station(OTHER_MAC);
            writer
        });
        host.advance(Duration::from_millis(30));
    }
    let count = advertisements(&mut host).len();
    assert!((1..=2).contains(&count), "{count} in three seconds");
    assert_eq!(neighbour(&mut host, OTHER).unwrap().1, Some(OTHER_MAC));
    // A host does not listen to that.
    let mut other = settled();
    let before = *other.stack.counters();
    say(&mut other, OTHER_MAC, OTHER, group::ALL_ROUTERS, |into| Writer::router_solicitation(into));
    other.advance(SECOND);
    assert!(seen(&mut other).is_empty());
    assert_eq!(other.stack.counters().nd.malformed, before.nd.malformed);
}

/// A router believes no other, says in answers what it is, and says it when it is none any more [RFC 4861 §6.2.5].
#[test]
fn a_router_is_a_router_until_it_says_otherwise() {
    let mut host = router();
    usual_router_of_another(&mut host);
    assert_eq!((way(&mut host, FAR), of_prefix(&mut host, PREFIX)), (None, None));
    seen(&mut host);
    let own = link_local(&mut host);
    say(&mut host, OTHER_MAC, OTHER, group::solicited_node(own), |into| {
        let mut writer = Writer::neighbour_solicitation(into, own);
        writer.source_station(OTHER_MAC);
        writer
    });
    assert_eq!(seen(&mut host)[0].flags, 0xe0);
    host.stack.netif(host.netif).unwrap().ipv6_configure(Ipv6Settings::MANUAL).unwrap();
    let frames = host.sent_raw(host.netif);
    let last = frames.iter().rfind(|frame| message(frame).is_some_and(|message| message.kind == 134));
    // Its lifetime.
    assert_eq!(last.unwrap()[60..62], [0, 0]);
    host.advance(Duration::from_hours(1));
    assert!(advertisements(&mut host).is_empty());
}

fn usual_router_of_another(host: &mut Host) {
    advertise(host, (OTHER_MAC, OTHER), &lifetime(1_800), |writer| {
        writer.prefix(&prefix(PREFIX, 14_400, 86_400));
    });
}

#[test]
fn a_router_says_only_what_it_may() {
    static WRONG: RouterSettings = RouterSettings { max_interval_s: 3, ..RouterSettings::DEFAULT };
    let mut host = host();
    let wrong = Ipv6Settings::router(&WRONG);
    let refused = host.stack.netif(host.netif).unwrap().ipv6_configure(wrong);
    assert_eq!(refused, Err(Error::Argument));
    let config = NetifConfig::ethernet(OTHER_MAC).ipv6(wrong);
    assert_eq!(host.stack.netif_add(&config).err(), Some(Error::Argument));
}

/// A router and a host of ours on one link: the host has an address, a way, a server, and both talk.
#[test]
fn a_host_configures_itself_by_our_router() {
    let mut router = router();
    let mut host = host_with(Ipv6Settings::AUTO, |setup| {
        setup.netif = NetifConfig::ethernet(OTHER_MAC).ipv6(Ipv6Settings::AUTO);
        setup.config.seed = [9; 16];
    });
    for _ in 0..100 {
        for frame in router.sent_raw(router.netif) {
            host.input(&frame);
        }
        for frame in host.sent_raw(host.netif) {
            router.input(&frame);
        }
        host.advance(Duration::from_millis(100));
        router.advance(Duration::from_millis(100));
    }
    let (own, state) = of_prefix(&mut host, PREFIX).unwrap();
    assert_eq!(state, AddressState::Preferred);
    assert_eq!(way(&mut host, FAR), Some(link_local(&mut router)));
    let netif = host.stack.netif(host.netif).unwrap();
    assert_eq!(netif.ipv6_dns_servers().collect::<Vec<_>>(), [ip("2001:db8:1::53")]);
    assert_eq!(netif.ipv6_advertised().unwrap().mtu, 1_400);
    let ends = netif.ipv6_addresses().find(|entry| entry.address == own).unwrap().ends;
    assert!(ends.1.since(host.now) > Duration::from_secs(7_000));
    assert_eq!(router.stack.counters().nd.malformed + host.stack.counters().nd.malformed, 0);
}
