//! The judge finds what it is there to find.

use coracle::wire::checksum::checksum;
use coracle_host::judge::{Sender, judge};
use coracle_host::testing::or_skip;
use coracle_sim::pcap::{LinkType, PcapWriter};
use std::path::PathBuf;

const OURS: [u8; 6] = [2, 0, 0, 0, 0, 2];
const OTHER: [u8; 6] = [2, 0, 0, 0, 0, 1];

fn put(bytes: &mut [u8], at: usize, sum: u16) {
    bytes[at..at + 2].copy_from_slice(&sum.to_be_bytes());
}

/// A frame with an IP packet around `payload`, its header checksum right.
fn frame(source: [u8; 6], protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut ip = vec![0x45, 0, 0, 0, 0, 1, 0, 0, 64, protocol, 0, 0, 192, 0, 2, 2, 192, 0, 2, 1];
    put(&mut ip, 2, 20 + payload.len() as u16);
    let sum = checksum(&ip);
    put(&mut ip, 10, sum);
    [&OTHER[..], &source, &[8, 0], &ip, payload].concat()
}

fn icmp() -> Vec<u8> {
    let mut message = vec![0, 0, 0, 0, 0, 7, 0, 1, 1, 2, 3, 4];
    let sum = checksum(&message);
    put(&mut message, 2, sum);
    message
}

fn udp() -> Vec<u8> {
    let mut datagram = vec![0, 7, 0x80, 0, 0, 12, 0, 0, 1, 2, 3, 4];
    let pseudo = [&[192, 0, 2, 2, 192, 0, 2, 1, 0, 17, 0, 12], &datagram[..]].concat();
    put(&mut datagram, 6, checksum(&pseudo));
    datagram
}

/// A segment with nothing but its header.
fn tcp(flags: u8) -> Vec<u8> {
    let mut segment = vec![0, 7, 0x80, 0, 0, 0, 0, 9, 0, 0, 0, 5, 0x50, flags, 1, 0, 0, 0, 0, 0];
    let pseudo = [&[192, 0, 2, 2, 192, 0, 2, 1, 0, 6, 0, 20], &segment[..]].concat();
    put(&mut segment, 16, checksum(&pseudo));
    segment
}

fn capture(name: &str, frames: &[Vec<u8>]) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let mut writer = PcapWriter::create(&path, LinkType::Ethernet).unwrap();
    for (time, frame) in (0..).zip(frames) {
        writer.write(time, frame).unwrap();
    }
    writer.flush().unwrap();
    path
}

#[test]
fn good_frames_pass_and_each_fault_is_found() {
    let damaged = |mut frame: Vec<u8>, at: usize| {
        frame[at] ^= 1;
        frame
    };
    let mut short = frame(OURS, 17, &udp());
    short[16 + 22] = 0xff; // The UDP length says more than there is.
    let frames = [
        frame(OURS, 1, &icmp()),
        frame(OURS, 17, &udp()),
        damaged(frame(OURS, 1, &icmp()), 14 + 10),
        damaged(frame(OURS, 1, &icmp()), 14 + 20 + 9),
        damaged(frame(OURS, 17, &udp()), 14 + 20 + 9),
        short,
        frame(OURS, 17, &udp())[..14 + 20 + 5].to_vec(),
        // Another's faults are not ours.
        damaged(frame(OTHER, 17, &udp()), 14 + 20 + 9),
    ];
    let path = capture("judge.pcap", &frames);
    let Some(verdict) = or_skip(judge(&path, Sender::Station(OURS))) else { return };
    assert_eq!((verdict.frames, verdict.judged), (8, 7));
    let faulty: Vec<&str> = verdict.faults.iter().map(|fault| fault.split(':').next().unwrap()).collect();
    assert_eq!(faulty, ["frame 3", "frame 4", "frame 5", "frame 6", "frame 7"], "{:?}", verdict.faults);
    for (fault, word) in verdict.faults.iter().zip(["IP checksum", "ICMP checksum", "UDP checksum"]) {
        assert!(fault.contains(word), "{fault}");
    }
    // The two good frames have an IP header and a payload each; frames 4 to 6 at least a good IP header.
    assert!(verdict.good_checksums >= 7, "{verdict:?}");

    let Some(other) = or_skip(judge(&path, Sender::Station(OTHER))) else { return };
    assert_eq!((other.judged, other.faults.len()), (1, 1));
    let Some(nobody) = or_skip(judge(&path, Sender::Station([2; 6]))) else { return };
    assert_eq!((nobody.frames, nobody.judged, nobody.good_checksums), (8, 0, 0));
    let Some(by_address) = or_skip(judge(&path, Sender::Address([192, 0, 2, 2].into()))) else { return };
    assert_eq!(by_address.judged, 8);
    std::fs::remove_file(path).unwrap();
}

#[test]
fn segments_are_judged_and_resets_remarked() {
    const ACK: u8 = 0x10;
    const RST: u8 = 0x04;
    let mut damaged = frame(OURS, 6, &tcp(ACK));
    damaged[14 + 20 + 15] ^= 1;
    let frames =
        [frame(OURS, 6, &tcp(ACK)), damaged, frame(OURS, 6, &tcp(RST | ACK)), frame(OTHER, 6, &tcp(RST))];
    let path = capture("segments.pcap", &frames);
    let Some(verdict) = or_skip(judge(&path, Sender::Station(OURS))) else { return };
    assert_eq!((verdict.judged, verdict.good_checksums), (3, 5), "three of IP headers, two of segments");
    assert_eq!(verdict.faults, ["frame 2: bad TCP checksum"]);
    assert_eq!(verdict.remarks, ["frame 3: Connection reset (RST)"]);
    std::fs::remove_file(path).unwrap();
}

#[test]
fn what_is_no_capture_is_an_error() {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("no.pcap");
    std::fs::write(&path, b"this is no capture").unwrap();
    let error = match judge(&path, Sender::Station(OURS)) {
        Err(error) if error.is_unavailable() => return or_skip(Err(error)).unwrap_or(()),
        other => other.unwrap_err(),
    };
    assert!(error.to_string().contains("no.pcap"), "{error}");
    assert!(judge(&path.with_file_name("absent.pcap"), Sender::Station(OURS)).is_err());
    std::fs::remove_file(path).unwrap();
}
