//! TAP and TUN interfaces against the kernel.

use coracle_host::testing::or_skip;
use coracle_host::{Clock, Error, Namespace, Source, Tap, Tun, Waiter};
use std::io::IoSlice;

const OURS: [u8; 6] = [2, 0, 0, 0, 0, 9];

/// A namespace whose kernel speaks only when spoken to, with a TAP at 192.0.2.1/24.
fn tap() -> Option<(Namespace, Tap)> {
    let namespace = or_skip(Namespace::new())?;
    namespace.silence().unwrap();
    let tap = or_skip(namespace.open_tap("tap0"))?;
    namespace.ip("address add 192.0.2.1/24 dev tap0").unwrap();
    tap.set_up(true).unwrap();
    Some((namespace, tap))
}

/// The next frame, waited for up to five seconds.
fn next<L: coracle_host::Layer>(device: &coracle_host::Device<L>) -> Vec<u8> {
    let waiter = Waiter::new(Clock::start()).unwrap();
    let mut frame = vec![0; device.frame_size().unwrap()];
    loop {
        if let Some(len) = device.recv(&mut frame).unwrap() {
            frame.truncate(len);
            return frame;
        }
        let woke = waiter.wait(&mut [Source::readable(device)], Some(5_000_000)).unwrap();
        assert!(!woke.by_deadline, "no frame within five seconds");
    }
}

/// Answers an ICMP echo request in place; the checksum changes by the type's 8 alone.
fn answer_echo(packet: &mut [u8]) {
    assert_eq!((packet[0], packet[9], packet[20]), (0x45, 1, 8), "an ICMP echo request without options");
    for n in 12..16 {
        packet.swap(n, n + 4);
    }
    packet[20] = 0;
    let sum = u32::from(u16::from_be_bytes([packet[22], packet[23]])) + 0x0800;
    let sum = (sum & 0xFFFF) + (sum >> 16);
    packet[22..24].copy_from_slice(&(sum as u16).to_be_bytes());
}

#[test]
fn a_tap_carries_frames_both_ways() {
    let Some((namespace, tap)) = tap() else { return };
    assert_eq!(tap.recv(&mut [0; 2000]).unwrap(), None, "nobody has spoken yet");
    let ping = namespace.command("ping").args(["-c", "1", "-W", "5", "-s", "1472", "192.0.2.9"]).start();
    let ping = or_skip(ping).expect("ping is part of the test machine");

    let kernel = tap.hardware_address().unwrap();
    let mut arp = next(&tap);
    assert_eq!((&arp[..6], &arp[6..12], &arp[12..14]), (&[0xFF; 6][..], &kernel[..], &[8, 6][..]));
    assert_eq!((arp[21], &arp[38..42]), (1, &[192, 0, 2, 9][..]));
    // Turn the question into the answer.
    arp[21] = 2;
    arp.copy_within(22..32, 32);
    arp[22..28].copy_from_slice(&OURS);
    arp[28..32].copy_from_slice(&[192, 0, 2, 9]);
    arp[..6].copy_from_slice(&kernel);
    arp[6..12].copy_from_slice(&OURS);
    assert!(tap.send(&arp).unwrap());

    let mut frame = next(&tap);
    assert_eq!((&frame[..6], frame.len()), (&OURS[..], 14 + 20 + 8 + 1472));
    answer_echo(&mut frame[14..]);
    let header: Vec<u8> = [&kernel[..], &OURS, &[8, 0]].concat();
    let (ip, payload) = frame[14..].split_at(20);
    assert!(tap.send_vectored(&[IoSlice::new(&header), IoSlice::new(ip), IoSlice::new(payload)]).unwrap());
    let output = ping.wait().unwrap();
    assert!(output.stdout.contains("1 received"), "{output:?}");
}

#[test]
fn a_tun_carries_packets_both_ways() {
    let Some(namespace) = or_skip(Namespace::new()) else { return };
    namespace.silence().unwrap();
    let Some(tun) = or_skip(namespace.open_tun("")) else { return };
    assert_eq!((tun.name(), tun.frame_size().unwrap()), ("tun0", 1500));
    namespace.ip("address add 192.0.2.1/24 dev tun0").unwrap();
    tun.set_up(true).unwrap();
    let ping = or_skip(namespace.command("ping").args(["-c", "1", "-W", "5", "192.0.2.9"]).start());
    let ping = ping.expect("ping is part of the test machine");
    let mut packet = next(&tun);
    answer_echo(&mut packet);
    assert!(tun.send(&packet).unwrap());
    let output = ping.wait().unwrap();
    assert!(output.stdout.contains("1 received"), "{output:?}");
}

