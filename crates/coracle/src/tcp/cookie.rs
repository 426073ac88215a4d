//! SYN cookies: a handshake of which nothing is kept until the peer has shown that it is there [RFC 4987 §3.6].
//!
//! What the SYN told goes into the SYN-ACK, and comes back with the acknowledgment: the size of segments in three bits
//! of the sequence number, and the options in the low bits of the timestamp, which a peer without timestamps must do
//! without. The rest of the sequence number is a keyed function of all this, of both ends, of the peer's number and
//! of the minute, so that nobody can answer a SYN-ACK that was not sent to it.

use core::hash::Hasher;

use siphasher::sip::SipHasher24;

use super::flow::Flow;
use super::isn::key;
use super::sequence::Seq;
use crate::random::Random;
use crate::time::Instant;

/// How long a cookie's minute is, in powers of two microseconds: 67 seconds. A cookie is good in its own and the next.
const MINUTE_BITS: u32 = 26;

/// The sizes of segments that a cookie can tell: the largest that is no larger than the peer's is taken, or the first.
const SIZES: [u16; 8] = [64, 536, 1_220, 1_360, 1_400, 1_440, 1_460, 8_960];

/// The sequence number: whether the minute is odd, which of the sizes, and 28 bits of the keyed function.
const MINUTE_SHIFT: u32 = 31;
const SIZE_SHIFT: u32 = 28;
const PROOF: u32 = (1 << SIZE_SHIFT) - 1;

/// The low bits of the timestamp: the window scale, 15 for none, and one bit each for the other two.
const OPTION_BITS: u32 = 6;
const OPTION_MASK: u32 = (1 << OPTION_BITS) - 1;
const NO_SCALE: u8 = 15;
const SACK: u32 = 1 << 4;
const ECN: u32 = 1 << 5;

/// Options of a SYN that a cookie keeps if the peer has timestamps.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct CookieOptions {
    /// The shift of the peer's window, at most 14.
    pub(crate) window_scale: Option<u8>,
    pub(crate) sack: bool,
    pub(crate) ecn: bool,
}

impl CookieOptions {
    fn bits(self) -> u32 {
        u32::from(self.window_scale.map_or(NO_SCALE, |shift| shift.min(14)))
            | if self.sack { SACK } else { 0 }
            | if self.ecn { ECN } else { 0 }
    }

    fn of_bits(bits: u32) -> Self {
        let shift = (bits & 15) as u8;
        Self {
            window_scale: (shift != NO_SCALE).then_some(shift),
            sack: bits & SACK != 0,
            ecn: bits & ECN != 0,
        }
    }
}

/// What a SYN-ACK carries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Cookie {
    pub(crate) sequence: Seq,
    /// The value of its timestamps option, if the SYN had one.
    pub(crate) timestamp: Option<u32>,
}

/// What a cookie that came back tells of the SYN.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Baked {
    /// The largest segment to send, in bytes.
    pub(crate) mss: u16,
    pub(crate) options: CookieOptions,
}

/// The secret behind the cookies.
pub(crate) struct Cookies {
    key: [u8; 16],
}

impl Cookies {
    pub(crate) fn new(random: &mut Random) -> Self {
        Self { key: key(random) }
    }

    /// A cookie for a SYN with the sequence number `peer`.
    ///
    /// `timestamp` is the value that our timestamps option would have, and `options` what the SYN asked for and we
    /// would grant; without timestamps nothing of that can be kept, nor may it be granted.
    pub(crate) fn make(
        &self,
        flow: &Flow,
        peer: Seq,
        mss: u16,
        timestamp: Option<u32>,
        options: CookieOptions,
        now: Instant,
    ) -> Cookie {
        let size = SIZES.iter().rposition(|&size| size <= mss).unwrap_or(0) as u32;
        let bits = timestamp.map(|_| options.bits());
        let minute = now.as_micros() >> MINUTE_BITS;
        let timestamp = timestamp.zip(bits).map(|(value, bits)| {
            let marked = value & !OPTION_MASK | bits;
            // Never ahead of the clock: later timestamps must not be smaller.
            if marked & OPTION_MASK > value & OPTION_MASK {
                marked.wrapping_sub(1 << OPTION_BITS)
            } else {
                marked
            }
        });
        Cookie { sequence: self.sequence(flow, peer, size, bits, minute), timestamp }
    }

    /// Checks the acknowledgment that ends a handshake: `peer` is one less than its sequence number, `sequence` one
    /// less than what it acknowledges, and `echo` the timestamp that it echoes, if it has any.
    pub(crate) fn check(
        &self,
        flow: &Flow,
        peer: Seq,
        sequence: Seq,
        echo: Option<u32>,
        now: Instant,
    ) -> Option<Baked> {
        let this = now.as_micros() >> MINUTE_BITS;
        let age = (this as u32 ^ sequence.0 >> MINUTE_SHIFT) & 1;
        let minute = this.checked_sub(u64::from(age))?;
        let size = sequence.0 >> SIZE_SHIFT & 7;
        let bits = echo.map(|echo| echo & OPTION_MASK);
        if self.sequence(flow, peer, size, bits, minute) != sequence {
            return None;
        }
        let options = bits.map(CookieOptions::of_bits).unwrap_or_default();
        Some(Baked { mss: SIZES[size as usize], options })
    }

