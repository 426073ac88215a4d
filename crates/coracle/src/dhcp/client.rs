//! The client's states and what leads from one to the next [RFC 2131 §4.4].

use core::net::Ipv4Addr;

use coracle_wire::MacAddr;
use coracle_wire::arp::ArpPacket;
use coracle_wire::dhcpv4::{BOOT_REPLY, DhcpMessage, MessageType, code};

use super::lease::{DhcpLease, after};
use super::message::{ID_LEN, client_id};
use super::{ConflictCheck, DhcpConfig};
use crate::acd::{Acd, Due, Sight};
use crate::autoconf::Port;
use crate::netif::Ipv4Settings;
use crate::time::Instant;

const SECOND: u64 = 1_000_000;
/// Requests for an offered address, or for the last one, before the search begins again.
const REQUESTS: u8 = 3;
const REBOOT_REQUESTS: u8 = 2;
/// The wait after an address turned out to be somebody else's [2131-8].
const DECLINE_WAIT: u64 = 10 * SECOND;
/// The longest wait between messages while there is no lease.
const MAX_BACKOFF: u64 = 64 * SECOND;
/// The shortest between requests to extend a lease [2131-7].
const MIN_EXTEND: u64 = 60 * SECOND;
/// The wait after a server forbade addresses of one's own [RFC 2563 §2.3].
const FORBIDDEN_WAIT: u64 = 300 * SECOND;

/// The states of a DHCP client; the names are those of RFC 2131 and lwIP.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum DhcpState {
    /// Not started, or stopped.
    #[default]
    Off,
    /// It waits before it looks for servers.
    Init,
    /// It looks for servers.
    Selecting,
    /// It has asked for the address that a server offered.
    Requesting,
    /// It has asked for the address that it had before.
    Rebooting,
    /// It has a lease, and finds out whether somebody else uses the address.
    Checking,
    /// It has a lease.
    Bound,
    /// It has a lease, and has asked its server to extend it.
    Renewing,
    /// It has a lease, and has asked any server to extend it.
    Rebinding,
    /// It has asked for settings that go with an address set by hand.
    Informing,
    /// It has such settings.
    Informed,
}

pub(super) use DhcpState as State;

/// The client of one interface.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Client {
    pub(super) config: DhcpConfig,
    pub(super) station: MacAddr,
    pub(super) state: State,
    pub(super) transaction: u32,
    /// When this search began.
    pub(super) began: Instant,
    /// When the request was sent that an acknowledgment answers.
    asked: Instant,
    /// When the state's timer is due; [`Instant::MAX`]: never.
    due: Instant,
    /// Messages sent in this state.
    sent: u8,
    /// Messages without success since there was a lease.
    failures: u8,
    /// Refusals in a row.
    refusals: u8,
    /// Whether a server says that nobody here gives itself an address [RFC 2563].
    forbidden: bool,
    link_up: bool,
    /// The best offer so far.
    pub(super) offer: Option<DhcpLease>,
    /// The lease, or the one that is being checked.
    pub(super) lease: Option<DhcpLease>,
    /// Whether the lease's address is the interface's.
    pub(super) in_use: bool,
    /// The address from before, to be asked for.
    remembered: Option<Ipv4Addr>,
    /// Whether its lease may go on still.
    may_reboot: bool,
    acd: Acd,
}

impl Client {
    pub(crate) const fn new(config: DhcpConfig, station: MacAddr) -> Self {
        Self {
            remembered: config.remembered,
            may_reboot: config.remembered.is_some(),
            config,
            station,
            state: State::Off,
            transaction: 0,
            began: Instant::ZERO,
            asked: Instant::ZERO,
            due: Instant::MAX,
            sent: 0,
            failures: 0,
            refusals: 0,
            forbidden: false,
            link_up: false,
            offer: None,
            lease: None,
            in_use: false,
            acd: Acd::OFF,
        }
    }

    /// Takes another configuration, before it is started.
    pub(crate) fn configure(&mut self, port: &mut dyn Port, config: &DhcpConfig, station: MacAddr) {
        if self.station != station {
            // Another station's address is not ours to ask for.
            self.stop(port);
            self.forget();
        }
        self.config = *config;
        self.station = station;
        if let Some(address) = config.remembered.filter(|_| self.lease.is_none() && self.remembered.is_none())
        {
            self.remembered = Some(address);
            self.may_reboot = true;
        }
    }

