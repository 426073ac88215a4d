use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use coracle::{Arena, Config, Ipv4Settings, Limits, MacAddr, Memory, MemoryLimits, NetifConfig, Pbuf, Udp};

use super::*;
use crate::impair::Probability;

fn stack(number: u8) -> (Stack<()>, NetifHandle) {
    let mut arena = Arena::heap();
    let memory = Memory::new(&mut arena, MemoryLimits::SMALL).unwrap();
    let mut stack = Stack::new(&mut arena, Limits::SMALL, memory, Config::new([number; 16])).unwrap();
    let config = NetifConfig::ethernet(MacAddr::new(2, 0, 0, 0, 0, number));
    let netif = stack.netif_add(&config.ipv4(Ipv4Settings::new([192, 0, 2, number].into(), 24))).unwrap();
    (stack, netif)
}

/// Three stacks on one segment, their interfaces still down.
fn three(impairment: Impairment) -> (Network<()>, SegmentId, [(StackId, NetifHandle); 3]) {
    let mut network = Network::new(3);
    let segment = network.add_segment(impairment);
    let stacks = [1, 2, 3].map(|number| {
        let (stack, netif) = stack(number);
        let id = network.add_stack(stack);
        network.attach(segment, id, netif);
        (id, netif)
    });
    (network, segment, stacks)
}

fn received(network: &mut Network<()>, (stack, _): (StackId, NetifHandle)) -> u32 {
    network.stack(stack).counters().arp.received
}

fn set_up(network: &mut Network<()>, (stack, netif): (StackId, NetifHandle), up: bool) {
    network.stack(stack).netif(netif).unwrap().set_up(up).unwrap();
}

#[test]
fn a_broadcast_reaches_everyone_at_its_time() {
    let (mut network, _, stacks) = three(Impairment { delay: 1_000, ..Impairment::default() });
    stacks[1..].iter().for_each(|&stack| set_up(&mut network, stack, true));
    network.run_until(Instant::from_secs(1));
    let before = stacks.map(|stack| received(&mut network, stack));
    set_up(&mut network, stacks[0], true);
    network.run_for(Duration::from_micros(999));
    assert_eq!(stacks.map(|stack| received(&mut network, stack)), before);
    network.run_for(Duration::from_micros(1));
    let after = stacks.map(|stack| received(&mut network, stack));
    assert_eq!(after, [before[0], before[1] + 1, before[2] + 1]);
}

#[test]
fn a_cut_segment_carries_nothing_between_its_parts_until_it_is_healed() {
    let (mut network, segment, stacks) = three(Impairment::default());
    network.partition(segment, &[&[stacks[0].0, stacks[1].0]]);
    for stack in stacks {
        set_up(&mut network, stack, true);
    }
    network.run_for(Duration::from_secs(1));
    assert_eq!(stacks.map(|stack| received(&mut network, stack)), [1, 1, 0]);
    network.heal(segment);
    set_up(&mut network, stacks[0], false);
    set_up(&mut network, stacks[0], true);
    network.run_for(Duration::from_secs(1));
    assert_eq!(received(&mut network, stacks[2]), 1);
}

#[test]
fn detached_and_removed_stacks_hear_nothing() {
    let (mut network, _, stacks) = three(Impairment::default());
    network.detach(stacks[1].0, stacks[1].1);
    let removed = network.remove_stack(stacks[2].0);
    set_up(&mut network, stacks[0], true);
    network.run_for(Duration::from_secs(1));
    assert_eq!((received(&mut network, stacks[1]), removed.counters().arp.received), (0, 0));
    assert_eq!(network.stacks().collect::<Vec<_>>(), [stacks[0].0, stacks[1].0]);
}

#[test]
fn time_jumps_to_what_is_due_and_the_rest_settles() {
    let (mut network, _, stacks) = three(Impairment::default());
    for stack in stacks {
        set_up(&mut network, stack, true);
    }
    let (first, netif) = stacks[0];
    network.stack(first).netif(netif).unwrap().query_neighbour([192, 0, 2, 77].into()).unwrap();
    let end = network.settle(Duration::from_hours(1));
    // Five requests, a second apart, and one more second for the answer.
    assert_eq!(end, Instant::from_secs(5));
    assert_eq!(network.stack(first).counters().arp.unresolved, 1);
    network.assert_balanced();
}

