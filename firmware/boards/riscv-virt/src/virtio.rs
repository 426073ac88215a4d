//! A virtio network device: it writes into buffers of the stack's pool, and reads from them.

#![allow(unsafe_code)]

use core::cell::UnsafeCell;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicUsize, Ordering};

use coracle::{Error, Kind, Layer, MacAddr, Memory, Pbuf};
use coracle_os::{Driver, Properties};
use virtio_drivers::device::net::VirtIONetRaw;
use virtio_drivers::transport::mmio::{MmioTransport, VirtIOHeader};
use virtio_drivers::transport::{DeviceType, Transport};
use virtio_drivers::{BufferDirection, Hal, PAGE_SIZE, PhysAddr};

/// The places for virtio devices.
const FIRST_SLOT: usize = 0x1000_1000;
const SLOT_BYTES: usize = 0x1000;
const SLOTS: usize = 8;

/// Buffers in each direction.
const QUEUE: usize = 16;
/// The longest frame and the header in front of it, as the device wants it at least.
const BUFFER: usize = 1_528;
/// Pages for the two queues.
const PAGES: usize = 8;

/// Memory that driver and device share, besides the buffers.
#[repr(align(4096))]
struct Pages(UnsafeCell<[[u8; PAGE_SIZE]; PAGES]>);

// SAFETY: each page is given out once, by `dma_alloc`, and belongs to who got it.
unsafe impl Sync for Pages {}

static PAGE_POOL: Pages = Pages(UnsafeCell::new([[0; PAGE_SIZE]; PAGES]));
static PAGES_GIVEN: AtomicUsize = AtomicUsize::new(0);

/// Addresses are the same to the device and to the program.
struct Same;

// SAFETY: pages are aligned, zero, static, and given out once; memory is not moved, and nothing translates addresses.
unsafe impl Hal for Same {
    fn dma_alloc(pages: usize, _direction: BufferDirection) -> (PhysAddr, NonNull<u8>) {
        let first = PAGES_GIVEN.fetch_add(pages, Ordering::Relaxed);
        if first + pages > PAGES {
            // What `virtio-drivers` takes for an error.
            return (0, NonNull::dangling());
        }
        // SAFETY: the page is one of the pool's.
        let start = unsafe { PAGE_POOL.0.get().cast::<u8>().add(first * PAGE_SIZE) };
        (start.addr() as PhysAddr, NonNull::new(start).unwrap_or(NonNull::dangling()))
    }

    unsafe fn dma_dealloc(_paddr: PhysAddr, _vaddr: NonNull<u8>, _pages: usize) -> i32 {
        // The device stays as long as the program runs.
        0
    }

    unsafe fn mmio_phys_to_virt(paddr: PhysAddr, _size: usize) -> NonNull<u8> {
        NonNull::new(core::ptr::with_exposed_provenance_mut(paddr as usize)).unwrap_or(NonNull::dangling())
    }

    unsafe fn share(buffer: NonNull<[u8]>, _direction: BufferDirection) -> PhysAddr {
        buffer.cast::<u8>().as_ptr().expose_provenance() as PhysAddr
    }

    unsafe fn unshare(_paddr: PhysAddr, _buffer: NonNull<[u8]>, _direction: BufferDirection) {}
}

/// The network device.
pub(crate) struct Network {
    device: VirtIONetRaw<Same, MmioTransport<'static>, QUEUE>,
    /// The buffers that the device writes into and reads from, by the numbers that it was told. Nobody touches them until
    /// the device has said that it is done.
    incoming: [Option<Pbuf>; QUEUE],
    outgoing: [Option<Pbuf>; QUEUE],
}

