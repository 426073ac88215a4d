//! Drivers of embassy's world, with traffic.

#[path = "../../coracle-os/tests/linux/mod.rs"]
mod linux;

use std::task::{Context, Waker};

use coracle::{Arena, Checksums, Error, Kind, Layer, Medium, Memory, MemoryLimits};
use coracle_embassy::EmbassyDriver;
use coracle_os::{Driver, Event, waker};
use embassy_net_driver::{Capabilities, Checksum, HardwareAddress, LinkState};
use embassy_net_driver_channel as channel;
use embassy_net_tuntap::TunTapDevice;

fn memory(pool_buffers: usize) -> Memory {
    let limits = MemoryLimits {
        pool_buffers,
        pool_buffer_size: 1_536,
        small_buffers: 4,
        heap_bytes: 0,
        ..MemoryLimits::SMALL
    };
    Memory::new(&mut Arena::heap(), limits).unwrap()
}

#[test]
fn its_tap_driver_carries_pings_datagrams_and_a_stream() {
    let counters = linux::exchange(|waker| {
        let device = TunTapDevice::new("tap0").unwrap();
        EmbassyDriver::new(device, waker.into()).ok().unwrap()
    });
    let Some(counters) = counters else { return };
    assert!(counters.received > 1_000 && counters.sent > 1_000, "{counters:?}");
    assert_eq!((counters.failures, counters.refused), (0, 0));
}

#[test]
fn the_channel_hands_frames_over_both_ways_and_wakes() {
    static EVENT: Event = Event::new();
    let mut state = channel::State::<1514, 2, 2>::new();
    let (mut runner, device) = channel::new(&mut state, HardwareAddress::Ethernet([2, 0, 0, 0, 0, 2]));
    let mut driver = EmbassyDriver::new(device, waker(&EVENT)).ok().unwrap();
    let memory = memory(4);
    assert!(!driver.is_link_up(), "as the channel has it at first");
    runner.set_link_state(LinkState::Up);
    assert!(EVENT.take() && driver.is_link_up());

    // In.
    assert!(driver.receive(&memory).unwrap().is_none());
    runner.try_rx_buf().unwrap()[..60].fill(5);
    runner.rx_done(60);
    assert!(EVENT.take(), "a frame has come");
    let held: Vec<_> = core::iter::from_fn(|| memory.alloc(Layer::Raw, 1_000, Kind::Pool).ok()).collect();
    assert_eq!(driver.receive(&memory).err(), Some(Error::Memory));
    drop(held);
    assert_eq!(driver.receive(&memory).unwrap().unwrap().payload(), [5; 60]);
    assert!(driver.receive(&memory).unwrap().is_none());

    // Out, until there is no room.
    let frame = |byte| memory.alloc_copy(Layer::Raw, &[byte; 42], Kind::Pool).unwrap();
    driver.transmit(frame(1)).unwrap();
    driver.transmit(frame(2)).unwrap();
    let back = driver.transmit(frame(3)).unwrap_err();
    EVENT.take();
    for byte in [1, 2] {
        assert_eq!(runner.try_tx_buf().unwrap(), [byte; 42]);
        runner.tx_done();
    }
    assert!(EVENT.take(), "there is room");
    driver.transmit(back).unwrap();
    assert_eq!(runner.try_tx_buf().unwrap(), [3; 42]);
    assert_eq!(memory.stats().pool.used, 0);
}

/// A driver that only has capabilities.
struct Capable(HardwareAddress, Capabilities);

struct Never;

impl embassy_net_driver::RxToken for Never {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, f: F) -> R {
        f(&mut [])
    }
}

impl embassy_net_driver::TxToken for Never {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        f(&mut vec![0; len])
    }
}

impl embassy_net_driver::Driver for Capable {
    type RxToken<'a> = Never;
    type TxToken<'a> = Never;

    fn receive(&mut self, _: &mut Context<'_>) -> Option<(Never, Never)> {
        None
    }
    fn transmit(&mut self, _: &mut Context<'_>) -> Option<Never> {
        None
    }
    fn link_state(&mut self, _: &mut Context<'_>) -> LinkState {
        LinkState::Down
    }
    fn capabilities(&self) -> Capabilities {
        self.1.clone()
    }
    fn hardware_address(&self) -> HardwareAddress {
        self.0
    }
}

#[test]
fn what_the_driver_says_is_what_the_stack_is_told() {
    let mut capabilities = Capabilities::default();
    capabilities.max_transmission_unit = 1_280;
    capabilities.checksum.ipv4 = Checksum::None;
    capabilities.checksum.udp = Checksum::Rx;
    capabilities.checksum.tcp = Checksum::Tx;
    let driver = Capable(HardwareAddress::Ip, capabilities.clone());
    let properties = EmbassyDriver::new(driver, Waker::noop().clone()).ok().unwrap().properties();
    assert_eq!((properties.medium, properties.mtu), (Medium::Ip, 1_280));
    let left_out =
        [Checksums::GENERATE_IP, Checksums::CHECK_IP, Checksums::GENERATE_UDP, Checksums::CHECK_TCP];
    assert_eq!(properties.checksums, left_out.into_iter().fold(Checksums::ALL, Checksums::without));

    let radio = Capable(HardwareAddress::Ieee802154([0; 8]), capabilities);
    assert!(EmbassyDriver::new(radio, Waker::noop().clone()).is_err(), "no medium of ours");
}
