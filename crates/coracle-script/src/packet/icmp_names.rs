//! The names that scripts have for ICMP's types and codes.

const V4: &[(&str, u8)] = &[
    ("echo_reply", 0),
    ("unreachable", 3),
    ("source_quench", 4),
    ("redirect", 5),
    ("echo_request", 8),
    ("router_advertisement", 9),
    ("router_solicitation", 10),
    ("time_exceeded", 11),
    ("parameter_problem", 12),
    ("timestamp_request", 13),
    ("timestamp", 13),
    ("timestamp_reply", 14),
    ("information_request", 15),
    ("information_reply", 16),
    ("address_mask_request", 17),
    ("address_mask_reply", 18),
];

const V4_UNREACHABLE: &[(&str, u8)] = &[
    ("net_unreachable", 0),
    ("host_unreachable", 1),
    ("protocol_unreachable", 2),
    ("port_unreachable", 3),
    ("frag_needed", 4),
    ("source_route_failed", 5),
    ("net_unknown", 6),
    ("host_unknown", 7),
    ("source_host_isolated", 8),
    ("net_prohibited", 9),
    ("host_prohibited", 10),
    ("net_unreachable_for_tos", 11),
    ("host_unreachable_for_tos", 12),
    ("packet_filtered", 13),
    ("precedence_violation", 14),
    ("precedence_cutoff", 15),
];

const V4_TIME_EXCEEDED: &[(&str, u8)] = &[("exceeded_in_transit", 0), ("exceeded_reassembly", 1)];

const V6: &[(&str, u8)] = &[
    ("unreachable", 1),
    ("packet_too_big", 2),
    ("time_exceeded", 3),
    ("parameter_problem", 4),
    ("echo_request", 128),
    ("echo_reply", 129),
];

const V6_UNREACHABLE: &[(&str, u8)] = &[
    ("no_route", 0),
    ("net_unreachable", 0),
    ("admin_prohibited", 1),
    ("beyond_scope", 2),
    ("address_unreachable", 3),
    ("host_unreachable", 3),
    ("port_unreachable", 4),
];

fn codes(v6: bool, kind: u8) -> &'static [(&'static str, u8)] {
    match (v6, kind) {
        (false, 3) => V4_UNREACHABLE,
        (false, 11) => V4_TIME_EXCEEDED,
        (true, 1) => V6_UNREACHABLE,
        _ => &[],
    }
}

fn find(names: &[(&str, u8)], prefix: &str, name: &str) -> Option<u8> {
    let numbered = || name.strip_prefix(prefix)?.parse().ok();
    names.iter().find(|(known, _)| *known == name).map(|&(_, number)| number).or_else(numbered)
}

fn show(names: &[(&str, u8)], prefix: &str, number: u8) -> String {
    let known = names.iter().find(|&&(_, known)| known == number);
    known.map_or_else(|| format!("{prefix}{number}"), |(name, _)| (*name).to_owned())
}

fn kinds(v6: bool) -> &'static [(&'static str, u8)] {
    if v6 { V6 } else { V4 }
}

/// The number of a type: its name, or `type_N`.
pub(crate) fn kind(v6: bool, name: &str) -> Option<u8> {
    find(kinds(v6), "type_", name)
}

/// The number of a code: its name, or `code_N`.
pub(crate) fn code(v6: bool, kind: u8, name: &str) -> Option<u8> {
    find(codes(v6, kind), "code_", name)
}

pub(crate) fn show_kind(v6: bool, kind: u8) -> String {
    show(kinds(v6), "type_", kind)
}

pub(crate) fn show_code(v6: bool, kind: u8, code: u8) -> String {
    show(codes(v6, kind), "code_", code)
}

/// Whether messages of a type quote the packet that they are about [RFC 1122 §3.2.2; RFC 4443 §2.1].
pub(crate) fn quotes(v6: bool, kind: u8) -> bool {
    if v6 { kind < 128 } else { matches!(kind, 3 | 4 | 5 | 11 | 12) }
}
