//! TCP [RFC 9293].
//!
//! A connection is a control block (`pcb.rs`) in a table; its sequence numbers, what it sends and what it receives
//! are in the files of the same names. A segment comes in by `input.rs`, goes through the steps of `arrive.rs`, and
//! what it leads to is reported (`report.rs`) and answered (`output.rs`).

mod acknowledge;
mod arrive;
mod challenge;
mod close;
mod config;
mod congestion;
mod conn;
mod cookie;
mod ecn;
mod emit;
mod errors;
mod express;
mod flow;
mod gather;
mod info;
mod input;
mod isn;
mod listen;
mod loss;
mod open;
mod output;
mod pcb;
mod pmtu;
mod ports;
mod reassembly;
mod receive;
mod report;
mod rtt;
mod segment;
mod sequence;
mod state;
mod time_wait;
mod timers;
mod train;
mod victims;
mod write;

use coracle_buf::{Arena, Error, Table};

pub use close::Shutdown;
pub use config::{SynCookies, TcpConfig};
pub use congestion::{AckSample, CUBIC, CongestionControl, CongestionWindow, Cubic, NEW_RENO, NewReno};
pub(crate) use flow::Flow;
pub(crate) use gather::Gathered;
pub use info::{TcpInfo, TcpUsage};
pub(crate) use listen::Listener;
pub(crate) use pcb::{KeepAlive, TcpPcb};
pub(crate) use pcb::{ticks, ticks_in};
pub(crate) use ports::Ports;
pub(crate) use report::Report;
pub(crate) use state::Flags;
pub use state::TcpState;
pub(crate) use write::How;

use crate::config::{Config, Limits};
use crate::random::{HashKey, Random};
use crate::table::{Index, Key, NONE, Slots, Worklist};
use challenge::ChallengeBudget;
use conn::Conn;
use cookie::Cookies;
use isn::InitialNumbers;
use loss::Segments;
use reassembly::HeldPool;
use rtt::RtoLimits;
use time_wait::TimeWaitTable;

/// The times of the configuration, as they are needed.
pub(crate) struct Times {
    rto: RtoLimits,
    delayed_ack: u32,
    fin_wait_2: pcb::Ticks,
}

impl Times {
    fn new(config: &TcpConfig) -> Self {
        Self {
            rto: RtoLimits { min: micros(config.min_rto), max: micros(config.max_rto) },
            delayed_ack: micros(config.delayed_ack),
            fin_wait_2: ticks_in(config.fin_wait_2),
        }
    }
}

/// A duration in microseconds; the longest that times modulo 2³² can tell from the past, for longer ones.
fn micros(time: core::time::Duration) -> u32 {
    time.as_micros().min(1 << 30) as u32
}

/// Slots for connections that are over, and whose end the application has not heard of: a new one need not wait
/// for that.
const DEPARTING: usize = 4;

/// All connections and listeners.
pub(crate) struct TcpTable {
    pub(crate) slots: Slots<TcpPcb>,
    /// Connections by their flow.
    flows: Index,
    /// Connections that are not over.
    living: u32,
    most: u32,
    /// What applications keep with each connection, so many words for each.
    ext_args: Table<usize>,
    ext_count: usize,
    pub(crate) listeners: Slots<Listener>,
    /// Listeners by their address and port.
    doors: Index,
    pub(crate) segments: Segments,
    pub(crate) held: HeldPool,
    pub(crate) time_waits: TimeWaitTable,
    /// Connections with something to report, in the order in which they got it.
    pub(crate) ready: Worklist,
    /// Connections with something to send.
    pub(crate) output: Worklist,
    /// Connections that wait for a device to take more.
    pub(crate) blocked: Worklist,
    challenges: ChallengeBudget,
    numbers: InitialNumbers,
    cookies: Cookies,
    times: Times,
    resets: crate::icmp::RateLimit,
    /// The lowest priority that any connection ever had.
    least_priority: u8,
}

