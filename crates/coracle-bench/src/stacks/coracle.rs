//! Coracle itself, as two stacks that hand each other frames. See the crate's documentation for the choices.

use std::cell::Cell;
use std::net::{SocketAddr, SocketAddrV4};
use std::rc::Rc;

use coracle::wire::checksum::Sum as PartialSum;
use coracle::{
    Arena, Config, Error, Handler, Instant, Ipv4Settings, Kind, Layer, Limits, MacAddr, Memory, MemoryLimits,
    NetifConfig, NetifHandle, Pbuf, Stack, Udp, UdpHandle,
};

use crate::checksum::Sum;
use crate::failure::Failure;
use crate::udp_echo::{
    CLIENT, CLIENT_MAC, CLIENT_PORT, Expected, FIRST_PORT, MTU, PAYLOAD, PREFIX_LENGTH, SERVER, SERVER_MAC,
    Tally, UdpEcho,
};

/// Virtual time that a round takes, as in smoltcp's rows.
const ROUND_MICROS: u64 = 1;

/// A client and a server.
pub(crate) struct CoraclePair {
    client: Host,
    server: Host,
    socket: UdpHandle,
    expected: Rc<Expected>,
    served: Rc<Cell<u64>>,
    frames: u64,
    rounds: u64,
}

/// One end: a stack and its only interface.
struct Host {
    stack: Stack<App>,
    netif: NetifHandle,
}

/// The applications.
enum App {
    /// The server's: sends back what comes.
    Echo(Rc<Cell<u64>>),
    /// The client's: looks at what comes.
    Show(Rc<Expected>),
}

impl Handler for App {
    fn datagram(&mut self, udp: &mut Udp<'_, Self>, from: SocketAddr, data: Pbuf) {
        match (self, from) {
            (Self::Echo(served), _) => {
                // A refused answer is a lost one, which the client notices.
                if udp.send_to(data, from).is_ok() {
                    served.set(served.get() + 1);
                }
            }
            (Self::Show(expected), SocketAddr::V4(from)) => expected.check(from, data.payload()),
            // Not noticed as an answer, so as a lost one.
            (Self::Show(_), SocketAddr::V6(_)) => {}
        }
    }
}

impl UdpEcho for CoraclePair {
    fn new(sockets: u16) -> Result<Self, Failure> {
        let mut client = Host::new(CLIENT_MAC, Ipv4Settings::new(CLIENT, PREFIX_LENGTH))?;
        let mut server = Host::new(SERVER_MAC, Ipv4Settings::new(SERVER, PREFIX_LENGTH))?;
        let served = Rc::new(Cell::new(0));
        for port in FIRST_PORT..FIRST_PORT + sockets {
            server.bind(port, App::Echo(Rc::clone(&served)))?;
        }
        let expected = Rc::new(Expected::default());
        let socket = client.bind(CLIENT_PORT, App::Show(Rc::clone(&expected)))?;
        Ok(Self { client, server, socket, expected, served, frames: 0, rounds: 0 })
    }

    fn round(&mut self) -> Result<(), Failure> {
        self.rounds += 1;
        let now = Instant::from_micros(self.rounds * ROUND_MICROS);
        let to = SocketAddrV4::new(SERVER, self.expected.port());
        self.client.send(self.socket, to, &self.expected.payload())?;
        // The first round resolves addresses, so one pass each way is not always enough.
        while self.client.has_frames() {
            self.frames += carry(&mut self.client, &mut self.server, now)?;
            self.frames += carry(&mut self.server, &mut self.client, now)?;
        }
        Ok(())
    }

    fn expected(&self) -> &Expected {
        &self.expected
    }

    fn tally(&self) -> Tally {
        Tally { served: self.served.get(), frames: self.frames }
    }
}

impl Host {
    fn new(mac: [u8; 6], settings: Ipv4Settings) -> Result<Self, Failure> {
        Self::build(mac, settings).map_err(broken)
    }

