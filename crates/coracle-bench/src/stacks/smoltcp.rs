//! Two smoltcp interfaces on a ring of frames. See the crate's documentation for the choices.

use std::marker::PhantomData;
use std::net::SocketAddrV4;

use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::udp::{PacketBuffer, PacketMetadata, Socket, UdpMetadata};
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{EthernetAddress, IpAddress, IpCidr, Ipv4Address};

use crate::checksum::Sum;
use crate::failure::Failure;
use crate::udp_echo::{
    CLIENT, CLIENT_MAC, CLIENT_PORT, Expected, FIRST_PORT, MTU, PAYLOAD, PREFIX_LENGTH, SERVER, SERVER_MAC,
    Tally, UdpEcho,
};

/// Largest frame, without its checksum.
const FRAME: usize = MTU as usize + 14;
/// Frames on the wire in one direction.
const SLOTS: usize = 4;
/// Virtual time that a round takes. Short enough for the neighbour entries to stay fresh while anyone watches.
const ROUND: Duration = Duration::from_micros(1);

/// A client and a server, run in the manner `M`.
pub(crate) struct SmoltcpPair<M> {
    client: Host,
    server: Host,
    client_socket: SocketHandle,
    server_sockets: Vec<SocketHandle>,
    to_server: Ring,
    to_client: Ring,
    now: Instant,
    expected: Expected,
    served: u64,
    manner: PhantomData<M>,
}

/// `Interface::poll`, as all of smoltcp's examples do.
pub(crate) enum Poll {}

/// `poll_ingress_single` and `poll_egress`, only when there is something to do.
pub(crate) enum Steps {}

/// How an application drives its interface.
pub(crate) trait Manner {
    /// Whether [`receive`](Self::receive) also transmits, and takes all frames at once.
    const RECEIVING_SENDS: bool;
    /// After the application has queued a datagram.
    fn transmit(host: &mut Host, port: &mut Port<'_>, now: Instant);
    /// After a frame has arrived.
    fn receive(host: &mut Host, port: &mut Port<'_>, now: Instant);
}

/// One end: an interface and its sockets.
pub(crate) struct Host {
    pub(crate) interface: Interface,
    pub(crate) sockets: SocketSet<'static>,
}

/// A device that receives from one ring and transmits into the other.
pub(crate) struct Port<'a> {
    inbound: &'a mut Ring,
    outbound: &'a mut Ring,
}

/// Room for a frame.
struct Slot {
    bytes: [u8; FRAME],
    length: usize,
}

/// Frames on their way in one direction. Both ends work in the slots themselves.
pub(crate) struct Ring {
    slots: Box<[Slot]>,
    next: usize,
    waiting: usize,
    carried: u64,
}

impl<M: Manner> UdpEcho for SmoltcpPair<M> {
    fn new(sockets: u16) -> Result<Self, Failure> {
        let (mut to_server, mut to_client) = (Ring::new(SLOTS), Ring::new(SLOTS));
        let mut client =
            Host::new(CLIENT_MAC, CLIENT, &mut Port { inbound: &mut to_client, outbound: &mut to_server });
        let mut server =
            Host::new(SERVER_MAC, SERVER, &mut Port { inbound: &mut to_server, outbound: &mut to_client });
        let client_socket = client.bind(CLIENT_PORT)?;
        let server_sockets =
            (FIRST_PORT..FIRST_PORT + sockets).map(|port| server.bind(port)).collect::<Result<_, _>>()?;
        let (now, expected) = (Instant::ZERO, Expected::default());
        let manner = PhantomData;
        Ok(Self {
            client,
            server,
            client_socket,
            server_sockets,
            to_server,
            to_client,
            now,
            expected,
            served: 0,
            manner,
        })
    }

    fn round(&mut self) -> Result<(), Failure> {
        let to = UdpMetadata::from((IpAddress::Ipv4(SERVER), self.expected.port()));
        let socket = self.client.sockets.get_mut::<Socket<'_>>(self.client_socket);
        socket.send_slice(&self.expected.payload(), to).map_err(|error| broken(&error))?;
        self.now += ROUND;
        self.client_side(M::transmit);
        // The first round resolves addresses, so one pass each way is not always enough.
        while self.to_server.waiting + self.to_client.waiting > 0 {
            if self.to_server.waiting > 0 {
                self.server_side(M::receive);
                if self.echo()? {
                    self.server_side(M::transmit);
                }
            }
            if self.to_client.waiting > 0 {
                self.client_side(M::receive);
                if !self.show() {
                    // The frame was an answer to ARP, and the datagram still waits.
                    self.client_side(M::transmit);
                }
            }
        }
        Ok(())
    }

