//! Whether an address is somebody else's already [RFC 4862 §5.4] [RFC 7527].

/// An address under examination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Examination {
    /// Solicitations that are still to be sent.
    left: u8,
    /// What tells our own solicitations, should the link give them back, from those of another host; drawn anew for each.
    nonce: [u8; 6],
}

/// What to do when the time of an examination has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Ask whether anybody has the address, with this nonce.
    Ask([u8; 6]),
    /// Nobody has it.
    Ours,
}

impl Examination {
    /// One of so many solicitations; none is over at once.
    pub(crate) const fn new(transmits: u8) -> Self {
        Self { left: transmits, nonce: [0; 6] }
    }

    /// The time has come.
    pub(crate) fn step(&mut self, random: u64) -> Step {
        let Some(left) = self.left.checked_sub(1) else { return Step::Ours };
        self.left = left;
        let [_, _, nonce @ ..] = random.to_be_bytes();
        self.nonce = nonce;
        Step::Ask(self.nonce)
    }

    /// Whether a solicitation without a source address shows that another host examines the same address: unless it is
    /// our own, given back by the link [4862-3].
    pub(crate) fn is_conflict(self, nonce: Option<&[u8]>) -> bool {
        nonce != Some(&self.nonce[..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// [4862-1]
    #[test]
    fn asks_as_often_as_configured() {
        for transmits in [0, 1, 3] {
            let mut examination = Examination::new(transmits);
            for turn in 0..transmits {
                let random = 0xffff_0102_0304_0500 + u64::from(turn);
                assert_eq!(examination.step(random), Step::Ask([1, 2, 3, 4, 5, turn]));
            }
            assert_eq!(examination.step(0), Step::Ours);
        }
    }

    /// [RFC 7527 §4.2]
    #[test]
    fn our_own_solicitation_is_no_conflict() {
        let mut examination = Examination::new(2);
        examination.step(0x0102_0304_0506);
        assert!(!examination.is_conflict(Some(&[1, 2, 3, 4, 5, 6])));
        assert!(examination.is_conflict(Some(&[1, 2, 3, 4, 5, 7])));
        assert!(examination.is_conflict(Some(&[1, 2, 3, 4, 5])));
        assert!(examination.is_conflict(None));
    }
}
