//! What a seed makes of the wire, the stacks and the applications.

use std::sync::LazyLock;
use std::time::Duration;

use coracle::{
    CUBIC, Config, CongestionControl, Limits, MemoryLimits, NEW_RENO, Shutdown, SynCookies, TcpConfig,
};
use coracle_sim::impair::{Burst, Impairment, Probability, Rate};

/// Random numbers that a seed fixes.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x5851_F42D_4C95_7F2D)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    /// A number from `low` to `high`.
    pub fn within(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// A number from `low` to `high`, small ones as likely as large ones.
    pub fn scale(&mut self, low: u64, high: u64) -> u64 {
        let doublings = (high / low.max(1)).max(1).ilog2();
        let base = low.max(1) << self.below(u64::from(doublings) + 1);
        self.within(base.min(high), (2 * base - 1).min(high)).max(low)
    }

    pub fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }

    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }
}

/// Of which all streams are made, each from a place of its own on, again and again.
pub static BYTES: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut dice = Dice::new(4);
    let once: Vec<u8> = (0..PERIOD).map(|_| dice.next() as u8).collect();
    [&once[..], &once[..]].concat()
});

/// A prime, so that no buffer or segment size hides a shift.
pub const PERIOD: usize = 65_521;

/// A whole run.
pub struct Plan {
    pub wire: Impairment,
    /// Stacks on Ethernet, or two on a line without stations.
    pub ethernet: bool,
    pub hosts: Vec<HostPlan>,
    pub connections: Vec<ConnectionPlan>,
    /// The wire is cut from this time on, for so long.
    pub cut: Option<(Duration, Duration)>,
    /// When everybody is asked to come to an end.
    pub end: Duration,
}

pub struct HostPlan {
    pub config: Config,
    pub limits: Limits,
    pub memory: MemoryLimits,
    pub mtu: u16,
    pub backlog: usize,
    pub ask: bool,
    /// Every so manieth connection is not accepted.
    pub refuse_one_in: u64,
    pub delay_acceptance: bool,
    pub priority: u8,
}

pub struct ConnectionPlan {
    pub from: usize,
    pub to: usize,
    pub start: Duration,
    pub client: SidePlan,
    pub server: SidePlan,
}

