//! Listeners: connections that peers open [RFC 9293 §3.10.7.2], the backlog, and SYN cookies. They are kept apart from
//! connections, so that neither is in the way of the other [RFC 9293 MUST-41, MUST-42].

use coracle_buf::{Error, Pbuf};
use coracle_wire::tcp::{TcpFlags, TcpOptions};

use super::cookie::{Baked, CookieOptions};
use super::ecn::Ecn;
use super::pcb::{KeepAlive, TcpPcb, ticks};
use super::report::Cause;
use super::segment::Segment;
use super::sequence::Seq;
use super::state::{Flags, TcpState};
use super::{Flow, SynCookies, TcpTable};
use crate::address::{Address, Endpoint};
use crate::counters::count;
use crate::engine::Engine;
use crate::ip::Received;
use crate::netif::NetifHandle;
use crate::random::HashKey;
use crate::table::{Key, NONE};

/// A listener: what connections that peers open are made of.
pub(crate) struct Listener {
    pub(crate) local: Endpoint,
    pub(crate) netif: Option<NetifHandle>,
    /// Connections that may wait, half-open or not yet accepted.
    pub(crate) backlog: u32,
    /// Those that wait.
    pub(crate) pending: u32,
    /// The application decides before a SYN is answered.
    pub(crate) ask: bool,
    /// A handler listens; until one does, connections wait.
    pub(crate) heard: bool,
    pub(crate) priority: u8,
    pub(crate) ttl: u8,
    pub(crate) tos: u8,
    pub(crate) flags: Flags,
    pub(crate) keep_alive: KeepAlive,
}

impl Listener {
    /// Its place in the table of listeners.
    #[inline]
    fn hash(key: &HashKey, local: Endpoint) -> u32 {
        key.hash(local.address.word(key), u64::from(local.port))
    }
}

impl TcpTable {
    /// The listener at an address and port, or at the port of any address of its family, or of both.
    pub(super) fn find_listener(&self, key: &HashKey, local: Endpoint, netif: NetifHandle) -> Option<Key> {
        let families = [Address::any_of(local.address.family()), Address::ANY];
        self.listener_at(key, local, netif).or_else(|| {
            families.iter().find_map(|&any| self.listener_at(key, Endpoint::new(any, local.port), netif))
        })
    }

    /// Moves a listener to another address.
    pub(super) fn rebind_listener(&mut self, key: &HashKey, position: u32, from: Address, to: Address) {
        let Some(listener) = self.listeners.at_mut(position as usize) else { return };
        if listener.local.address == from {
            let before = listener.local;
            listener.local.address = to;
            let after = listener.local;
            self.doors.remove(Listener::hash(key, before), position);
            self.doors.insert(Listener::hash(key, after), position);
        }
    }

    fn listener_at(&self, key: &HashKey, local: Endpoint, netif: NetifHandle) -> Option<Key> {
        let mut at = self.doors.first(Listener::hash(key, local));
        while at != NONE {
            let entry = self.listeners.entry_at(at as usize);
            if let Some((found, listener)) = entry
                && listener.local == local
                && listener.netif.is_none_or(|bound| bound == netif)
            {
                return Some(found);
            }
            at = self.doors.next(at);
        }
        None
    }
}

impl Engine {
    /// Listens where a control block is bound; it becomes the listener.
    pub(crate) fn tcp_listen(&mut self, key: Key, backlog: usize, heard: bool) -> Result<Key, Error> {
        let pcb = self.tcp.get(key).ok_or(Error::Closed)?;
        if pcb.state != TcpState::Closed {
            return Err(Error::IsConnected);
        }
        if !pcb.flags.has(Flags::BOUND) {
            self.tcp_bind(key, Endpoint::NONE)?;
        }
        let pcb = self.tcp.get(key).ok_or(Error::Closed)?;
        let mut flags = pcb.flags;
        flags.clear(Flags::BOUND.union(Flags::HEARD));
        let listener = Listener {
            local: pcb.flow.local,
            netif: pcb.netif,
            backlog: u32::try_from(backlog).unwrap_or(u32::MAX).max(1),
            pending: 0,
            ask: false,
            heard,
            priority: pcb.priority,
            ttl: pcb.ttl,
            tos: pcb.tos,
            flags,
            keep_alive: pcb.keep_alive,
        };
        let local = listener.local;
        let taken = self.tcp.listeners.iter().any(|(_, other)| {
            other.local == local && !(other.flags.has(Flags::REUSE) && listener.flags.has(Flags::REUSE))
        });
        if taken {
            return Err(Error::InUse);
        }
        let made = self.tcp.listeners.insert(listener)?;
        self.tcp.doors.insert(Listener::hash(&self.hash_key, local), made.index);
        self.tcp_forget(key.index);
        Ok(made)
    }

