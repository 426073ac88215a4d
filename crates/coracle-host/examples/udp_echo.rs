//! A UDP echo server on port 7 of a TAP interface: a starting point for programs of your own.
//!
//! ```sh
//! cargo build --release -p coracle-host --example udp_echo
//! sudo ip tuntap add dev tap0 mode tap user $USER
//! sudo ip address add 192.0.2.1/24 dev tap0
//! sudo ip link set tap0 up
//! target/release/examples/udp_echo tap0      # as yourself, if /dev/net/tun may be opened by you
//!
//! ping 192.0.2.2                             # in another terminal
//! echo hello | nc -u -w1 192.0.2.2 7
//! ```

use coracle::{Handler, Ipv4Settings, MacAddr, NetifConfig, Pbuf, Udp};
use coracle_host::{Host, Tap};
use std::net::{Ipv4Addr, SocketAddr};

/// The application: its state, and what it does when something happens.
struct Echo {
    answered: u64,
}

impl Handler for Echo {
    /// Called for each datagram. `data` is the buffer that the frame was read into; it goes back out as it is.
    fn datagram(&mut self, udp: &mut Udp<'_, Self>, from: SocketAddr, data: Pbuf) {
        let len = data.len();
        match udp.send_to(data, from) {
            Ok(()) => {
                self.answered += 1;
                println!("{} bytes back to {from}, {} answered so far", len, self.answered);
            }
            // The data comes back with the reason; dropping it frees the buffer.
            Err(rejected) => println!("{len} bytes for {from} dropped: {}", rejected.error),
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let name = std::env::args().nth(1).unwrap_or_else(|| "tap0".to_owned());

    // A stack with default limits, and the loop around it.
    let mut host = Host::new()?;

    // One interface: our own station address, our IP address, and the TAP as its device.
    let address = Ipv4Settings::new(Ipv4Addr::new(192, 0, 2, 2), 24);
    let config = NetifConfig::ethernet(MacAddr::new(2, 0, 0, 0, 0, 2)).ipv4(address);
    let netif = host.attach(Tap::open(&name)?, config)?;
    host.stack().netif(netif)?.set_up(true)?;

    // A control block owns its handler, as lwIP's has its callback functions and `arg`.
    let echo = host.stack().udp_new(Echo { answered: 0 })?;
    host.stack().udp(echo)?.bind("0.0.0.0:7".parse()?)?;

    println!("answering pings and UDP port 7 at 192.0.2.2 on {name}");
    loop {
        // Frames in, timers, frames out; then sleep until there is more to do. The callback above runs in here.
        host.turn(None)?;
    }
}
