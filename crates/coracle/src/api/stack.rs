//! The stack: the engine and the handlers of its control blocks.

use core::net::IpAddr;
use core::ops::ControlFlow;

use coracle_buf::{Arena, Memory, Pbuf, Table};

use super::netif::Listener;
use super::raw::Raw;
use super::timeout::Timeout;
use super::udp::Udp;
use super::{Handler, Place, RawHandle, TimeoutHandle, UdpHandle};
use crate::config::{Config, Limits};
use crate::counters::{Counters, count};
use crate::engine::Engine;
use crate::error::{Error, Rejected};
use crate::event::Event;
use crate::hooks::Hooks;
use crate::netif::NetifHandle;
use crate::table::{Key, Slots};
use crate::tcp::Gathered;
use crate::time::Instant;

/// A TCP/IP stack.
///
/// It is a value: a program may have several, each in one context at a time (`&mut`), which is what lwIP calls the
/// core thread, checked by the compiler. It never blocks, and knows no clock and no device: its owner
///
/// * hands in what devices received ([`Stack::input`]),
/// * calls [`Stack::poll`] when the deadline that it returned last has come,
/// * pulls what is ready for each device ([`Stack::transmit`]) after either.
///
/// ```
/// use core::net::Ipv4Addr;
/// use coracle::{Arena, Config, Instant, Ipv4Settings, Limits, MacAddr, Memory, MemoryLimits, NetifConfig, Stack};
///
/// let mut arena = Arena::heap();
/// let memory = Memory::new(&mut arena, MemoryLimits::default())?;
/// let mut stack = Stack::<()>::new(&mut arena, Limits::default(), memory, Config::new([7; 16]))?;
/// let settings = Ipv4Settings::new(Ipv4Addr::new(192, 0, 2, 2), 24);
/// let netif = stack.netif_add(&NetifConfig::ethernet(MacAddr::new(2, 0, 0, 0, 0, 2)).ipv4(settings))?;
/// stack.netif(netif)?.set_up(true)?;
///
/// stack.poll(Instant::ZERO);
/// let announcement = stack.transmit(netif).expect("an ARP announcement");
/// assert_eq!(announcement.len(), 42);
/// # Ok::<(), coracle::Error>(())
/// ```
pub struct Stack<H> {
    pub(crate) engine: Engine,
    pub(super) udp_handlers: Table<Place<H>>,
    pub(super) raw_handlers: Table<Option<H>>,
    pub(super) tcp_handlers: Table<Option<H>>,
    /// The handlers of TCP listeners.
    pub(super) door_handlers: Table<Option<H>>,
    pub(super) timeout_handlers: Table<Option<H>>,
    pub(super) listeners: Slots<Listener<H>>,
    #[cfg(feature = "dns")]
    pub(super) dns_handlers: Table<Option<H>>,
    #[cfg(feature = "sntp")]
    pub(super) sntp_handler: Option<H>,
    dispatching: bool,
}

/// A stack that is calling handlers. It is dropped when one of them panics: whoever catches that has a stack that
/// serves on.
struct Running<'a, H>(&'a mut Stack<H>);

impl<H> Running<'_, H> {
    #[inline]
    fn finish(self) {
        self.0.dispatching = false;
        core::mem::forget(self);
    }
}

impl<H> Drop for Running<'_, H> {
    fn drop(&mut self) {
        self.0.after_panic();
    }
}

impl<H> Stack<H> {
    /// A stack without interfaces.
    ///
    /// # Errors
    ///
    /// [`Error::Memory`] when the arena is too small; [`Error::Argument`] for limits or a configuration that no
    /// stack can have: more than 255 interfaces, an empty range of ports, a time-to-live of zero.
    pub fn new(arena: &mut Arena, limits: Limits, memory: Memory, config: Config) -> Result<Self, Error> {
        let engine = Engine::new(arena, &limits, memory, config)?;
        let connections = engine.tcp.slots.capacity();
        let udp = engine.udp.slots.capacity();
        Ok(Self {
            engine,
            udp_handlers: arena.table(udp, |_| Place::Empty)?,
            raw_handlers: arena.table(limits.raw, |_| None)?,
            tcp_handlers: arena.table(connections, |_| None)?,
            door_handlers: arena.table(limits.tcp_listeners, |_| None)?,
            timeout_handlers: arena.table(limits.timeouts, |_| None)?,
            listeners: Slots::new(arena, limits.listeners)?,
            #[cfg(feature = "dns")]
            dns_handlers: arena.table(limits.dns.queries, |_| None)?,
            #[cfg(feature = "sntp")]
            sntp_handler: None,
            dispatching: false,
        })
    }