    fn expected(&self) -> &Expected {
        &self.expected
    }

    fn tally(&self) -> Tally {
        Tally { served: self.served, frames: self.to_server.carried + self.to_client.carried }
    }
}

impl<M> SmoltcpPair<M> {
    fn client_side(&mut self, run: fn(&mut Host, &mut Port<'_>, Instant)) {
        let mut port = Port { inbound: &mut self.to_client, outbound: &mut self.to_server };
        run(&mut self.client, &mut port, self.now);
    }

    fn server_side(&mut self, run: fn(&mut Host, &mut Port<'_>, Instant)) {
        let mut port = Port { inbound: &mut self.to_server, outbound: &mut self.to_client };
        run(&mut self.server, &mut port, self.now);
    }

    /// The server's application: sends back what the socket in question got.
    fn echo(&mut self) -> Result<bool, Failure> {
        let index = usize::from(self.expected.port() - FIRST_PORT);
        let socket = self.server.sockets.get_mut::<Socket<'_>>(self.server_sockets[index]);
        if !socket.can_recv() {
            return Ok(false);
        }
        let mut buffer = [0; PAYLOAD];
        let (length, from) = socket.recv_slice(&mut buffer).map_err(|error| broken(&error))?;
        socket.send_slice(&buffer[..length], from.endpoint).map_err(|error| broken(&error))?;
        self.served += 1;
        Ok(true)
    }

    /// The client's application: true if there was a datagram.
    fn show(&mut self) -> bool {
        let socket = self.client.sockets.get_mut::<Socket<'_>>(self.client_socket);
        let Ok((payload, from)) = socket.recv() else { return false };
        // Other members of the workspace may have it speak IPv6 too.
        #[allow(irrefutable_let_patterns, reason = "alone it speaks IPv4 only")]
        let IpAddress::Ipv4(address) = from.endpoint.addr else { return false };
        self.expected.check(SocketAddrV4::new(address, from.endpoint.port), payload);
        true
    }
}

impl Manner for Poll {
    const RECEIVING_SENDS: bool = true;

    fn transmit(host: &mut Host, port: &mut Port<'_>, now: Instant) {
        host.interface.poll(now, port, &mut host.sockets);
    }

    fn receive(host: &mut Host, port: &mut Port<'_>, now: Instant) {
        host.interface.poll(now, port, &mut host.sockets);
    }
}

impl Manner for Steps {
    const RECEIVING_SENDS: bool = false;

    fn transmit(host: &mut Host, port: &mut Port<'_>, now: Instant) {
        host.interface.poll_egress(now, port, &mut host.sockets);
    }

    fn receive(host: &mut Host, port: &mut Port<'_>, now: Instant) {
        host.interface.poll_ingress_single(now, port, &mut host.sockets);
    }
}

impl Host {
    pub(crate) fn new(mac: [u8; 6], address: Ipv4Address, port: &mut Port<'_>) -> Self {
        let mut interface = Interface::new(Config::new(EthernetAddress(mac).into()), port, Instant::ZERO);
        interface.update_ip_addrs(|addresses| {
            // A new interface has room for one address at least.
            let _ = addresses.push(IpCidr::new(address.into(), PREFIX_LENGTH));
        });
        Self { interface, sockets: SocketSet::new(Vec::new()) }
    }

    /// A bound socket that holds up to four datagrams each way.
    fn bind(&mut self, port: u16) -> Result<SocketHandle, Failure> {
        let buffer = || PacketBuffer::new(vec![PacketMetadata::EMPTY; 4], vec![0; 4 * PAYLOAD]);
        let mut socket = Socket::new(buffer(), buffer());
        socket.bind(port).map_err(|error| broken(&error))?;
        Ok(self.sockets.add(socket))
    }
}

impl Ring {
    pub(crate) fn new(slots: usize) -> Self {
        let slots = (0..slots).map(|_| Slot { bytes: [0; FRAME], length: 0 }).collect();
        Self { slots, next: 0, waiting: 0, carried: 0 }
    }

    /// Frames on their way.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Frames that arrived.
    pub(crate) fn carried(&self) -> u64 {
        self.carried
    }

    /// The slot so many places after another.
    #[inline]
    fn after(&self, slot: usize, places: usize) -> usize {
        let after = slot + places;
        if after < self.slots.len() { after } else { after - self.slots.len() }
    }

    fn is_full(&self) -> bool {
        self.waiting == self.slots.len()
    }
}

impl<'a> Port<'a> {
    pub(crate) fn new(inbound: &'a mut Ring, outbound: &'a mut Ring) -> Self {
        Self { inbound, outbound }
    }
}

impl Device for Port<'_> {
    type RxToken<'a>
        = Filled<'a>
    where
        Self: 'a;
    type TxToken<'a>
        = Free<'a>
    where
        Self: 'a;

    fn receive(&mut self, _now: Instant) -> Option<(Filled<'_>, Free<'_>)> {
        let ready = self.inbound.waiting > 0 && !self.outbound.is_full();
        ready.then_some((Filled(self.inbound), Free(self.outbound)))
    }

    fn transmit(&mut self, _now: Instant) -> Option<Free<'_>> {
        (!self.outbound.is_full()).then_some(Free(self.outbound))
    }