#[test]
fn properties_of_the_kernel_side_are_read_and_set() {
    let Some((namespace, tap)) = tap() else { return };
    assert_eq!((tap.mtu().unwrap(), tap.frame_size().unwrap(), tap.is_up().unwrap()), (1500, 1518, true));
    tap.set_mtu(9000).unwrap();
    tap.set_up(false).unwrap();
    assert_eq!((tap.mtu().unwrap(), tap.is_up().unwrap()), (9000, false));
    let seen = namespace.ip("link show dev tap0").unwrap().stdout;
    let address: Vec<String> =
        tap.hardware_address().unwrap().iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(seen.contains("mtu 9000") && seen.contains(&address.join(":")) && !seen.contains("UP"), "{seen}");
    for wrong in [0, 67, 65_536, usize::MAX] {
        assert!(tap.set_mtu(wrong).is_err(), "an MTU of {wrong}");
    }
}

#[test]
fn a_long_frame_is_cut_to_the_space_given() {
    let Some((namespace, tap)) = tap() else { return };
    namespace.ip("neighbour add 192.0.2.9 lladdr 02:00:00:00:00:09 dev tap0").unwrap();
    let socket = namespace.run(|| std::net::UdpSocket::bind("192.0.2.1:0")).unwrap().unwrap();
    socket.send_to(&[7; 100], "192.0.2.9:9").unwrap();
    assert_eq!(tap.recv(&mut [0; 50]).unwrap(), Some(50));
    assert_eq!(tap.recv(&mut [0; 50]).unwrap(), None, "the rest is gone");
}

#[test]
fn what_the_kernel_refuses_is_an_error() {
    let Some((namespace, tap)) = tap() else { return };
    assert!(tap.send(&[0; 13]).is_err(), "shorter than an Ethernet header");
    assert!(tap.send(&[]).is_err());
    tap.set_up(false).unwrap();
    assert!(tap.send(&[0; 60]).is_err(), "the interface is down");
    tap.set_up(true).unwrap();
    assert!(tap.send(&[0; 60]).unwrap());
    namespace.ip("link delete tap0").unwrap();
    assert!(tap.recv(&mut [0; 60]).is_err() && tap.send(&[0; 60]).is_err() && tap.mtu().is_err());
}

#[test]
fn wrong_names_have_their_errors() {
    let Some((namespace, _tap)) = tap() else { return };
    for name in ["a/b", "a b", "sixteen-bytes-xx", "a\0b", "a:b", ".", ".."] {
        assert!(matches!(namespace.open_tap(name), Err(Error::InvalidName(_))), "{name:?}");
    }
    assert!(matches!(namespace.open_tap("tap0"), Err(Error::Busy(name)) if name == "tap0"));
    let second = namespace.open_tap("tap%d").unwrap();
    assert_eq!(second.name(), "tap1");
    assert!(matches!(namespace.open_tun("tap1"), Err(Error::OtherKind(_) | Error::Busy(_))));
    namespace.ip("tuntap add dev kept mode tun").unwrap();
    assert!(matches!(namespace.open_tap("kept"), Err(Error::OtherKind(name)) if name == "kept"));
    assert_eq!(namespace.open_tun("kept").unwrap().name(), "kept");
}

#[test]
fn an_interface_vanishes_with_its_device_unless_it_was_there_before() {
    let Some((namespace, tap)) = tap() else { return };
    namespace.ip("tuntap add dev kept mode tap").unwrap();
    drop((tap, namespace.open_tap("kept").unwrap()));
    let seen = namespace.ip("-o link").unwrap().stdout;
    assert!(seen.contains("kept") && !seen.contains("tap0"), "{seen}");
}

#[test]
fn an_interface_that_was_there_before_runs_some_time_after_it_is_opened() {
    let Some((namespace, _tap)) = tap() else { return };
    namespace.ip("tuntap add dev kept mode tap").unwrap();
    namespace.ip("link set kept up").unwrap();
    let kept = namespace.open_tap("kept").unwrap();
    let start = std::time::Instant::now();
    while !kept.is_running().unwrap() {
        assert!(start.elapsed().as_secs() < 5);
        std::thread::yield_now();
    }
    kept.set_up(false).unwrap();
    assert!(!kept.is_running().unwrap());
}

#[test]
fn devices_may_be_used_by_several_threads() {
    fn check<T: Send + Sync>() {}
    check::<Tap>();
    check::<Tun>();
}
