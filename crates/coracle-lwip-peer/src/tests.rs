//! The bindings against the installed library. Where it is not installed, the tests say so and pass.

use std::cell::{Cell, RefCell};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::rc::Rc;

use super::{Config, Error, Stack, TcpHandler, TcpSocket};

fn stack(host: u8) -> Option<Stack> {
    let config = Config {
        hardware_address: [2, 0, 0, 0, 0, host],
        address: Ipv4Addr::new(192, 0, 2, host),
        netmask: Ipv4Addr::new(255, 255, 255, 0),
        mtu: 1500,
    };
    match Stack::new(&config) {
        Ok(stack) => Some(stack),
        Err(Error::NotFound(why)) => {
            eprintln!("skipped, because liblwip is not installed: {why}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// Carries frames both ways until nobody has any left; returns their number.
fn settle(a: &Stack, b: &Stack) -> usize {
    let mut carried = 0;
    loop {
        let before = carried;
        while let Some(frame) = a.pop_frame() {
            b.input(&frame).unwrap();
            carried += 1;
        }
        while let Some(frame) = b.pop_frame() {
            a.input(&frame).unwrap();
            carried += 1;
        }
        if carried == before {
            return carried;
        }
    }
}

#[test]
fn two_stacks_exchange_datagrams() {
    let (Some(client), Some(server)) = (stack(1), stack(2)) else { return };
    settle(&client, &server);
    server.udp_bind(7, |datagram| datagram.reply().unwrap()).unwrap();
    let answers = Rc::new(RefCell::new(Vec::new()));
    let seen = Rc::clone(&answers);
    let socket = client
        .udp_bind(5000, move |datagram| {
            seen.borrow_mut().push((datagram.source(), datagram.payload().into_owned()));
        })
        .unwrap();
    let to = SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 2), 7);
    client.udp_send(socket, to, b"first").unwrap();
    assert_eq!(settle(&client, &server), 4, "ARP request and reply, datagram and echo");
    // 3,000 bytes travel as three fragments and arrive as a chain.
    let long: Vec<u8> = (0..3000u32).map(|i| i as u8).collect();
    client.udp_send(socket, to, &long).unwrap();
    assert_eq!(settle(&client, &server), 6);
    assert_eq!(*answers.borrow(), [(to, b"first".to_vec()), (to, long)]);
}

#[test]
fn ports_belong_to_one_stack() {
    let (Some(one), Some(other)) = (stack(1), stack(2)) else { return };
    one.udp_bind(9, |_| ()).unwrap();
    assert_eq!(one.udp_bind(9, |_| ()), Err(Error::Lwip(-8)), "ERR_USE");
    other.udp_bind(9, |_| ()).unwrap();
}

#[test]
fn input_from_a_callback_is_refused() {
    let (Some(client), Some(server)) = (stack(1), stack(2)) else { return };
    settle(&client, &server);
    let server = Rc::new(server);
    let inner = Rc::downgrade(&server);
    let refused = Rc::new(Cell::new(None));
    let result = Rc::clone(&refused);
    server.udp_bind(7, move |_| result.set(inner.upgrade().map(|stack| stack.input(&[0; 60])))).unwrap();
    let socket = client.udp_bind(0, |_| ()).unwrap();
    client.udp_send(socket, SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 2), 7), b"x").unwrap();
    settle(&client, &server);
    assert_eq!(refused.take(), Some(Err(Error::Busy)));
}

#[test]
fn a_full_transmit_queue_and_lengths_are_errors() {
    let (Some(client), Some(server)) = (stack(1), stack(2)) else { return };
    let socket = client.udp_bind(0, |_| ()).unwrap();
    let to = SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 2), 7);
    assert_eq!(client.udp_send(socket, to, &vec![0; 70_000]), Err(Error::TooLong));
    assert_eq!(client.udp_send(socket, to, &vec![0; 65_530]), Err(Error::TooLong));
    assert_eq!(client.input(&vec![0; 70_000]), Err(Error::TooLong));
    client.udp_send(socket, to, b"resolve").unwrap();
    settle(&client, &server);
    let refused = (0..100).find(|_| client.udp_send(socket, to, b"fill").is_err());
    assert_eq!(refused, Some(64));
    settle(&client, &server);
    client.udp_send(socket, to, b"room again").unwrap();
}

