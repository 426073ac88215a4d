use super::ast::*;
use super::parse;

fn only(text: &str) -> Event {
    let script = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    assert_eq!(script.events.len(), 1, "{text}");
    script.events[0].clone()
}

fn packet(text: &str) -> Packet {
    match only(text).action {
        Action::Inbound(packet) | Action::Outbound(packet) => packet,
        other => panic!("{text} is {other:?}"),
    }
}

#[test]
fn packets_are_shown_as_they_are_written() {
    for text in [
        "S 0:0(0) win 32792 <mss 1000,sackOK,nop,nop,nop,wscale 7>",
        "S. 0:0(0) ack 1 <mss 1460,nop,nop,sackOK,nop,wscale 8>",
        "P. 1:1001(1000) ack 1 win 257 <nop,nop,TS val 100 ecr 200>",
        ". 1:1(0) ack 1 win 320 <sack 4001:5001 6001:7001,nop,nop,eol>",
        "FPU. 4294967290:4(10) ack 2 win 0 urg 5",
        "SEW 0:0(0) win 1",
        "- 0:0(0) win 1",
        "R 1:1(0)",
        "S. 0:0(0) ack 1 <...>",
        "S 0:0(0) <uto 7,hex fd04f989>",
        "@2 . 1:1(0) ack 1",
        "[ect0] P. 1:2(1) ack 1",
        "[noecn, tos 0x10, ttl 3] udp (10)",
        "icmp unreachable frag_needed mtu 1400 [1:1001(1000)]",
        "icmp unreachable port_unreachable [udp (40)]",
        "icmp echo_request id 3 seq 4 (56)",
        "icmp type_200 code_9",
        "icmpv6 packet_too_big mtu 1280",
    ] {
        assert_eq!(packet(&format!("0 > {text}")).to_string(), text);
    }
}

#[test]
fn what_is_written_in_two_ways() {
    let before = packet("0 < [1:1001(1000)] icmp unreachable frag_needed mtu 1400");
    assert_eq!(before, packet("0 < icmp unreachable frag_needed mtu 1400 [1:1001(1000)]"));
    // ACE as a number [RFC 9768].
    assert_eq!(packet("0 > S5. 0:0(0) ack 1"), packet("0 > SAE. 0:0(0) ack 1"));
}

#[test]
fn times() {
    let when = |text: &str| only(&format!("{text} > . 1:1(0) ack 1")).when;
    assert_eq!(when("0"), When::Absolute(0));
    assert_eq!(when("1.5"), When::Absolute(1_500_000));
    assert_eq!(when(".000001"), When::Absolute(1));
    assert_eq!(when("+.1"), When::Relative(100_000));
    assert_eq!(when("*"), When::Any);
    assert_eq!(when("0.1~0.25"), When::AbsoluteRange(100_000, 250_000));
    assert_eq!(when("+0~+.2"), When::RelativeRange(0, 200_000));
}

#[test]
fn calls_and_their_arguments() {
    let event = only("+.1...0.2 connect(3, ..., ...) = -1 EINPROGRESS (Operation (now) in progress)");
    let Action::Call(call) = event.action else { panic!("no call") };
    assert_eq!((event.when, call.end), (When::Relative(100_000), Some(200_000)));
    assert_eq!((call.name.as_str(), call.errno.as_deref()), ("connect", Some("EINPROGRESS")));
    assert_eq!(call.arguments[1..], [Expression::Ellipsis, Expression::Ellipsis]);

    let text = "0 sendmsg(4, {msg_name(...)=..., msg_iov(2)=[{..., 100}, {..., 0x20}], msg_flags=0}, MSG_MORE|1) = 132";
    let Action::Call(call) = only(text).action else { panic!("no call") };
    let buffer =
        |len| Expression::Struct(vec![(None, Expression::Ellipsis), (None, Expression::Number(len))]);
    let message = vec![
        (Some("msg_name".into()), Expression::Ellipsis),
        (Some("msg_iov".into()), Expression::List(vec![buffer(100), buffer(32)])),
        (Some("msg_flags".into()), Expression::Number(0)),
    ];
    assert_eq!(call.arguments[1], Expression::Struct(message));
    let flags = (Box::new(Expression::Word("MSG_MORE".into())), Box::new(Expression::Number(1)));
    assert_eq!(call.arguments[2], Expression::Or(flags.0, flags.1));

    let text =
        r#"0 bind(3, {sa_family = AF_INET, sin_port = htons(7), sin_addr = inet_addr("192.0.2.1")}, -1) = 0"#;
    let Action::Call(call) = only(text).action else { panic!("no call") };
    let Expression::Struct(fields) = &call.arguments[1] else { panic!("no structure") };
    let address = Expression::Apply("inet_addr".into(), vec![Expression::Text("192.0.2.1".into())]);
    assert_eq!(fields[2], (Some("sin_addr".into()), address));
    assert_eq!(call.arguments[2], Expression::Number(-1));
}