    fn build(mac: [u8; 6], settings: Ipv4Settings) -> Result<Self, Error> {
        let mut arena = Arena::heap();
        let memory = Memory::new(&mut arena, MemoryLimits::default())?;
        let mut stack = Stack::new(&mut arena, Limits::default(), memory, Config::new(*b"always the same."))?;
        let netif = stack.netif_add(&NetifConfig::ethernet(MacAddr(mac)).ipv4(settings).mtu(MTU))?;
        stack.netif(netif)?.set_up(true)?;
        Ok(Self { stack, netif })
    }

    fn bind(&mut self, port: u16, app: App) -> Result<UdpHandle, Failure> {
        let socket = self.stack.udp_new(app).map_err(broken)?;
        let local = SocketAddr::from(([0, 0, 0, 0], port));
        self.stack.udp(socket).and_then(|mut udp| udp.bind(local)).map_err(broken)?;
        Ok(socket)
    }

    fn send(&mut self, socket: UdpHandle, to: SocketAddrV4, payload: &[u8; PAYLOAD]) -> Result<(), Failure> {
        self.try_send(socket, to, payload).map_err(broken)
    }

    #[inline]
    fn try_send(&mut self, socket: UdpHandle, to: SocketAddrV4, payload: &[u8]) -> Result<(), Error> {
        let data = self.stack.memory().alloc_copy(Layer::Transport, payload, Kind::Pool)?;
        Ok(self.stack.udp(socket)?.send_to(data, SocketAddr::V4(to))?)
    }

    #[inline]
    fn has_frames(&self) -> bool {
        self.stack.transmit_pending(self.netif) > 0
    }

    /// What a driver does: a received frame lies in a buffer of the pool.
    #[inline]
    fn receive(&mut self, frame: &Pbuf, now: Instant) -> Result<(), Error> {
        let received = self.stack.memory().alloc_copy(Layer::Raw, frame.payload(), Kind::Pool)?;
        Ok(self.stack.input(self.netif, received, now)?)
    }
}

/// Carries every frame that waits into a buffer of the receiver's.
fn carry(from: &mut Host, to: &mut Host, now: Instant) -> Result<u64, Failure> {
    let mut carried = 0;
    while let Some(frame) = from.stack.transmit(from.netif) {
        to.receive(&frame, now).map_err(broken)?;
        carried += 1;
    }
    Ok(carried)
}

fn broken(error: Error) -> Failure {
    Failure::Broken(format!("Coracle: {error}"))
}

/// Coracle's checksum function.
pub(crate) struct Checksum;

impl Sum for Checksum {
    fn new() -> Result<Self, Failure> {
        Ok(Self)
    }

    #[inline]
    fn sum(&self, bytes: &[u8]) -> Option<u16> {
        Some(PartialSum::new().add_bytes(bytes).fold())
    }
}

#[cfg(test)]
mod tests {
    use super::{CoraclePair, Instant, SocketAddrV4};
    use crate::udp_echo::{SERVER, Tally, UdpEcho};

    /// A flipped bit under the checksum of UDP, and one under that of IP, are noticed: the checksums are on.
    #[test]
    fn checksums_are_verified() {
        let mut pair = CoraclePair::new(1).unwrap();
        pair.round().unwrap();
        assert_eq!(pair.tally(), Tally { served: 1, frames: 6 }, "each announces itself, ARP, the echo");
        for (position, flip, served) in [(14 + 8, 1, 1), (14 + 20 + 8, 1, 1), (14 + 8, 0, 2)] {
            let to = SocketAddrV4::new(SERVER, pair.expected.port());
            pair.client.send(pair.socket, to, &pair.expected.payload()).unwrap();
            let mut frame = pair.client.stack.transmit(pair.client.netif).unwrap();
            frame.payload_mut().unwrap()[position] ^= flip;
            pair.server.receive(&frame, Instant::from_micros(2)).unwrap();
            assert_eq!(pair.tally().served, served);
        }
    }
}
