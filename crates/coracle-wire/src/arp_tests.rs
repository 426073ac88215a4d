use super::*;

/// A reply, captured: 192.0.2.2 is at 02:00:00:00:00:02.
const REPLY_BYTES: [u8; LEN] = [
    0x00, 0x01, 0x08, 0x00, 0x06, 0x04, 0x00, 0x02, // Ethernet, IPv4, 6, 4, reply
    0x02, 0x00, 0x00, 0x00, 0x00, 0x02, 0xc0, 0x00, 0x02, 0x02, // sender
    0x02, 0x00, 0x00, 0x00, 0x00, 0x01, 0xc0, 0x00, 0x02, 0x01, // target
];

const SENDER: (MacAddr, Ipv4Addr) = (MacAddr::new(2, 0, 0, 0, 0, 2), Ipv4Addr::new(192, 0, 2, 2));
const TARGET: (MacAddr, Ipv4Addr) = (MacAddr::new(2, 0, 0, 0, 0, 1), Ipv4Addr::new(192, 0, 2, 1));

#[test]
fn reads_a_reply() {
    let packet = ArpPacket::read(&REPLY_BYTES).unwrap();
    assert_eq!(packet.operation(), REPLY);
    assert_eq!((packet.sender_mac, packet.sender_ip()), SENDER);
    assert_eq!((packet.target_mac, packet.target_ip()), TARGET);
}

#[test]
fn writes_a_reply() {
    let mut bytes = [0xaa; LEN];
    ArpPacket::write(&mut bytes, REPLY, SENDER, TARGET);
    assert_eq!(bytes, REPLY_BYTES);
}

#[test]
fn ignores_the_padding_of_a_frame() {
    let mut padded = [0x55; 46];
    padded[..LEN].copy_from_slice(&REPLY_BYTES);
    assert_eq!(ArpPacket::read(&padded), ArpPacket::read(&REPLY_BYTES));
}

/// A cut packet, as in CVE-2018-16600 and CVE-2020-11914 [ARP-1].
#[test]
fn refuses_every_shorter_length() {
    for len in 0..LEN {
        assert_eq!(ArpPacket::read(&REPLY_BYTES[..len]), Err(Malformed::Truncated), "{len} bytes");
    }
}

/// Every other value of each of the first six bytes [ARP-1].
#[test]
fn refuses_other_types_and_lengths() {
    for at in 0..6 {
        for value in 0..=255 {
            let mut bytes = REPLY_BYTES;
            bytes[at] = value;
            let expected = match (value == REPLY_BYTES[at], at) {
                (true, _) => None,
                (false, 0..4) => Some(Malformed::Type),
                (false, _) => Some(Malformed::Length),
            };
            assert_eq!(ArpPacket::read(&bytes).err(), expected, "byte {at} is {value}");
        }
    }
}

#[test]
fn leaves_the_operation_to_the_caller() {
    let mut bytes = REPLY_BYTES;
    bytes[6..8].copy_from_slice(&[0xff, 0xfe]);
    assert_eq!(ArpPacket::read(&bytes).map(ArpPacket::operation), Ok(0xfffe));
}