    /// Ends a listener. What it took and nobody accepted is reset when its turn to be accepted comes.
    pub(crate) fn tcp_listener_close(&mut self, key: Key) -> Result<(), Error> {
        let listener = self.tcp.listeners.remove(key).ok_or(Error::Closed)?;
        self.tcp.doors.remove(Listener::hash(&self.hash_key, listener.local), key.index);
        if listener.pending > 0 {
            for position in 0..self.tcp.slots.capacity() {
                let pcb = self.tcp.slots.at(position);
                if pcb.is_some_and(|pcb| pcb.listener == Some(key) && pcb.state == TcpState::SynReceived) {
                    self.tcp_reset_peer(position as u32);
                    self.tcp_forget(position as u32);
                }
            }
        }
        Ok(())
    }

    /// A segment of no connection, at somebody's door or at nobody's.
    pub(super) fn tcp_knock(
        &mut self,
        info: &Received,
        flow: &Flow,
        segment: &Segment,
        options: &TcpOptions,
        data: Pbuf,
        isn_after: Option<Seq>,
    ) {
        let listener = self.tcp.find_listener(&self.hash_key, flow.local, info.netif);
        if segment.has(TcpFlags::RST) {
            return;
        }
        let Some(listener) = listener else {
            count!(self.counters.tcp.no_port);
            return self.tcp_refuse(&Cause::new(*flow, segment));
        };
        if segment.has(TcpFlags::ACK) {
            return self.tcp_cookie_returns(listener, flow, segment, options, data);
        }
        if segment.has(TcpFlags::SYN) {
            self.tcp_syn(listener, flow, segment, options, isn_after);
        }
    }

    /// A peer asks for a connection.
    fn tcp_syn(
        &mut self,
        listener: Key,
        flow: &Flow,
        segment: &Segment,
        options: &TcpOptions,
        isn_after: Option<Seq>,
    ) {
        let Some(door) = self.tcp.listeners.get(listener) else { return };
        let (full, ask, priority) = (door.pending >= door.backlog, door.ask, door.priority);
        let cookies = self.config.tcp.syn_cookies;
        let may_answer_without = cookies != SynCookies::Never && !ask;
        if may_answer_without && (full || cookies == SynCookies::Always) {
            self.tcp_send_cookie(flow, segment, options);
            return;
        }
        if full {
            count!(self.counters.tcp.backlog_full);
            return;
        }
        let isn = match isn_after {
            Some(used) => self.tcp.numbers.sequence_after(flow, self.now, used),
            None => self.tcp_isn(flow),
        };
        let room = self.tcp_make_room(priority);
        let made = if room { self.tcp_half_open(listener, flow, isn) } else { None };
        let Some(position) = made else {
            count!(self.counters.tcp.no_memory_for_syn);
            if may_answer_without {
                self.tcp_send_cookie(flow, segment, options);
            }
            return;
        };
        count!(self.counters.tcp.passive_opens);
        let Some(mut conn) = self.tcp_conn(position) else { return };
        conn.learn_peer(segment, options);
        conn.pcb.heard_at = ticks(conn.now);
        if ask {
            conn.pcb.flags.set(Flags::HELD.union(Flags::TELL_SYN));
            self.tcp.ready.add(position);
        } else if self.tcp_send_syn(position) == Err(Error::Memory) {
            self.tcp_forget(position);
        }
    }

