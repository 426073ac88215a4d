use super::*;
use pcap_file::DataLink;
use pcap_file::pcap::PcapReader;
use std::process::Command;

const ARP: [u8; 42] = [
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1,
    192, 0, 2, 1, 0, 0, 0, 0, 0, 0, 192, 0, 2, 2,
];

/// An ICMP echo request without payload, both checksums right.
const PING: [u8; 28] =
    [0x45, 0, 0, 28, 0, 1, 0, 0, 64, 1, 0xf6, 0xda, 192, 0, 2, 1, 192, 0, 2, 2, 8, 0, 0xf7, 0xfd, 0, 1, 0, 1];

#[test]
fn an_independent_reader_gets_back_what_was_written() {
    let mut writer = PcapWriter::new(Vec::new(), LinkType::Ethernet).unwrap();
    writer.write(3_000_007, &ARP).unwrap();
    writer.write_parts(4_999_999, [&ARP[..14], &[], &ARP[14..]]).unwrap();
    let bytes = writer.into_inner().unwrap();

    let mut reader = PcapReader::new(&bytes[..]).unwrap();
    assert_eq!(reader.header().datalink, DataLink::ETHERNET);
    assert_eq!((reader.header().version_major, reader.header().version_minor), (2, 4));
    let mut seen = Vec::new();
    while let Some(packet) = reader.next_packet() {
        let packet = packet.unwrap();
        assert_eq!(packet.orig_len, 42);
        seen.push((packet.timestamp.as_micros(), packet.data.to_vec()));
    }
    assert_eq!(seen, [(3_000_007, ARP.to_vec()), (4_999_999, ARP.to_vec())]);
}

#[test]
fn a_frame_beyond_the_snap_length_is_cut_and_says_so() {
    let half = vec![1u8; 200_000];
    let mut writer = PcapWriter::new(Vec::new(), LinkType::Ip).unwrap();
    writer.write_parts(0, [&half[..], &half[..]]).unwrap();
    writer.write(1, &PING).unwrap();
    let bytes = writer.into_inner().unwrap();

    // By hand, because the reader crate refuses frames that were longer than what was kept of them.
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    assert_eq!((word(20), word(32), word(36)), (101, 262_144, 400_000));
    assert_eq!(&bytes[40 + 262_144 + 16..], PING);
}

#[test]
fn dates_start_at_the_present_when_asked() {
    let before = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros();
    let mut writer = PcapWriter::new(Vec::new(), LinkType::Ip).unwrap().starting_now(5_000);
    writer.write(5_000, &PING).unwrap();
    let bytes = writer.into_inner().unwrap();
    let after = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros();
    let seen = PcapReader::new(&bytes[..]).unwrap().next_packet().unwrap().unwrap().timestamp.as_micros();
    assert!((before..=after).contains(&seen), "{before} <= {seen} <= {after}");
}

#[test]
fn a_failing_writer_is_an_error() {
    #[derive(Debug)]
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    assert_eq!(PcapWriter::new(Full, LinkType::Ip).unwrap_err().kind(), io::ErrorKind::StorageFull);
}

/// Both link types as tshark reads them. Without tshark it says so past the test runner's capture of output.
#[test]
fn tshark_reads_both_link_types() {
    let directory = std::env::temp_dir().join(format!("coracle-pcap-test-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    for (link, frame, protocol) in
        [(LinkType::Ethernet, &ARP[..], "eth:ethertype:arp"), (LinkType::Ip, &PING[..], "raw:ip:icmp")]
    {
        let path = directory.join("capture.pcap");
        let mut writer = PcapWriter::create(&path, link).unwrap();
        writer.write(1_234_567, frame).unwrap();
        writer.flush().unwrap();
        let fields = ["-T", "fields", "-e", "frame.protocols", "-e", "frame.time_epoch", "-e", "_ws.expert"];
        match Command::new("tshark").arg("-r").arg(&path).args(fields).output() {
            Ok(output) => {
                let text = String::from_utf8_lossy(&output.stdout);
                assert_eq!(text.trim(), format!("{protocol}\t1.234567000"), "{output:?}");
            }
            Err(error) => {
                assert!(
                    std::env::var_os("CORACLE_ALLOW_SKIP").is_some_and(|value| value == "1"),
                    "tshark does not run ({error}); set CORACLE_ALLOW_SKIP=1 to skip"
                );
                let _ = writeln!(io::stderr(), "skipped: tshark does not run: {error}");
            }
        }
    }
    std::fs::remove_dir_all(&directory).unwrap();
}
