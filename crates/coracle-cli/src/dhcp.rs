//! `coracle dhcp`: an address from a server, what came with it, and back; and the address for the other commands.

use crate::Failure;
use crate::arguments::Up;
use crate::up;
use coracle::wire::dhcpv4::{DhcpMessage, Names, Value, code};
use coracle::{Boxed, DhcpConfig, DhcpLease, Instant, NetifHandle};
use coracle_host::Host;
use std::net::Ipv4Addr;
use std::time::Duration;

/// Without a server there is a link-local address after twelve seconds and seven of probes.
const PATIENCE: Duration = Duration::from_secs(25);

/// How long the release may wait for the server's station.
const RELEASE_TIME: Duration = Duration::from_millis(200);

pub(crate) fn run(options: &Up) -> Result<bool, Failure> {
    let (mut host, netif) = up::start(options)?;
    let leased = host.stack().netif(netif)?.dhcp_supplied_address();
    if leased {
        let own = host.stack().netif(netif)?;
        own.dhcp_message().iter().flat_map(described).for_each(|line| println!("{line}"));
        host.stack().netif(netif)?.dhcp_release()?;
        let end = host.now() + RELEASE_TIME;
        while host.now() < end {
            host.turn(Some(end))?;
        }
    }
    Ok(leased)
}

/// Gets an address, from a server or a link-local one, and says which.
pub(crate) fn get_address(host: &mut Host<Boxed>, netif: NetifHandle) -> Result<(), Failure> {
    let start = host.now();
    host.stack().netif(netif)?.dhcp_start(&DhcpConfig::new())?;
    let end = start + PATIENCE;
    loop {
        let own = host.stack().netif(netif)?;
        let (lease, address) = (own.dhcp_lease(), own.ipv4()?.address);
        let time = host.now().since(start).as_secs_f64() * 1_000.0;
        if let Some(lease) = lease {
            println!("{} after {time:.1} ms", summary(&lease, start));
            return Ok(());
        }
        if !address.is_unspecified() {
            println!("no DHCP server; link-local address {address} after {time:.0} ms");
            return Ok(());
        }
        if host.now() >= end {
            return Err("no DHCP server, and every link-local address that was tried is somebody's".into());
        }
        host.turn(Some(end))?;
    }
}

fn summary(lease: &DhcpLease, now: Instant) -> String {
    let (own, server) = (lease.ipv4, lease.server);
    let time = match lease.expires_at {
        Instant::MAX => "for ever".to_owned(),
        end => format!("for {} s", end.since(now).as_secs()),
    };
    format!("{}/{} from DHCP server {server}, {time}", own.address, own.prefix_len())
}

/// What a message tells beside the address, in lines.
fn described(message: &DhcpMessage<'_>) -> Vec<String> {
    let text = |code| {
        message.value(code).map(|value| String::from_utf8_lossy(&value.collect::<Vec<_>>()).into_owned())
    };
    let list = |code| {
        let addresses: Vec<_> =
            message.addresses(code).map(|address: Ipv4Addr| address.to_string()).collect();
        (!addresses.is_empty()).then(|| addresses.join(" "))
    };
    let search = message.value(code::SEARCH).map(|value| {
        let bytes: Vec<u8> = value.collect();
        let name = |labels: Vec<&[u8]>| {
            labels.into_iter().map(String::from_utf8_lossy).collect::<Vec<_>>().join(".")
        };
        Names::new(&bytes).map(|found| name(found.labels().collect())).collect::<Vec<_>>().join(" ")
    });
    let mtu = message.value(code::MTU).and_then(Value::short).map(|mtu| mtu.to_string());
    let all = [
        ("routers", list(code::ROUTERS)),
        ("name servers", list(code::DNS_SERVERS)),
        ("domain", text(code::DOMAIN)),
        ("search", search),
        ("time servers", list(code::NTP_SERVERS)),
        ("mtu", mtu),
    ];
    all.into_iter().filter_map(|(name, value)| Some(format!("{name}: {}", value?))).collect()
}
