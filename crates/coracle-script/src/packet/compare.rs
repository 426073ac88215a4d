//! What came held against what was expected, both as a script writes them.

use crate::language::ast::{Body, Ecn, Icmp, IpFields, Packet, Tcp};

/// The names of all fields that differ; none: it is what was expected.
pub(crate) fn differences(expected: &Packet, actual: &Packet) -> Vec<&'static str> {
    let mut found = ip_differences(&expected.ip, &actual.ip);
    match (&expected.body, &actual.body) {
        (Body::Tcp(expected), Body::Tcp(actual)) => found.extend(tcp_differences(expected, actual)),
        (Body::Udp(expected), Body::Udp(actual)) => {
            if expected != actual {
                found.push("payload length");
            }
        }
        (Body::Icmp(expected), Body::Icmp(actual)) => found.extend(icmp_differences(expected, actual)),
        _ => found.push("protocol"),
    }
    if expected.connection != actual.connection {
        found.push("connection");
    }
    found
}

fn ip_differences(expected: &IpFields, actual: &IpFields) -> Vec<&'static str> {
    let mut found = Vec::new();
    let ecn_fits = match (expected.ecn, actual.ecn) {
        (None, _) => true,
        (Some(Ecn::Ect01), Some(ecn)) => matches!(ecn, Ecn::Ect0 | Ecn::Ect1),
        (expected, actual) => expected == actual,
    };
    // A type of service whose ECN bits are clear says nothing of them unless they are asked for by name.
    let tos_fits = match (expected.tos, actual.tos) {
        (Some(expected), Some(actual)) if expected.trailing_zeros() >= 2 => expected == actual & !3,
        (None, _) => true,
        (expected, actual) => expected == actual,
    };
    for (fits, name) in [
        (ecn_fits, "ECN bits"),
        (tos_fits, "type of service"),
        (expected.ttl.is_none() || expected.ttl == actual.ttl, "time-to-live"),
        (expected.flow_label.is_none() || expected.flow_label == actual.flow_label, "flow label"),
        (expected.dont_fragment.is_none() || expected.dont_fragment == actual.dont_fragment, "DF"),
        // What is read has a right one.
        (!expected.wrong_checksum, "checksum"),
    ] {
        if !fits {
            found.push(name);
        }
    }
    found
}

fn tcp_differences(expected: &Tcp, actual: &Tcp) -> Vec<&'static str> {
    [
        (expected.flags == actual.flags, "flags"),
        (expected.seq == actual.seq, "sequence number"),
        (expected.payload == actual.payload, "payload length"),
        (expected.ack == actual.ack, "acknowledgement number"),
        (expected.window.is_none() || expected.window == actual.window, "window"),
        (expected.urgent.is_none() || expected.urgent == actual.urgent, "urgent pointer"),
        (expected.options.is_none() || expected.options == actual.options, "options"),
    ]
    .into_iter()
    .filter_map(|(fits, name)| (!fits).then_some(name))
    .collect()
}

fn icmp_differences(expected: &Icmp, actual: &Icmp) -> Vec<&'static str> {
    [
        (expected.v6 == actual.v6, "protocol"),
        (expected.kind == actual.kind, "type"),
        (expected.code.is_none() || expected.code == actual.code, "code"),
        (expected.mtu.is_none() || expected.mtu == actual.mtu, "MTU"),
        (expected.echo.is_none() || expected.echo == actual.echo, "identifier or sequence number"),
        (expected.payload == actual.payload, "payload length"),
        (expected.quoted.is_none() || expected.quoted == actual.quoted, "quoted packet"),
    ]
    .into_iter()
    .filter_map(|(fits, name)| (!fits).then_some(name))
    .collect()
}