    /// A control block for a connection that a peer opens, in SYN-RECEIVED, with what the listener hands down.
    fn tcp_half_open(&mut self, listener: Key, flow: &Flow, isn: Seq) -> Option<u32> {
        let netif = self.tcp.listeners.get(listener)?.netif;
        let (path_mss, _) = self.tcp_path(flow.remote, netif).ok()?;
        let ts_offset = self.tcp.numbers.timestamp_offset(flow);
        let mut pcb = TcpPcb::new(&self.config, *flow, self.tcp.listeners.get(listener)?.priority);
        pcb.path_mss = path_mss;
        pcb.ts_offset = ts_offset;
        pcb.inherit(self.tcp.listeners.get(listener)?);
        pcb.listener = Some(listener);
        pcb.state = TcpState::SynReceived;
        pcb.flags.set(Flags::PASSIVE.union(Flags::IN_BACKLOG));
        pcb.start_at(isn);
        let key = self.tcp.insert(pcb).ok()?;
        self.tcp.listeners.get_mut(listener)?.pending += 1;
        self.tcp.index(&self.hash_key, key.index);
        Some(key.index)
    }

    /// Answers a SYN without remembering it [RFC 4987 §3.6].
    fn tcp_send_cookie(&mut self, flow: &Flow, segment: &Segment, options: &TcpOptions) {
        let Ok((path_mss, _)) = self.tcp_path(flow.remote, None) else { return };
        let config = &self.config.tcp;
        // Without timestamps there is no place to keep the other options in.
        let peer_time = options.timestamps.filter(|_| config.timestamps).map(|(value, _)| value);
        let kept = CookieOptions {
            window_scale: options.window_scale.filter(|_| config.window_scaling && peer_time.is_some()),
            sack: options.sack_permitted && config.sack && peer_time.is_some(),
            ecn: config.ecn && peer_time.is_some() && Ecn::offered(segment.flags).is_on(),
        };
        let window = config.window.min(u32::from(u16::MAX)) as u16;
        let scale = kept.window_scale.map(|_| super::pcb::scale_for(config.window));
        let clock = ticks(self.now).wrapping_add(self.tcp.numbers.timestamp_offset(flow));
        let mss = options.mss.unwrap_or(super::conn::DEFAULT_MSS);
        let cookie = self.tcp.cookies.make(flow, segment.seq, mss, peer_time.map(|_| clock), kept, self.now);
        count!(self.counters.tcp.cookies_sent);
        let mut fields = super::input::bare_acknowledgment(flow, cookie.sequence, segment.seq + 1, window);
        fields.flags |= TcpFlags::SYN | Ecn::agreed(kept.ecn).answer();
        let options = TcpOptions {
            mss: Some(path_mss),
            window_scale: scale,
            timestamps: cookie.timestamp.zip(peer_time),
            sack_permitted: kept.sack,
            ..TcpOptions::default()
        };
        self.tcp_send_bare(flow, fields, &options, (self.config.default_ttl, 0));
    }

    /// An acknowledgment at a listener's door: of a SYN that was answered with a cookie, or of nothing.
    fn tcp_cookie_returns(
        &mut self,
        listener: Key,
        flow: &Flow,
        segment: &Segment,
        options: &TcpOptions,
        data: Pbuf,
    ) {
        let cookies = self.config.tcp.syn_cookies != SynCookies::Never && !segment.has(TcpFlags::SYN);
        let echo = options.timestamps.map(|(_, echo)| echo);
        let cookie = cookies
            .then(|| self.tcp.cookies.check(flow, segment.seq - 1, segment.ack - 1, echo, self.now))
            .flatten();
        let Some(cookie) = cookie else {
            return self.tcp_refuse(&Cause::new(*flow, segment));
        };
        count!(self.counters.tcp.cookies_returned);
        // With no room now, the peer's next segment asks again.
        if !self.tcp_make_room_behind(listener) {
            count!(self.counters.tcp.backlog_full);
            return;
        }
        let Some(position) = self.tcp_half_open(listener, flow, segment.ack - 1) else { return };
        self.tcp_restore(position, cookie, segment, options);
        let Some(mut conn) = self.tcp_conn(position) else { return };
        let cause = Cause::new(*flow, segment);
        let verdict = conn.arrives(*segment, options, data);
        if conn.pcb.una == segment.ack {
            // There was no record of our SYN, so that it was taken for a byte of data.
            conn.pcb.acked = conn.pcb.acked.saturating_sub(1);
            conn.pcb.counters.acked = conn.pcb.counters.acked.saturating_sub(1);
        }
        self.tcp_conclude(position, verdict, Some(&cause));
        self.tcp_rearm(position);
    }

