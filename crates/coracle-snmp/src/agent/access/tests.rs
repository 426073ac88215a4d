use super::*;

fn who(group: &str, level: SecurityLevel) -> Principal<'_> {
    Principal { group, model: SecurityModel::Usm, level, context: b"" }
}

#[test]
fn users_must_sign_by_default() {
    let access = Access::BASIC;
    assert!(access.grant(&who(READ, SecurityLevel::NoAuthNoPriv)).is_none());
    let grant = access.grant(&who(READ, SecurityLevel::AuthNoPriv)).unwrap();
    assert_eq!((grant.read, grant.write), (Some("all"), None));
    assert!(access.grant(&who(WRITE, SecurityLevel::AuthPriv)).unwrap().write.is_some());
    assert!(access.grant(&who("others", SecurityLevel::AuthPriv)).is_none());
}

/// [RFC 3415 §2.4]
#[test]
fn the_best_rule_is_taken() {
    let mut any = Grant::read("g", SecurityModel::Any, SecurityLevel::AuthPriv, "any");
    any.context = b"ctx";
    let mut prefix = Grant::read("g", SecurityModel::Usm, SecurityLevel::NoAuthNoPriv, "prefix");
    prefix.context = b"c";
    prefix.exact = false;
    let mut low = Grant::read("g", SecurityModel::Usm, SecurityLevel::NoAuthNoPriv, "low");
    low.context = b"ctx";
    let mut high = Grant::read("g", SecurityModel::Usm, SecurityLevel::AuthPriv, "high");
    high.context = b"ctx";
    let grants = [any, prefix, low, high];
    let access = Access { grants: &grants, families: &[] };
    let read = |context: &[u8], level| {
        let who = Principal { group: "g", model: SecurityModel::Usm, level, context };
        access.grant(&who).and_then(|grant| grant.read)
    };
    assert_eq!(read(b"ctx", SecurityLevel::AuthPriv), Some("high"));
    assert_eq!(read(b"ctx", SecurityLevel::AuthNoPriv), Some("low"));
    assert_eq!(read(b"ctx2", SecurityLevel::AuthPriv), Some("prefix"));
    assert_eq!(read(b"", SecurityLevel::AuthPriv), None);
}

/// [RFC 3415 §3.2]
#[test]
fn the_longest_family_decides() {
    let families = [
        Family::included("v", &[1, 3, 6]),
        Family::excluded("v", &[1, 3, 6, 1, 2, 1, 2]),
        // Column 0 of this table stands for any; row 5 alone is visible.
        Family {
            view: "v",
            subtree: &[1, 3, 6, 1, 2, 1, 2, 2, 1, 0, 5],
            mask: &[0xff, 0xa0],
            included: true,
        },
        Family::included("other", &[1]),
    ];
    let access = Access { grants: &[], families: &families };
    let visible = |oid: &[u32]| access.in_view(Some("v"), oid);
    assert!(visible(&[1, 3, 6, 1, 2, 1, 1, 1, 0]));
    assert!(!visible(&[1, 3, 6, 1, 2, 1, 2, 1, 0]));
    assert!(visible(&[1, 3, 6, 1, 2, 1, 2, 2, 1, 10, 5]));
    assert!(!visible(&[1, 3, 6, 1, 2, 1, 2, 2, 1, 10, 6]));
    assert!(!visible(&[1, 3, 5]));
    assert!(!visible(&[1, 3]));
    assert!(!access.in_view(None, &[1, 3, 6]));
    assert!(access.is_uniform(Some("v"), &[1, 3, 6, 1, 2, 1, 1]));
    assert!(!access.is_uniform(Some("v"), &[1, 3, 6, 1, 2, 1, 2, 2, 1, 7]));
}

#[test]
fn a_community_can_be_bound_to_addresses() {
    let communities = [
        Community::new("a", READ).from("192.0.2.0".parse().unwrap(), 24),
        Community::new("a", WRITE).from("2001:db8::".parse().unwrap(), 32),
        Community::new("b", READ).from("192.0.2.1".parse().unwrap(), 0),
    ];
    let group = |name: &[u8], from: &str| {
        community(&communities, name, SocketAddr::new(from.parse().unwrap(), 1)).map(|found| found.group)
    };
    assert_eq!(group(b"a", "192.0.2.77"), Some(READ));
    assert_eq!(group(b"a", "192.0.3.77"), None);
    assert_eq!(group(b"a", "::ffff:192.0.2.77"), Some(READ));
    assert_eq!(group(b"a", "2001:db8:1::1"), Some(WRITE));
    assert_eq!(group(b"b", "10.0.0.1"), Some(READ));
    assert_eq!(group(b"c", "10.0.0.1"), None);
}
