use super::*;

fn engine() -> EngineId {
    EngineId::new(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]).unwrap()
}

fn hex(bytes: &[u8]) -> std::string::String {
    use std::fmt::Write;
    bytes.iter().fold(std::string::String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// [RFC 3414 §A.3]: the examples of the standard.
#[test]
fn keys_of_passwords() {
    let key = |protocol| MasterKey::new(protocol, b"maplesyrup").auth(engine());
    assert_eq!(hex(key(AuthProtocol::Md5).as_bytes()), "526f5eed9fcce26f8964c2930787d82b");
    assert_eq!(hex(key(AuthProtocol::Sha1).as_bytes()), "6695febc9288e36282235fc7151f128497b38f3f");
    // RFC 7860 has no examples: these were made with another implementation of the hashes.
    assert_eq!(
        hex(key(AuthProtocol::Sha224).as_bytes()),
        "0bd8827c6e29f8065e08e09237f177e410f69b90e1782be682075674"
    );
    assert!(
        hex(key(AuthProtocol::Sha256).as_bytes()).starts_with("8982e0e549e866db361a6b625d84cccc11162d45")
    );
    assert!(
        hex(key(AuthProtocol::Sha384).as_bytes()).starts_with("3b298f16164a11184279d5432bf169e2d2a48307")
    );
    assert!(
        hex(key(AuthProtocol::Sha512).as_bytes()).starts_with("22a5a36cedfcc085807a128d7bc6c2382167ad6c")
    );
}

#[test]
fn keys_that_are_longer_than_the_digest() {
    let master = MasterKey::new(AuthProtocol::Md5, b"maplesyrup");
    let key = |protocol| hex(master.privacy(protocol, engine()).as_bytes());
    assert_eq!(key(PrivProtocol::Aes128), "526f5eed9fcce26f8964c2930787d82b");
    assert_eq!(key(PrivProtocol::Aes256), "526f5eed9fcce26f8964c2930787d82bfa24a92467426c2f4b09192be10dfaec");
    assert_eq!(key(PrivProtocol::Aes192), "526f5eed9fcce26f8964c2930787d82bfa24a92467426c2f");
    assert_eq!(
        key(PrivProtocol::Aes256Reeder),
        "526f5eed9fcce26f8964c2930787d82b79eff44a90650ee0a3a40abfac5acc12"
    );
}

/// [3414-5]
#[test]
fn names_of_engines_have_5_to_32_bytes() {
    assert!(EngineId::new(&[1; 4]).is_none() && EngineId::new(&[1; 33]).is_none());
    assert_eq!(EngineId::new(&[1; 32]).unwrap().as_bytes(), [1; 32]);
    let id = EngineId::of_station(8072, [2, 0, 0, 0, 0, 9]);
    assert_eq!(id.as_bytes(), [0x80, 0, 0x1f, 0x88, 3, 2, 0, 0, 0, 0, 9]);
}
