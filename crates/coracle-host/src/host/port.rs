//! A device at work for an interface.

use crate::clock::Clock;
use crate::device::{Device, Layer};
use crate::waiter::Source;
use coracle::{Handler, Instant, Kind, Memory, NetifHandle, Pbuf, Stack};
use coracle_sim::pcap::{LinkType, PcapWriter};
use std::io::{self, BufWriter, IoSlice, Write};
use std::os::fd::AsFd;

/// A device that carries frames between a stack and the world; [`Tap`](crate::Tap) and [`Tun`](crate::Tun) are two.
///
/// Neither call blocks, and the descriptor tells `poll(2)` when there is something to receive or room to send.
pub trait Nic: AsFd + Send {
    /// Takes the next frame into `frame` and gives its length; `None` when there is none at present.
    ///
    /// # Errors
    /// The device failed and gives no more frames.
    fn recv(&self, frame: &mut [u8]) -> io::Result<Option<usize>>;

    /// Takes a frame that lies in several parts; `false` when there is no room at present.
    ///
    /// # Errors
    /// The device refuses this frame; others may fare better.
    fn send_vectored(&self, parts: &[IoSlice<'_>]) -> io::Result<bool>;

    /// The longest IP packet, in bytes.
    ///
    /// # Errors
    /// The device failed.
    fn mtu(&self) -> io::Result<usize>;

    /// The longest frame, link header included, in bytes.
    ///
    /// # Errors
    /// The device failed.
    fn frame_size(&self) -> io::Result<usize>;

    /// What it carries.
    fn link_type(&self) -> LinkType;
}

impl<L: Layer> Nic for Device<L> {
    fn recv(&self, frame: &mut [u8]) -> io::Result<Option<usize>> {
        Device::recv(self, frame)
    }

    fn send_vectored(&self, parts: &[IoSlice<'_>]) -> io::Result<bool> {
        Device::send_vectored(self, parts)
    }

    fn mtu(&self) -> io::Result<usize> {
        Device::mtu(self)
    }

    fn frame_size(&self) -> io::Result<usize> {
        Device::frame_size(self)
    }

    fn link_type(&self) -> LinkType {
        L::LINK_TYPE
    }
}

/// What a device did, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortCounters {
    /// Frames received.
    pub received: u64,
    /// Frames sent.
    pub sent: u64,
    /// Frames that the device refused, as when the kernel's side is down. They are lost.
    pub refused: u64,
    /// Times that frames had to stay in the device because no buffer was free.
    pub shortages: u64,
    /// Times that frames had to stay in the stack because the device was full.
    pub full: u64,
}

/// A device, and the interface that it works for.
pub(super) struct Port {
    pub(super) netif: NetifHandle,
    nic: Box<dyn Nic>,
    /// Space for the longest frame, and where it comes from.
    frame_size: usize,
    layer: coracle::Layer,
    kind: Kind,
    /// It has no room for frames.
    full: bool,
    /// It has frames, but there is no buffer for them.
    short: bool,
    capture: Option<Capture>,
    pub(super) counters: PortCounters,
}

impl Port {
    pub(super) fn new(netif: NetifHandle, nic: Box<dyn Nic>, frame_size: usize, memory: &Memory) -> Self {
        let layer = match nic.link_type() {
            LinkType::Ethernet => coracle::Layer::Raw,
            // A packet may leave through Ethernet, in the same buffer if there is room for the header.
            LinkType::Ip => coracle::Layer::Link,
        };
        // One read fills one piece of memory: where the pool's buffers are too small, the heap gives it.
        let fits = layer.header_room().next_multiple_of(4) + frame_size <= memory.pool_buffer_size();
        let kind = if fits { Kind::Pool } else { Kind::Ram };
        let counters = PortCounters::default();
        let (full, short, capture) = (false, false, None);
        Self { netif, nic, frame_size, layer, kind, full, short, capture, counters }
    }

    /// There are frames, but no buffer for them.
    pub(super) fn is_short(&self) -> bool {
        self.short
    }

    /// What to sleep for.
    pub(super) fn source(&self) -> Source<'_> {
        // Watching for frames that there is no buffer for would end the sleep at once.
        Source::readable(&self.nic).readable_if(!self.short).writable_if(self.full)
    }

    /// The sleep has found room in the device, or not.
    pub(super) fn found_room(&mut self, room: bool) {
        self.full &= !room;
    }

    /// Hands the device's frames to the stack, up to `most`, all together.
    pub(super) fn receive<H: Handler>(
        &mut self,
        stack: &mut Stack<H>,
        clock: Clock,
        most: usize,
    ) -> io::Result<()> {
        let (memory, netif) = (stack.memory().clone(), self.netif);
        let mut failure = None;
        let mut frames = core::iter::from_fn(|| {
            self.next_frame(&memory, clock).unwrap_or_else(|error| {
                failure = Some(error);
                None
            })
        })
        .take(most);
        if stack.input_all(netif, &mut frames, Instant::from_micros(clock.now())).is_err() {
            // The application has removed the interface; what comes in is for nobody.
            let refused = frames.count() as u64;
            self.counters.refused += refused;
        }
        failure.map_or(Ok(()), Err)
    }

    /// A frame that the device has, if there is a buffer for it.
    fn next_frame(&mut self, memory: &Memory, clock: Clock) -> io::Result<Option<Pbuf>> {
        let Some(mut frame) = self.buffer(memory) else {
            self.counters.shortages += u64::from(!self.short);
            self.short = true;
            // A device that is gone would end each sleep at once, and nothing is read that would tell.
            return self.nic.mtu().map(|_| None);
        };
        self.short = false;
        // A fresh buffer is ours alone, so neither of these two fails.
        let Ok(space) = frame.payload_mut() else { return Ok(None) };
        let Some(len) = self.nic.recv(space)? else { return Ok(None) };
        if frame.truncate(len).is_err() {
            return Ok(None);
        }
        self.counters.received += 1;
        record(&mut self.capture, clock.now(), &frame);
        Ok(Some(frame))
    }

    /// A buffer for the longest frame. When the pool is used up (by data that peers do not acknowledge, say) the heap
    /// gives one, and gets back what the frame leaves of it: the acknowledgments that free the pool must come in.
    #[inline]
    fn buffer(&self, memory: &Memory) -> Option<Pbuf> {
        let buffer = memory.alloc(self.layer, self.frame_size, self.kind);
        buffer.or_else(|_| memory.alloc(self.layer, self.frame_size, Kind::Ram)).ok()
    }

    /// Hands the stack's frames to the device, as many as it takes.
    pub(super) fn transmit<H>(&mut self, stack: &mut Stack<H>, clock: Clock) {
        if self.full {
            return;
        }
        let Self { nic, counters, capture, full, .. } = self;
        stack.transmit_with(self.netif, |frame| match send(nic.as_ref(), &frame) {
            Ok(true) => {
                counters.sent += 1;
                if capture.is_some() {
                    record(capture, clock.now(), &frame);
                }
                Ok(())
            }
            Ok(false) => {
                counters.full += 1;
                *full = true;
                Err(frame)
            }
            Err(_) => {
                counters.refused += 1;
                Ok(())
            }
        });
    }

    pub(super) fn capture(&mut self, out: Box<dyn Write + Send>, now: u64) -> io::Result<()> {
        let writer = PcapWriter::new(BufWriter::new(out), self.nic.link_type())?.starting_now(now);
        self.capture = Some(Capture { writer, frames: 0, written: true, failure: None });
        Ok(())
    }

    /// Makes what was captured visible.
    pub(super) fn flush_capture(&mut self) {
        if let Some(capture) = &mut self.capture
            && core::mem::take(&mut capture.written)
            && capture.failure.is_none()
        {
            capture.failure = capture.writer.flush().err();
        }
    }

    pub(super) fn end_capture(&mut self) -> io::Result<u64> {
        self.flush_capture();
        let capture = self.capture.take().ok_or(io::ErrorKind::NotFound)?;
        capture.failure.map_or(Ok(capture.frames), Err)
    }
}

impl core::fmt::Debug for Port {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Port")
            .field("netif", &self.netif)
            .field("counters", &self.counters)
            .finish_non_exhaustive()
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        self.flush_capture();
    }
}

