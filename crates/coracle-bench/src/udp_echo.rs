//! UDP echo between two stacks: what a stack has to provide, and the loop that drives and checks it.

use std::cell::Cell;
use std::net::{Ipv4Addr, SocketAddrV4};

use crate::failure::Failure;
use crate::scenario::Work;

/// Bytes of UDP payload.
pub(crate) const PAYLOAD: usize = 64;
/// Largest IP packet.
pub(crate) const MTU: u16 = 1500;
/// Addresses of the two ends, in one /24.
pub(crate) const CLIENT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
pub(crate) const SERVER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
pub(crate) const NETMASK: Ipv4Addr = Ipv4Addr::new(255, 255, 255, 0);
pub(crate) const PREFIX_LENGTH: u8 = 24;
pub(crate) const CLIENT_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
pub(crate) const SERVER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];
/// The client's port.
pub(crate) const CLIENT_PORT: u16 = 40_000;
/// The first of the server's ports, which are consecutive.
pub(crate) const FIRST_PORT: u16 = 20_000;

/// Rounds before the first measured one: ARP is resolved and every buffer has been touched.
const WARM_UP: u64 = 40;
/// Coprime to 1,000, so that this step visits 1,000 sockets in an order that no list has.
const STRIDE: u16 = 387;

/// Two stacks on one Ethernet, and `sockets` UDP sockets on the server that echo what they get.
pub(crate) trait UdpEcho: Sized {
    /// Sets both up. `sockets` is not 0; the ports count up from [`FIRST_PORT`].
    ///
    /// # Errors
    /// [`Failure::Unavailable`] where the stack is not on this machine.
    fn new(sockets: u16) -> Result<Self, Failure>;

    /// Sends [`Expected::payload`] from [`CLIENT_PORT`] to [`Expected::port`] of the server and runs both stacks until
    /// nothing moves, showing what comes back to [`Expected::check`].
    ///
    /// # Errors
    /// [`Failure::Broken`] where a stack refuses something.
    fn round(&mut self) -> Result<(), Failure>;

    /// What the client expects, shared with its callback.
    fn expected(&self) -> &Expected;

    /// What happened so far.
    fn tally(&self) -> Tally;
}

/// Totals since the set-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Datagrams that the server's application got.
    pub(crate) served: u64,
    /// Ethernet frames that crossed the wire, both ways.
    pub(crate) frames: u64,
}

/// The datagram on its way, as the client sent it and wants it back.
#[derive(Debug)]
pub(crate) struct Expected {
    payload: Cell<[u8; PAYLOAD]>,
    port: Cell<u16>,
    right: Cell<u64>,
    wrong: Cell<u64>,
}

impl Default for Expected {
    fn default() -> Self {
        let payload = std::array::from_fn(|index| (index as u8).wrapping_mul(37));
        Self {
            payload: Cell::new(payload),
            port: Cell::new(FIRST_PORT),
            right: Cell::new(0),
            wrong: Cell::new(0),
        }
    }
}

impl Expected {
    /// What to send.
    #[inline]
    pub(crate) fn payload(&self) -> [u8; PAYLOAD] {
        self.payload.get()
    }

    /// The server's port to send to.
    #[inline]
    pub(crate) fn port(&self) -> u16 {
        self.port.get()
    }

    /// The client's application got this datagram.
    #[inline]
    pub(crate) fn check(&self, from: SocketAddrV4, payload: &[u8]) {
        let right = payload == self.payload.get() && from.port() == self.port.get() && *from.ip() == SERVER;
        let counter = if right { &self.right } else { &self.wrong };
        counter.set(counter.get() + 1);
    }

    /// Makes the next datagram differ from the last one.
    #[inline]
    fn next(&self, serial: u64, port: u16) {
        let mut payload = self.payload.get();
        payload[8..16].copy_from_slice(&serial.to_le_bytes());
        self.payload.set(payload);
        self.port.set(port);
    }
}

/// Which of the server's sockets is talked to.
#[derive(Clone, Copy)]
enum Target {
    /// Always the one in the middle.
    Middle,
    /// All in turn.
    Spread,
}

struct EchoRun<P> {
    pair: P,
    sockets: u16,
    target: Target,
    current: u16,
    serial: u64,
}

/// One socket on the server.
pub(crate) fn build<P: UdpEcho + 'static>() -> Result<Box<dyn Work>, Failure> {
    boxed::<P>(1, Target::Middle)
}

/// 1,000 sockets, traffic to one of them.
pub(crate) fn build_1000<P: UdpEcho + 'static>() -> Result<Box<dyn Work>, Failure> {
    boxed::<P>(1000, Target::Middle)
}

/// 1,000 sockets, traffic to all of them.
pub(crate) fn build_1000_spread<P: UdpEcho + 'static>() -> Result<Box<dyn Work>, Failure> {
    boxed::<P>(1000, Target::Spread)
}

