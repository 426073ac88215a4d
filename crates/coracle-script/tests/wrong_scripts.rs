//! Scripts that say something else than what happens must fail, and for that reason.

use coracle_script::{Outcome, Script};

/// Runs a script that must fail in a line, for a reason.
#[track_caller]
fn fails(text: &str, line: u32, why: &str) {
    let failure = Script::parse(text).expect("the script is well formed").run().result.unwrap_err();
    assert_eq!(failure.outcome, Outcome::Failed, "{failure}");
    assert_eq!(failure.line, line, "{failure}");
    assert!(failure.why.contains(why), "{failure}\ndoes not say: {why}");
}

/// The same script after a change, which must be there to be made.
#[track_caller]
fn changed(script: &str, from: &str, to: &str, line: u32, why: &str) {
    assert_eq!(Script::parse(script).expect("the script is well formed").run().result, Ok(()));
    assert!(script.contains(from), "nothing to change");
    fails(&script.replacen(from, to, 1), line, why);
}

const ECHO: &str = "0 socket(..., SOCK_DGRAM, IPPROTO_UDP) = 3
    +0 bind(3, ..., ...) = 0
    +.1 < udp (100)
    +0 recvfrom(3, ..., 1000, 0, ..., ...) = 100
    +0 sendto(3, ..., 200, 0, ..., ...) = 200
    +0 > udp (200)
    +0 < [tos 0x10] icmp echo_request id 7 seq 1 (56)
    +0 > [tos 0x10, ttl 64] icmp echo_reply id 7 seq 1 (56)
    +0 ioctl(3, FIONREAD, [0]) = 0
    +0 getsockopt(3, SOL_SOCKET, SO_ERROR, [0], [4]) = 0
    +0 recv(3, ..., 10, MSG_DONTWAIT) = -1 EAGAIN
    +0 poll([{fd=3, events=POLLOUT, revents=POLLOUT}], 1, 0) = 1
    +0...0.1 recv(3, ..., 10, 0) = 10
    +.1 < udp (10)";

#[test]
fn a_packet_that_differs() {
    changed(ECHO, "> udp (200)", "> udp (201)", 6, "payload length");
    changed(ECHO, "> udp (200)", "> icmp echo_reply", 6, "protocol");
    changed(ECHO, "> udp (200)", "> [ttl 63] udp (200)", 6, "time-to-live");
    changed(ECHO, "> udp (200)", "> [df] udp (200)", 6, "DF");
    changed(ECHO, "> udp (200)", "> [badsum] udp (200)", 6, "checksum");
    changed(ECHO, "> udp (200)", "> [ce] udp (200)", 6, "ECN bits");
    changed(ECHO, "> [tos 0x10, ttl 64]", "> [tos 0x14]", 8, "type of service");
    changed(
        ECHO,
        "echo_reply id 7 seq 1 (56)",
        "echo_reply id 8 seq 1 (56)",
        8,
        "identifier or sequence number",
    );
    changed(ECHO, "echo_reply id 7 seq 1 (56)", "echo_reply id 7 seq 1 (55)", 8, "payload length");
    changed(ECHO, "icmp echo_reply", "icmp timestamp_reply", 8, "type");
    changed(ECHO, "echo_reply id", "echo_reply code_1 id", 8, "code");
}

#[test]
fn a_packet_that_does_not_come() {
    fails("0 < icmp echo_reply\n+0 > icmp echo_reply", 2, "nothing more");
    let early = "0 < icmp echo_request (5)\n+.01 > icmp echo_reply (5)";
    fails(early, 2, "time");
}

#[test]
fn a_packet_that_nobody_expects() {
    changed(ECHO, "+0 > udp (200)", "", 8, "protocol");
    fails("0 < icmp echo_request", 1, "no line expects");
    fails("0 < icmp echo_request\n+0 < icmp echo_request\n+0 > icmp echo_reply", 3, "no line expects");
}

#[test]
fn a_packet_within_the_tolerance_or_not() {
    let script =
        |time: &str, head: &str| format!("{head}\n0.1 < icmp echo_request\n{time} > icmp echo_reply");
    for passing in ["0.1", "0.104", "0.096~0.098", "0.104~0.2", "*", "+.003"] {
        assert_eq!(Script::parse(&script(passing, "")).unwrap().run().result, Ok(()), "{passing}");
    }
    for failing in ["0.105", "0.09~0.095", "0.105~0.2", "+.005"] {
        fails(&script(failing, ""), 3, "time");
    }
    fails(&script("0.101", "--tolerance_usecs=500"), 3, "time");
    fails(&script("+.002", "// coracle: tolerance=1ms"), 3, "time");
}

