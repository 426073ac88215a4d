//! A TCP echo server on port 7 of a TAP interface: a starting point for programs of your own.
//!
//! ```sh
//! cargo build --release -p coracle-host --example tcp_echo
//! sudo ip tuntap add dev tap0 mode tap user $USER
//! sudo ip address add 192.0.2.1/24 dev tap0
//! sudo ip link set tap0 up
//! target/release/examples/tcp_echo tap0      # as yourself, if /dev/net/tun may be opened by you
//!
//! socat - TCP:192.0.2.2:7                    # in another terminal; type, and end with Ctrl-D
//! ```

use coracle::buf::PbufQueue;
use coracle::{Error, Handler, Ipv4Settings, MacAddr, NetifConfig, Pbuf, Refused, Stack, Tcp, TcpHandle};
use coracle_host::{Host, Tap};
use std::net::Ipv4Addr;
use std::time::Duration;

/// The application. A stack has one handler type; here it is an enum of what listens and what is connected.
enum Echo {
    /// The listener on port 7.
    Listener,
    /// One connection: what came and has not fitted the send buffer yet, and whether the peer is done.
    Connection { waiting: PbufQueue, finished: bool },
}

impl Handler for Echo {
    /// Called for each connection that stands. The answer is the handler of that connection.
    fn accept(&mut self, tcp: &mut Tcp<'_, Self>) -> Result<Self, Error> {
        println!("{} is connected", tcp.remote()?);
        // `poll` is called each second, as lwIP's `tcp_poll` does.
        tcp.set_poll_interval(Some(Duration::from_secs(1)))?;
        Ok(Self::Connection { waiting: PbufQueue::new(), finished: false })
    }

    /// Called for data, in order; it is the buffers that the frames were read into, and it goes back out as it is.
    fn recv(&mut self, tcp: &mut Tcp<'_, Self>, data: Pbuf) -> Result<(), Refused> {
        let Self::Connection { waiting, .. } = self else { return Err(Refused(data)) };
        // What is refused is kept by the stack, and offered again soon.
        waiting.push_back(data).map_err(|(_, data)| Refused(data))?;
        self.send_back(tcp);
        Ok(())
    }

    /// Called when the peer has acknowledged: there is room again.
    fn sent(&mut self, tcp: &mut Tcp<'_, Self>, _acked: usize) {
        self.send_back(tcp);
    }

    /// Called by the timer: what failed for lack of memory is tried again.
    fn poll(&mut self, tcp: &mut Tcp<'_, Self>) {
        self.send_back(tcp);
    }

    /// Called when the peer sends no more.
    fn finished(&mut self, tcp: &mut Tcp<'_, Self>) {
        if let Self::Connection { finished, .. } = self {
            *finished = true;
        }
        self.send_back(tcp);
    }

    /// Called last: the connection is over, by an error or in good order.
    fn error(&mut self, _stack: &mut Stack<Self>, _connection: TcpHandle, reason: Error) {
        println!("a connection ended: {reason}");
    }

    fn closed(&mut self, _stack: &mut Stack<Self>, _connection: TcpHandle) {
        println!("a connection was closed by both");
    }
}

impl Echo {
    /// Writes back what waits, packet by packet, as long as the send buffer has room.
    fn send_back(&mut self, tcp: &mut Tcp<'_, Self>) {
        let Self::Connection { waiting, finished } = self else { return };
        while let Some(data) = waiting.pop_front() {
            let len = data.len();
            if let Err(rejected) = tcp.write(data) {
                // All of it or nothing: the data comes back with the reason.
                drop(waiting.push_front(rejected.data));
                return;
            }
            // Only now does the window open again: a peer that does not read is held up, and costs a bounded amount.
            tcp.recved(len).unwrap_or_default();
        }
        if *finished {
            // Our FIN follows what was written.
            tcp.close().unwrap_or_default();
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

    // Up to 16 connections may wait to be accepted.
    host.stack().tcp_listen("0.0.0.0:7".parse()?, 16, Echo::Listener)?;

    println!("answering pings and TCP port 7 at 192.0.2.2 on {name}");
    loop {
        // Frames in, timers, frames out; then sleep until there is more to do. The callbacks above run in here.
        host.turn(None)?;
    }
}
