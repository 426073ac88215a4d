//! Whom an error concerns: the control block that sent the packet which is quoted.

use coracle_buf::Pbuf;
use coracle_wire::icmpv4;
use coracle_wire::ipv4::protocol;

use crate::address::Endpoint;
use crate::counters::count;
use crate::engine::Engine;
use crate::event::{Event, IcmpError, IcmpErrorKind};

/// The longest part of a packet that its headers and ports take, mostly.
const QUOTE: usize = 68;

/// What a quoted packet says of who sent it.
pub(crate) struct Sender<'a> {
    pub(super) protocol: u8,
    /// Without a port where none is quoted.
    pub(super) local: Endpoint,
    pub(super) remote: Endpoint,
    pub(super) has_ports: bool,
    /// Bytes of the packet as it says.
    pub(super) len: usize,
    /// The start of the transport's packet.
    pub(super) transport: &'a [u8],
}

impl<'a> Sender<'a> {
    pub(super) fn v4(quoted: &icmpv4::Quoted<'a>) -> Self {
        let (from_port, to_port) = quoted.ports().unwrap_or((0, 0));
        Self {
            protocol: quoted.header.protocol(),
            local: Endpoint::new(quoted.header.source().into(), from_port),
            remote: Endpoint::new(quoted.header.destination().into(), to_port),
            has_ports: quoted.ports().is_some(),
            len: quoted.header.total_len(),
            transport: quoted.transport,
        }
    }
}

impl Engine {
    /// Finds the control block that sent a packet.
    pub(super) fn error_to_sender(&mut self, sender: &Sender<'_>, error: IcmpError) -> Option<Event> {
        let (local, remote) = (sender.local, sender.remote);
        let event = match sender.protocol {
            protocol::TCP if sender.has_ports => {
                let sequence = sender.transport.get(4..8).and_then(|bytes| bytes.first_chunk());
                let sequence = sequence.copied().map(u32::from_be_bytes);
                return self.tcp_icmp_error(local, remote, sequence, error.kind);
            }
            sent @ (protocol::UDP | protocol::UDP_LITE) if sender.has_ports => {
                let pcb = self.udp_find_sender(local, remote, sent == protocol::UDP_LITE);
                pcb.map(|pcb| Event::UdpError { pcb, to: remote, error })
            }
            sent => {
                let pcb = self.raw_find_sender(sent, local.address, remote.address);
                pcb.map(|pcb| Event::RawError { pcb, to: remote.address, error })
            }
        };
        if let IcmpErrorKind::FragmentationNeeded { mtu } = error.kind
            && (event.is_some() || !remote.address.is_v4())
        {
            // Nobody has to know of our own answers to pings, and of IPv6 a lie cannot do much harm.
            self.learn_path_mtu(remote.address, sender.len, mtu);
        }
        let counters = self.counters.icmp_of(remote.address);
        match event {
            Some(_) => count!(counters.errors_reported),
            None => count!(counters.unclaimed),
        }
        event
    }

    /// Keeps a packet of ours, from its IP header on, to be reported as undeliverable.
    pub(crate) fn note_undeliverable(&mut self, packet: Pbuf) {
        // A packet that cannot be queued is merely not reported; it is counted as dropped already.
        drop(self.undeliverable.push_back(packet));
    }

    /// The report of a packet whose neighbour does not answer.
    pub(crate) fn report_unreachable(&mut self, packet: &Pbuf) -> Option<Event> {
        if self.complain_of_neighbour(packet) {
            return None;
        }
        let mut bytes = [0; QUOTE];
        let len = packet.copy_to(0, &mut bytes);
        let bytes = &bytes[..len];
        #[cfg(feature = "ipv6")]
        if bytes.first().is_some_and(|first| first >> 4 == 6) {
            return self.report_unreachable_v6(bytes);
        }
        let quoted = icmpv4::read_quoted(bytes).ok()?;
        self.error_to_sender(&Sender::v4(&quoted), IcmpError::NEIGHBOUR_UNREACHABLE)
    }
}