#[test]
fn a_call_with_another_result() {
    changed(ECHO, "1000, 0, ..., ...) = 100", "1000, 0, ..., ...) = 99", 4, "= 100");
    changed(ECHO, "-1 EAGAIN", "-1 EPIPE", 11, "EAGAIN");
    changed(ECHO, "-1 EAGAIN", "0", 11, "EAGAIN");
    changed(ECHO, "bind(3, ..., ...) = 0", "bind(3, ..., ...) = -1 EADDRINUSE", 2, "= 0");
    changed(ECHO, "FIONREAD, [0]", "FIONREAD, [1]", 9, "the value is 0, not 1");
    changed(ECHO, "SO_ERROR, [0]", "SO_ERROR, [104]", 10, "the value is 0, not 104");
    changed(ECHO, "revents=POLLOUT", "revents=POLLIN", 12, "revents");
}

#[test]
fn a_call_that_blocks_otherwise() {
    changed(ECHO, "+0...0.1 recv", "+0 recv", 13, "blocks");
    changed(
        ECHO,
        "+0...0.1 recv",
        "+0...0.2 recv",
        13,
        "should return at 0.300000, and returned at 0.200000",
    );
    changed(ECHO, "+0...0.1 recv", "+0...0.01 recv", 13, "blocks at");
    changed(ECHO, "+.1 < udp (10)", "", 13, "blocks at");
    changed(ECHO, "+.1 < udp (10)", "+.1 < udp (9)", 13, "= 9");
}

#[test]
fn what_is_not_there_is_no_failure_of_the_stack() {
    for text in ["0 splice(3, 4, 5) = 0", "0 close(NO_SUCH) = 0"] {
        let failure = Script::parse(text).unwrap().run().result.unwrap_err();
        assert_eq!((failure.outcome, failure.line), (Outcome::Unsupported, 1), "{failure}");
    }
}

#[test]
fn settings_that_are_none() {
    fails("// coracle: nonsense=1", 1, "no setting");
    fails("\n// coracle: mtu=many", 2, "no value");
    fails("--bind_port=70000", 1, "no value");
}

const CONNECTION: &str = "// coracle: window=262140 sack=on
    0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
    +0 bind(3, ..., ...) = 0
    +0 listen(3, 1) = 0
    +0 < S 0:0(0) win 32792 <mss 1000,sackOK,TS val 100 ecr 0,nop,wscale 7>
    +0 > [noecn] S. 0:0(0) ack 1 win 65535 <mss 1460,sackOK,TS val 1 ecr 100,nop,wscale 2>
    +.01 < . 1:1(0) ack 1 win 257 <nop,nop,TS val 110 ecr 1>
    +0 accept(3, ..., ...) = 4
    +0 < P. 101:201(100) ack 1 win 257 <nop,nop,TS val 120 ecr 1>
    +0 > . 1:1(0) ack 1 win 65535 <nop,nop,TS val 11 ecr 110,nop,nop,sack 101:201>
    +0 < P. 1:101(100) ack 1 win 257 <nop,nop,TS val 120 ecr 1>
    +0 > . 1:1(0) ack 201 win 65485 <nop,nop,TS val 11 ecr 120>
    +0 read(4, ..., 3000) = 200
    +0 write(4, ..., 1976) = 1976
    +0 > P. 1:1977(1976) ack 201 <nop,nop,TS val 11 ecr 120>
    +0 %{ assert tcpi_unacked == 2 and tcpi_snd_mss == 988 }%
    +.01 < . 201:201(0) ack 1977 win 257 <nop,nop,TS val 130 ecr 11>
    +0 close(4) = 0
    +0 > F. 1977:1977(0) ack 201 <...>";

