//! Explicit congestion notification [RFC 3168 §6.1] [RFC 9293 SHLD-8]: what is agreed, and what is still to be told.

use coracle_wire::tcp::TcpFlags;

/// The ECN field of the type of service of packets that may be marked, and of packets that were.
pub(crate) const ECT_0: u8 = 0b10;
pub(crate) const CE: u8 = 0b11;

/// The flags of a SYN that offers ECN; the SYN-ACK that accepts it has the first of the two.
const OFFER: TcpFlags = TcpFlags::from_bits(TcpFlags::ECE.bits() | TcpFlags::CWR.bits());

/// Both ends have agreed.
const ON: u8 = 1;
/// A mark arrived, and the peer has not said that it knows.
const ECHO: u8 = 2;
/// The window was reduced, and the peer has not been told.
const TELL: u8 = 4;

/// The ECN state of a connection.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct Ecn(u8);

impl Ecn {
    /// Flags of our first SYN. One that is sent again should have none of them: a host on the way may not let them
    /// through [RFC 3168 §6.1.1.1].
    pub(crate) fn offer() -> TcpFlags {
        OFFER
    }

    /// The state after the peer's SYN, if we want ECN too [RFC 3168 §6.1.1].
    pub(crate) fn offered(syn: TcpFlags) -> Self {
        Self(if syn.contains(OFFER) { ON } else { 0 })
    }

    /// Flags of the SYN-ACK.
    pub(crate) fn answer(self) -> TcpFlags {
        if self.is_on() { TcpFlags::ECE } else { TcpFlags::empty() }
    }

    /// The state after the peer's SYN-ACK to our offer. Both flags are no answer: some hosts send back what they got
    /// [RFC 3168 §6.1.1].
    pub(crate) fn answered(syn_ack: TcpFlags) -> Self {
        Self(if syn_ack & OFFER == TcpFlags::ECE { ON } else { 0 })
    }

    /// As agreed by a handshake of which nothing else is known (a SYN cookie).
    pub(crate) fn agreed(on: bool) -> Self {
        Self(if on { ON } else { 0 })
    }

    #[inline]
    pub(crate) fn is_on(self) -> bool {
        self.0 & ON != 0
    }

    /// [3168-2] A segment with data arrived, with this type of service: its mark is echoed in all acknowledgments
    /// until the peer says that it has reduced its window.
    #[inline]
    pub(crate) fn arrived(&mut self, flags: TcpFlags, tos: u8) {
        if self.is_on() && (flags.intersects(TcpFlags::CWR) || tos & CE == CE) {
            self.marked(flags, tos);
        }
    }

    #[cold]
    fn marked(&mut self, flags: TcpFlags, tos: u8) {
        if flags.intersects(TcpFlags::CWR) {
            self.0 &= !ECHO;
        }
        if tos & CE == CE {
            self.0 |= ECHO;
        }
    }

    /// Whether an acknowledgment says that the network marked what we sent. To be reacted to once for each window of
    /// data [RFC 3168 §6.1.2].
    #[inline]
    pub(crate) fn is_echo(self, flags: TcpFlags) -> bool {
        self.is_on() && flags.intersects(TcpFlags::ECE) && !flags.intersects(TcpFlags::SYN)
    }

    /// The congestion window was reduced, for whatever reason [RFC 3168 §6.1.2].
    pub(crate) fn reduced(&mut self) {
        if self.is_on() {
            self.0 |= TELL;
        }
    }

    /// Whether the next new data says that the window was reduced.
    #[inline]
    pub(crate) fn has_to_tell(self) -> bool {
        self.0 & TELL != 0
    }

    /// Flags for any segment after the handshake.
    #[inline]
    pub(crate) fn flags(self) -> TcpFlags {
        if self.0 & ECHO != 0 { TcpFlags::ECE } else { TcpFlags::empty() }
    }

    /// [3168-1] For a segment of new data: its flags, and what is set in its type of service. Data sent again, pure
    /// acknowledgments and window probes have but [`flags`](Self::flags), and nothing set.
    #[inline]
    pub(crate) fn new_data(&mut self) -> (TcpFlags, u8) {
        let mut flags = self.flags();
        if self.0 & TELL != 0 {
            self.0 &= !TELL;
            flags |= TcpFlags::CWR;
        }
        (flags, if self.is_on() { ECT_0 } else { 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: TcpFlags = TcpFlags::empty();

    /// [3168-1]
    #[test]
    fn both_ends_must_agree() {
        let syn = TcpFlags::SYN;
        assert!(Ecn::offered(syn | Ecn::offer()).is_on());
        assert_eq!(Ecn::offered(syn | Ecn::offer()).answer(), TcpFlags::ECE);
        for lacking in [syn, syn | TcpFlags::ECE, syn | TcpFlags::CWR] {
            assert!(!Ecn::offered(lacking).is_on());
            assert_eq!(Ecn::offered(lacking).answer(), NOTHING);
        }
        let syn_ack = syn | TcpFlags::ACK;
        assert!(Ecn::answered(syn_ack | TcpFlags::ECE).is_on());
        for other in [syn_ack, syn_ack | TcpFlags::CWR, syn_ack | Ecn::offer()] {
            assert!(!Ecn::answered(other).is_on(), "{other:?}");
        }
    }

    /// [3168-2]
    #[test]
    fn a_mark_is_echoed_until_the_peer_has_reduced_its_window() {
        let mut ecn = Ecn::agreed(true);
        ecn.arrived(TcpFlags::ACK, ECT_0);
        assert_eq!(ecn.flags(), NOTHING);
        ecn.arrived(TcpFlags::ACK, 0xfc | CE);
        ecn.arrived(TcpFlags::ACK, ECT_0);
        assert_eq!((ecn.flags(), ecn.flags()), (TcpFlags::ECE, TcpFlags::ECE));
        ecn.arrived(TcpFlags::CWR, CE);
        assert_eq!(ecn.flags(), TcpFlags::ECE, "a new mark on the very segment");
        ecn.arrived(TcpFlags::CWR, ECT_0);
        assert_eq!(ecn.flags(), NOTHING);
    }

    /// [3168-1, 3168-2]
    #[test]
    fn the_peer_is_told_once_of_a_reduction_with_new_data() {
        let mut ecn = Ecn::agreed(true);
        assert_eq!(ecn.new_data(), (NOTHING, ECT_0));
        assert!(ecn.is_echo(TcpFlags::ACK | TcpFlags::ECE));
        ecn.reduced();
        assert_eq!(ecn.flags(), NOTHING, "not with an acknowledgment");
        assert_eq!(ecn.new_data(), (TcpFlags::CWR, ECT_0));
        assert_eq!(ecn.new_data(), (NOTHING, ECT_0));
    }

    /// [3168-1]
    #[test]
    fn without_an_agreement_nothing_happens() {
        let mut ecn = Ecn::agreed(false);
        ecn.arrived(TcpFlags::ACK, CE);
        ecn.reduced();
        assert!(!ecn.is_echo(TcpFlags::ACK | TcpFlags::ECE));
        assert_eq!((ecn.flags(), ecn.new_data()), (NOTHING, (NOTHING, 0)));
        let on = Ecn::agreed(true);
        assert!(!on.is_echo(TcpFlags::SYN | TcpFlags::ECE), "in a SYN it means something else");
    }
}
