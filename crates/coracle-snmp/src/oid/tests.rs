use super::*;
use std::string::ToString;
use std::vec::Vec;

fn encoded(arcs: &[u32]) -> Vec<u8> {
    let mut buffer = [0; 700];
    let mut writer = Writer::new(&mut buffer);
    writer.oid(arcs);
    writer.written().to_vec()
}

/// [3416-7]
#[test]
fn the_first_number_stands_for_two_arcs() {
    let cases: [(&[u8], &[u32]); 8] = [
        (&[0x2b], &[1, 3]),
        (&[0x27], &[0, 39]),
        (&[0x28], &[1, 0]),
        (&[0x4f], &[1, 39]),
        (&[0x50], &[2, 0]),
        (&[0x88, 0x37], &[2, 999]),
        (&[0x2b, 6, 0x8f, 0xff, 0xff, 0xff, 0x7f], &[1, 3, 6, u32::MAX]),
        (&[], &[0, 0]),
    ];
    for (content, arcs) in cases {
        let oid = OidRef::decode(content).unwrap();
        assert_eq!(oid.to_oid().arcs(), arcs);
        assert_eq!(oid, OidRef::new(arcs));
        if !content.is_empty() {
            assert_eq!(&encoded(arcs)[2..], content);
        }
    }
}

/// [3416-7]
#[test]
fn arcs_beyond_32_bits_and_arcs_without_an_end_are_refused() {
    assert_eq!(OidRef::decode(&[0x2b, 0x90, 0x80, 0x80, 0x80, 0]).unwrap_err(), Malformed::Value);
    assert_eq!(OidRef::decode(&[0x2b, 0x81]).unwrap_err(), Malformed::Truncated);
    // A longer form than needed is taken.
    assert_eq!(OidRef::decode(&[0x2b, 0x80, 0x80, 0x06]).unwrap().to_oid().arcs(), [1, 3, 6]);
}

/// [3416-7]
#[test]
fn an_identifier_has_128_arcs_and_no_more() {
    let long = [1; 127];
    assert_eq!(OidRef::decode(&long).unwrap().to_oid().arcs().len(), 128);
    assert_eq!(OidRef::decode(&[1; 128]).unwrap_err(), Malformed::Value);
    let mut oid = Oid::new(&[7; 128]).unwrap();
    assert_eq!(oid.push(1), Err(OidError));
    assert_eq!(oid.extend_bytes(&[1]), Err(OidError));
    oid.truncate(126);
    assert_eq!(oid.extend_string(b"ab"), Err(OidError));
    assert_eq!(oid.arcs().len(), 126);
    assert_eq!(oid.extend_string(b"a"), Ok(()));
    assert_eq!(oid.arcs()[126..], [1, 97]);
}

#[test]
fn text_and_order() {
    let low: Oid = ".1.3.6.1".parse().unwrap();
    let high: Oid = "1.3.6.1.0".parse().unwrap();
    assert!(low < high);
    assert!(high < "1.3.6.2".parse().unwrap());
    assert_eq!(high.to_string(), "1.3.6.1.0");
    assert_eq!("1..3".parse::<Oid>(), Err(OidError));
    assert_eq!("1.x".parse::<Oid>(), Err(OidError));
    assert_eq!("4294967296".parse::<Oid>(), Err(OidError));
}
