//! A bad wire between Linux and the stack.
//!
//! The stack's TAP and one end of the relay are ports of a bridge in one namespace; the other end of the relay is the
//! interface of the Linux peer in another.

use super::{CORACLE, LINUX, Peer, STATION, tap_namespace};
use coracle::{Boxed, NetifConfig};
use coracle_host::relay::{Relay, RelayHandle};
use coracle_host::testing::or_skip;
use coracle_host::{Host, Namespace, Tap};

pub struct Network {
    pub peer: Peer,
    pub linux: Namespace,
    pub relay: RelayHandle,
}

pub fn network(name: &str, wire: &str, seed: u64, host: Host<Boxed>) -> Option<Network> {
    let (linux, far) = tap_namespace(1500)?;
    let station = STATION.to_string();
    // A frame with a wrong bit may be an ARP frame, which has no checksum; so both know each other beforehand.
    linux.ip(&format!("neighbour add {CORACLE} lladdr {station} dev tap0")).unwrap();
    let bridge = or_skip(Namespace::new())?;
    bridge.silence().unwrap();
    bridge.ip("link add br0 type bridge mcast_snooping 0").unwrap();
    let open = |name: &str| -> Tap {
        let tap = bridge.open_tap(name).unwrap();
        bridge.ip(&format!("link set {name} master br0 up")).unwrap();
        tap
    };
    let (ours, near) = (open("tap1"), open("tap2"));
    bridge.ip("link set br0 up").unwrap();
    let peer_station = far.hardware_address().unwrap();
    let relay = Relay::new(far, near, wire.parse().unwrap(), seed).start().unwrap();
    let peer = Peer::new(name, bridge, ours, NetifConfig::ethernet(STATION), host);
    let netif = peer.netif;
    peer.stack(move |stack| {
        stack.netif(netif).unwrap().set_neighbour(LINUX.into(), coracle::MacAddr(peer_station))
    })
    .unwrap();
    Some(Network { peer, linux, relay })
}
