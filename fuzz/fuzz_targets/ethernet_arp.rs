//! Ethernet headers, VLAN tags, ARP packets and the text form of hardware addresses.
#![no_main]

use coracle_fuzz::assert_inside;
use coracle_wire::arp::{self, ArpPacket};
use coracle_wire::ethernet::{self, EtherType, EthernetHeader, MacAddr, VlanTag};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    frame(data);
    arp_packet(data);
    address(data);
});

fn frame(data: &[u8]) {
    let Ok(header) = EthernetHeader::read(data) else {
        assert!(data.len() < ethernet::HEADER_LEN);
        return;
    };
    let mut written = [0; ethernet::HEADER_LEN];
    EthernetHeader::write(&mut written, header.destination, header.source, header.ether_type());
    assert_eq!(written, data[..ethernet::HEADER_LEN]);

    let mut ether_type = header.ether_type();
    let mut payload = &data[ethernet::HEADER_LEN..];
    while matches!(ether_type, EtherType::VLAN | EtherType::QINQ) {
        let Ok(tag) = VlanTag::read(payload) else {
            assert!(payload.len() < ethernet::VLAN_TAG_LEN);
            return;
        };
        assert!(tag.vid() < 4096 && tag.pcp() < 8);
        let tci = ethernet::Tci::new(tag.pcp(), tag.dei(), tag.vid());
        let mut written = [0; ethernet::VLAN_TAG_LEN];
        VlanTag::write(&mut written, tci, tag.ether_type());
        assert_eq!(written, payload[..ethernet::VLAN_TAG_LEN]);
        ether_type = tag.ether_type();
        payload = &payload[ethernet::VLAN_TAG_LEN..];
    }
    if ether_type == EtherType::ARP {
        arp_packet(payload);
    }
}

fn arp_packet(data: &[u8]) {
    let Ok(packet) = ArpPacket::read(data) else {
        assert!(data.len() < arp::LEN || data[..6] != [0, 1, 8, 0, 6, 4]);
        return;
    };
    assert_inside(data, &packet.sender_mac.0);
    let sender = (packet.sender_mac, packet.sender_ip());
    let target = (packet.target_mac, packet.target_ip());
    let mut written = [0; arp::LEN];
    ArpPacket::write(&mut written, packet.operation(), sender, target);
    assert_eq!(written, data[..arp::LEN]);
}

fn address(data: &[u8]) {
    if let Ok(text) = core::str::from_utf8(data)
        && let Ok(address) = text.parse::<MacAddr>()
    {
        assert_eq!(address.to_string(), text.to_ascii_lowercase().replace('-', ":"));
    }
    if let Some(octets) = data.first_chunk() {
        let address = MacAddr(*octets);
        assert_eq!(address.to_string().parse(), Ok(address));
        assert!(!address.is_broadcast() || address.is_multicast());
    }
}