impl TcpTable {
    pub(crate) fn new(
        arena: &mut Arena,
        limits: &Limits,
        config: &Config,
        random: &mut Random,
    ) -> Result<Self, Error> {
        let slots =
            if limits.tcp == 0 { 0 } else { limits.tcp.checked_add(DEPARTING).ok_or(Error::Memory)? };
        Ok(Self {
            slots: Slots::new(arena, slots)?,
            flows: Index::new(arena, slots)?,
            living: 0,
            most: u32::try_from(limits.tcp).map_err(|_| Error::Memory)?,
            ext_args: arena.table(slots.checked_mul(limits.tcp_ext_args).ok_or(Error::Memory)?, |_| 0)?,
            ext_count: limits.tcp_ext_args,
            listeners: Slots::new(arena, limits.tcp_listeners)?,
            doors: Index::new(arena, limits.tcp_listeners)?,
            segments: Segments::new(arena, limits.tcp_segments)?,
            held: HeldPool::new(arena, limits.tcp_held)?,
            time_waits: TimeWaitTable::new(
                arena,
                limits.tcp_time_wait,
                micros(config.tcp.msl).saturating_mul(2),
            )?,
            ready: Worklist::new(arena, slots)?,
            output: Worklist::new(arena, slots)?,
            blocked: Worklist::new(arena, slots)?,
            challenges: ChallengeBudget::new(config.tcp.challenge_acks_per_second.into()),
            numbers: InitialNumbers::new(random),
            cookies: Cookies::new(random),
            times: Times::new(&config.tcp),
            resets: crate::icmp::RateLimit::new(config.tcp.resets_per_second, config.tcp.resets_per_second),
            least_priority: u8::MAX,
        })
    }

    /// A connection by its name, unless it is over.
    #[inline]
    pub(crate) fn get(&self, key: Key) -> Option<&TcpPcb> {
        self.slots.get(key).filter(|pcb| !pcb.flags.has(Flags::DEAD))
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut TcpPcb> {
        self.slots.get_mut(key).filter(|pcb| !pcb.flags.has(Flags::DEAD))
    }

    /// The connection that a flow names.
    #[inline]
    fn find(&self, key: &HashKey, flow: &Flow) -> Option<u32> {
        let mut at = self.flows.first(flow.hash(key));
        while at != NONE {
            if self.slots.at(at as usize).is_some_and(|pcb| pcb.flow == *flow) {
                return Some(at);
            }
            at = self.flows.next(at);
        }
        None
    }

    /// Lets segments find a connection.
    fn index(&mut self, key: &HashKey, position: u32) {
        if let Some(pcb) = self.slots.at_mut(position as usize) {
            debug_assert!(!pcb.flags.has(Flags::INDEXED));
            pcb.flags.set(Flags::INDEXED);
            self.flows.insert(pcb.flow.hash(key), position);
        }
    }

    /// Takes a control block in.
    fn insert(&mut self, pcb: TcpPcb) -> Result<Key, Error> {
        let key = self.slots.insert(pcb)?;
        self.living += 1;
        let first = key.index as usize * self.ext_count;
        self.ext_args[first..first + self.ext_count].fill(0);
        Ok(key)
    }

    /// A word that the application keeps with a connection that is not over.
    pub(crate) fn ext_arg(&mut self, key: Key, number: usize) -> Result<&mut usize, Error> {
        self.get(key).ok_or(Error::Closed)?;
        if number >= self.ext_count {
            return Err(Error::Argument);
        }
        self.ext_args.get_mut(key.index as usize * self.ext_count + number).ok_or(Error::Argument)
    }

    /// Remembers that there is a connection, or a listener for some, of a priority.
    pub(crate) fn note_priority(&mut self, priority: u8) {
        self.least_priority = self.least_priority.min(priority);
    }

    /// Takes a connection out of what segments find.
    fn unindex(&mut self, key: &HashKey, position: u32) {
        if let Some(pcb) = self.slots.at_mut(position as usize)
            && pcb.flags.take(Flags::INDEXED)
        {
            self.flows.remove(pcb.flow.hash(key), position);
        }
    }
}

impl crate::engine::Engine {
    /// A connection that is not over, with what it needs to work.
    #[inline]
    fn tcp_conn(&mut self, position: u32) -> Option<Conn<'_>> {
        let pcb = self.tcp.slots.at_mut(position as usize).filter(|pcb| !pcb.flags.has(Flags::DEAD))?;
        Some(Conn {
            pcb,
            segments: &mut self.tcp.segments,
            held: &mut self.tcp.held,
            challenges: &mut self.tcp.challenges,
            random: &mut self.random,
            times: &self.tcp.times,
            counters: &mut self.counters.tcp,
            memory: &self.memory,
            config: &self.config.tcp,
            now: self.now,
        })
    }
}