/// What one end of a connection does.
#[derive(Clone, Debug)]
pub struct SidePlan {
    pub total: u64,
    pub chunk: u64,
    /// After everything is written.
    pub then: Then,
    /// Data stays unread until so many bytes, or the next poll.
    pub hold: usize,
    /// One delivery of so many is refused; never when zero.
    pub refuse_one_in: u64,
    pub poll: Duration,
    /// At the callback of this number, this happens.
    pub sudden: Option<(u32, Sudden)>,
    pub no_nagle: bool,
    pub keep_alive: bool,
    pub user_timeout: Option<Duration>,
    pub priority: u8,
    pub receive_buffer: Option<u32>,
    pub send_buffer: Option<u32>,
    pub urgent: bool,
    /// Sends at once after writing.
    pub output: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Then {
    /// Waits for the peer to finish.
    Wait,
    ShutDown,
    Close,
    Abort,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sudden {
    Close,
    Abort,
    ShutDown(Shutdown),
    /// Another connection of the stack is aborted.
    AbortOther,
    CloseOther,
}

fn wire(dice: &mut Dice) -> Impairment {
    let percent = |dice: &mut Dice, most: u64, one_in: u64| {
        if dice.one_in(one_in) {
            Probability::ratio(dice.scale(1, most * 10), 1_000)
        } else {
            Probability::NEVER
        }
    };
    let delay = dice.pick(&[0, 100, 1_000, 20_000, 100_000, 500_000]);
    let delay = dice.within(delay / 2, delay);
    let bits_per_second = dice.scale(64_000, 10_000_000_000);
    let burst = Burst {
        enter: Probability::percent(1),
        leave: Probability::percent(dice.within(10, 60)),
        loss_good: Probability::NEVER,
        loss_bad: Probability::percent(dice.within(30, 100)),
    };
    Impairment {
        delay,
        jitter: if dice.one_in(3) { dice.below(delay / 2 + 1_000) } else { 0 },
        loss: percent(dice, 30, 2),
        burst: dice.one_in(6).then_some(burst),
        reorder: percent(dice, 30, 3),
        reorder_delay: dice.scale(100, 100_000),
        duplicate: percent(dice, 20, 3),
        corrupt: percent(dice, 5, 4),
        rate: (!dice.one_in(4)).then(|| Rate { bits_per_second, queue: dice.scale(4_000, 1 << 20) }),
        ..Impairment::default()
    }
}

fn tcp(dice: &mut Dice) -> TcpConfig {
    let congestion: [&'static dyn CongestionControl; 2] = [&CUBIC, &NEW_RENO];
    let buffer = |dice: &mut Dice| match dice.below(4) {
        0 => dice.within(1, 3_000) as u32,
        1 => dice.within(3_000, 70_000) as u32,
        _ => dice.within(60_000, 1 << 20) as u32,
    };
    TcpConfig {
        window: buffer(dice),
        send_buffer: buffer(dice),
        send_queue: dice.scale(1, 1_024) as u16,
        mss: if dice.one_in(4) { dice.within(64, 1_460) as u16 } else { u16::MAX },
        window_scaling: !dice.one_in(4),
        timestamps: !dice.one_in(4),
        sack: !dice.one_in(4),
        ecn: dice.one_in(2),
        min_rto: Duration::from_millis(dice.pick(&[20, 200, 1_000])),
        initial_window: dice.within(1, 10) as u8,
        delayed_ack: Duration::from_millis(dice.pick(&[10, 40, 200, 490])),
        quick_acks: dice.pick(&[0, 16]),
        msl: Duration::from_secs(dice.within(1, 60)),
        fin_wait_2: Duration::from_secs(dice.within(5, 60)),
        congestion: dice.pick(&congestion),
        syn_cookies: dice.pick(&[SynCookies::Never, SynCookies::WhenFull, SynCookies::Always]),
        nagle: dice.one_in(2),
        path_mtu_discovery: dice.one_in(2),
        keep_alive_idle: Duration::from_secs(dice.within(1, 30)),
        keep_alive_interval: Duration::from_secs(dice.within(1, 10)),
        keep_alive_count: dice.within(2, 9) as u8,
        ..TcpConfig::HOST
    }
}

fn memory(dice: &mut Dice) -> MemoryLimits {
    if !dice.one_in(3) {
        return MemoryLimits::default();
    }
    MemoryLimits {
        pool_buffers: dice.scale(8, 64) as usize,
        pool_buffer_size: dice.pick(&[256, 640, 1_600]),
        small_buffers: dice.scale(4, 32) as usize,
        references: dice.scale(8, 128) as usize,
        heap_bytes: dice.scale(2_048, 64 << 10) as usize,
    }
}

fn host(dice: &mut Dice, number: usize) -> HostPlan {
    let mut seed = [number as u8; 16];
    seed[..8].copy_from_slice(&dice.next().to_le_bytes());
    let mut config = Config::new(seed);
    config.tcp = tcp(dice);
    let mut limits = Limits { tcp: 64, ..Limits::SMALL };
    if dice.one_in(3) {
        limits.tcp = dice.within(2, 8) as usize;
        limits.tcp_segments = dice.scale(4, 64) as usize;
        limits.tcp_held = dice.within(0, 16) as usize;
        limits.tcp_time_wait = dice.within(0, 4) as usize;
    } else {
        limits.tcp_segments = 4_096;
        limits.tcp_held = 256;
        limits.tcp_time_wait = 64;
    }
    HostPlan {
        config,
        limits,
        memory: memory(dice),
        mtu: if dice.one_in(4) { dice.within(128, 1_500) as u16 } else { 1_500 },
        backlog: dice.within(1, 8) as usize,
        ask: dice.one_in(6),
        refuse_one_in: if dice.one_in(5) { 3 } else { u64::MAX },
        delay_acceptance: dice.one_in(5),
        priority: dice.within(1, 127) as u8,
    }
}

fn side(dice: &mut Dice, rate: u64) -> SidePlan {
    // What takes no longer than a minute or two, whatever is lost.
    let most = (rate / 8).saturating_mul(20).clamp(20_000, 300_000);
    let total = match dice.below(6) {
        0 => 0,
        1 => dice.pick(&[1, 2, 535, 536, 537, 1_447, 1_448, 1_449, 1_459, 1_460, 1_461, 65_535, 65_536]),
        _ => dice.scale(1, most),
    };
    let sudden = [
        Sudden::Close,
        Sudden::Abort,
        Sudden::ShutDown(Shutdown::Send),
        Sudden::ShutDown(Shutdown::Receive),
        Sudden::ShutDown(Shutdown::Both),
        Sudden::AbortOther,
        Sudden::CloseOther,
    ];
    let buffer = |dice: &mut Dice| dice.one_in(6).then(|| dice.scale(1, 200_000) as u32);
    SidePlan {
        total,
        chunk: dice.scale(1, 20_000),
        then: dice.pick(&[Then::Wait, Then::Wait, Then::ShutDown, Then::ShutDown, Then::Close, Then::Abort]),
        hold: if dice.one_in(3) { dice.scale(1, 100_000) as usize } else { 0 },
        refuse_one_in: if dice.one_in(3) { dice.within(2, 6) } else { 0 },
        poll: Duration::from_millis(dice.scale(50, 3_000)),
        sudden: dice.one_in(4).then(|| (dice.scale(1, 200) as u32, dice.pick(&sudden))),
        no_nagle: dice.one_in(3),
        keep_alive: dice.one_in(4),
        user_timeout: dice.one_in(10).then(|| Duration::from_secs(dice.within(5, 60))),
        priority: dice.within(1, 127) as u8,
        receive_buffer: buffer(dice),
        send_buffer: buffer(dice),
        urgent: dice.one_in(10),
        output: dice.one_in(2),
    }
}

impl Plan {
    pub fn of(seed: u64) -> Self {
        let dice = &mut Dice::new(seed);
        let wire = wire(dice);
        let count = dice.pick(&[2, 2, 2, 3, 4, 6]);
        let hosts: Vec<_> = (0..count).map(|number| host(dice, number)).collect();
        let rate = wire.rate.map_or(u64::MAX, |rate| rate.bits_per_second);
        let connections = (0..dice.scale(1, 10)).map(|_| {
            let from = dice.below(count as u64) as usize;
            // Now and then a stack connects to itself.
            let to = if dice.one_in(20) {
                from
            } else {
                (from + dice.within(1, count as u64 - 1) as usize) % count
            };
            ConnectionPlan {
                from,
                to,
                start: Duration::from_millis(dice.below(3_000)),
                client: side(dice, rate),
                server: side(dice, rate),
            }
        });
        let connections = connections.collect();
        let cut = dice.one_in(4).then(|| {
            (Duration::from_millis(dice.below(5_000)), Duration::from_millis(dice.scale(100, 100_000)))
        });
        let end = Duration::from_secs(dice.scale(10, 900));
        Self { wire, ethernet: count > 2 || dice.one_in(2), hosts, connections, cut, end }
    }
}