    /// The memory that the stack takes its buffers from.
    pub fn memory(&self) -> &Memory {
        &self.engine.memory
    }

    /// The latest time that the stack was told.
    pub fn now(&self) -> Instant {
        self.engine.now
    }

    /// What happened so far, counted.
    pub fn counters(&self) -> &Counters {
        &self.engine.counters
    }

    /// The next frame for the device of an interface, link header included; `None` when there is nothing, or the
    /// interface is gone.
    ///
    /// The frame may still be shared (with a queue for retransmission, say): a device reads it and drops it.
    #[inline]
    pub fn transmit(&mut self, netif: NetifHandle) -> Option<Pbuf> {
        match self.engine.netifs.get_mut(netif.0)?.queue.pop_front() {
            None => self.transmit_more(netif),
            frame => frame,
        }
    }

    #[inline]
    fn transmit_more(&mut self, netif: NetifHandle) -> Option<Pbuf> {
        match self.engine.tcp_refill(netif) {
            None if self.engine.netifs.get(netif.0)?.bridge.is_some() => self.engine.bridge_refill(netif),
            frame => frame,
        }
    }

    /// How many frames wait for the device of an interface.
    pub fn transmit_pending(&self, netif: NetifHandle) -> usize {
        self.engine.netifs.get(netif.0).map_or(0, |interface| interface.queue.len())
    }

    /// Pushes frames to a device until it takes no more: lwIP's `linkoutput`, for drivers that prefer to be called.
    /// A frame that comes back in `Err` stays first in the queue. Returns how many frames were taken.
    pub fn transmit_with(
        &mut self,
        netif: NetifHandle,
        mut link_output: impl FnMut(Pbuf) -> Result<(), Pbuf>,
    ) -> usize {
        let mut taken = 0;
        while let Some(frame) = self.transmit(netif) {
            if let Err(frame) = link_output(frame) {
                if let Some(interface) = self.engine.netifs.get_mut(netif.0)
                    && interface.queue.push_front(frame).is_err()
                {
                    count!(interface.counters.out_discards);
                }
                break;
            }
            taken += 1;
        }
        taken
    }

    /// Gives the application a say in what becomes of packets, or takes it away.
    pub fn set_hooks(&mut self, hooks: Option<&'static dyn Hooks>) {
        self.engine.set_hooks(hooks);
    }

    /// Asks [`Hooks`] again which way packets go.
    pub fn forget_ways(&mut self) {
        self.engine.forget_ways();
    }

    /// When [`Stack::poll`] wants to be called; `None`: not before something else happens.
    pub fn next_deadline(&mut self) -> Option<Instant> {
        self.engine.next_deadline()
    }

    /// A callback panicked, and its handler is gone: the packet in hand is dropped, and its timer ends. Control
    /// blocks stay, for their owner to remove.
    #[cold]
    fn after_panic(&mut self) {
        self.dispatching = false;
        self.engine.current = None;
        self.engine.more = None;
        for position in 0..self.timeout_handlers.len() {
            if self.timeout_handlers[position].is_none()
                && let Some(key) = self.engine.timeouts.key_at(position)
            {
                self.engine.timeout_end(key);
            }
        }
    }

    /// Whether a callback is running.
    pub(super) fn is_dispatching(&self) -> bool {
        self.dispatching
    }
}

impl<H: Handler> Stack<H> {
    /// Takes a frame that the device of an interface received: an Ethernet frame without its check sequence, or an
    /// IP packet, as the medium of the interface says. Callbacks run before it returns. lwIP: `netif->input`.
    ///
    /// The buffer goes to the application as it is; its owner counts it down when all is done with it. From within
    /// a callback the frame is kept until the callback is over.
    ///
    /// # Errors
    ///
    /// The frame comes back with [`Error::Closed`] when the interface is gone, or, within a callback, with
    /// [`Error::WouldBlock`] when too many frames wait already, or [`Error::Memory`] for a frame that is shared when
    /// no reference is left. What is wrong with a frame is no error of the
    /// driver's: such frames are dropped and counted.
    #[inline]
    pub fn input(&mut self, netif: NetifHandle, frame: Pbuf, now: Instant) -> Result<(), Rejected> {
        let slot = match self.engine.netif_slot(netif) {
            Ok(slot) => slot,
            Err(error) => return Err(Rejected::new(error, frame)),
        };
        if self.dispatching {
            return self.engine.defer(slot, frame).map_err(|(error, frame)| Rejected::new(error, frame));
        }
        self.engine.advance(now);
        self.dispatch(Some((slot, frame)), false);
        Ok(())
    }