impl Network {
    /// The first network device, and its place.
    pub(crate) fn find() -> Option<(Self, usize)> {
        (0..SLOTS).find_map(|slot| {
            let header: *mut VirtIOHeader =
                core::ptr::with_exposed_provenance_mut(FIRST_SLOT + slot * SLOT_BYTES);
            // SAFETY: the machine has such a place there, whether there is a device in it or not, and for good.
            let transport = unsafe { MmioTransport::new(NonNull::new(header)?, SLOT_BYTES) }.ok()?;
            if transport.device_type() != DeviceType::Network {
                return None;
            }
            let device = VirtIONetRaw::new(transport).ok()?;
            let none = [const { None }; QUEUE];
            Some((Self { device, incoming: none, outgoing: [const { None }; QUEUE] }, slot))
        })
    }

    /// Its station address.
    pub(crate) fn station(&self) -> MacAddr {
        MacAddr(self.device.mac_address())
    }

    /// Gives the device buffers to write into, as many as there are.
    fn refill(&mut self, memory: &Memory) -> Result<(), Error> {
        while self.incoming.iter().any(Option::is_none) {
            let mut buffer = memory.alloc(Layer::Raw, BUFFER, Kind::Pool)?;
            // SAFETY: the buffer is kept, and not touched until the device is done with it.
            let token = unsafe { self.device.receive_begin(buffer.payload_mut()?) };
            let Some(place) = token.ok().and_then(|token| self.incoming.get_mut(usize::from(token))) else {
                return Err(Error::Interface);
            };
            *place = Some(buffer);
        }
        Ok(())
    }

    /// Frees the buffers of frames that have left.
    fn reclaim(&mut self) {
        while let Some(token) = self.device.poll_transmit() {
            let Some(buffer) = self.outgoing.get_mut(usize::from(token)).and_then(Option::take) else {
                return;
            };
            // SAFETY: it is the buffer that was given with this number.
            if unsafe { self.device.transmit_complete(token, buffer.payload()) }.is_err() {
                return;
            }
        }
    }
}

impl Driver for Network {
    fn properties(&self) -> Properties {
        Properties::ethernet(self.station())
    }

    fn receive(&mut self, memory: &Memory) -> Result<Option<Pbuf>, Error> {
        // First of all, so that what comes from here on is told.
        self.device.ack_interrupt();
        self.reclaim();
        let refilled = self.refill(memory);
        let Some(token) = self.device.poll_receive() else {
            // With some buffers in the device nothing has to be done before a frame comes.
            return if self.incoming.iter().any(Option::is_some) {
                Ok(None)
            } else {
                refilled.map(|()| None)
            };
        };
        let place = self.incoming.get_mut(usize::from(token)).and_then(Option::take);
        let mut frame = place.ok_or(Error::Interface)?;
        // SAFETY: it is the buffer that was given with this number.
        let lengths = unsafe { self.device.receive_complete(token, frame.payload_mut()?) };
        let (header, len) = lengths.map_err(|_| Error::Interface)?;
        frame.remove_header(header)?;
        frame.truncate(len)?;
        Ok(Some(frame))
    }

    fn transmit(&mut self, frame: Pbuf) -> Result<(), Pbuf> {
        self.reclaim();
        if !self.device.can_send() {
            return Err(frame);
        }
        // A frame of several pieces, some of which the stack may send again, goes in one piece of its own.
        let Ok(mut buffer) = frame.memory().alloc(Layer::Raw, BUFFER, Kind::Pool) else { return Err(frame) };
        let sent = buffer.payload_mut().ok().and_then(|bytes| {
            let header = self.device.fill_buffer_header(bytes).ok()?;
            frame.copy_to(0, bytes.get_mut(header..)?);
            Some(header + frame.len())
        });
        let Some(len) = sent else { return Err(frame) };
        if buffer.truncate(len).is_err() {
            return Err(frame);
        }
        // SAFETY: the buffer is kept, and not touched until the device is done with it.
        let token = unsafe { self.device.transmit_begin(buffer.payload()) };
        match token.ok().and_then(|token| self.outgoing.get_mut(usize::from(token))) {
            Some(place) => {
                *place = Some(buffer);
                Ok(())
            }
            None => Err(frame),
        }
    }
}
