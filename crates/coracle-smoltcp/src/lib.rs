//! Devices of smoltcp's world (`smoltcp::phy::Device` 0.14) as drivers of the Coracle TCP/IP stack, unchanged: chips,
//! TAP interfaces, raw sockets, tracers, fault injectors.
//!
//! Their tokens lend a frame for the time of a call, so each frame is copied once on its way.
//!
//! ```
//! use coracle::MacAddr;
//! use coracle_os::Driver;
//! use coracle_smoltcp::SmoltcpDriver;
//! use core::time::Duration;
//! use smoltcp::phy::{DeviceCapabilities, FaultInjector};
//! # use smoltcp::phy::{Device, RxToken, TxToken};
//! # use smoltcp::time::Instant;
//! # struct Chip;
//! # struct Token;
//! # impl RxToken for Token { fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R { f(&[]) } }
//! # impl TxToken for Token { fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R { f(&mut [0; 2000][..len]) } }
//! # impl Device for Chip {
//! #     type RxToken<'a> = Token;
//! #     type TxToken<'a> = Token;
//! #     fn receive(&mut self, _: Instant) -> Option<(Token, Token)> { None }
//! #     fn transmit(&mut self, _: Instant) -> Option<Token> { Some(Token) }
//! #     fn capabilities(&self) -> DeviceCapabilities {
//! #         let mut it = DeviceCapabilities::default();
//! #         it.max_transmission_unit = 1_514;
//! #         it
//! #     }
//! # }
//!
//! let device = FaultInjector::new(Chip, 7); // anything that is a `Device`
//! let station = MacAddr::new(2, 0, 0, 0, 0, 2);
//! let driver = SmoltcpDriver::new(device, station, || Instant::ZERO).polled_every(Duration::from_millis(1));
//! assert_eq!(driver.properties().mtu, 1_500);
//! ```

#![no_std]
#![forbid(unsafe_code)]

use core::time::Duration;

use coracle::{Error, MacAddr, Medium, Memory, Pbuf};
use coracle_os::{ByStack, Driver, Properties, checksums, copy_frame};
use smoltcp::phy::{self, Device, RxToken as _, TxToken as _};
use smoltcp::time::Instant;

/// Bytes of an Ethernet header, which smoltcp's devices count in.
const ETHERNET_HEADER: usize = 14;

/// A device of smoltcp's as a driver.
#[derive(Debug)]
pub struct SmoltcpDriver<D, C> {
    device: D,
    properties: Properties,
    clock: C,
    poll_interval: Option<Duration>,
}

impl<D: Device, C: FnMut() -> Instant> SmoltcpDriver<D, C> {
    /// A driver of a device. smoltcp's devices know no address of their own, which is `station`, on Ethernet; `clock` is
    /// the time that they are told, `smoltcp::time::Instant::now` on a host.
    pub fn new(device: D, station: MacAddr, clock: C) -> Self {
        let capabilities = device.capabilities();
        #[allow(clippy::match_wildcard_for_single_variants, reason = "there are more with more features")]
        let (medium, header) = match capabilities.medium {
            phy::Medium::Ethernet => (Medium::Ethernet(station), ETHERNET_HEADER),
            _ => (Medium::Ip, 0),
        };
        let mtu = capabilities.max_transmission_unit.saturating_sub(header).min(u16::MAX.into()) as u16;
        let told = &capabilities.checksum;
        let [ipv4, udp, tcp, icmpv4, icmpv6] =
            [told.ipv4, told.udp, told.tcp, told.icmpv4, told.icmpv6].map(by_stack);
        let checksums = checksums(ipv4, udp, tcp, [icmpv4, icmpv6]);
        let properties = Properties { medium, mtu, checksums };
        Self { device, properties, clock, poll_interval: None }
    }

    /// The same for a device that wakes nobody when frames come.
    #[must_use]
    pub fn polled_every(mut self, interval: Duration) -> Self {
        self.poll_interval = Some(interval);
        self
    }

    /// The same with no packet longer than `mtu` bytes, for devices that say more than one's buffers hold.
    #[must_use]
    pub fn limited_to(mut self, mtu: u16) -> Self {
        self.properties.mtu = self.properties.mtu.min(mtu);
        self
    }

    /// The device.
    pub fn device(&mut self) -> &mut D {
        &mut self.device
    }
}

/// Who does a protocol's checksums.
fn by_stack(checksum: phy::Checksum) -> ByStack {
    ByStack { generate: checksum.tx(), check: checksum.rx() }
}

impl<D: Device, C: FnMut() -> Instant> Driver for SmoltcpDriver<D, C> {
    fn properties(&self) -> Properties {
        self.properties
    }

    fn receive(&mut self, memory: &Memory) -> Result<Option<Pbuf>, Error> {
        // The buffer first: a token that is not used up may lose its frame.
        let mut frame = self.properties.buffer(memory)?;
        let Some((token, _)) = self.device.receive((self.clock)()) else { return Ok(None) };
        token.consume(|bytes| copy_frame(&mut frame, bytes))?;
        Ok(Some(frame))
    }

    fn transmit(&mut self, frame: Pbuf) -> Result<(), Pbuf> {
        let Some(token) = self.device.transmit((self.clock)()) else { return Err(frame) };
        token.consume(frame.len(), |bytes| frame.copy_to(0, bytes));
        Ok(())
    }

    fn poll_interval(&self) -> Option<Duration> {
        self.poll_interval
    }
}
