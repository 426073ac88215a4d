//! The stack's own ping: ICMP echo requests through a raw control block.

use coracle::wire::icmpv4::{self, IcmpHeader};
use coracle::wire::ipv4::{Ipv4Header, protocol};
use coracle::{Boxed, Error, Handler, IcmpError, Instant, Kind, Layer, Memory, Pbuf, Raw, RawHandle, Stack};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::mpsc::{self, Receiver, Sender};

/// What came of an echo request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PingEvent {
    /// An answer.
    Reply {
        /// The number of the request.
        sequence: u16,
        /// Bytes of data, the ICMP header not counted.
        size: usize,
        /// The data is what was sent.
        intact: bool,
        /// The time-to-live that the answer arrived with.
        ttl: u8,
        /// When it came, on the stack's clock.
        at: Instant,
    },
    /// An ICMP error about a request.
    Failed {
        /// What it says.
        error: IcmpError,
        /// When it came, on the stack's clock.
        at: Instant,
    },
}

impl PingEvent {
    /// When it came, on the stack's clock.
    pub const fn at(&self) -> Instant {
        match self {
            Self::Reply { at, .. } | Self::Failed { at, .. } => *at,
        }
    }
}

/// A raw control block that sends echo requests to one host and reports what comes back. Other ICMP messages pass by it.
///
/// Requests are sent on the stack's thread; what came back is read on any.
///
/// ```
/// use coracle::Boxed;
/// use coracle_host::{Host, Ping};
/// let mut host = Host::<Boxed>::new()?;
/// let ping = Ping::open(host.stack(), "192.0.2.1".parse().unwrap(), 7).unwrap();
/// // There is no interface, so nothing leads to 192.0.2.1.
/// assert_eq!(ping.sender().send(host.stack(), 1, 56), Err(coracle::Error::Route));
/// # Ok::<(), coracle_host::Error>(())
/// ```
#[derive(Debug)]
pub struct Ping {
    sender: PingSender,
    events: Receiver<PingEvent>,
}

/// The part of a [`Ping`] that sends: a name, to be copied to the stack's thread.
#[derive(Clone, Copy, Debug)]
pub struct PingSender {
    raw: RawHandle,
    identifier: u16,
}

impl Ping {
    /// Prepares to ping a host. `identifier` tells the answers from those to others.
    ///
    /// # Errors
    /// [`Error::Memory`] when there are as many raw control blocks as the stack's limits allow; [`Error::Value`] for
    /// 0.0.0.0.
    pub fn open(stack: &mut Stack<Boxed>, host: Ipv4Addr, identifier: u16) -> Result<Self, Error> {
        let (report, events) = mpsc::channel();
        let raw = stack.raw_new(protocol::ICMP, Boxed::new(Listener { identifier, report }))?;
        let connected = stack.raw(raw).and_then(|mut raw| {
            raw.set_checksum_offset(Some(icmpv4::CHECKSUM_OFFSET as u16))?;
            raw.connect(IpAddr::V4(host))
        });
        if let Err(error) = connected {
            stack.raw_remove(raw)?;
            return Err(error);
        }
        Ok(Self { sender: PingSender { raw, identifier }, events })
    }

    /// The part that sends.
    pub fn sender(&self) -> PingSender {
        self.sender
    }

    /// What came back. It ends when the control block is removed.
    pub fn events(&self) -> &Receiver<PingEvent> {
        &self.events
    }
}

impl PingSender {
    /// Sends an echo request with `size` bytes of data.
    ///
    /// # Errors
    /// Those of [`Raw::send`]: [`Error::Value`] for more than the interface's MTU allows, [`Error::Route`],
    /// [`Error::WouldBlock`], [`Error::Memory`], and [`Error::Closed`] after [`close`](Self::close).
    pub fn send(self, stack: &mut Stack<Boxed>, sequence: u16, size: usize) -> Result<(), Error> {
        let request = echo_request(stack.memory(), self.identifier, sequence, size)?;
        Ok(stack.raw(self.raw)?.send(request)?)
    }

    /// Removes the control block.
    ///
    /// # Errors
    /// [`Error::Closed`] when that was done before.
    pub fn close(self, stack: &mut Stack<Boxed>) -> Result<(), Error> {
        stack.raw_remove(self.raw).map(drop)
    }
}

/// An ICMP echo request without its checksum.
fn echo_request(memory: &Memory, identifier: u16, sequence: u16, size: usize) -> Result<Pbuf, Error> {
    let mut request = memory.alloc(Layer::Ip, icmpv4::HEADER_LEN + size, Kind::Ram)?;
    let message = request.payload_mut()?;
    let ([a, b], [c, d]) = (identifier.to_be_bytes(), sequence.to_be_bytes());
    let (header, data) = message.split_first_chunk_mut().ok_or(Error::Buffer)?;
    icmpv4::write(header, icmpv4::ECHO_REQUEST, 0, [a, b, c, d]);
    for (index, byte) in data.iter_mut().enumerate() {
        *byte = data_byte(sequence, index);
    }
    Ok(request)
}

/// Data that differs between requests, so that an answer with another's data is noticed.
fn data_byte(sequence: u16, index: usize) -> u8 {
    (index as u8).wrapping_mul(7).wrapping_add(sequence as u8)
}

struct Listener {
    identifier: u16,
    report: Sender<PingEvent>,
}

impl Listener {
    fn reply(&self, packet: &Pbuf, at: Instant) -> Option<PingEvent> {
        let (ttl, header_len) =
            Ipv4Header::read(packet.payload()).map(|ip| (ip.ttl(), ip.header_len())).ok()?;
        let mut message = vec![0; packet.len().checked_sub(header_len)?];
        packet.copy_to(header_len, &mut message);
        let header = IcmpHeader::read(&message).ok()?;
        let [a, b, c, d] = header.rest;
        let (identifier, sequence) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
        if header.kind != icmpv4::ECHO_REPLY || identifier != self.identifier {
            return None;
        }
        let data = &message[icmpv4::HEADER_LEN..];
        let intact = coracle::wire::checksum::checksum(&message) == 0
            && data.iter().enumerate().all(|(index, byte)| *byte == data_byte(sequence, index));
        Some(PingEvent::Reply { sequence, size: data.len(), intact, ttl, at })
    }
}

impl Handler<Boxed> for Listener {
    fn packet(&mut self, raw: &mut Raw<'_, Boxed>, packet: Pbuf) -> Option<Pbuf> {
        let at = raw.stack().now();
        let Some(event) = self.reply(&packet, at) else { return Some(packet) };
        // Nobody listens any more once the `Ping` is dropped.
        let _ = self.report.send(event);
        None
    }

    fn packet_error(&mut self, raw: &mut Raw<'_, Boxed>, _to: IpAddr, error: IcmpError) {
        let at = raw.stack().now();
        let _ = self.report.send(PingEvent::Failed { error, at });
    }
}
