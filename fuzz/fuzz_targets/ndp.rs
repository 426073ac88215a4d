//! Messages of neighbour discovery and their options. The first 32 bytes are the addresses of the packet.
#![no_main]

use core::net::Ipv6Addr;

use coracle_fuzz::assert_inside;
use coracle_wire::Malformed;
use coracle_wire::ndp::{
    AdvertisementFields, NdOption, NeighbourAdvertisement, NeighbourSolicitation, Options, PrefixFields,
    Redirect, RouterAdvertisement, RouterSolicitation, Writer, station,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((source, rest)) = data.split_first_chunk::<16>() else { return };
    let Some((destination, message)) = rest.split_first_chunk::<16>() else { return };
    let (source, destination) = (Ipv6Addr::from(*source), Ipv6Addr::from(*destination));
    let mut written = vec![0; message.len()];
    let again = match message.first() {
        Some(133) => router_solicitation(message, source, &mut written),
        Some(134) => router_advertisement(message, source, &mut written),
        Some(135) => neighbour_solicitation(message, source, destination, &mut written),
        Some(136) => neighbour_advertisement(message, destination, &mut written),
        _ => redirect(message, source, &mut written),
    };
    let Ok((mut writer, options)) = again else { return };
    if !each_option(&mut writer, options, message) {
        return;
    }
    let len = writer.finish(source, destination).unwrap();
    assert!(len <= message.len());
    // Reserved bits and padding are written as zero, so only the kind is sure to be the same.
    assert_eq!(written[..2], message[..2]);
});

type Again<'a, 'b> = Result<(Writer<'b>, Options<'a>), Malformed>;

fn router_solicitation<'a, 'b>(message: &'a [u8], source: Ipv6Addr, into: &'b mut [u8]) -> Again<'a, 'b> {
    let (_, options) = RouterSolicitation::read(message, source)?;
    Ok((Writer::router_solicitation(into), options))
}

fn router_advertisement<'a, 'b>(message: &'a [u8], source: Ipv6Addr, into: &'b mut [u8]) -> Again<'a, 'b> {
    let (read, options) = RouterAdvertisement::read(message, source)?;
    assert!(source.is_unicast_link_local());
    let fields = AdvertisementFields {
        hop_limit: read.hop_limit(),
        managed: read.managed(),
        other: read.other(),
        preference: read.preference(),
        lifetime: read.lifetime(),
        reachable_time: read.reachable_time(),
        retrans_timer: read.retrans_timer(),
    };
    Ok((Writer::router_advertisement(into, &fields), options))
}

fn neighbour_solicitation<'a, 'b>(
    message: &'a [u8],
    source: Ipv6Addr,
    destination: Ipv6Addr,
    into: &'b mut [u8],
) -> Again<'a, 'b> {
    let (read, options) = NeighbourSolicitation::read(message, source, destination)?;
    assert!(!read.target().is_multicast());
    Ok((Writer::neighbour_solicitation(into, read.target()), options))
}

fn neighbour_advertisement<'a, 'b>(
    message: &'a [u8],
    destination: Ipv6Addr,
    into: &'b mut [u8],
) -> Again<'a, 'b> {
    let (read, options) = NeighbourAdvertisement::read(message, destination)?;
    assert!(!read.target().is_multicast() && !(destination.is_multicast() && read.solicited()));
    let (router, solicited, overrides) = (read.router(), read.solicited(), read.overrides());
    Ok((Writer::neighbour_advertisement(into, read.target(), router, solicited, overrides), options))
}

fn redirect<'a, 'b>(message: &'a [u8], source: Ipv6Addr, into: &'b mut [u8]) -> Again<'a, 'b> {
    let (read, options) = Redirect::read(message, source)?;
    assert!(!read.destination().is_multicast());
    Ok((Writer::redirect(into, read.target(), read.destination()), options))
}

/// Writes each option again. Returns whether the writer has a way to write all of them.
fn each_option(writer: &mut Writer<'_>, options: Options<'_>, message: &[u8]) -> bool {
    for option in options {
        match option {
            NdOption::SourceStation(data) | NdOption::TargetStation(data) => {
                assert_inside(message, data);
                let Some(station) = station(data) else { return false };
                writer.source_station(station);
            }
            NdOption::Prefix(prefix) => {
                assert!(prefix.prefix_len() <= 128);
                writer.prefix(&PrefixFields {
                    prefix: prefix.prefix(),
                    prefix_len: prefix.prefix_len(),
                    on_link: prefix.on_link(),
                    autonomous: prefix.autonomous(),
                    valid: prefix.valid(),
                    preferred: prefix.preferred(),
                });
            }
            NdOption::Redirected(data) => {
                assert_inside(message, data);
                writer.redirected(data);
            }
            NdOption::Mtu(mtu) => writer.mtu(mtu),
            NdOption::Nonce(data) => {
                assert_inside(message, data);
                let Ok(nonce) = data.try_into() else { return false };
                writer.nonce(nonce);
            }
            NdOption::Route(route) => {
                assert!(route.prefix_len <= 128);
                writer.route(&route);
            }
            NdOption::Rdnss(rdnss) => {
                assert!(!rdnss.servers.is_empty());
                assert_inside(message, rdnss.servers.as_flattened());
                writer.rdnss(rdnss.lifetime, rdnss.servers);
            }
            NdOption::Dnssl(dnssl) => {
                let names: Vec<_> = dnssl.names().collect();
                assert!(!names.is_empty());
                for name in &names {
                    assert_inside(message, name);
                    assert!((3..=255).contains(&name.len()) && name.last() == Some(&0));
                }
                writer.dnssl(dnssl.lifetime, &names.concat());
            }
            NdOption::Ignored { data, .. } => {
                assert_inside(message, data);
                return false;
            }
        }
    }
    true
}