#[test]
fn the_head_and_what_is_not_of_the_language() {
    let text = "--tolerance_usecs=100000\n--mtu=1500 // coracle: not=here\n// coracle: sack=off mtu=900\n`sysctl -q a=1
b=2`\n/* a remark */ 0 close(3) = 0 // another\n`ls`\n+0 %{ assert tcpi_unacked == 1 }%\n";
    let script = parse(text).unwrap();
    let setting = |line, name: &str, value: &str| Setting { line, name: name.into(), value: value.into() };
    assert_eq!(script.options, [setting(1, "tolerance_usecs", "100000"), setting(2, "mtu", "1500")]);
    assert_eq!(script.directives, [setting(3, "sack", "off"), setting(3, "mtu", "900")]);
    assert_eq!(script.commands, [(4, "sysctl -q a=1\nb=2".to_owned())]);
    let lines: Vec<_> = script.events.iter().map(|event| event.line).collect();
    assert_eq!(lines, [6, 7, 8]);
    assert_eq!(script.events[1].action, Action::Command("ls".into()));
    assert_eq!(script.events[2].action, Action::Code(" assert tcpi_unacked == 1 ".into()));
}

#[test]
fn errors_say_where_and_why() {
    for (text, line, why) in [
        ("0 > . 1:2(0) ack 1", 1, "not of length"),
        ("\n0 > . 1:1(0)", 2, "belong together"),
        ("0 > R 1:1(0) ack 1", 1, "belong together"),
        ("0 > X 1:1(0)", 1, "TCP flags"),
        ("0 > . 1:1(0) ack 1 <mss 70000>", 1, "too large"),
        ("0 > . 1:1(0) ack 1 <mss>", 1, "a segment size"),
        ("0 > . 1:1(0) ack 1 <xyz>", 1, "`xyz`"),
        ("0 > . 1:1(0) ack 1 <hex 0>", 1, "hexadecimal"),
        ("0 > [ecn] . 1:1(0) ack 1", 1, "`ecn`"),
        ("0 > icmp nonsense", 1, "`nonsense`"),
        ("0 > ipv4 192.0.2.1 > 192.0.2.2: udp (5)", 1, "encapsulation"),
        ("0 > ", 1, "a packet"),
        ("close(3) = 0", 1, "the time of an event"),
        ("0 close(3)", 1, "`=`"),
        ("0 close(3 = 0", 1, "`)`"),
        ("0 close([[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]) = 0", 1, "too deep"),
        ("0~1 close(3) = 0", 1, "within a range"),
        ("2~1 > . 1:1(0) ack 1", 1, "ends before it starts"),
        ("+0~1 > . 1:1(0) ack 1", 1, "both ends"),
        ("0\n%{ never ends", 2, "`}%`"),
        ("/* never ends", 1, "does not end"),
        ("0 bind(3, \"never ends) = 0", 1, "is missing"),
        ("0 close(3) = 0 (never ends", 1, "`)` is missing"),
        ("// coracle: nothing", 1, "name=value"),
        ("99999999999 close(3) = 0", 1, "thirty years"),
    ] {
        let error = parse(text).expect_err(text);
        assert_eq!(error.line, line, "{text}: {error}");
        assert!(error.why.contains(why), "{text}: {error}");
    }
}