    /// Makes room for a connection whose peer proved that it is there. One that has proved nothing yet gives way: so
    /// a flood of SYNs keeps nobody out [RFC 4987 §3.2].
    fn tcp_make_room_behind(&mut self, listener: Key) -> bool {
        let Some(door) = self.tcp.listeners.get(listener) else { return false };
        let (full, priority) = (door.pending >= door.backlog, door.priority);
        if full && !self.tcp_evict_half_open(Some(listener)) {
            return false;
        }
        self.tcp_make_room(priority) || (self.tcp_evict_half_open(None) && self.tcp_make_room(priority))
    }

    /// Forgets the connection that is half-open for longest, of one listener or of any.
    fn tcp_evict_half_open(&mut self, listener: Option<Key>) -> bool {
        let now = ticks(self.now);
        let half_open = self.tcp.slots.iter().filter(|(_, pcb)| {
            pcb.state == TcpState::SynReceived
                && pcb.flags.has(Flags::PASSIVE)
                && !pcb.flags.has(Flags::HELD.union(Flags::DEAD))
                && (listener.is_none() || pcb.listener == listener)
        });
        let oldest = half_open.max_by_key(|(_, pcb)| now.wrapping_sub(pcb.heard_at));
        let Some(position) = oldest.map(|(key, _)| key.index) else { return false };
        count!(self.counters.tcp.half_open_evicted);
        self.tcp_forget(position);
        true
    }

    /// Makes of a cookie what the SYN would have made.
    fn tcp_restore(&mut self, position: u32, cookie: Baked, segment: &Segment, options: &TcpOptions) {
        let Some(mut conn) = self.tcp_conn(position) else { return };
        let syn = Segment { seq: segment.seq - 1, flags: TcpFlags::SYN, len: 0, ..*segment };
        let offered = TcpOptions {
            mss: Some(cookie.mss),
            window_scale: cookie.options.window_scale,
            timestamps: options.timestamps,
            sack_permitted: cookie.options.sack,
            ..TcpOptions::default()
        };
        conn.learn_peer(&syn, &offered);
        conn.pcb.ecn = Ecn::agreed(cookie.options.ecn);
        conn.pcb.nxt = conn.pcb.una + 1;
    }

    /// A connection leaves its listener's backlog: it was accepted, or is over.
    pub(crate) fn tcp_leave_backlog(&mut self, position: u32) {
        let Some(pcb) = self.tcp.slots.at_mut(position as usize) else { return };
        if pcb.flags.take(Flags::IN_BACKLOG)
            && let Some(listener) = pcb.listener
            && let Some(door) = self.tcp.listeners.get_mut(listener)
        {
            door.pending = door.pending.saturating_sub(1);
        }
    }

    /// Answers a SYN that waited for the application's decision.
    pub(crate) fn tcp_admit(&mut self, key: Key) -> Result<(), Error> {
        let pcb = self.tcp.get_mut(key).ok_or(Error::Closed)?;
        if !pcb.flags.take(Flags::HELD) {
            return Err(Error::Already);
        }
        self.tcp_send_syn(key.index)
    }
}

impl Engine {
    /// Keeps a connection that is being accepted in its listener's backlog.
    pub(crate) fn tcp_delay_backlog(&mut self, key: Key) -> Result<(), Error> {
        let pcb = self.tcp.get_mut(key).ok_or(Error::Closed)?;
        let door = pcb.listener.and_then(|listener| self.tcp.listeners.get_mut(listener));
        let door = door.ok_or(Error::NotConnected)?;
        let pcb = self.tcp.slots.get_mut(key).ok_or(Error::Closed)?;
        if !pcb.flags.has(Flags::IN_BACKLOG) {
            pcb.flags.set(Flags::IN_BACKLOG);
            door.pending += 1;
        }
        Ok(())
    }

    /// Lets a connection wait until its listener has a handler.
    pub(crate) fn tcp_await_listener(&mut self, key: Key, report: Flags) {
        if let Some(pcb) = self.tcp.get_mut(key) {
            pcb.flags.set(report);
        }
    }

    /// A listener has a handler: connections that waited are reported.
    pub(crate) fn tcp_listener_heard(&mut self, listener: Key) {
        for position in 0..self.tcp.slots.capacity() {
            if self.tcp.slots.at(position).is_some_and(|pcb| pcb.listener == Some(listener)) {
                self.tcp.ready.add(position as u32);
            }
        }
    }
}