    /// Says nothing of checksums, so that all are computed and verified in software.
    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = FRAME;
        capabilities
    }
}

/// The oldest frame of a ring.
pub(crate) struct Filled<'a>(&'a mut Ring);

impl RxToken for Filled<'_> {
    #[inline]
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        let ring = self.0;
        let slot = ring.next;
        let Slot { bytes, length } = &ring.slots[slot];
        let result = read(&bytes[..*length]);
        ring.next = ring.after(slot, 1);
        ring.waiting -= 1;
        ring.carried += 1;
        result
    }
}

/// The next free slot of a ring.
pub(crate) struct Free<'a>(&'a mut Ring);

impl TxToken for Free<'_> {
    #[inline]
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, write: F) -> R {
        let ring = self.0;
        let slot = ring.after(ring.next, ring.waiting);
        ring.waiting += 1;
        let slot = &mut ring.slots[slot];
        slot.length = length;
        write(&mut slot.bytes[..length])
    }
}

/// smoltcp's own checksum function.
pub(crate) struct Checksum;

impl Sum for Checksum {
    fn new() -> Result<Self, Failure> {
        Ok(Self)
    }

    #[inline]
    fn sum(&self, bytes: &[u8]) -> Option<u16> {
        Some(smoltcp::wire::checksum::data(bytes))
    }
}

pub(crate) fn broken(error: &dyn std::fmt::Debug) -> Failure {
    Failure::Broken(format!("smoltcp: {error:?}"))
}

#[cfg(test)]
mod tests {
    use super::{IpAddress, Manner, Poll, SmoltcpPair, Socket, UdpMetadata};
    use crate::udp_echo::{SERVER, Tally, UdpEcho};

    /// A flipped bit under the checksum of UDP, and one under that of IP, are noticed: the checksums are on.
    #[test]
    fn checksums_are_verified() {
        let mut pair = SmoltcpPair::<Poll>::new(1).unwrap();
        pair.round().unwrap();
        assert_eq!(pair.tally(), Tally { served: 1, frames: 4 });
        for (position, flip) in [(14 + 8, 1), (14 + 20 + 8, 1), (14 + 8, 0)] {
            let to = UdpMetadata::from((IpAddress::Ipv4(SERVER), pair.expected.port()));
            let socket = pair.client.sockets.get_mut::<Socket<'_>>(pair.client_socket);
            socket.send_slice(&pair.expected.payload(), to).unwrap();
            pair.client_side(Poll::transmit);
            let slot = pair.to_server.next;
            pair.to_server.slots[slot].bytes[position] ^= flip;
            pair.server_side(Poll::receive);
            assert_eq!(pair.echo().unwrap(), flip == 0);
        }
    }
}
