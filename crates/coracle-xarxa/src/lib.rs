//! Drivers of xarxa's world (`xarxa_driver::Driver` 0.1) for the Coracle TCP/IP stack, unchanged.
//!
//! Its drivers own the frames that they give and take, as ours do, but in buffers of a pool of their own, whose sizes are
//! set when it is built (`XARXA_PACKET_BUF_COUNT`); so each frame is copied once on its way, and its buffer goes back to
//! the device at once.
//!
//! ```
//! use coracle_os::{Driver, Event, waker};
//! use coracle_xarxa::XarxaDriver;
//! use xarxa_driver::{Capabilities, HardwareAddress, PacketBuf};
//!
//! struct Chip;
//! impl xarxa_driver::Driver for Chip {
//!     fn capabilities(&self) -> Capabilities {
//!         Capabilities::default()
//!     }
//!     fn hardware_address(&self) -> HardwareAddress {
//!         HardwareAddress::Ethernet([2, 0, 0, 0, 0, 2])
//!     }
//!     // …
//! #     fn receive(&mut self) -> Option<PacketBuf> { None }
//! #     fn can_transmit(&mut self) -> bool { true }
//! #     fn transmit(&mut self, _: PacketBuf) -> Result<(), PacketBuf> { Ok(()) }
//! }
//!
//! static EVENT: Event = Event::new();
//! let driver = XarxaDriver::new(Chip, Some(waker(&EVENT))).ok().expect("it is Ethernet");
//! assert_eq!(driver.properties().mtu, 1_500);
//! assert!(driver.poll_interval().is_some(), "this one cannot wake anybody");
//! ```

#![no_std]
#![forbid(unsafe_code)]

use core::task::Waker;
use core::time::Duration;

use coracle::{Error, MacAddr, Medium, Memory, Pbuf};
use coracle_os::{ByStack, Driver, Properties, checksums, copy_frame};
use xarxa_driver::{ChecksumOffload, HardwareAddress, LinkState, PacketBuf};

/// Bytes of an Ethernet header, which xarxa's drivers count in.
const ETHERNET_HEADER: usize = 14;
/// How often a driver is asked that cannot wake anybody.
const POLL_INTERVAL: Duration = Duration::from_millis(1);

/// A driver of xarxa's.
#[derive(Debug)]
pub struct XarxaDriver<D> {
    driver: D,
    properties: Properties,
    waker: Option<Waker>,
}

impl<D: xarxa_driver::Driver> XarxaDriver<D> {
    /// A driver, which wakes `waker` when frames come, when there is room, and when the link changes. Without a waker, or
    /// when the driver cannot wake anybody, it is asked every millisecond.
    ///
    /// # Errors
    ///
    /// The driver comes back if its medium is none of ours (IEEE 802.15.4).
    pub fn new(mut driver: D, waker: Option<Waker>) -> Result<Self, D> {
        let capabilities = driver.capabilities();
        let (medium, header) = match driver.hardware_address() {
            HardwareAddress::Ethernet(station) => (Medium::Ethernet(MacAddr(station)), ETHERNET_HEADER),
            HardwareAddress::Ip => (Medium::Ip, 0),
            _ => return Err(driver),
        };
        let mtu = capabilities.max_transmission_unit.saturating_sub(header).min(u16::MAX.into()) as u16;
        let told = &capabilities.checksum;
        let [ipv4, udp, tcp, icmpv4, icmpv6] =
            [told.ipv4, told.udp, told.tcp, told.icmpv4, told.icmpv6].map(by_stack);
        let checksums = checksums(ipv4, udp, tcp, [icmpv4, icmpv6]);
        let properties = Properties { medium, mtu, checksums };
        let waker = waker.filter(|waker| driver.register_waker(waker).is_ok());
        Ok(Self { driver, properties, waker })
    }

    /// The driver.
    pub fn driver(&mut self) -> &mut D {
        &mut self.driver
    }

    /// Wakers are called once, and then have to be registered again; before the driver is asked, so that nothing comes
    /// unnoticed in between.
    fn register(&mut self) {
        if let Some(waker) = &self.waker {
            // It could when the driver was made.
            let _ = self.driver.register_waker(waker);
        }
    }
}

/// Who does a protocol's checksums.
fn by_stack(offload: ChecksumOffload) -> ByStack {
    ByStack { generate: !offload.tx, check: !offload.rx }
}

impl<D: xarxa_driver::Driver> Driver for XarxaDriver<D> {
    fn properties(&self) -> Properties {
        self.properties
    }

    fn is_link_up(&mut self) -> bool {
        self.register();
        self.driver.link_state() == LinkState::Up
    }

    fn receive(&mut self, memory: &Memory) -> Result<Option<Pbuf>, Error> {
        self.register();
        // The buffer first: what the driver has given it does not take back.
        let mut frame = self.properties.buffer(memory)?;
        let Some(received) = self.driver.receive() else { return Ok(None) };
        copy_frame(&mut frame, &received)?;
        Ok(Some(frame))
    }

    fn transmit(&mut self, frame: Pbuf) -> Result<(), Pbuf> {
        self.register();
        if !self.driver.can_transmit() {
            return Err(frame);
        }
        let Some(mut buffer) = PacketBuf::try_new() else { return Err(frame) };
        if frame.len() > buffer.capacity() {
            // It can never be sent.
            return Ok(());
        }
        buffer.set_len(frame.len());
        frame.copy_to(0, &mut buffer);
        // A driver that has changed its mind gives the buffer back, and the frame is still ours.
        self.driver.transmit(buffer).map_err(|_| frame)
    }

    fn poll_interval(&self) -> Option<Duration> {
        self.waker.is_none().then_some(POLL_INTERVAL)
    }
}