    /// Takes several frames that a device received, as if each was handed to [`input`](Self::input). Segments of one
    /// connection that follow on each other become one on the way: they cost less, the application gets their data in
    /// one piece, and one acknowledgment answers all of them [RFC 9293 MUST-59]. So a driver that has several
    /// frames at a time better hands them over together.
    ///
    /// Callbacks may run while `frames` is asked for the next one, and when there are no more.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] when the interface is gone; then no frame is taken. Within a callback the frames are kept until
    /// that is over; those that are too many are dropped and counted.
    pub fn input_all(
        &mut self,
        netif: NetifHandle,
        frames: impl IntoIterator<Item = Pbuf>,
        now: Instant,
    ) -> Result<(), Error> {
        let slot = self.engine.netif_slot(netif)?;
        let mut frames = frames.into_iter();
        if self.dispatching {
            frames.for_each(|frame| self.engine.defer_or_drop(netif, frame));
            return Ok(());
        }
        self.engine.advance(now);
        let Some(first) = frames.next() else { return Ok(()) };
        let Some(second) = frames.next() else {
            self.dispatch(Some((slot, first)), false);
            return Ok(());
        };
        self.dispatching = true;
        let running = Running(self);
        let stack = &mut *running.0;
        let mut gathered = None;
        for frame in [first, second].into_iter().chain(frames) {
            stack.take_one_of(netif, frame, &mut gathered);
        }
        stack.conclude(&mut gathered);
        running.finish();
        Ok(())
    }

    /// Takes one of several frames.
    #[inline(never)]
    fn take_one_of(&mut self, netif: NetifHandle, frame: Pbuf, gathered: &mut Option<Gathered>) {
        // A callback may have removed it.
        let Ok(slot) = self.engine.netif_slot(netif) else { return };
        let ControlFlow::Break(event) = self.engine.input_one_of(slot, frame, gathered) else { return };
        if event.is_some() || self.engine.has_others_waiting() {
            self.engine.input_gathered(gathered);
            self.call_all(event, false);
        }
    }

    /// Does what several frames have led to.
    fn conclude(&mut self, gathered: &mut Option<Gathered>) {
        self.engine.input_gathered(gathered);
        if self.engine.has_more() {
            self.call_all(None, false);
        }
        self.engine.tcp_flush();
    }

    /// Runs what is due, and says when the next thing is: `None` when nothing is until something else happens. There
    /// are no ticks; call it at the deadline, or earlier, or whenever you like. lwIP: `sys_check_timeouts`.
    ///
    /// From within a callback it only tells the deadline.
    pub fn poll(&mut self, now: Instant) -> Option<Instant> {
        if !self.dispatching {
            self.engine.advance(now);
            self.dispatch(None, true);
        }
        self.engine.next_deadline()
    }

    /// Tells what calls from outside of callbacks have caused.
    pub(super) fn settle(&mut self) {
        if !self.dispatching {
            self.dispatch(None, false);
        }
    }

    /// Takes a frame, if there is one, and calls the handlers of everything that the engine reports.
    #[inline(never)]
    fn dispatch(&mut self, frame: Option<(usize, Pbuf)>, polling: bool) {
        self.dispatching = true;
        let running = Running(self);
        let stack = &mut *running.0;
        let mut event = None;
        if let Some((slot, frame)) = frame {
            match stack.engine.input(slot, frame) {
                Some(Event::Datagram { pcb, data }) => stack.call_datagram(pcb, data),
                Some(Event::Tcp { pcb, report }) => {
                    stack.call_tcp(pcb, report);
                    // What was acknowledged, and the data that came along: most have no more to tell than these two.
                    if let Some(report) = stack.engine.tcp_next_report_of(pcb) {
                        stack.call_tcp(pcb, report);
                    }
                }
                other => event = other,
            }
        }
        if event.is_some() || polling || stack.engine.has_more() {
            stack.call_all(event, polling);
        }
        stack.engine.tcp_flush();
        if stack.engine.bridges > 0 {
            stack.engine.bridge_drain_all();
        }
        running.finish();
    }

    /// Calls the handlers of an event and of all that follow.
    #[cold]
    #[inline(never)]
    fn call_all(&mut self, mut event: Option<Event>, polling: bool) {
        self.engine.turns = self.engine.config.backlog;
        loop {
            event = match event {
                Some(event) => self.call(event),
                None => match self.engine.next_event(polling) {
                    None => break,
                    event => event,
                },
            };
        }
    }

