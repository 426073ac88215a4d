//! Drivers of embassy-net's world (`embassy_net_driver::Driver` 0.2) for the Coracle TCP/IP stack, unchanged: chips,
//! radios, and everything behind `embassy-net-driver-channel`.
//!
//! Their tokens lend a frame for the time of a call, so each frame is copied once on its way.
//!
//! The driver wakes a [`Waker`] when there is something to do. Without an operating system that is an
//! [`Event`](coracle_os::Event), through [`coracle_os::waker`]; for a thread it comes from
//! [`ThreadWaker`](https://docs.rs/coracle-os).
//!
//! ```
//! use coracle_embassy::EmbassyDriver;
//! use coracle_os::{Driver, Event, waker};
//! use embassy_net_driver::HardwareAddress;
//! use embassy_net_driver_channel as channel;
//!
//! static EVENT: Event = Event::new();
//!
//! let mut state = channel::State::<1514, 4, 4>::new();
//! let (runner, device) = channel::new(&mut state, HardwareAddress::Ethernet([2, 0, 0, 0, 0, 2]));
//! let driver = EmbassyDriver::new(device, waker(&EVENT)).ok().expect("it is Ethernet");
//! assert_eq!(driver.properties().mtu, 1_500);
//! ```

#![no_std]
#![forbid(unsafe_code)]

use core::task::{Context, Waker};

use coracle::{Error, MacAddr, Medium, Memory, Pbuf};
use coracle_os::{ByStack, Driver, Properties, checksums, copy_frame};
use embassy_net_driver::{Checksum, HardwareAddress, LinkState, RxToken as _, TxToken as _};

/// Bytes of an Ethernet header, which embassy's drivers count in.
const ETHERNET_HEADER: usize = 14;

/// A driver of embassy-net's.
#[derive(Debug)]
pub struct EmbassyDriver<D> {
    driver: D,
    properties: Properties,
    waker: Waker,
}

impl<D: embassy_net_driver::Driver> EmbassyDriver<D> {
    /// A driver, which wakes `waker` when frames come, when there is room, and when the link changes.
    ///
    /// # Errors
    ///
    /// The driver comes back if its medium is none of ours (IEEE 802.15.4).
    pub fn new(driver: D, waker: Waker) -> Result<Self, D> {
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
        Ok(Self { driver, properties, waker })
    }

    /// The driver.
    pub fn driver(&mut self) -> &mut D {
        &mut self.driver
    }
}

/// Who does a protocol's checksums.
fn by_stack(checksum: Checksum) -> ByStack {
    ByStack {
        generate: matches!(checksum, Checksum::Both | Checksum::Tx),
        check: matches!(checksum, Checksum::Both | Checksum::Rx),
    }
}

impl<D: embassy_net_driver::Driver> Driver for EmbassyDriver<D> {
    fn properties(&self) -> Properties {
        self.properties
    }

    fn is_link_up(&mut self) -> bool {
        self.driver.link_state(&mut Context::from_waker(&self.waker)) == LinkState::Up
    }

    fn receive(&mut self, memory: &Memory) -> Result<Option<Pbuf>, Error> {
        // The buffer first: a token that is not used up may lose its frame.
        let mut frame = self.properties.buffer(memory)?;
        let Some((token, _)) = self.driver.receive(&mut Context::from_waker(&self.waker)) else {
            return Ok(None);
        };
        token.consume(|bytes| copy_frame(&mut frame, bytes))?;
        Ok(Some(frame))
    }

    fn transmit(&mut self, frame: Pbuf) -> Result<(), Pbuf> {
        let Some(token) = self.driver.transmit(&mut Context::from_waker(&self.waker)) else {
            return Err(frame);
        };
        token.consume(frame.len(), |bytes| frame.copy_to(0, bytes));
        Ok(())
    }
}
