//! The lower half of addresses that a host makes for itself: its identifier on the link.

use core::hash::Hasher;

use coracle_wire::MacAddr;
use siphasher::sip::SipHasher24;

/// How the lower half of an interface's addresses is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InterfaceId {
    /// A number that tells nothing of the hardware, the same whenever the host comes back to a network and another on
    /// each other network [RFC 7217] [RFC 8064]. It is the same after a restart only with
    /// [`Config::address_secret`](crate::Config::address_secret).
    #[default]
    Stable,
    /// The hardware address, which whoever talks to the host learns [RFC 2464 §4]. lwIP knows this one only.
    Eui64,
    /// Chosen by the owner.
    Fixed(u64),
}

/// What an identifier is a function of.
pub(crate) struct Origin<'a> {
    pub(crate) secret: &'a [u8; 16],
    /// The upper half of the address, as it is on the wire.
    pub(crate) prefix: [u8; 8],
    /// The interface: its index and its name.
    pub(crate) netif: [u8; 3],
    /// How many addresses of this prefix turned out to be somebody else's.
    pub(crate) conflicts: u8,
}

impl Origin<'_> {
    /// The stable identifier [7217-1], which is never a reserved one.
    pub(crate) fn stable(&self) -> [u8; 8] {
        let mut attempt = 0_u8;
        loop {
            let mut hasher = SipHasher24::new_with_key(self.secret);
            hasher.write(&self.prefix);
            hasher.write(&self.netif);
            hasher.write(&[self.conflicts, attempt]);
            let identifier = hasher.finish();
            // The chance of so many in a row is none.
            if !is_reserved(identifier) || attempt == u8::MAX {
                return identifier.to_be_bytes();
            }
            attempt += 1;
        }
    }
}

/// The identifier that a hardware address makes [RFC 2464 §4].
pub(crate) const fn eui64(station: MacAddr) -> [u8; 8] {
    let [first, second, third, rest @ ..] = station.0;
    let [fourth, fifth, sixth] = rest;
    [first ^ 2, second, third, 0xff, 0xfe, fourth, fifth, sixth]
}

/// Whether an identifier means something else than one host: that of all routers, and those of anycast groups
/// [RFC 5453] [RFC 2526].
pub(crate) const fn is_reserved(identifier: u64) -> bool {
    // The old format of 2526 is that with its local bit set.
    identifier == 0
        || identifier | 0x7f == 0xfdff_ffff_ffff_ffff
        || identifier >= 0x0200_5eff_fe00_0000 && identifier <= 0x0200_5eff_fe00_5213
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: [u8; 16] = [7; 16];

    fn origin() -> Origin<'static> {
        Origin {
            secret: &SECRET,
            prefix: [0x20, 1, 0xd, 0xb8, 0, 1, 0, 0],
            netif: [1, b'e', b'n'],
            conflicts: 0,
        }
    }

    /// [7217-1]: everything counts, and the same gives the same.
    #[test]
    fn a_stable_identifier_depends_on_everything() {
        let first = origin().stable();
        assert_eq!(first, origin().stable());
        let mut prefix = origin().prefix;
        prefix[5] = 2;
        let others = [
            Origin { secret: &[8; 16], ..origin() },
            Origin { prefix, ..origin() },
            Origin { netif: [2, b'e', b'n'], ..origin() },
            Origin { netif: [1, b'e', b'o'], ..origin() },
            Origin { conflicts: 1, ..origin() },
        ];
        for other in others {
            assert_ne!(other.stable(), first);
        }
    }

    /// The example of RFC 4291 appendix A.
    #[test]
    fn a_hardware_address_becomes_an_identifier() {
        let station = MacAddr::new(0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde);
        assert_eq!(eui64(station), [0x36, 0x56, 0x78, 0xff, 0xfe, 0x9a, 0xbc, 0xde]);
    }

    /// [RFC 5453 §3]
    #[test]
    fn reserved_identifiers_are_known() {
        for identifier in
            [0, 0x0200_5eff_fe00_0000, 0x0200_5eff_fe00_5213, 0xfdff_ffff_ffff_ff80, 0xfdff_ffff_ffff_ffff]
        {
            assert!(is_reserved(identifier), "{identifier:#x}");
        }
        for identifier in [1, 0x0200_5eff_fdff_ffff, 0x0200_5eff_fe00_5214, 0xfdff_ffff_ffff_ff7f] {
            assert!(!is_reserved(identifier), "{identifier:#x}");
        }
    }
}
