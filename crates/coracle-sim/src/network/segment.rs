//! A segment, and the interfaces on it.

use std::io::{BufWriter, Write};

use coracle::{Instant, MacAddr, Medium, NetifHandle};

use super::StackId;
use crate::impair::{Impairer, Impairment};
use crate::pcap::{LinkType, PcapWriter};

/// An interface on a segment, and the way to it.
pub(super) struct Port {
    pub(super) stack: StackId,
    pub(super) netif: NetifHandle,
    /// Its station address, by which its network card filters; none on a line without stations.
    station: Option<MacAddr>,
    /// It is a bridge's, and takes what is to others too.
    pub(super) promiscuous: bool,
    pub(super) impairer: Impairer<Vec<u8>>,
    /// The part of a cut segment that it is in.
    pub(super) part: usize,
}

impl Port {
    pub(super) fn new(
        stack: StackId,
        netif: NetifHandle,
        medium: Medium,
        impairment: Impairment,
        seed: u64,
    ) -> Self {
        let station = match medium {
            Medium::Ethernet(station) => Some(station),
            Medium::Ip | Medium::Loopback => None,
        };
        Self { stack, netif, station, promiscuous: false, impairer: Impairer::new(impairment, seed), part: 0 }
    }

    pub(super) fn link(&self) -> LinkType {
        if self.station.is_some() { LinkType::Ethernet } else { LinkType::Ip }
    }

    /// What a network card does with frames to other stations.
    fn takes(&self, frame: &[u8]) -> bool {
        match (self.station, frame.first_chunk()) {
            (Some(station), Some(&destination)) => {
                self.promiscuous || destination == station.0 || MacAddr(destination).is_multicast()
            }
            _ => true,
        }
    }
}

/// The interfaces that hear one another.
pub(super) struct Segment {
    pub(super) impairment: Impairment,
    pub(super) ports: Vec<Port>,
    pub(super) capture: Capture,
}

impl Segment {
    pub(super) fn new(impairment: Impairment) -> Self {
        Self { impairment, ports: Vec::new(), capture: Capture::Off }
    }

    pub(super) fn set_impairment(&mut self, impairment: Impairment) {
        self.impairment = impairment;
        for port in &mut self.ports {
            port.impairer.set_config(impairment);
        }
    }

    pub(super) fn next_deadline(&self) -> Option<u64> {
        self.ports.iter().filter_map(|port| port.impairer.next_deadline()).min()
    }

    /// Sends a frame to all others that can hear it and want it.
    pub(super) fn send(&mut self, now: Instant, sender: usize, frame: &[u8]) {
        self.capture.write(now, self.ports[sender].link(), frame);
        let part = self.ports[sender].part;
        for (number, port) in self.ports.iter_mut().enumerate() {
            if number != sender && port.part == part && port.takes(frame) {
                port.impairer.push(now.as_micros(), frame.to_vec());
            }
        }
    }
}

/// A capture, which begins with its first frame, as only that tells the link type.
pub(super) enum Capture {
    Off,
    Waiting(Box<dyn Write + Send>),
    On(PcapWriter<BufWriter<Box<dyn Write + Send>>>),
}

impl Capture {
    pub(super) fn new(into: impl Write + Send + 'static) -> Self {
        Self::Waiting(Box::new(into))
    }

    fn write(&mut self, now: Instant, link: LinkType, frame: &[u8]) {
        if let Self::Waiting(_) = self
            && let Self::Waiting(into) = core::mem::replace(self, Self::Off)
        {
            let writer = PcapWriter::new(BufWriter::new(into), link);
            *self = Self::On(writer.expect("a capture that can be written"));
        }
        if let Self::On(writer) = self {
            writer.write(now.as_micros(), frame).expect("a capture that can be written");
        }
    }
}
