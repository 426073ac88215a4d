use super::constants::*;
use super::*;

const PEER: &str = "192.0.2.1:4000";

fn sockets() -> Sockets {
    Sockets::new(SocketsConfig::default()).unwrap()
}

fn datagram(sockets: &mut Sockets) -> i32 {
    sockets.socket(AF_INET, SOCK_DGRAM, IPPROTO_UDP).unwrap()
}

#[test]
fn the_lowest_free_descriptor_is_given_out() {
    let mut sockets = sockets();
    let fds: Vec<_> = (0..4).map(|_| datagram(&mut sockets)).collect();
    assert_eq!(fds, [3, 4, 5, 6]);
    sockets.close(4).unwrap();
    sockets.close(5).unwrap();
    assert_eq!((datagram(&mut sockets), datagram(&mut sockets), datagram(&mut sockets)), (4, 5, 7));
}

#[test]
fn a_read_gives_up_after_its_timeout() {
    let mut sockets = sockets();
    let fd = datagram(&mut sockets);
    let time = [2_i64.to_ne_bytes(), 500_000_i64.to_ne_bytes()].concat();
    sockets.set_option(fd, SOL_SOCKET, SO_RCVTIMEO, &time).unwrap();
    assert_eq!(sockets.option(fd, SOL_SOCKET, SO_RCVTIMEO), Ok(time));
    let mut read = Operation::receive(fd, 10, 0);
    assert_eq!(sockets.attempt(&mut read), None);
    let deadline = sockets.now() + Duration::from_millis(2_500);
    assert_eq!(read.deadline(), Some(deadline));
    sockets.advance(deadline);
    assert_eq!(sockets.attempt(&mut read), Some(Err(Errno::EAGAIN)));
    let wrong = [0_i64.to_ne_bytes(), 1_000_000_i64.to_ne_bytes()].concat();
    assert_eq!(sockets.set_option(fd, SOL_SOCKET, SO_RCVTIMEO, &wrong), Err(Errno::EDOM));
    assert_eq!(sockets.set_option(fd, SOL_SOCKET, SO_RCVTIMEO, &[0; 9]), Err(Errno::EINVAL));
}

#[test]
fn a_full_buffer_drops_what_comes() {
    let mut sockets = sockets();
    let fd = datagram(&mut sockets);
    sockets.bind(fd, "0.0.0.0:7".parse().unwrap()).unwrap();
    sockets.set_option(fd, SOL_SOCKET, SO_RCVBUF, &1_000_i32.to_ne_bytes()).unwrap();
    assert_eq!(sockets.option(fd, SOL_SOCKET, SO_RCVBUF), Ok(2_304_i32.to_ne_bytes().to_vec()));
    let ends =
        crate::packet::Ends { source: PEER.parse().unwrap(), destination: "192.168.0.1:7".parse().unwrap() };
    let packet = crate::packet::build::udp(ends, crate::language::ast::IpFields::default(), 800).unwrap();
    for _ in 0..3 {
        sockets.inject(&packet);
    }
    // What came is in no queue of errors.
    let errors = sockets.attempt(&mut Operation::receive(fd, 1_000, MSG_ERRQUEUE));
    assert_eq!(errors, Some(Err(Errno::EAGAIN)));
    let mut read = || sockets.attempt(&mut Operation::receive(fd, 1_000, MSG_DONTWAIT)).unwrap();
    let first = read().unwrap();
    assert_eq!((first.value, first.from), (800, Some(ends.source)));
    assert_eq!(read().unwrap().value, 800);
    assert_eq!(read(), Err(Errno::EAGAIN));
}

#[test]
fn wrong_arguments_are_errors() {
    let mut sockets = sockets();
    let fd = datagram(&mut sockets);
    assert_eq!(sockets.socket(1, SOCK_DGRAM, 0), Err(Errno::EAFNOSUPPORT));
    assert_eq!(sockets.socket(AF_INET, SOCK_RAW, 0), Err(Errno::ESOCKTNOSUPPORT));
    assert_eq!(sockets.fcntl(fd, 99, 0), Err(Errno::EINVAL));
    assert_eq!(sockets.ioctl(fd, 99, 0), Err(Errno::ENOTTY));
    assert_eq!(sockets.ioctl(99, FIONREAD, 0), Err(Errno::EBADF));
    assert_eq!(sockets.set_option(fd, SOL_IP, IP_TTL, &256_i32.to_ne_bytes()), Err(Errno::EINVAL));
    assert_eq!(sockets.set_option(fd, SOL_IP, IP_TTL, &[1]), Err(Errno::EINVAL));
    assert_eq!(sockets.set_option(fd, SOL_SOCKET, SO_ERROR, &[0; 4]), Err(Errno::ENOPROTOOPT));
    let gone = PollEntry { fd: 99, events: POLLIN as i16 };
    let polled = sockets.attempt(&mut Operation::poll(vec![gone], None)).unwrap().unwrap();
    assert_eq!((polled.value, polled.events), (1, vec![POLLNVAL as i16]));
}

#[test]
fn descriptors_and_control_blocks_run_out() {
    let config = SocketsConfig { limits: Limits { udp: 2, ..Limits::HOST }, ..SocketsConfig::default() };
    let mut sockets = Sockets::new(config).unwrap();
    assert_eq!((datagram(&mut sockets), datagram(&mut sockets)), (3, 4));
    assert_eq!(sockets.socket(AF_INET, SOCK_DGRAM, 0), Err(Errno::ENOBUFS));
    sockets.close(3).unwrap();
    assert_eq!(datagram(&mut sockets), 3);
}

/// A program may hand them to another thread.
#[test]
fn sockets_may_move_between_threads() {
    let mut sockets = sockets();
    let fd = std::thread::spawn(move || datagram(&mut sockets)).join().unwrap();
    assert_eq!(fd, 3);
}