/// [RFC 1071 §3]: the example's words 0001 f203 f4f5 f6f7 sum to ddf2.
#[test]
fn checksum_of_the_rfc_example() {
    let Some(stack) = stack(1) else { return };
    let sum = stack.checksum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]).unwrap();
    assert_eq!(sum, (!0xddf2_u16).to_be());
    assert_eq!(stack.checksum(&vec![0; 65_536]), Err(Error::TooLong));
    stack.check_timeouts();
}

/// What a connection heard; the server's side echoes, and closes after its peer.
#[derive(Default)]
struct Log {
    echo: bool,
    heard: RefCell<Vec<String>>,
    bytes: RefCell<Vec<u8>>,
}

impl Log {
    fn note(&self, what: &str) {
        self.heard.borrow_mut().push(what.into());
    }
}

impl TcpHandler for Log {
    fn opened(&self, _tcp: &TcpSocket) {
        self.note("opened");
    }

    fn received(&self, tcp: &TcpSocket, data: &[u8]) {
        self.bytes.borrow_mut().extend_from_slice(data);
        if self.echo {
            tcp.write(data).unwrap();
        }
    }

    fn finished(&self, tcp: &TcpSocket) {
        self.note("finished");
        tcp.close().unwrap();
    }

    fn sent(&self, _tcp: &TcpSocket, bytes: usize) {
        self.note(&format!("sent {bytes}"));
    }

    fn failed(&self, tcp: &TcpSocket) {
        assert!(!tcp.is_open());
        self.note("failed");
    }
}

#[test]
fn a_connection_opens_echoes_and_closes() {
    const CLOSED: Result<(), Error> = Err(Error::Lwip(-15));
    let (Some(client), Some(server)) = (stack(1), stack(2)) else { return };
    settle(&client, &server);
    let (serving, asking) = (Rc::new(Log { echo: true, ..Log::default() }), Rc::new(Log::default()));
    server.tcp_listen(80, serving.clone()).unwrap();
    assert_eq!(server.tcp_listen(80, serving.clone()), Err(Error::Lwip(-8)), "ERR_USE");
    let to = SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 2), 80);
    for _ in 0..2 {
        let socket = client.tcp_connect(to, asking.clone()).unwrap();
        settle(&client, &server);
        socket.write(b"copied, ").unwrap();
        socket.write_static(b"and not").unwrap();
        socket.output().unwrap();
        settle(&client, &server);
        assert_eq!(*asking.bytes.take(), *b"copied, and not");
        assert_eq!(*serving.bytes.take(), *b"copied, and not");
        socket.close().unwrap();
        assert_eq!((socket.close(), socket.write(b"late"), socket.output()), (CLOSED, CLOSED, CLOSED));
        settle(&client, &server);
        client.tcp_end_time_wait();
        assert_eq!(*asking.heard.take(), ["opened", "sent 15"]);
        assert_eq!(serving.heard.borrow()[0], "opened");
        assert_eq!(serving.heard.take().last().unwrap(), "finished");
        assert_eq!((client.tcp.count(), server.tcp.count()), (0, 0));
    }
}

#[test]
fn a_refused_connection_and_the_end_of_a_stack_end_sockets() {
    let (Some(client), Some(server)) = (stack(1), stack(2)) else { return };
    settle(&client, &server);
    let log = Rc::new(Log::default());
    let to = |port| SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 2), port);
    let refused = client.tcp_connect(to(81), log.clone()).unwrap();
    settle(&client, &server);
    assert_eq!(*log.heard.take(), ["failed"]);
    assert!(!refused.is_open());
    server.tcp_listen(80, log.clone()).unwrap();
    let socket = client.tcp_connect(to(80), log.clone()).unwrap();
    settle(&client, &server);
    assert_eq!((client.tcp.count(), server.tcp.count()), (1, 1));
    drop(client);
    assert!(!socket.is_open());
    assert_eq!(socket.write(b"late"), Err(Error::Lwip(-15)));
}
