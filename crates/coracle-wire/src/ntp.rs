//! Network time protocol, as far as simple clients and servers need it [RFC 5905, RFC 4330].

use core::time::Duration;

use zerocopy::network_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::Malformed;
use crate::malformed::prefix;

/// Length of the header in bytes; extensions and authentication may follow.
pub const HEADER_LEN: usize = size_of::<NtpHeader>();
/// The port of servers.
pub const PORT: u16 = 123;
/// The version that we speak.
pub const VERSION: u8 = 4;

/// Kinds of messages.
pub mod mode {
    /// A question to a server.
    pub const CLIENT: u8 = 3;
    /// A server's answer.
    pub const SERVER: u8 = 4;
    /// A server's message to all.
    pub const BROADCAST: u8 = 5;
}

/// The value of [`NtpHeader::leap`] when the server's clock is not set.
pub const LEAP_ALARM: u8 = 3;

/// A point in time: seconds since 1900 in the upper 32 bits, which begin again every 136 years, and their fraction in
/// the lower 32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct NtpTimestamp(pub u64);

/// From 1900, where eras begin, to 1970, where Unix does, in seconds.
const UNIX_EPOCH: u64 = 2_208_988_800;

impl NtpTimestamp {
    /// No time.
    pub const ZERO: Self = Self(0);

    /// The timestamp of a time since 1970 (UTC).
    pub fn from_unix(time: Duration) -> Self {
        let seconds = time.as_secs().wrapping_add(UNIX_EPOCH) << 32;
        // Rounded up, so that the way back gives the same nanosecond.
        let fraction = (u64::from(time.subsec_nanos()) << 32).div_ceil(1_000_000_000);
        Self(seconds | fraction)
    }

    /// The time since 1970 (UTC): the one of this timestamp that lies within 68 years of `pivot`, such as the time that
    /// the clock shows, or when the program was built [RFC 5905 §6]. Times before 1970 are those of the next era.
    ///
    /// ```
    /// use core::time::Duration;
    /// use coracle_wire::ntp::NtpTimestamp;
    ///
    /// let built = Duration::from_secs(1_750_000_000);
    /// // The second era begins in 2036.
    /// let time = NtpTimestamp(1 << 32).to_unix(built);
    /// assert_eq!(time.as_secs(), 2_085_978_497);
    /// ```
    pub fn to_unix(self, pivot: Duration) -> Duration {
        let around = pivot.as_secs().wrapping_add(UNIX_EPOCH);
        let ahead = (self.seconds().wrapping_sub(around as u32)).cast_signed();
        let seconds = around.saturating_add_signed(i64::from(ahead));
        let seconds = if seconds < UNIX_EPOCH { seconds + (1 << 32) } else { seconds };
        Duration::new(seconds - UNIX_EPOCH, self.nanos())
    }

    /// Seconds since the era's beginning.
    #[inline]
    pub const fn seconds(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// The fraction of a second, in nanoseconds.
    #[inline]
    pub const fn nanos(self) -> u32 {
        (((self.0 & 0xffff_ffff) * 1_000_000_000) >> 32) as u32
    }

    /// The signed time from `earlier` to this, in units of 2⁻³² s, however the eras lie.
    #[inline]
    pub const fn since(self, earlier: Self) -> i64 {
        self.0.wrapping_sub(earlier.0).cast_signed()
    }
}

/// What a server of stratum 0 has to say: a kiss of death [RFC 5905 §7.4, RFC 4330 §8].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kiss {
    /// `DENY`: the server wants no more queries.
    Deny,
    /// `RSTR`: the server wants no more queries.
    Restrict,
    /// `RATE`: queries come too often.
    Rate,
    /// Any other.
    Other([u8; 4]),
}

impl Kiss {
    fn from_code(code: [u8; 4]) -> Self {
        match &code {
            b"DENY" => Self::Deny,
            b"RSTR" => Self::Restrict,
            b"RATE" => Self::Rate,
            _ => Self::Other(code),
        }
    }
}

