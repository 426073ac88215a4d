//! Names and addresses that need no server [RFC 6761].

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use coracle_wire::dns::Name;

/// What is special about a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Special {
    /// This host [RFC 6761 §6.3].
    Localhost,
    /// A name that never exists [RFC 6761 §6.4], or is none of the DNS's [RFC 7686].
    Nowhere,
    /// A name of the link: asked of everybody on it [RFC 6762 §3].
    Link,
}

/// What is special about a name, if anything.
pub(super) fn special(name: Name<'_>) -> Option<Special> {
    let mut labels = name.labels();
    let count = labels.clone().count();
    let last = labels.nth(count.checked_sub(1)?)?;
    let is = |text: &str| last.eq_ignore_ascii_case(text.as_bytes());
    if is("localhost") {
        Some(Special::Localhost)
    } else if is("invalid") || is("onion") || is_number(last) {
        Some(Special::Nowhere)
    } else if is("local") || is_reverse_of_the_link(name) {
        Some(Special::Link)
    } else {
        None
    }
}

/// No domain at the top is a number: what looks so is an address with a mistake [RFC 3696 §2].
fn is_number(label: &[u8]) -> bool {
    label.iter().all(u8::is_ascii_digit)
}

/// Names of link-local addresses belong to the link [RFC 6762 §4].
fn is_reverse_of_the_link(name: Name<'_>) -> bool {
    let mut labels: [&[u8]; 6] = [&[]; 6];
    let count = name.labels().count();
    if count < 4 {
        return false;
    }
    for (place, label) in labels.iter_mut().zip(name.labels().skip(count.saturating_sub(6))) {
        *place = label;
    }
    let tail = &labels[..count.min(6)];
    let ends = |with: &[&str]| {
        tail.len() >= with.len()
            && tail[tail.len() - with.len()..]
                .iter()
                .zip(with)
                .all(|(label, text)| label.eq_ignore_ascii_case(text.as_bytes()))
    };
    let above = |label: &[u8]| matches!(label, [b'8' | b'9' | b'a' | b'b' | b'A' | b'B']);
    ends(&["254", "169", "in-addr", "arpa"])
        || ends(&["e", "f", "ip6", "arpa"]) && tail.len() >= 5 && above(tail[tail.len() - 5])
}

/// This host's addresses.
pub(super) const LOCALHOST: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];

#[cfg(test)]
mod tests {
    use coracle_wire::dns::NameBuf;

    use super::*;

    /// [RFC 6761 §6] [RFC 6762 §4]
    #[test]
    fn special_names_are_known_and_no_others() {
        let cases = [
            ("localhost", Some(Special::Localhost)),
            ("a.LocalHost", Some(Special::Localhost)),
            ("localhost.example", None),
            ("x.invalid", Some(Special::Nowhere)),
            ("x.onion", Some(Special::Nowhere)),
            ("1.2.3", Some(Special::Nowhere)),
            ("printer.local", Some(Special::Link)),
            ("local", Some(Special::Link)),
            ("local.example", None),
            ("1.2.254.169.in-addr.arpa", Some(Special::Link)),
            ("1.2.0.192.in-addr.arpa", None),
            ("1.0.8.e.f.ip6.arpa", Some(Special::Link)),
            ("1.0.c.e.f.ip6.arpa", None),
            ("e.f.ip6.arpa", None),
            ("host.test", None),
            (".", None),
        ];
        for (text, expected) in cases {
            assert_eq!(special(NameBuf::from_text(text).unwrap().name()), expected, "{text}");
        }
    }
}