    /// Whether a server says that nobody here gives itself an address.
    pub(crate) fn is_forbidden(&self) -> bool {
        self.forbidden
    }

    pub(crate) fn state(&self) -> State {
        self.state
    }

    /// The lease whose address is in use.
    pub(crate) fn lease(&self) -> Option<&DhcpLease> {
        self.lease.as_ref().filter(|_| self.in_use)
    }

    /// Whether nobody answered for so long that the interface should give itself an address meanwhile.
    pub(crate) fn wants_autoip(&self) -> bool {
        let patience = self.config.autoip_after;
        let looking = !matches!(self.state, State::Off | State::Informing | State::Informed);
        looking && !self.in_use && !self.forbidden && patience > 0 && self.failures >= patience
    }

    /// When [`timer`](Self::timer) is to be called. Without a link nothing happens but the end of the lease.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let mut deadline = self.expires_at();
        if self.link_up {
            deadline = deadline.min(self.due).min(self.acd.deadline().unwrap_or(Instant::MAX));
        }
        (deadline < Instant::MAX).then_some(deadline)
    }

    fn expires_at(&self) -> Instant {
        self.lease.as_ref().map_or(Instant::MAX, |lease| lease.expires_at)
    }

    /// The address to ask for.
    pub(super) fn wanted(&self) -> Option<Ipv4Addr> {
        self.lease.map(|lease| lease.ipv4.address).or(self.remembered)
    }

    /// Starts looking for an address, with the last one first [2131-11]. Started again, it begins anew.
    pub(crate) fn start(&mut self, port: &mut dyn Port, link_up: bool) {
        self.link_up = link_up;
        self.begin(port);
    }

    /// Asks for the settings that go with an address set by hand [RFC 2131 §3.4].
    pub(crate) fn inform(&mut self, port: &mut dyn Port, link_up: bool) {
        self.drop_address(port);
        self.lease = None;
        self.link_up = link_up;
        self.enter(port, State::Informing);
        self.again(port);
    }

    /// Asks the server now to extend the lease; without one, it begins anew.
    pub(crate) fn renew(&mut self, port: &mut dyn Port) {
        match self.state {
            State::Bound | State::Renewing | State::Rebinding if self.link_up => {
                self.extend(port, State::Renewing);
            }
            State::Off => {}
            _ => self.begin(port),
        }
    }

    /// Gives the address back, and stops.
    pub(crate) fn release(&mut self, port: &mut dyn Port) {
        if self.in_use && self.link_up {
            self.transaction = port.random().next_u64() as u32;
            self.send(port, MessageType::Release);
        }
        self.stop(port);
        self.forget();
    }

    /// Stops, and lets go of the address without a word; started again, it asks for the same one.
    pub(crate) fn stop(&mut self, port: &mut dyn Port) {
        self.drop_address(port);
        self.remember();
        self.enter(port, State::Off);
    }

    /// The address was set by hand: it is not the client's any more.
    pub(crate) fn give_way(&mut self, port: &mut dyn Port) {
        self.in_use = false;
        self.stop(port);
    }

    /// Lets go of the lease, whose address will be asked for again.
    fn remember(&mut self) {
        if let Some(lease) = self.lease.take() {
            self.remembered = Some(lease.ipv4.address);
            self.may_reboot = true;
        }
    }

    /// Forgets the address for good.
    fn forget(&mut self) {
        self.lease = None;
        self.remembered = None;
        self.may_reboot = false;
    }

    /// The link went up or down. An address in use stays in use: it may be the same network as before, which is
    /// asked; what the server says then counts.
    pub(crate) fn link_changed(&mut self, port: &mut dyn Port, up: bool) {
        if self.link_up == up {
            return;
        }
        self.link_up = up;
        match self.state {
            State::Off => {}
            State::Informing | State::Informed if up => {
                self.enter(port, State::Informing);
                self.again(port);
            }
            _ if up => self.begin(port),
            _ => {}
        }
    }

    /// Begins: with what is remembered, or with the search for servers.
    fn begin(&mut self, port: &mut dyn Port) {
        self.failures = 0;
        self.forbidden = false;
        self.end_if_over(port);
        if !self.in_use {
            // What was being checked is asked for again.
            self.remember();
        }
        self.enter(port, State::Init);
        let delay = self.config.start_delay;
        if !delay.is_zero() && !self.in_use {
            self.due = crate::acd::after_up_to(port.now(), delay, port.random());
        } else if self.link_up {
            self.leave_init(port);
        } else {
            self.due = port.now();
        }
    }

    fn leave_init(&mut self, port: &mut dyn Port) {
        let known = self.wanted().is_some() && (self.may_reboot || self.in_use);
        self.enter(port, if known { State::Rebooting } else { State::Selecting });
        self.again(port);
    }

    /// Enters a state in which nothing was sent yet.
    fn enter(&mut self, port: &mut dyn Port, state: State) {
        if !matches!(state, State::Bound | State::Renewing | State::Rebinding | State::Checking) {
            self.acd.stop();
        }
        if matches!(state, State::Init | State::Selecting | State::Rebooting | State::Informing) {
            self.began = port.now();
            // Nobody can guess it who does not see our messages.
            self.transaction = port.random().next_u64() as u32;
        }
        self.state = state;
        self.sent = 0;
        self.offer = if state == State::Requesting { self.offer } else { None };
        self.due = Instant::MAX;
    }

    /// Sends the state's message, once more maybe, and sets the time of the next [2131-7].
    fn again(&mut self, port: &mut dyn Port) {
        let kind = match self.state {
            State::Selecting => MessageType::Discover,
            State::Informing => MessageType::Inform,
            _ => MessageType::Request,
        };
        if self.sent == 0 {
            self.asked = port.now();
        } else {
            self.failures = self.failures.saturating_add(1);
        }
        self.send(port, kind);
        let backoff = ((4 * SECOND) << self.sent.min(4)).min(MAX_BACKOFF);
        self.sent = self.sent.saturating_add(1);
        let jitter = u64::from(port.random().below(2 * SECOND as u32));
        self.due = after(port.now(), backoff - SECOND + jitter);
    }

    /// Asks for more time [2131-5].
    fn extend(&mut self, port: &mut dyn Port, state: State) {
        if self.state != state {
            self.enter(port, state);
            self.transaction = port.random().next_u64() as u32;
            self.asked = port.now();
        }
        self.send(port, MessageType::Request);
        let Some(lease) = self.lease else { return };
        let end = if state == State::Renewing { lease.rebind_at } else { lease.expires_at };
        let now = port.now();
        let left = end.as_micros().saturating_sub(now.as_micros());
        // [2131-7] Half of what is left, but not sooner than a minute.
        let jitter = u64::from(port.random().below(SECOND as u32));
        self.due = after(now, (left >> 1).max(MIN_EXTEND) + jitter).min(end);
    }

    /// A deadline may have come.
    pub(crate) fn timer(&mut self, port: &mut dyn Port) {
        if self.end_if_over(port) {
            self.failures = 0;
            self.enter(port, State::Init);
            self.due = port.now();
        }
        if !self.link_up {
            return;
        }
        self.check_timer(port);
        if self.due <= port.now() {
            self.state_timer(port);
        }
    }

    fn state_timer(&mut self, port: &mut dyn Port) {
        match self.state {
            State::Init => self.leave_init(port),
            State::Selecting if self.offer.is_some() => {
                self.enter(port, State::Requesting);
                self.again(port);
            }
            State::Rebooting if self.sent >= REBOOT_REQUESTS => self.search(port),
            State::Requesting if self.sent >= REQUESTS => self.search(port),
            State::Selecting | State::Requesting | State::Rebooting | State::Informing => self.again(port),
            State::Bound => self.extend(port, State::Renewing),
            State::Renewing => {
                let over = self.lease.is_none_or(|lease| lease.rebind_at <= port.now());
                self.extend(port, if over { State::Rebinding } else { State::Renewing });
            }
            State::Rebinding => self.extend(port, State::Rebinding),
            State::Off | State::Checking | State::Informed => self.due = Instant::MAX,
        }
    }

    /// Looks for servers, as one that did not answer counts as gone. An address in use stays so until its lease ends or
    /// a server gives another [RFC 2131 §3.2].
    fn search(&mut self, port: &mut dyn Port) {
        self.failures = self.failures.saturating_add(1);
        self.may_reboot = false;
        self.enter(port, State::Selecting);
        self.again(port);
    }

    /// Ends a lease whose time is over [2131-10]; whether it did. The address is no more than a wish then.
    fn end_if_over(&mut self, port: &mut dyn Port) -> bool {
        let over = self.expires_at() <= port.now();
        if over {
            self.drop_address(port);
            self.remember();
            self.may_reboot = false;
        }
        over
    }

    fn drop_address(&mut self, port: &mut dyn Port) {
        if core::mem::take(&mut self.in_use) {
            // Taking an address away cannot collide with anybody's.
            port.set_ipv4(Ipv4Settings::NONE).unwrap_or_default();
        }
    }

    /// Takes a message that came to port 68. Returns whether it was the acknowledgment that the client waited for, whose
    /// options count from now on.
    pub(crate) fn input(&mut self, port: &mut dyn Port, message: &DhcpMessage<'_>) -> bool {
        if !self.link_up || !self.is_answer(message) {
            return false;
        }
        let rapid = self.config.rapid_commit && message.value(code::RAPID_COMMIT).is_some();
        match (self.state, message.message_type()) {
            (State::Selecting, Some(MessageType::Offer)) => {
                self.take_offer(port, message);
                false
            }
            (State::Selecting, Some(MessageType::Ack)) if rapid => self.take_ack(port, message),
            (
                State::Requesting | State::Rebooting | State::Renewing | State::Rebinding,
                Some(MessageType::Ack),
            ) => self.take_ack(port, message),
            (State::Informing, Some(MessageType::Ack)) => {
                self.enter(port, State::Informed);
                true
            }
            (
                State::Requesting | State::Rebooting | State::Renewing | State::Rebinding,
                Some(MessageType::Nak),
            ) => {
                self.take_nak(port, message);
                false
            }
            _ => false,
        }
    }

    /// [2131-1] An answer to our question, and not to somebody else's [RFC 6842 §3].
    fn is_answer(&self, message: &DhcpMessage<'_>) -> bool {
        let header = message.header;
        let ours = header.operation() == BOOT_REPLY
            && header.transaction() == self.transaction
            && header.hardware() == self.station;
        let mut room = [0; ID_LEN];
        let id = client_id(self.config.client_id, self.station, &mut room).unwrap_or_default();
        let echoed = message.value(code::CLIENT_ID);
        ours && echoed.is_none_or(|echo| echo.eq(id.iter().copied()))
    }

    fn take_offer(&mut self, port: &mut dyn Port, message: &DhcpMessage<'_>) {
        let auto_configure = message.value(code::AUTO_CONFIGURE).and_then(coracle_wire::dhcpv4::Value::byte);
        if message.header.yours().is_unspecified() && auto_configure == Some(0) {
            // [RFC 2563 §2.3] No addresses here, not even of one's own.
            self.forbidden = true;
            self.due = after(port.now(), FORBIDDEN_WAIT);
            return;
        }
        let Some(offer) = DhcpLease::read(message, port.now()) else { return };
        let wanted = self.wanted();
        let better = self.offer.is_none_or(|best| offer.merit(wanted) > best.merit(wanted));
        if !better {
            return;
        }
        if self.offer.is_none() {
            let window = self.config.offer_window;
            self.due = port.now() + window;
        }
        self.offer = Some(offer);
        // It gets no better than the address from before.
        if wanted == Some(offer.ipv4.address) || self.due <= port.now() {
            self.due = port.now();
            self.state_timer(port);
        }
    }

    fn take_ack(&mut self, port: &mut dyn Port, message: &DhcpMessage<'_>) -> bool {
        let since = if self.state == State::Selecting { self.began } else { self.asked };
        let Some(lease) = DhcpLease::read(message, since) else { return false };
        let expected = match self.state {
            State::Requesting => self.offer.is_some_and(|offer| {
                (offer.server, offer.ipv4.address) == (lease.server, lease.ipv4.address)
            }),
            State::Renewing => self
                .lease
                .is_some_and(|old| (old.server, old.ipv4.address) == (lease.server, lease.ipv4.address)),
            State::Rebinding => self.lease.is_some_and(|old| old.ipv4.address == lease.ipv4.address),
            State::Rebooting => self.wanted() == Some(lease.ipv4.address),
            _ => true,
        };
        if !expected || lease.expires_at <= port.now() {
            return false;
        }
        self.refusals = 0;
        self.take_lease(port, lease);
        true
    }

    /// A lease is ours: its address is used, or checked first.
    fn take_lease(&mut self, port: &mut dyn Port, lease: DhcpLease) {
        let same = self.lease().is_some_and(|old| old.ipv4.address == lease.ipv4.address);
        if same {
            let rebooted = self.state == State::Rebooting && self.config.conflict_check != ConflictCheck::Off;
            if rebooted {
                // There was no link for a while, in which somebody may have taken it [RFC 5227 §2.1].
                self.acd.start(lease.ipv4.address, port.now(), port.random());
            }
            let changed = self.lease().is_some_and(|old| old.ipv4 != lease.ipv4);
            self.lease = Some(lease);
            if changed {
                // The address is ours already, so nobody else has it.
                port.set_ipv4(lease.ipv4).unwrap_or_default();
            }
            return self.bound(port);
        }
        self.drop_address(port);
        self.lease = Some(lease);
        let check = self.config.conflict_check;
        if check != ConflictCheck::Off {
            self.acd.start(lease.ipv4.address, port.now(), port.random());
        }
        if check == ConflictCheck::BeforeUse {
            self.enter(port, State::Checking);
        } else {
            self.use_address(port);
        }
    }

    fn use_address(&mut self, port: &mut dyn Port) {
        let Some(lease) = self.lease else { return };
        if port.set_ipv4(lease.ipv4).is_err() {
            // Another interface of ours has the address.
            return self.decline(port);
        }
        self.in_use = true;
        self.bound(port);
    }

    fn bound(&mut self, port: &mut dyn Port) {
        self.failures = 0;
        self.enter(port, State::Bound);
        if let Some(lease) = self.lease {
            if self.acd.address().is_none() {
                self.acd.watch(lease.ipv4.address);
            }
            self.due = lease.renew_at;
        }
    }

    /// [2131-9] A server refuses. That of the offer, or of the lease, must be the one; of others' refusals only those
    /// count that answer what was asked of all.
    fn take_nak(&mut self, port: &mut dyn Port, message: &DhcpMessage<'_>) {
        let asked = match self.state {
            State::Requesting => self.offer.map(|offer| offer.server),
            State::Renewing => self.lease.map(|lease| lease.server),
            _ => None,
        };
        let Some(server) = message.server() else { return };
        if asked.is_some_and(|asked| asked != server) {
            return;
        }
        self.drop_address(port);
        self.forget();
        self.failures = self.failures.saturating_add(1);
        // The first refusal costs no time; a server that offers and refuses in circles is not asked ever faster.
        let wait = match self.refusals {
            0 => 0,
            some => ((2 * SECOND) << some.min(5)).min(MAX_BACKOFF),
        };
        self.refusals = self.refusals.saturating_add(1);
        self.enter(port, State::Init);
        if wait == 0 {
            self.leave_init(port);
        } else {
            let jitter = u64::from(port.random().below(SECOND as u32));
            self.due = after(port.now(), wait + jitter);
        }
    }

    /// Shows an ARP packet that another station sent.
    pub(crate) fn arp(&mut self, port: &mut dyn Port, packet: &ArpPacket) {
        let address = self.acd.address();
        match self.acd.arp(packet, port.now()) {
            Sight::Harmless => {}
            Sight::Defend => port.arp(address.unwrap_or(Ipv4Addr::UNSPECIFIED), true),
            Sight::Lost => self.decline(port),
        }
    }

    /// Somebody else has the address: the server is told, and after a while the search begins again [2131-8].
    fn decline(&mut self, port: &mut dyn Port) {
        self.drop_address(port);
        self.transaction = port.random().next_u64() as u32;
        self.send(port, MessageType::Decline);
        self.forget();
        self.failures = self.failures.saturating_add(1);
        self.enter(port, State::Init);
        let jitter = u64::from(port.random().below(SECOND as u32));
        self.due = after(port.now(), DECLINE_WAIT + jitter);
    }

    fn check_timer(&mut self, port: &mut dyn Port) {
        let address = self.acd.address().unwrap_or(Ipv4Addr::UNSPECIFIED);
        let now = port.now();
        match self.acd.timer(now, port.random()) {
            Due::Nothing => {}
            Due::Probe => port.arp(address, false),
            // Setting the address announces it.
            Due::Claim if self.state == State::Checking => self.use_address(port),
            Due::Claim | Due::Announce => port.arp(address, true),
        }
    }
}