/// The 48 bytes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct NtpHeader {
    flags: u8,
    /// Hops to a clock; 0 is a kiss of death.
    pub stratum: u8,
    /// The interval between messages, as a power of two seconds.
    pub poll: i8,
    /// The precision of the sender's clock, as a power of two seconds.
    pub precision: i8,
    root_delay: U32,
    root_dispersion: U32,
    /// Which clock, or a kiss's code.
    pub reference: [u8; 4],
    reference_time: U64,
    originate: U64,
    receive: U64,
    transmit: U64,
}

impl NtpHeader {
    /// The header at the start of a datagram.
    ///
    /// # Errors
    ///
    /// [`Malformed::Truncated`] below 48 bytes, [`Malformed::Version`] for versions other than 1 to 4.
    pub fn read(datagram: &[u8]) -> Result<&Self, Malformed> {
        let header: &Self = prefix(datagram)?;
        if (1..=VERSION).contains(&header.version()) { Ok(header) } else { Err(Malformed::Version) }
    }

    /// A client's question. Nothing but `transmit` tells the answer to it from another, so it should be unpredictable;
    /// the server only sends it back.
    ///
    /// ```
    /// use coracle_wire::ntp::{self, NtpHeader, NtpTimestamp};
    ///
    /// let mut datagram = [0; ntp::HEADER_LEN];
    /// NtpHeader::write_request(&mut datagram, NtpTimestamp(0x1234_5678_9abc_def0));
    /// assert_eq!(datagram[0], 0x23);
    /// let header = NtpHeader::read(&datagram)?;
    /// assert_eq!((header.mode(), header.transmit().0), (ntp::mode::CLIENT, 0x1234_5678_9abc_def0));
    /// # Ok::<(), coracle_wire::Malformed>(())
    /// ```
    pub fn write_request(into: &mut [u8; HEADER_LEN], transmit: NtpTimestamp) {
        *into = [0; HEADER_LEN];
        into[0] = VERSION << 3 | mode::CLIENT;
        into[40..].copy_from_slice(&transmit.0.to_be_bytes());
    }

    /// Whether a minute has 59 or 61 seconds today; [`LEAP_ALARM`] when the server's clock is not set.
    #[inline]
    pub fn leap(&self) -> u8 {
        self.flags >> 6
    }

    /// The protocol's version, 1 to 4.
    #[inline]
    pub fn version(&self) -> u8 {
        self.flags >> 3 & 7
    }

    /// The kind of message, one of [`mod@mode`].
    #[inline]
    pub fn mode(&self) -> u8 {
        self.flags & 7
    }

    /// Way to the clock and back, in seconds with 16 bits of fraction.
    #[inline]
    pub fn root_delay(&self) -> u32 {
        self.root_delay.get()
    }

    /// How wrong the clock may be, in seconds with 16 bits of fraction.
    #[inline]
    pub fn root_dispersion(&self) -> u32 {
        self.root_dispersion.get()
    }

    /// When the sender's clock was set.
    #[inline]
    pub fn reference_time(&self) -> NtpTimestamp {
        NtpTimestamp(self.reference_time.get())
    }

    /// When the question left, as it said itself.
    #[inline]
    pub fn originate(&self) -> NtpTimestamp {
        NtpTimestamp(self.originate.get())
    }

    /// When the question came.
    #[inline]
    pub fn receive(&self) -> NtpTimestamp {
        NtpTimestamp(self.receive.get())
    }

    /// When this message left.
    #[inline]
    pub fn transmit(&self) -> NtpTimestamp {
        NtpTimestamp(self.transmit.get())
    }

    /// The kiss of death that this message is, if it is one.
    pub fn kiss(&self) -> Option<Kiss> {
        (self.stratum == 0).then(|| Kiss::from_code(self.reference))
    }
}

#[cfg(test)]
#[path = "ntp_tests.rs"]
mod tests;
