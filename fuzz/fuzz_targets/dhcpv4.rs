//! Messages of DHCP: options in all fields, lists, routes and names.
#![no_main]

use coracle_fuzz::assert_inside;
use coracle_wire::dhcpv4::{
    ClasslessRoutes, DhcpFields, DhcpMessage, DhcpWriter, HEADER_LEN, MessageType, Names, code,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(message) = DhcpMessage::read(data) else { return };
    let mut copy = [0; 4096];
    let fields = DhcpFields::request(message.header.transaction(), message.header.hardware());
    let mut writer = DhcpWriter::new(&mut copy, &fields, MessageType::Inform).unwrap();
    let mut complete = true;
    for (code, piece) in message.options() {
        assert_inside(data, piece);
        if code != code::MESSAGE_TYPE && code != code::OVERLOAD {
            complete &= writer.option(code, piece);
        }
    }
    let len = writer.finish();
    let written = DhcpMessage::read(&copy[..len]).unwrap();
    for code in 0..=255 {
        let Some(value) = message.value(code) else { continue };
        assert_eq!(value.len(), value.clone().count());
        assert!(ClasslessRoutes::new(value.clone()).count() <= value.len());
        assert!(message.addresses(code).count() <= value.len() / 4);
        let mut room = vec![0; value.len()];
        let bytes = value.copy_to(&mut room).unwrap();
        if let Some(contiguous) = value.contiguous() {
            assert_eq!(contiguous, bytes);
        }
        for name in Names::new(bytes) {
            assert!(name.labels().map(|label| label.len() + 1).sum::<usize>() < 255);
        }
        if complete && code != code::MESSAGE_TYPE && code != code::OVERLOAD {
            assert!(written.value(code).unwrap().eq(value));
        }
    }
    assert!(len >= HEADER_LEN);
});
