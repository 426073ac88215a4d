//! What the engine reports to the layer that calls the application.

use core::net::IpAddr;

use coracle_buf::{Error, Pbuf};

use crate::address::{Address, Endpoint};
use crate::table::Key;
use crate::tcp::Report;

/// What an error about a packet of ours says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IcmpErrorKind {
    /// No route to the network, or it may not be reached.
    NetUnreachable,
    /// The host does not answer, or may not be reached.
    HostUnreachable,
    /// The host does not take the protocol.
    ProtocolUnreachable,
    /// Nobody listens on the port.
    PortUnreachable,
    /// The packet is too long for a link of this many bytes, and must not be cut [RFC 1191].
    FragmentationNeeded {
        /// The MTU of that link; zero when the router did not say.
        mtu: u16,
    },
    /// A source route failed.
    SourceRouteFailed,
    /// The time-to-live ran out on the way.
    TimeExceeded,
    /// Fragments were missing when the time for putting them together was over.
    ReassemblyTimeExceeded,
    /// The header is wrong at this byte.
    ParameterProblem {
        /// Where in the packet.
        pointer: u32,
    },
}

/// What is wrong on the way of a connection that lives on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trouble {
    /// A router or the peer says so. It is a hint, never a proof.
    Icmp(IcmpErrorKind),
    /// Data was sent again several times without an answer (R1) [RFC 9293 SHLD-9].
    Unanswered,
}

/// An ICMP error about a packet that a control block sent [RFC 1122 §4.1.3.3]. It is a hint, never a proof: anyone
/// on the way can send one [RFC 1122 §3.2.2.1].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IcmpError {
    /// What it says.
    pub kind: IcmpErrorKind,
    /// Who sent it; none: this stack itself, whose neighbour does not answer.
    pub reporter: Option<IpAddr>,
}

impl IcmpError {
    pub(crate) const NEIGHBOUR_UNREACHABLE: Self =
        Self { kind: IcmpErrorKind::HostUnreachable, reporter: None };

    /// The error that it amounts to.
    ///
    /// ```
    /// use coracle::{Error, IcmpError, IcmpErrorKind};
    /// let error = IcmpError { kind: IcmpErrorKind::PortUnreachable, reporter: None };
    /// assert_eq!(error.error(), Error::Reset);
    /// ```
    pub const fn error(&self) -> Error {
        match self.kind {
            IcmpErrorKind::PortUnreachable | IcmpErrorKind::ProtocolUnreachable => Error::Reset,
            IcmpErrorKind::FragmentationNeeded { .. } | IcmpErrorKind::ParameterProblem { .. } => {
                Error::Value
            }
            IcmpErrorKind::TimeExceeded | IcmpErrorKind::ReassemblyTimeExceeded => Error::Timeout,
            IcmpErrorKind::NetUnreachable
            | IcmpErrorKind::HostUnreachable
            | IcmpErrorKind::SourceRouteFailed => Error::Route,
        }
    }
}

/// Something for a handler; positions are those of the control blocks' slots.
pub(crate) enum Event {
    /// A datagram for a UDP control block.
    Datagram { pcb: Key, data: Pbuf },
    /// A packet for a raw control block, which hands it back unless it eats it.
    Packet { pcb: u32, packet: Pbuf },
    /// An error about a datagram that a UDP control block sent.
    UdpError { pcb: u32, to: Endpoint, error: IcmpError },
    /// An error about a packet that a raw control block sent.
    RawError { pcb: u32, to: Address, error: IcmpError },
    /// Something of a TCP connection.
    Tcp { pcb: u32, report: Report },
    /// An application timer.
    Timeout { timer: u32 },
    /// An interface changed.
    Netif { netif: u32 },
    /// A query of the resolver is over.
    #[cfg(feature = "dns")]
    Resolved { query: Key },
    /// A server told what time it is.
    #[cfg(feature = "sntp")]
    Time,
}