#[test]
fn the_same_seed_gives_the_same_run_and_another_does_not() {
    let run = |seed| {
        let lossy = Impairment { jitter: 1_000, loss: Probability::percent(50), ..Impairment::default() };
        let mut network = Network::new(seed);
        let segment = network.add_segment(lossy);
        for number in 1..=4 {
            let (mut stack, netif) = stack(number);
            stack.netif(netif).unwrap().set_up(true).unwrap();
            let peer = [192, 0, 2, number % 4 + 1];
            stack.netif(netif).unwrap().query_neighbour(peer.into()).unwrap();
            let id = network.add_stack(stack);
            network.attach(segment, id, netif);
        }
        network.settle(Duration::from_hours(1));
        network.digest()
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn a_capture_has_every_frame() {
    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);
    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let (mut network, segment, stacks) = three(Impairment::default());
    let capture = Shared::default();
    network.capture(segment, capture.clone());
    for stack in stacks {
        set_up(&mut network, stack, true);
    }
    network.run_for(Duration::from_secs(1));
    drop(network);
    let bytes = capture.0.lock().unwrap().clone();
    let mut reader = pcap_file::pcap::PcapReader::new(&bytes[..]).unwrap();
    let mut lengths = Vec::new();
    while let Some(packet) = reader.next_packet() {
        lengths.push(packet.unwrap().data.len());
    }
    assert_eq!(lengths, [42, 42, 42]);
}

/// Sends every datagram back, whoever sent it: two of them never stop.
struct Parrot;

impl Handler for Parrot {
    fn datagram(&mut self, udp: &mut Udp<'_, Self>, from: SocketAddr, data: Pbuf) {
        drop(udp.send_to(data, from));
    }
}

#[test]
#[should_panic(expected = "and no end of it")]
fn an_exchange_without_end_on_a_wire_without_delay_is_found() {
    let mut network = Network::new(1);
    let wire = network.add_segment(Impairment::default());
    let mut first = None;
    for number in [1, 2] {
        let mut arena = Arena::heap();
        let memory = Memory::new(&mut arena, MemoryLimits::SMALL).unwrap();
        let mut stack = Stack::new(&mut arena, Limits::SMALL, memory, Config::new([number; 16])).unwrap();
        let config = NetifConfig::ethernet(MacAddr::new(2, 0, 0, 0, 0, number));
        let settings = Ipv4Settings::new([192, 0, 2, number].into(), 24);
        let netif = stack.netif_add(&config.ipv4(settings)).unwrap();
        stack.netif(netif).unwrap().set_up(true).unwrap();
        let parrot = stack.udp_new(Parrot).unwrap();
        stack.udp(parrot).unwrap().bind(SocketAddr::from(([0; 4], 7))).unwrap();
        let id = network.add_stack(stack);
        network.attach(wire, id, netif);
        first = Some((id, parrot));
    }
    let (id, parrot) = first.unwrap();
    let to = SocketAddr::from(([192, 0, 2, 1], 7));
    network.stack(id).udp(parrot).unwrap().send_bytes_to(b"hello", to).unwrap();
    network.run_for(Duration::from_secs(1));
}

#[test]
#[should_panic(expected = "a wrong IPv4 header checksum")]
fn a_malformed_frame_is_found() {
    let (mut network, _, stacks) = three(Impairment::default());
    let (id, netif) = stacks[0];
    set_up(&mut network, stacks[0], true);
    let stack = network.stack(id);
    stack.netif(netif).unwrap().set_neighbour([192, 0, 2, 2].into(), MacAddr::new(2, 0, 0, 0, 0, 2)).unwrap();
    stack.netif(netif).unwrap().set_checksums(coracle::Checksums::NONE).unwrap();
    let udp = stack.udp_new(()).unwrap();
    stack.udp(udp).unwrap().send_bytes_to(b"hello", SocketAddr::from(([192, 0, 2, 2], 9))).unwrap();
    network.run_for(Duration::from_secs(1));
}

#[test]
#[should_panic(expected = "buffers in use")]
fn a_buffer_that_does_not_come_back_is_found() {
    let (mut network, _, stacks) = three(Impairment::default());
    let memory = network.stack(stacks[0].0).memory().clone();
    let kept = memory.alloc(coracle::Layer::Raw, 10, coracle::Kind::Pool).unwrap();
    network.settle(Duration::from_secs(1));
    network.assert_balanced();
    drop(kept);
}
