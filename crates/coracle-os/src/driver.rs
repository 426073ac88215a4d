//! What a network device does.

use ::core::time::Duration;

use coracle::{Checksums, Error, Kind, Layer, Medium, Memory, NetifConfig, Pbuf};

/// What a device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Properties {
    /// What its frames look like, with its own station address.
    pub medium: Medium,
    /// The longest IP packet in bytes, without the link header.
    pub mtu: u16,
    /// The checksums that are left to the stack; [`Checksums::ALL`] for a device without any of its own.
    pub checksums: Checksums,
}

impl Properties {
    /// Plain Ethernet: an MTU of 1,500, and no checksums in hardware.
    pub const fn ethernet(station: coracle::MacAddr) -> Self {
        Self { medium: Medium::Ethernet(station), mtu: 1_500, checksums: Checksums::ALL }
    }

    /// Bare IP packets, with an MTU of 1,500 and no checksums in hardware.
    pub const fn ip() -> Self {
        Self { medium: Medium::Ip, mtu: 1_500, checksums: Checksums::ALL }
    }

    /// Space for the longest frame in bytes, link header and one VLAN tag included.
    pub const fn frame_size(&self) -> usize {
        let header = match self.medium {
            Medium::Ethernet(_) => 18,
            Medium::Ip | Medium::Loopback => 0,
        };
        self.mtu as usize + header
    }

    /// A buffer for the longest frame: of the pool, or of the heap when the pool is used up, so that the acknowledgments
    /// come in that may free it. What a driver lets its device write into, or copies into.
    ///
    /// # Errors
    ///
    /// [`Error::Memory`] when neither has one.
    pub fn buffer(&self, memory: &Memory) -> Result<Pbuf, Error> {
        self.buffer_for(memory, self.frame_size())
    }

    /// A buffer for a frame of this length, for devices that tell it before. An acknowledgment fits into a small buffer
    /// when the pool is used up, and may free what it is used up by.
    ///
    /// # Errors
    ///
    /// [`Error::Memory`] when neither the pool nor the heap has one.
    pub fn buffer_for(&self, memory: &Memory, len: usize) -> Result<Pbuf, Error> {
        let layer = match self.medium {
            Medium::Ethernet(_) | Medium::Loopback => Layer::Raw,
            // A packet may leave through Ethernet, in the same buffer if there is room for the header.
            Medium::Ip => Layer::Link,
        };
        let buffer = memory.alloc(layer, len, Kind::Pool);
        buffer.or_else(|_| memory.alloc(layer, len, Kind::Ram))
    }

    /// The configuration of an interface for it, without an address.
    pub const fn config(&self) -> NetifConfig {
        let config = match self.medium {
            Medium::Ethernet(station) => NetifConfig::ethernet(station),
            Medium::Ip => NetifConfig::ip(),
            Medium::Loopback => NetifConfig::loopback(),
        };
        config.mtu(self.mtu).checksums(self.checksums)
    }
}

/// Who makes and checks the checksums of one protocol: the stack, or the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByStack {
    /// The stack makes them for what is sent.
    pub generate: bool,
    /// The stack checks them in what came.
    pub check: bool,
}

/// The checksums that are left to the stack, protocol by protocol, as drivers of other worlds tell it. ICMP's are one to the
/// stack for both families, and left to the device only if it does both.
pub fn checksums(ipv4: ByStack, udp: ByStack, tcp: ByStack, icmp: [ByStack; 2]) -> Checksums {
    let icmp = ByStack { generate: icmp.iter().any(|it| it.generate), check: icmp.iter().any(|it| it.check) };
    let all = [
        (ipv4, Checksums::GENERATE_IP, Checksums::CHECK_IP),
        (udp, Checksums::GENERATE_UDP, Checksums::CHECK_UDP),
        (tcp, Checksums::GENERATE_TCP, Checksums::CHECK_TCP),
        (icmp, Checksums::GENERATE_ICMP, Checksums::CHECK_ICMP),
    ];
    all.into_iter().fold(Checksums::ALL, |left, (by_stack, generate, check)| {
        let left = if by_stack.generate { left } else { left.without(generate) };
        if by_stack.check { left } else { left.without(check) }
    })
}