/// A capture under way.
struct Capture {
    writer: PcapWriter<BufWriter<Box<dyn Write + Send>>>,
    frames: u64,
    /// Something was written that is not visible yet.
    written: bool,
    failure: Option<io::Error>,
}

/// Adds a frame to a capture, if there is one and it has not failed.
fn record(capture: &mut Option<Capture>, now: u64, frame: &Pbuf) {
    if let Some(capture) = capture
        && capture.failure.is_none()
    {
        match capture.writer.write_parts(now, frame.segments()) {
            Ok(()) => (capture.frames, capture.written) = (capture.frames + 1, true),
            Err(error) => capture.failure = Some(error),
        }
    }
}

/// Writes a frame from where its parts lie.
fn send(nic: &dyn Nic, frame: &Pbuf) -> io::Result<bool> {
    const INLINE: usize = 8;
    let mut parts = [IoSlice::new(&[]); INLINE];
    let mut count = 0;
    for (part, bytes) in parts.iter_mut().zip(frame.segments()) {
        *part = IoSlice::new(bytes);
        count += 1;
    }
    if count < INLINE {
        return nic.send_vectored(&parts[..count]);
    }
    let parts: Vec<IoSlice<'_>> = frame.segments().map(IoSlice::new).collect();
    nic.send_vectored(&parts)
}