#[test]
fn a_segment_that_differs() {
    for (from, to, line, why) in [
        ("ack 1 win 65535 <mss", "ack 1 win 65534 <mss", 6, "window"),
        ("ack 201 win 65485", "ack 201 win 65484", 12, "window"),
        ("<mss 1460,sackOK,TS val 1", "<sackOK,mss 1460,TS val 1", 6, "options"),
        ("<mss 1460,sackOK,TS val 1", "<mss 1459,sackOK,TS val 1", 6, "options"),
        ("nop,wscale 2>", "nop,wscale 3>", 6, "options"),
        ("TS val 11 ecr 110", "TS val 11 ecr 111", 10, "options"),
        ("sack 101:201", "sack 101:200", 10, "options"),
        (",nop,nop,sack 101:201", "", 10, "options"),
        ("[noecn] S.", "[ect0] S.", 6, "ECN bits"),
        ("> [noecn] S.", "> SE.", 6, "flags"),
        ("S. 0:0(0) ack 1", "S. 0:0(0) ack 2", 6, "acknowledgement number"),
        ("> . 1:1(0) ack 201", "> . 2:2(0) ack 201", 12, "sequence number"),
        ("> P. 1:1977(1976)", "> . 1:1977(1976)", 15, "flags"),
        ("> P. 1:1977(1976)", "> P. 1:1976(1975)", 15, "payload length"),
        ("> F. 1977:1977(0)", "> F. 1978:1978(0)", 19, "sequence number"),
        ("> F. 1977:1977(0)", "> R. 1977:1977(0)", 19, "flags"),
        ("> F. 1977:1977(0)", "> @2 F. 1977:1977(0)", 19, "connection"),
    ] {
        changed(CONNECTION, from, to, line, why);
    }
}

#[test]
fn a_segment_too_many_or_too_few() {
    let data = "+0 > P. 1:1977(1976) ack 201 <nop,nop,TS val 11 ecr 120>\n";
    changed(CONNECTION, data, "\n", 19, "sequence number");
    changed(CONNECTION, data, &format!("{data}{data}"), 16, "the packet did not come");
    changed(CONNECTION, "+0 > F. 1977:1977(0) ack 201 <...>", "", 18, "no line expects");
    changed(CONNECTION, "+0 close(4) = 0", "", 19, "nothing more");
    // The pieces of a run are full: two of 988 bytes, not of any length that adds up.
    let hurried = "+0 setsockopt(4, SOL_TCP, TCP_NODELAY, [1], 4) = 0\n+0 write(4, ..., 600) = 600\n";
    let write = "+0 write(4, ..., 1976) = 1976";
    changed(CONNECTION, write, &format!("{hurried}{}", write.replace("1976", "1376")), 17, "payload length");
}

#[test]
fn an_assertion_that_does_not_hold() {
    changed(CONNECTION, "tcpi_unacked == 2", "tcpi_unacked == 3", 16, "tcpi_unacked = 2");
    changed(CONNECTION, "tcpi_snd_mss == 988", "tcpi_snd_mss == 1000", 16, "tcpi_snd_mss = 988");
}

#[test]
fn a_call_on_a_connection_with_another_result() {
    changed(CONNECTION, "3000) = 200", "3000) = 100", 13, "= 200");
    changed(CONNECTION, "accept(3, ..., ...) = 4", "accept(3, ..., ...) = 5", 8, "= 4");
    changed(CONNECTION, "close(4) = 0", "close(4) = -1 EBADF", 18, "EBADF");
    fails("0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n+0 connect(3, ..., ...) = 0", 2, "blocks");
}

#[test]
fn the_push_flag_counts_unless_it_is_said_not_to() {
    let with =
        |set: &str| format!("// coracle: push={set}\n{}", CONNECTION.replace("> P. 1:1977", "> . 1:1977"));
    fails(&with("exact"), 16, "flags");
    assert_eq!(Script::parse(&with("any")).unwrap().run().result, Ok(()));
    let plain = with("any").replace("> . 1:1977(1976)", "> .U 1:1977(1976)");
    fails(&plain, 16, "flags");
}

#[test]
fn settings_from_outside_go_behind_those_of_the_script() {
    let mut script =
        Script::parse("// coracle: ttl=9\n0 < icmp echo_request\n+0 > [ttl 9] icmp echo_reply").unwrap();
    script.set("ttl=7").unwrap();
    assert_eq!(script.run().result, Ok(()));
    script.set("nothing=7").unwrap();
    assert_eq!(script.run().result.unwrap_err().line, 0);
    assert!(script.set("nothing").is_err());
}