/// Copies a frame that a device lends into a buffer from [`Properties::buffer`], which is cut to its length. Of a frame that
/// is longer than the device said the rest is left out, and the stack will drop it for that.
///
/// # Errors
///
/// [`Error::Buffer`] for a buffer that is shared.
pub fn copy_frame(buffer: &mut Pbuf, bytes: &[u8]) -> Result<(), Error> {
    let len = bytes.len().min(buffer.len());
    buffer.take(&bytes[..len])?;
    buffer.truncate(len)
}

/// A network device that gives and takes buffers. It is object-safe, and no call blocks.
///
/// Whoever holds a [`Pbuf`] holds its bytes: a driver may give a buffer to a device to write into or to read from, and go
/// on. What it must keep to:
///
/// * *Receiving*: the device writes into buffers that the driver took from the [`Memory`] before. A frame is handed on in
///   the buffer that it was written to, whole, and a fresh buffer takes that one's place. When there is no fresh one, the
///   frame stays in the device.
///   A device that has the frames in a queue of its own, with acknowledgments behind data, lets go of a frame instead,
///   so that what may free buffers comes in.
/// * *Transmitting*: the driver keeps the frame until the device has read it, and then drops it. It may be shared with
///   the stack, which may have to send it again, and it may lie in several pieces ([`Pbuf::segments`]); a device that
///   takes one piece only needs a copy.
/// * *Waking*: an interrupt calls [`Wake::wake`](crate::Wake::wake) of the port when a frame has come, when there is room
///   again after [`transmit`](Self::transmit) gave a frame back, and when the link has changed. A driver without an
///   interrupt says with [`poll_interval`](Self::poll_interval) how often it wants to be asked.
///
/// # A driver for a device with DMA
///
/// The device here has a ring of descriptors: the address of a buffer, its length, and who owns it. A real driver lets
/// the device write to `buffer.payload_mut()?.as_mut_ptr()`, with the fences and the cleaning of caches that its processor
/// asks for; this one has the "device" take the slice.
///
/// ```
/// use coracle::{Error, Kind, Layer, MacAddr, Memory, Pbuf};
/// use coracle_os::{Driver, Properties};
///
/// const RING: usize = 4;
/// const BUFFER: usize = 1_536;
///
/// /// What is in the descriptors that the device and the driver share.
/// #[derive(Default)]
/// struct Descriptor {
///     /// The buffer that the device may write to, or read from.
///     buffer: Option<Pbuf>,
///     /// Set by the device when it has finished, with the length of the frame.
///     done: Option<usize>,
/// }
///
/// #[derive(Default)]
/// struct Dma {
///     receive: [Descriptor; RING],
///     next_in: usize,
///     transmit: [Descriptor; RING],
///     next_out: usize,
/// }
///
/// impl Dma {
///     /// Frees the buffers of the frames that have left.
///     fn reclaim(&mut self) {
///         for descriptor in &mut self.transmit {
///             if descriptor.done.take().is_some() {
///                 descriptor.buffer = None;
///             }
///         }
///     }
/// }
///
/// impl Driver for Dma {
///     fn properties(&self) -> Properties {
///         Properties::ethernet(MacAddr::new(2, 0, 0, 0, 0, 1))
///     }
///
///     fn receive(&mut self, memory: &Memory) -> Result<Option<Pbuf>, Error> {
///         self.reclaim();
///         // Every descriptor has a buffer, as far as there are any.
///         for descriptor in self.receive.iter_mut().filter(|descriptor| descriptor.buffer.is_none()) {
///             descriptor.buffer = Some(memory.alloc(Layer::Raw, BUFFER, Kind::Pool)?);
///         }
///         let descriptor = &mut self.receive[self.next_in];
///         let Some(len) = descriptor.done else { return Ok(None) };
///         // The frame leaves only if another buffer takes its place; else it waits here, and nothing is lost.
///         let fresh = memory.alloc(Layer::Raw, BUFFER, Kind::Pool)?;
///         let frame = descriptor.buffer.replace(fresh);
///         descriptor.done = None;
///         self.next_in = (self.next_in + 1) % RING;
///         Ok(frame.and_then(|mut frame| frame.truncate(len).is_ok().then_some(frame)))
///     }
///
///     fn transmit(&mut self, frame: Pbuf) -> Result<(), Pbuf> {
///         self.reclaim();
///         let descriptor = &mut self.transmit[self.next_out];
///         if descriptor.buffer.is_some() {
///             return Err(frame); // full: the stack keeps it
///         }
///         descriptor.buffer = Some(frame);
///         self.next_out = (self.next_out + 1) % RING;
///         Ok(())
///     }
/// }
///
/// # use coracle::{Arena, MemoryLimits};
/// # let limits = MemoryLimits { pool_buffers: 6, pool_buffer_size: BUFFER, ..MemoryLimits::SMALL };
/// # let memory = Memory::new(&mut Arena::heap(), limits)?;
/// let mut dma = Dma::default();
/// let driver: &mut dyn Driver = &mut dma;
/// assert!(driver.receive(&memory)?.is_none());
///
/// // The device writes a frame of 60 bytes, and the stack gets the very buffer.
/// let slot = &mut dma.receive[0];
/// let bytes = slot.buffer.as_mut().unwrap().payload_mut()?;
/// bytes[0] = 0xff;
/// let written = bytes.as_ptr();
/// slot.done = Some(60);
/// let frame = dma.receive(&memory)?.unwrap();
/// assert_eq!((frame.len(), frame.payload().as_ptr()), (60, written));
/// # Ok::<(), Error>(())
/// ```
pub trait Driver {
    /// What the device is. It stays the same.
    fn properties(&self) -> Properties;