    /// Calls the handler of an event; what that leads to at once is the next event.
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "called once")]
    fn call(&mut self, event: Event) -> Option<Event> {
        match event {
            Event::Datagram { pcb, data } => {
                self.call_datagram(pcb, data);
                None
            }
            Event::Packet { pcb, packet } => {
                let returned = self.call_raw(pcb, packet);
                self.engine.raw_returned(returned)
            }
            Event::UdpError { pcb, to, error } => {
                if let Some(pcb) = self.engine.udp.slots.key_at(pcb as usize)
                    && !self.call_udp(pcb, |handler, udp| handler.datagram_error(udp, to.to_socket(), error))
                {
                    self.engine.service_udp_error(pcb);
                }
                None
            }
            Event::RawError { pcb, to, error } => {
                self.call_raw_error(pcb, to.to_ip(), error);
                None
            }
            Event::Tcp { pcb, report } => {
                self.call_tcp(pcb, report);
                None
            }
            Event::Timeout { timer } => {
                self.call_timeout(timer);
                None
            }
            Event::Netif { netif } => {
                self.call_listeners(netif as usize);
                None
            }
            #[cfg(feature = "dns")]
            Event::Resolved { query } => {
                if let Some(outcome) = self.engine.services.dns.outcome.take() {
                    self.call_resolved(query, &outcome);
                }
                None
            }
            #[cfg(feature = "sntp")]
            Event::Time => {
                if let Some(time) = self.engine.services.sntp.take_time() {
                    self.call_time(time);
                }
                None
            }
        }
    }

    #[inline(always)]
    #[allow(clippy::inline_always, reason = "nearly every event")]
    fn call_datagram(&mut self, pcb: Key, data: Pbuf) {
        let Some(info) = &self.engine.current else { return };
        let from = info.from().to_socket();
        let position = pcb.index as usize;
        let Some(mut handler) = self.udp_handlers[position].start() else {
            return self.engine.service_datagram(pcb, data);
        };
        handler.datagram(&mut Udp::new(self, UdpHandle(pcb)), from, data);
        self.udp_handlers[position].finish(handler);
    }

    /// Calls a handler; says whether there is one.
    fn call_udp(&mut self, key: Key, call: impl FnOnce(&mut H, &mut Udp<'_, H>)) -> bool {
        let position = key.index as usize;
        let Some(mut handler) = self.udp_handlers[position].start() else { return false };
        call(&mut handler, &mut Udp::new(self, UdpHandle(key)));
        self.udp_handlers[position].finish(handler);
        true
    }

    fn call_raw(&mut self, pcb: u32, packet: Pbuf) -> Option<Pbuf> {
        let position = pcb as usize;
        let Some(key) = self.engine.raw.slots.key_at(position) else { return Some(packet) };
        let Some(mut handler) = self.raw_handlers[position].take() else { return Some(packet) };
        let returned = handler.packet(&mut Raw::new(self, RawHandle(key)), packet);
        if self.engine.raw.slots.get(key).is_some() {
            self.raw_handlers[position] = Some(handler);
        }
        returned
    }

    fn call_raw_error(&mut self, pcb: u32, to: IpAddr, error: crate::IcmpError) {
        let position = pcb as usize;
        let Some(key) = self.engine.raw.slots.key_at(position) else { return };
        let Some(mut handler) = self.raw_handlers[position].take() else { return };
        handler.packet_error(&mut Raw::new(self, RawHandle(key)), to, error);
        if self.engine.raw.slots.get(key).is_some() {
            self.raw_handlers[position] = Some(handler);
        }
    }

    fn call_timeout(&mut self, timer: u32) {
        let position = timer as usize;
        let Some(key) = self.engine.timeouts.key_at(position) else { return };
        let Some(mut handler) = self.timeout_handlers[position].take() else { return };
        let deadline = self.engine.timeouts.get(key).copied().unwrap_or(self.engine.now);
        let mut timeout = Timeout::new(self, TimeoutHandle(key), deadline);
        handler.timeout(&mut timeout);
        let again = timeout.take_again();
        match (self.engine.timeouts.get_mut(key), again) {
            (Some(slot), Some(next)) => {
                *slot = next;
                self.engine.wheel.set(position, next);
                self.timeout_handlers[position] = Some(handler);
            }
            _ => {
                self.engine.timeout_end(key);
            }
        }
    }

    fn call_listeners(&mut self, netif: usize) {
        let Some(event) = self.engine.take_netif_change(netif) else { return };
        for position in 0..self.listeners.capacity() {
            let Some(key) = self.listeners.key_at(position) else { continue };
            let handler = self.listeners.at_mut(position).and_then(|listener| listener.take_for(&event));
            let Some(mut handler) = handler else { continue };
            handler.netif_changed(self, event);
            if let Some(listener) = self.listeners.get_mut(key) {
                listener.handler = Some(handler);
            }
        }
    }
}
