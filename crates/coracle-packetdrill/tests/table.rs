//! The clock, the link, the flags and the descriptors behind the table.
#![cfg(all(target_os = "linux", target_env = "gnu", any(target_arch = "x86_64", target_arch = "aarch64")))]

mod tool;

use std::ptr::null_mut;

use pcap_file::pcap::PcapReader;
use tool::{ACK, PEER, PORT, SYN, Tool, address, call, datagram, fails, segment};

#[test]
fn the_clock_moves_by_itself() {
    let tool = Tool::new("");
    let start = tool.now();
    assert_eq!([tool.now(), tool.now()], [start + 1, start + 2]);
    assert_eq!(call!(tool, usleep, 0), 0);
    assert_eq!(call!(tool, usleep, 1_000), 0);
    assert_eq!(tool.now(), start + 1_003);
    // Nor does a clock that nobody reads do harm.
    assert_eq!(call!(tool, gettimeofday, null_mut(), null_mut()), 0);
    assert_eq!(tool.now(), start + 1_005);
}

#[test]
fn where_nothing_comes_the_packet_is_empty() {
    let tool = Tool::new("");
    assert!(tool.receive().is_none());
    let fd = tool.socket(libc::SOCK_STREAM);
    assert!(tool.receive().is_none());
    // What is no packet at all, and what nobody waits for, does not disturb.
    for wrong in [&[][..], &[0x45; 7], &[0; 40], &[0x60; 60]] {
        tool.inject(wrong);
    }
    assert!(tool.receive().is_none());
    tool.inject(&segment(ACK, (1, 1), &[]));
    assert!(tool.receive().is_some(), "a reset");
    assert_eq!(call!(tool, close, fd), 0);
}

/// A packet that is larger than the room for it is cut, as a link does.
#[test]
fn a_packet_is_cut_to_the_room_for_it() {
    let tool = Tool::new("");
    tool.inject(&segment(ACK, (1, 1), &[]));
    let (mut bytes, mut len, mut at) = ([0_u8; 40], 20, 0);
    assert_eq!(call!(tool, netdev_receive, bytes.as_mut_ptr().cast(), &raw mut len, &raw mut at), 0);
    assert_eq!((len, bytes[0], bytes[19], bytes[20]), (20, 0x45, 1, 0));
    assert!(at > 0);
}

/// packetdrill closes by the kernel what a script left open, also when the library knows nothing of it.
#[test]
fn descriptors_are_the_kernels() {
    // SAFETY: these take a number, whatever it is.
    let is_open = |fd| unsafe { libc::fcntl(fd, libc::F_GETFD) } >= 0;
    let tool = Tool::new("");
    let (first, second) = (tool.socket(libc::SOCK_DGRAM), tool.socket(libc::SOCK_STREAM));
    assert!(first != second && is_open(first) && is_open(second));
    assert_eq!(call!(tool, close, first), 0);
    fails(call!(tool, fcntl, first, libc::F_GETFL), libc::EBADF);
    drop(tool);
    assert!(is_open(second), "freeing the library leaves it to its owner");
    // SAFETY: nobody else owns it.
    assert_eq!(unsafe { libc::close(second) }, 0);
}

/// A stack that cannot be made: every call fails, and none hangs.
#[test]
fn wrong_flags_leave_a_table_that_says_no() {
    for wrong in ["local=fd3d:fa7b:d17d::1/129", "colour=blue", "window=0", "pcap=/no/such/folder/file"] {
        let tool = Tool::new(wrong);
        assert!(tool.userdata().is_none(), "{wrong}");
        fails(call!(tool, gettimeofday, null_mut(), null_mut()), libc::EINVAL);
        fails(call!(tool, socket, libc::AF_INET, libc::SOCK_STREAM, 0), libc::EINVAL);
        fails(call!(tool, fcntl, 3, libc::F_GETFL), libc::EINVAL);
        fails(call!(tool, usleep, 1), libc::EINVAL);
        assert!(tool.receive().is_none());
    }
    let tool = Tool::of(coracle_packetdrill::packetdrill_interface_init, None);
    assert!(tool.userdata().is_some(), "no flags at all are fine");
}

/// The options of a SYN|ACK, and how much leaves before the first acknowledgment.
fn opening(flags: &str) -> (Vec<u8>, usize) {
    let tool = Tool::new(flags);
    let listener = tool.listener();
    tool.inject(&segment(SYN, (1_000, 0), &[]));
    let answer = tool.receive().unwrap();
    let next = answer.sequence().wrapping_add(1);
    tool.inject(&segment(ACK, (1_001, next), &[]));
    let fd = call!(tool, accept, listener, null_mut(), null_mut());
    let data = vec![0_u8; 20_000];
    assert_eq!(call!(tool, write, fd, data.as_ptr().cast(), data.len()), 20_000);
    let mut burst = 0;
    let first = tool.receive().unwrap();
    let mut packet = first.at;
    while packet == first.at {
        burst += 1;
        packet = tool.receive().unwrap().at;
    }
    (answer.options(), burst)
}

#[test]
fn flags_choose_a_profile() {
    // The peer offers nothing but its segment size.
    assert_eq!(opening(""), (vec![2], 10));
    assert_eq!(opening("initial_window=3,congestion=reno,min_rto=1s"), (vec![2], 3));
    let options = |flags: &str| {
        let tool = Tool::new(flags);
        let fd = tool.socket(libc::SOCK_STREAM | libc::SOCK_NONBLOCK);
        let to = address(tool::REMOTE, PEER);
        fails(call!(tool, connect, fd, (&raw const to).cast(), 16), libc::EINPROGRESS);
        let syn = tool.receive().unwrap();
        (syn.options(), u16::from_be_bytes([syn.bytes[34], syn.bytes[35]]))
    };
    assert_eq!(options("window=4000"), (vec![2, 4, 8, 1, 3], 4_000));
    assert_eq!(options("timestamps=off,window=5000").0, [2, 1, 1, 4, 1, 3]);
    assert_eq!(options("timestamps=off,sack=off,window_scaling=off").0, [2]);
}

#[test]
fn a_capture_holds_both_directions() {
    let path = std::env::temp_dir().join(format!("coracle-packetdrill-{}.pcap", std::process::id()));
    let tool = Tool::new(&format!("pcap={}", path.display()));
    let start = tool.now();
    let question = datagram(b"nobody is there");
    tool.inject(&question);
    let answer = tool.receive().unwrap();
    assert_eq!((answer.bytes[9], PORT), (1, u16::from_be_bytes([answer.bytes[50], answer.bytes[51]])));
    // What was captured is there at once: packetdrill leaves without a word when a script fails.
    let mut reader = PcapReader::new(std::fs::File::open(&path).unwrap()).unwrap();
    let mut captured = Vec::new();
    while let Some(packet) = reader.next_packet() {
        let packet = packet.unwrap();
        captured.push((packet.timestamp.as_micros() as i64, packet.data.to_vec()));
    }
    assert_eq!(captured, [(start, question), (start, answer.bytes)]);
    std::fs::remove_file(&path).unwrap();
}