    /// Whether frames can pass at present.
    fn is_link_up(&mut self) -> bool {
        true
    }

    /// The next frame that came: an Ethernet frame without its check sequence, or an IP packet. `None` when there is none
    /// at present. A frame that came with errors is dropped here.
    ///
    /// # Errors
    ///
    /// [`Error::Memory`] when there is a frame, or a descriptor, but no buffer for it; it will be asked again. Any other
    /// error: the device failed, and so far gives no frames.
    fn receive(&mut self, memory: &Memory) -> Result<Option<Pbuf>, Error>;

    /// Takes a frame to be sent.
    ///
    /// # Errors
    ///
    /// Gives the frame back while there is no room for it. A frame that can never be sent is taken and dropped.
    fn transmit(&mut self, frame: Pbuf) -> Result<(), Pbuf>;

    /// How long it may be left alone, if nothing wakes its owner when frames come.
    fn poll_interval(&self) -> Option<Duration> {
        None
    }
}

macro_rules! forward {
    ($($of:ty),*) => {$(
        impl<D: Driver + ?Sized> Driver for $of {
            fn properties(&self) -> Properties {
                (**self).properties()
            }
            fn is_link_up(&mut self) -> bool {
                (**self).is_link_up()
            }
            fn receive(&mut self, memory: &Memory) -> Result<Option<Pbuf>, Error> {
                (**self).receive(memory)
            }
            fn transmit(&mut self, frame: Pbuf) -> Result<(), Pbuf> {
                (**self).transmit(frame)
            }
            fn poll_interval(&self) -> Option<Duration> {
                (**self).poll_interval()
            }
        }
    )*};
}

forward!(&mut D);
#[cfg(feature = "alloc")]
forward!(alloc::boxed::Box<D>);
