//! The states of a connection [RFC 9293 §3.3.2], and what else is true or false of it.

/// The state of a connection. The discriminants are lwIP's numbers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum TcpState {
    /// Neither connected nor on the way to it.
    Closed = 0,
    /// Waiting for connections; the state of listeners.
    Listen = 1,
    /// We asked for a connection.
    SynSent = 2,
    /// Both sides asked; ours is not acknowledged.
    SynReceived = 3,
    /// Data may go both ways.
    Established = 4,
    /// We closed our direction; the peer has not acknowledged that.
    FinWait1 = 5,
    /// We closed our direction, and the peer knows.
    FinWait2 = 6,
    /// The peer closed its direction; we may still send.
    CloseWait = 7,
    /// Both closed; the peer has not acknowledged ours.
    Closing = 8,
    /// The peer closed, then we did; the peer has not acknowledged ours.
    LastAck = 9,
    /// Over; kept for old segments that may still be on their way.
    TimeWait = 10,
}

impl TcpState {
    /// Whether both sides know each other's sequence numbers.
    #[inline]
    pub const fn is_synchronized(self) -> bool {
        self as u8 >= Self::Established as u8
    }

    /// Whether the peer may still send data.
    #[inline]
    pub(crate) const fn may_receive(self) -> bool {
        matches!(self, Self::Established | Self::FinWait1 | Self::FinWait2)
    }

    /// Whether we may still write data, or could once the connection stands [RFC 9293 §3.10.2].
    #[inline]
    pub(crate) const fn may_write(self) -> bool {
        matches!(self, Self::SynSent | Self::SynReceived | Self::Established | Self::CloseWait)
    }

    /// Whether data that was written may leave, for the first time or again.
    #[inline]
    pub(crate) const fn may_send(self) -> bool {
        matches!(self, Self::Established | Self::CloseWait | Self::FinWait1 | Self::Closing | Self::LastAck)
    }
}

/// What is true of a connection besides its state, one bit each.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Flags(u32);

impl Flags {
    /// An acknowledgment is owed at once.
    pub(crate) const ACK_NOW: Self = Self(1);
    /// An acknowledgment is owed by `ack_at`.
    pub(crate) const ACK_LATER: Self = Self(1 << 1);
    /// Small segments do not wait for acknowledgments.
    pub(crate) const NO_DELAY: Self = Self(1 << 2);
    /// What was written last waits for more to come.
    pub(crate) const MORE: Self = Self(1 << 3);
    /// Our FIN follows what was written.
    pub(crate) const FIN_QUEUED: Self = Self(1 << 4);
    /// Our FIN has left.
    pub(crate) const FIN_SENT: Self = Self(1 << 5);
    /// The application wants no more data.
    pub(crate) const NO_MORE_DATA: Self = Self(1 << 6);
    /// The application closed both directions.
    pub(crate) const CLOSED: Self = Self(1 << 7);
    /// Window scaling is in use [RFC 7323 §2].
    pub(crate) const SCALING: Self = Self(1 << 8);
    /// Timestamps are in use [RFC 7323 §3].
    pub(crate) const TIMESTAMPS: Self = Self(1 << 9);
    /// Selective acknowledgments are in use [RFC 2018].
    pub(crate) const SACK: Self = Self(1 << 10);
    /// It was opened by a peer; what it came from was a listener [RFC 9293 MUST-11].
    pub(crate) const PASSIVE: Self = Self(1 << 11);
    /// It counts in its listener's backlog.
    pub(crate) const IN_BACKLOG: Self = Self(1 << 12);
    /// Its SYN waits for the application's decision.
    pub(crate) const HELD: Self = Self(1 << 13);
    /// The application gave data back; it is offered again at `offer_at`.
    pub(crate) const REFUSED: Self = Self(1 << 14);
    /// It has a handler of its own, which reports go to.
    pub(crate) const HEARD: Self = Self(1 << 15);
    /// Its local address and port were chosen.
    pub(crate) const BOUND: Self = Self(1 << 16);
    /// Probes a peer that is silent for long [RFC 9293 MAY-5]; off at first [MUST-25].
    pub(crate) const KEEP_ALIVE: Self = Self(1 << 17);
    /// Shares its local address and port.
    pub(crate) const REUSE: Self = Self(1 << 18);
    /// `rexmit_at` is when something is sent again.
    pub(crate) const REXMIT: Self = Self(1 << 19);
    /// `rexmit_at` is when a closed window is probed.
    pub(crate) const PERSIST: Self = Self(1 << 20);
    /// `long_at` is set.
    pub(crate) const LONG: Self = Self(1 << 21);
    /// The last sending failed for lack of memory; it is tried again at `rexmit_at`.
    pub(crate) const NO_MEMORY: Self = Self(1 << 22);
    /// To report: the connection stands.
    pub(crate) const TELL_OPEN: Self = Self(1 << 23);
    /// To report: the peer closed its direction.
    pub(crate) const TELL_FIN: Self = Self(1 << 24);
    /// To report: the poll timer.
    pub(crate) const TELL_POLL: Self = Self(1 << 25);
    /// To report: urgent data.
    pub(crate) const TELL_URGENT: Self = Self(1 << 26);
    /// To report: a SYN that the application decides upon.
    pub(crate) const TELL_SYN: Self = Self(1 << 27);
    /// It is over; what is left is to report that.
    pub(crate) const DEAD: Self = Self(1 << 28);
    /// There is urgent data before `urgent_end`.
    pub(crate) const URGENT: Self = Self(1 << 29);
    /// Its flow is in the table by which segments find connections.
    pub(crate) const INDEXED: Self = Self(1 << 30);
    /// A router said at `path_lowered_at` that the path takes less than the interface.
    pub(crate) const PATH_LOWERED: Self = Self(1 << 31);

    /// What there is to report besides data, acknowledgments and the end.
    pub(crate) const TELL: Self = Self(
        Self::TELL_OPEN.0 | Self::TELL_FIN.0 | Self::TELL_POLL.0 | Self::TELL_URGENT.0 | Self::TELL_SYN.0,
    );
    /// The uses of `rexmit_at`.
    pub(crate) const REXMIT_TIMER: Self = Self(Self::REXMIT.0 | Self::PERSIST.0 | Self::NO_MEMORY.0);

    #[inline]
    pub(crate) const fn has(self, any: Self) -> bool {
        self.0 & any.0 != 0
    }

    #[inline]
    pub(crate) const fn set(&mut self, flags: Self) {
        self.0 |= flags.0;
    }

    #[inline]
    pub(crate) const fn clear(&mut self, flags: Self) {
        self.0 &= !flags.0;
    }

    #[inline]
    pub(crate) const fn put(&mut self, flags: Self, on: bool) {
        if on { self.set(flags) } else { self.clear(flags) }
    }

    #[inline]
    pub(crate) const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Clears a flag, and says whether it was set.
    #[inline]
    pub(crate) const fn take(&mut self, flag: Self) -> bool {
        let was = self.has(flag);
        self.clear(flag);
        was
    }
}
