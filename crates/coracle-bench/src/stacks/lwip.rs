//! Two copies of the system's liblwip. See the crate's documentation for the choices.

use std::cell::Cell;
use std::net::SocketAddrV4;
use std::rc::Rc;

use coracle_lwip_peer::{Config, Error, Stack, UdpSocket};

use crate::checksum::Sum;
use crate::failure::Failure;
use crate::udp_echo::{
    CLIENT, CLIENT_MAC, CLIENT_PORT, Expected, FIRST_PORT, MTU, NETMASK, SERVER, SERVER_MAC, Tally, UdpEcho,
};

/// A client and a server.
pub(crate) struct LwipPair {
    client: Stack,
    server: Stack,
    socket: UdpSocket,
    expected: Rc<Expected>,
    served: Rc<Cell<u64>>,
    frames: u64,
}

impl UdpEcho for LwipPair {
    fn new(sockets: u16) -> Result<Self, Failure> {
        let client =
            load(&Config { hardware_address: CLIENT_MAC, address: CLIENT, netmask: NETMASK, mtu: MTU })?;
        let server =
            load(&Config { hardware_address: SERVER_MAC, address: SERVER, netmask: NETMASK, mtu: MTU })?;
        let served = Rc::new(Cell::new(0));
        for port in FIRST_PORT..FIRST_PORT + sockets {
            let served = Rc::clone(&served);
            let echo = move |datagram: coracle_lwip_peer::Datagram<'_>| {
                // A refused answer is a lost one, which the client notices.
                if datagram.reply().is_ok() {
                    served.set(served.get() + 1);
                }
            };
            server.udp_bind(port, echo).map_err(|error| broken(&error))?;
        }
        let expected = Rc::new(Expected::default());
        let wanted = Rc::clone(&expected);
        let socket = client
            .udp_bind(CLIENT_PORT, move |datagram| wanted.check(datagram.source(), &datagram.payload()))
            .map_err(|error| broken(&error))?;
        Ok(Self { client, server, socket, expected, served, frames: 0 })
    }

    fn round(&mut self) -> Result<(), Failure> {
        let to = SocketAddrV4::new(SERVER, self.expected.port());
        self.client.udp_send(self.socket, to, &self.expected.payload()).map_err(|error| broken(&error))?;
        // The first round resolves addresses, so one pass each way is not always enough.
        loop {
            let carried = carry(&self.client, &self.server)? + carry(&self.server, &self.client)?;
            if carried == 0 {
                return Ok(());
            }
            self.frames += carried;
        }
    }

    fn expected(&self) -> &Expected {
        &self.expected
    }

    fn tally(&self) -> Tally {
        Tally { served: self.served.get(), frames: self.frames }
    }
}

/// lwIP's `inet_chksum`.
pub(crate) struct Checksum(Stack);

impl Sum for Checksum {
    fn new() -> Result<Self, Failure> {
        load(&Config { hardware_address: CLIENT_MAC, address: CLIENT, netmask: NETMASK, mtu: MTU }).map(Self)
    }

    #[inline]
    fn sum(&self, bytes: &[u8]) -> Option<u16> {
        self.0.checksum(bytes).ok().map(|field| !u16::from_be(field))
    }
}

/// Hands over every frame that waits.
pub(crate) fn carry(from: &Stack, to: &Stack) -> Result<u64, Failure> {
    let mut carried = 0;
    while let Some(frame) = from.pop_frame() {
        to.input(&frame).map_err(|error| broken(&error))?;
        carried += 1;
    }
    Ok(carried)
}

pub(crate) fn load(config: &Config) -> Result<Stack, Failure> {
    Stack::new(config).map_err(|error| {
        let advice = match error {
            Error::NotFound(_) => "; Debian and Ubuntu have it: apt-get install liblwip0",
            _ => "",
        };
        Failure::Unavailable(format!("lwIP is left out: {error}{advice}"))
    })
}

pub(crate) fn broken(error: &Error) -> Failure {
    Failure::Broken(format!("lwIP: {error}"))
}

#[cfg(test)]
mod tests {
    use super::LwipPair;
    use crate::failure::Failure;
    use crate::udp_echo::{Expected, Tally, UdpEcho};
    use std::net::SocketAddrV4;

    /// A flipped bit under the checksum of UDP, and one under that of IP, are noticed: the checksums are on.
    #[test]
    fn checksums_are_verified() {
        let mut pair = match LwipPair::new(1) {
            Ok(pair) => pair,
            Err(Failure::Unavailable(why)) => return eprintln!("skipped: {why}"),
            Err(other) => panic!("{other}"),
        };
        pair.round().unwrap();
        assert_eq!(pair.tally(), Tally { served: 1, frames: 6 }, "each announces itself, ARP, the echo");
        for position in [14 + 8, 14 + 20 + 8] {
            let to = SocketAddrV4::new(crate::udp_echo::SERVER, pair.expected.port());
            pair.client.udp_send(pair.socket, to, &Expected::default().payload()).unwrap();
            let mut frame = pair.client.pop_frame().unwrap().to_vec();
            frame[position] ^= 1;
            pair.server.input(&frame).unwrap();
            assert_eq!(pair.tally().served, 1);
            frame[position] ^= 1;
            pair.server.input(&frame).unwrap();
            assert_eq!(pair.tally().served, 2, "the frame was right otherwise");
            pair.served.set(1);
        }
    }
}