fn boxed<P: UdpEcho + 'static>(sockets: u16, target: Target) -> Result<Box<dyn Work>, Failure> {
    let mut run = EchoRun { pair: P::new(sockets)?, sockets, target, current: sockets / 2, serial: 0 };
    run.exchange(WARM_UP)?;
    Ok(Box::new(run))
}

impl<P: UdpEcho> EchoRun<P> {
    /// `count` rounds, each of which must bring exactly the right answer.
    fn exchange(&mut self, count: u64) -> Result<(), Failure> {
        for _ in 0..count {
            self.serial += 1;
            if matches!(self.target, Target::Spread) {
                self.current = (self.current + STRIDE) % self.sockets;
            }
            self.pair.expected().next(self.serial, FIRST_PORT + self.current);
            self.pair.round()?;
            let Expected { right, wrong, .. } = self.pair.expected();
            if (right.get(), wrong.get()) != (self.serial, 0) {
                return Err(Failure::Broken(format!(
                    "round {}: {} right and {} wrong answers",
                    self.serial,
                    right.get(),
                    wrong.get()
                )));
            }
        }
        Ok(())
    }
}

impl<P: UdpEcho> Work for EchoRun<P> {
    fn rounds(&mut self, count: u64) -> Result<(), Failure> {
        let before = self.pair.tally();
        self.exchange(count)?;
        let after = self.pair.tally();
        let moved = Tally { served: after.served - before.served, frames: after.frames - before.frames };
        let wanted = Tally { served: count, frames: 2 * count };
        if moved != wanted {
            return Err(Failure::Broken(format!("{count} rounds moved {moved:?} and not {wanted:?}")));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Expected, Tally, UdpEcho, build, build_1000_spread};
    use crate::failure::Failure;
    use crate::stacks::harness::Harness;
    use std::cell::Cell;
    use std::net::SocketAddrV4;

    /// What is wrong with a broken stack, from the 50th round on.
    #[derive(Clone, Copy)]
    enum Fault {
        Byte,
        Port,
        Address,
        Lost,
        Twice,
        ExtraFrame,
        NotServed,
    }

    struct Faulty<const FAULT: u8> {
        expected: Expected,
        rounds: Cell<u64>,
    }

    const FAULTS: [Fault; 7] = [
        Fault::Byte,
        Fault::Port,
        Fault::Address,
        Fault::Lost,
        Fault::Twice,
        Fault::ExtraFrame,
        Fault::NotServed,
    ];

    impl<const FAULT: u8> UdpEcho for Faulty<FAULT> {
        fn new(_sockets: u16) -> Result<Self, Failure> {
            Ok(Self { expected: Expected::default(), rounds: Cell::new(0) })
        }

        fn round(&mut self) -> Result<(), Failure> {
            self.rounds.set(self.rounds.get() + 1);
            let fault = (self.rounds.get() >= 50).then(|| FAULTS[usize::from(FAULT)]);
            let mut payload = self.expected.payload();
            let mut from = SocketAddrV4::new(super::SERVER, self.expected.port());
            match fault {
                Some(Fault::Lost) => return Ok(()),
                Some(Fault::Twice) => self.expected.check(from, &payload),
                Some(Fault::Byte) => payload[63] ^= 1,
                Some(Fault::Port) => from.set_port(from.port() + 1),
                Some(Fault::Address) => from.set_ip(super::CLIENT),
                _ => {}
            }
            self.expected.check(from, &payload);
            Ok(())
        }

        fn expected(&self) -> &Expected {
            &self.expected
        }

        fn tally(&self) -> Tally {
            let rounds = self.rounds.get();
            let late = u64::from(rounds >= 50);
            match FAULTS[usize::from(FAULT)] {
                Fault::ExtraFrame => Tally { served: rounds, frames: 2 * rounds + late },
                Fault::NotServed => Tally { served: rounds - late, frames: 2 * rounds },
                _ => Tally { served: rounds, frames: 2 * rounds },
            }
        }
    }

    fn verdict<const FAULT: u8>() -> Result<(), Failure> {
        build::<Faulty<FAULT>>().and_then(|mut work| work.rounds(100))
    }

    #[test]
    fn every_fault_is_noticed() {
        let verdicts = [
            verdict::<0>(),
            verdict::<1>(),
            verdict::<2>(),
            verdict::<3>(),
            verdict::<4>(),
            verdict::<5>(),
            verdict::<6>(),
        ];
        for verdict in verdicts {
            assert!(matches!(verdict, Err(Failure::Broken(_))), "{verdict:?}");
        }
    }

    #[test]
    fn a_right_exchange_passes_and_visits_every_socket() {
        build::<Harness>().unwrap().rounds(100).unwrap();
        build_1000_spread::<Harness>().unwrap().rounds(1000).unwrap();
        let visited: std::collections::HashSet<u32> =
            (0..1000).map(|round| round * u32::from(super::STRIDE) % 1000).collect();
        assert_eq!(visited.len(), 1000);
    }
}
