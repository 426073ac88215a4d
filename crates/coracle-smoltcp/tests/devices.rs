//! Devices of smoltcp's own, with traffic.

#[path = "../../coracle-os/tests/linux/mod.rs"]
mod linux;

use std::time::Duration;

use coracle::{Arena, Checksums, Error, Kind, Layer, MacAddr, Medium, Memory, MemoryLimits};
use coracle_os::Driver;
use coracle_smoltcp::SmoltcpDriver;
use smoltcp::phy::{self, Checksum, ChecksumCapabilities, DeviceCapabilities, Loopback, TunTapInterface};
use smoltcp::time::Instant;

const STATION: MacAddr = MacAddr::new(2, 0, 0, 0, 0, 2);

#[test]
fn its_tap_interface_carries_pings_datagrams_and_a_stream() {
    let counters = linux::exchange(|_| {
        let device = TunTapInterface::new("tap0", phy::Medium::Ethernet).unwrap();
        SmoltcpDriver::new(device, STATION, Instant::now).polled_every(Duration::from_micros(200))
    });
    let Some(counters) = counters else { return };
    assert!(counters.received > 1_000 && counters.sent > 1_000, "{counters:?}");
    assert_eq!((counters.failures, counters.refused), (0, 0));
}

/// Its loopback says that a frame may have 65,535 bytes.
fn loopback() -> impl Driver {
    SmoltcpDriver::new(Loopback::new(phy::Medium::Ethernet), STATION, || Instant::ZERO).limited_to(1_500)
}

#[test]
fn frames_of_one_and_of_several_buffers_come_back_from_its_loopback() {
    for pool_buffer_size in [1_536, 256] {
        let limits =
            MemoryLimits { pool_buffers: 20, pool_buffer_size, heap_bytes: 0, ..MemoryLimits::SMALL };
        let memory = Memory::new(&mut Arena::heap(), limits).unwrap();
        let mut driver = loopback();
        assert!(driver.receive(&memory).unwrap().is_none());
        for len in [14usize, 60, 61, 1_514] {
            let bytes: Vec<u8> = (0..len).map(|at: usize| at as u8).collect();
            driver.transmit(memory.alloc_copy(Layer::Raw, &bytes, Kind::Pool).unwrap()).unwrap();
            let frame = driver.receive(&memory).unwrap().unwrap();
            assert_eq!(frame.segments().flatten().copied().collect::<Vec<_>>(), bytes);
        }
        assert_eq!(memory.stats().pool.used, 0);
    }
}

#[test]
fn without_a_buffer_the_frame_stays_in_the_device() {
    let limits = MemoryLimits {
        pool_buffers: 1,
        pool_buffer_size: 1_536,
        small_buffers: 1,
        heap_bytes: 0,
        ..MemoryLimits::SMALL
    };
    let memory = Memory::new(&mut Arena::heap(), limits).unwrap();
    let mut driver = loopback();
    driver.transmit(memory.alloc_copy(Layer::Raw, &[1; 60], Kind::Pool).unwrap()).unwrap();
    let held = memory.alloc(Layer::Raw, 1_000, Kind::Pool).unwrap();
    assert_eq!(driver.receive(&memory).err(), Some(Error::Memory));
    drop(held);
    assert_eq!(driver.receive(&memory).unwrap().unwrap().payload(), [1; 60]);
}

/// A device that only has capabilities.
struct Capable(DeviceCapabilities);

impl phy::Device for Capable {
    type RxToken<'a> = <Loopback as phy::Device>::RxToken<'a>;
    type TxToken<'a> = <Loopback as phy::Device>::TxToken<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Self::RxToken<'_>, Self::TxToken<'_>)> {
        None
    }

    fn transmit(&mut self, _: Instant) -> Option<Self::TxToken<'_>> {
        None
    }

    fn capabilities(&self) -> DeviceCapabilities {
        self.0.clone()
    }
}

#[test]
fn what_the_device_says_is_what_the_stack_is_told() {
    let mut capabilities = DeviceCapabilities::default();
    capabilities.medium = phy::Medium::Ip;
    capabilities.max_transmission_unit = 1_280;
    capabilities.checksum.ipv4 = Checksum::None;
    capabilities.checksum.udp = Checksum::Rx;
    capabilities.checksum.tcp = Checksum::Tx;
    let mut driver = SmoltcpDriver::new(Capable(capabilities), STATION, || Instant::ZERO);
    let properties = driver.properties();
    assert_eq!((properties.medium, properties.mtu), (Medium::Ip, 1_280));
    let left_out =
        [Checksums::GENERATE_IP, Checksums::CHECK_IP, Checksums::GENERATE_UDP, Checksums::CHECK_TCP];
    let expected = left_out.into_iter().fold(Checksums::ALL, Checksums::without);
    assert_eq!(properties.checksums, expected);
    let memory = Memory::new(&mut Arena::heap(), MemoryLimits::default()).unwrap();
    let frame = memory.alloc_copy(Layer::Raw, &[7; 60], Kind::Pool).unwrap();
    assert_eq!(driver.transmit(frame).unwrap_err().payload(), [7; 60], "a full device gives the frame back");

    let mut capabilities = DeviceCapabilities::default();
    capabilities.checksum = ChecksumCapabilities::ignored();
    let properties = SmoltcpDriver::new(Capable(capabilities), STATION, || Instant::ZERO).properties();
    assert!(!properties.checksums.contains(Checksums::GENERATE_ICMP));
    assert_eq!(properties.mtu, 0, "nonsense is for the stack to refuse");
}
