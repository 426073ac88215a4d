//! What the client writes.

use super::*;

/// [RFC 2131 §4.4.1, 2131-3] Whatever a first message has.
#[test]
fn a_discover() {
    let mut bed = Bed::new(1);
    bed.start(&DhcpConfig::new());
    let sent = bed.last();
    assert_eq!((sent.source, sent.destination), (NOBODY, ALL));
    let message = sent.read();
    let header = message.header;
    assert_eq!((header.operation(), header.hardware(), header.hops()), (1, STATION, 0));
    assert_eq!(
        (header.client(), header.yours(), header.next_server(), header.relay()),
        (NOBODY, NOBODY, NOBODY, NOBODY)
    );
    assert!(!header.broadcast());
    let codes: Vec<u8> = message.options().map(|(code, _)| code).collect();
    let expected = [
        code::MESSAGE_TYPE,
        code::CLIENT_ID,
        code::PARAMETERS,
        code::MAX_MESSAGE,
        code::RAPID_COMMIT,
        code::AUTO_CONFIGURE,
    ];
    assert_eq!(codes, expected);
    assert_eq!(sent.value(code::PARAMETERS), Some(vec![1, 121, 3, 6, 15, 119, 26, 28, 42]));
    assert_eq!(sent.value(code::MAX_MESSAGE), Some(vec![0x05, 0xdc]));
    // [RFC 4361 §6.1]
    let id = vec![255, 0, 0, 0, 7, 0, 3, 0, 1, 2, 0, 0, 0, 0, 7];
    assert_eq!(sent.value(code::CLIENT_ID), Some(id));
    assert_eq!(sent.bytes.len(), 300);
}

/// [2131-4]
#[test]
fn a_request_for_an_offer() {
    let server = Server::new();
    let config = DhcpConfig { broadcast: true, ..plain() };
    let bed = bound(&config, &server);
    let (discover, request) = (&bed.port.sent[0], &bed.port.sent[1]);
    assert!(discover.read().header.broadcast() && request.read().header.broadcast());
    assert_eq!((request.source, request.destination), (NOBODY, ALL));
    assert_eq!(request.transaction(), discover.transaction());
    assert_eq!(request.read().header.client(), NOBODY);
    assert_eq!(request.read().server(), Some(server.id));
    assert_eq!(request.value(code::REQUESTED_ADDRESS), Some(OURS.octets().to_vec()));
    assert_eq!(request.value(code::PARAMETERS), discover.value(code::PARAMETERS));
}

#[test]
fn what_the_client_calls_itself() {
    for (client_id, expected) in
        [(ClientId::None, None), (ClientId::Station, Some(vec![1, 2, 0, 0, 0, 0, 7]))]
    {
        let mut bed = Bed::new(1);
        bed.start(&DhcpConfig { client_id, ..plain() });
        assert_eq!(bed.last().value(code::CLIENT_ID), expected);
    }
}

/// A name in option 12; a full one in option 81 as labels [RFC 4702 §2.3.1, §3.1]; one with misplaced dots not at all.
#[test]
fn names() {
    let longest = "a234567890123456789012345678901234567890123456789012345678901.c";
    for (name, short, full) in [
        ("boat-7", Some(&b"boat-7"[..]), None),
        ("boat.example.org", None, Some(&b"\x05\0\0\x04boat\x07example\x03org\0"[..])),
        ("boat..org", None, None),
        (longest, None, Some(&[&[5, 0, 0, 61], &longest.as_bytes()[..61], &[1, b'c', 0]].concat())),
    ] {
        let mut bed = Bed::new(1);
        bed.port.hostname = Some(Hostname::new(name).unwrap());
        bed.start(&DhcpConfig::new());
        assert_eq!(bed.last().value(code::HOSTNAME).as_deref(), short, "{name}");
        assert_eq!(bed.last().value(code::FQDN).as_deref(), full, "{name}");
    }
}

/// Options of the application, in what asks for something and nothing else.
#[test]
fn options_of_the_application() {
    let mut config = plain();
    config.options.want(code::TFTP_SERVER).unwrap();
    config.options.want(150).unwrap();
    config.options.want(150).unwrap();
    config.options.send(code::VENDOR_CLASS, b"coracle").unwrap();
    config.options.send(code::HOSTNAME, b"other").unwrap();
    let server = Server::new();
    let mut bed = bound(&config, &server);
    bed.auto.dhcp_stop(&mut bed.port, true);
    let with =
        bed.port.sent.iter().filter(|sent| sent.value(code::VENDOR_CLASS) == Some(b"coracle".to_vec()));
    let kinds: Vec<_> = with.map(Sent::kind).collect();
    assert_eq!((kinds, bed.kinds()), (vec![Discover, Request], vec![Discover, Request, Release]));
    let parameters = bed.port.sent[0].value(code::PARAMETERS).unwrap();
    assert_eq!(parameters[9..], [code::TFTP_SERVER, 150]);
}

/// The most that can be configured fits into what every server takes.
#[test]
fn everything_at_once_fits() {
    let mut config = DhcpConfig::new();
    for code in 160..160 + DhcpOptions::MAX_WANTED as u8 {
        config.options.want(code).unwrap();
    }
    assert_eq!(config.options.want(200), Err(coracle_buf::Error::Memory));
    assert_eq!(config.options.want(160), Ok(()), "it is wanted already");
    assert_eq!(config.options.want(0), Err(coracle_buf::Error::Argument));
    assert_eq!(config.options.want(255), Err(coracle_buf::Error::Argument));
    assert_eq!(config.options.send(code::VENDOR, &[7; 63]), Err(coracle_buf::Error::Memory));
    config.options.send(code::VENDOR, &[7; 62]).unwrap();
    assert_eq!(config.options.send(code::VENDOR, &[]), Err(coracle_buf::Error::Memory));
    assert_eq!(config.options.send(code::SERVER_ID, &[1]), Err(coracle_buf::Error::Argument));
    let mut bed = Bed::new(1);
    let name = "a234567890123456789012345678901234567890123456789012345678901.c";
    bed.port.hostname = Some(Hostname::new(name).unwrap());
    bed.start(&config);
    bed.pass_with(100_000, &mut [Server::new()]);
    assert_eq!(bed.kinds(), [Discover, Request]);
    for sent in &bed.port.sent {
        assert!(sent.bytes.len() <= 548, "{}", sent.bytes.len());
        assert_eq!(sent.value(code::VENDOR), Some(vec![7; 62]));
        assert_eq!(sent.value(code::PARAMETERS).unwrap().len(), 9 + DhcpOptions::MAX_WANTED);
        assert!(sent.value(code::FQDN).is_some());
    }
}

/// [2131-8, RFC 2131 §4.4.4] Address and server, and nothing that a client in need of settings asks for.
#[test]
fn a_decline() {
    let server = Server::new();
    let mut bed = bound(&plain(), &server);
    bed.claim(OURS);
    bed.claim(OURS);
    let decline = bed.last();
    assert_eq!((decline.kind(), decline.source, decline.destination), (Decline, NOBODY, ALL));
    assert_eq!(decline.read().header.client(), NOBODY);
    assert_eq!(decline.read().server(), Some(server.id));
    assert_eq!(decline.value(code::REQUESTED_ADDRESS), Some(OURS.octets().to_vec()));
    assert_eq!((decline.value(code::PARAMETERS), decline.value(code::LEASE_TIME)), (None, None));
    assert_ne!(decline.transaction(), bed.port.sent[1].transaction());
}