    fn sequence(&self, flow: &Flow, peer: Seq, size: u32, options: Option<u32>, minute: u64) -> Seq {
        let told = options.map_or(u64::MAX >> 32, u64::from) << 32 | u64::from(size);
        let mut hasher = SipHasher24::new_with_key(&self.key);
        flow.feed(&mut hasher);
        for word in [u64::from(peer.0), told, minute] {
            hasher.write_u64(word);
        }
        let proof = hasher.finish() as u32 & PROOF;
        Seq((minute as u32 & 1) << MINUTE_SHIFT | size << SIZE_SHIFT | proof)
    }
}

#[cfg(test)]
mod tests {

    use proptest::prelude::*;

    use super::*;
    use crate::address::{Address, Endpoint};

    const MINUTE: u64 = 1 << MINUTE_BITS;

    fn flow(port: u16) -> Flow {
        Flow {
            local: Endpoint::new(Address::v4(core::net::Ipv4Addr::new(192, 0, 2, 1)), 80),
            remote: Endpoint::new(Address::v4(core::net::Ipv4Addr::new(192, 0, 2, 2)), port),
        }
    }

    fn cookies() -> Cookies {
        Cookies::new(&mut Random::new(&[1; 16]))
    }

    fn options() -> impl Strategy<Value = CookieOptions> {
        (prop::option::of(0_u8..=14), any::<bool>(), any::<bool>())
            .prop_map(|(window_scale, sack, ecn)| CookieOptions { window_scale, sack, ecn })
    }

    proptest! {
        /// [RFC 4987 §3.6] Everything that the SYN told comes back, and the timestamp is never ahead of the clock.
        #[test]
        fn what_the_syn_told_comes_back(
            port: u16, peer: u32, mss: u16, value: u32, options in options(), at in 0..1_u64 << 50, passed in 0..MINUTE,
        ) {
            let cookies = cookies();
            let made = |timestamp| {
                cookies.make(&flow(port), Seq(peer), mss, timestamp, options, Instant::from_micros(at))
            };
            let check = |cookie: Cookie| {
                let later = Instant::from_micros(at + passed);
                cookies.check(&flow(port), Seq(peer), cookie.sequence, cookie.timestamp, later)
            };
            let with = made(Some(value));
            let echo = with.timestamp.unwrap();
            prop_assert!(value.wrapping_sub(echo) < 64);
            let baked = check(with).unwrap();
            prop_assert_eq!(baked.options, options);
            prop_assert!(baked.mss <= mss.max(64));
            let without = made(None);
            prop_assert_eq!(without.timestamp, None);
            prop_assert_eq!(check(without), Some(Baked { options: CookieOptions::default(), ..baked }));
        }

        /// A cookie is good for nothing but its own handshake.
        #[test]
        fn a_changed_cookie_is_none(peer: u32, options in options(), change in 1_u32.., port in 1_u16..) {
            let (cookies, now) = (cookies(), Instant::from_secs(1_000));
            let cookie = cookies.make(&flow(0), Seq(peer), 1_460, Some(5), options, now);
            let check = |port, peer, sequence, echo| cookies.check(&flow(port), peer, sequence, echo, now);
            let (sequence, echo) = (cookie.sequence, cookie.timestamp);
            prop_assert!(check(0, Seq(peer), sequence, echo).is_some());
            prop_assert_eq!(check(port, Seq(peer), sequence, echo), None);
            prop_assert_eq!(check(0, Seq(peer) + change, sequence, echo), None);
            prop_assert_eq!(check(0, Seq(peer), sequence + change, echo), None);
            prop_assert_eq!(check(0, Seq(peer), sequence, echo.map(|echo| echo ^ (change & 63).max(1))), None);
            prop_assert_eq!(check(0, Seq(peer), sequence, None), None);
            let others = Cookies::new(&mut Random::new(&[2; 16]));
            prop_assert_eq!(others.check(&flow(0), Seq(peer), sequence, echo, now), None);
        }
    }

    #[test]
    fn a_cookie_is_good_in_its_own_minute_and_the_next() {
        let cookies = cookies();
        let minute = |count: u64| Instant::from_micros(count * MINUTE);
        let cookie = cookies.make(&flow(1), Seq(7), 1_460, None, CookieOptions::default(), minute(9));
        for (count, good) in [(7, false), (8, false), (9, true), (10, true), (11, false), (13, false)] {
            let baked = cookies.check(&flow(1), Seq(7), cookie.sequence, None, minute(count));
            assert_eq!(baked.is_some(), good, "{count}");
        }
        // In the very first minute there is none before.
        let odd = Seq(1 << MINUTE_SHIFT);
        assert_eq!(cookies.check(&flow(1), Seq(7), odd, None, Instant::ZERO), None);
    }

    #[test]
    fn the_size_is_the_largest_that_the_peer_takes() {
        let (cookies, now) = (cookies(), Instant::ZERO);
        for (mss, expected) in
            [(0, 64), (63, 64), (535, 64), (536, 536), (1_459, 1_440), (1_460, 1_460), (u16::MAX, 8_960)]
        {
            let cookie = cookies.make(&flow(1), Seq(7), mss, None, CookieOptions::default(), now);
            let baked = cookies.check(&flow(1), Seq(7), cookie.sequence, None, now).unwrap();
            assert_eq!(baked.mss, expected);
        }
    }

    /// Guessing is hopeless: of as many sequence numbers in a row not one is a cookie.
    #[test]
    fn sequence_numbers_without_the_key_are_not_taken() {
        let cookies = cookies();
        let found = (0..100_000).filter(|&guess| {
            cookies.check(&flow(1), Seq(7), Seq(guess), None, Instant::from_secs(500)).is_some()
        });
        assert_eq!(found.count(), 0);
    }
}
