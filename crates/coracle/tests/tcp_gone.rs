//! Connections that go while they are in line to send.

use core::net::{Ipv4Addr, SocketAddr};

use coracle::{
    Arena, Config, Handler, Instant, Ipv4Settings, Limits, Memory, MemoryLimits, NetifConfig, Stack, Tcp,
    Trouble,
};

/// Gives up as soon as the peer seems not to answer.
struct Impatient;

impl Handler for Impatient {
    fn trouble(&mut self, tcp: &mut Tcp<'_, Self>, _what: Trouble) {
        tcp.abort().expect("it is there");
    }
}

/// A SYN is to be sent again when its connection is aborted. Its place in line is no work: a stack without work must not
/// ask to be run for ever.
#[test]
fn a_connection_aborted_while_in_line_leaves_nothing_to_do() {
    let mut arena = Arena::heap();
    let memory = Memory::new(&mut arena, MemoryLimits::default()).expect("there is memory");
    let mut stack =
        Stack::new(&mut arena, Limits::default(), memory, Config::new([7; 16])).expect("the limits are fine");
    let address = Ipv4Settings::new(Ipv4Addr::new(192, 0, 2, 1), 24);
    let netif = stack.netif_add(&NetifConfig::ip().ipv4(address)).expect("there is room");
    stack.netif(netif).and_then(|mut netif| netif.set_up(true)).expect("it is there");
    let peer = SocketAddr::from(([192, 0, 2, 2], 80));
    let connection = stack.tcp_new(Impatient).expect("there is room");
    stack.tcp(connection).and_then(|mut tcp| tcp.connect(peer)).expect("there is a route");
    let (mut now, mut polls) = (Instant::from_secs(1), 0);
    while let Some(next) = stack.poll(now) {
        while stack.transmit(netif).is_some() {}
        now = now.max(next);
        polls += 1;
        assert!(polls < 100, "the stack asks to be run at {now:?} again and again");
    }
    assert!(stack.tcp(connection).is_err());
}
