//! TCP: the field tables, and seeds that fit any state of a connection between the peer of a [`Rig`](crate::rig::Rig) and
//! its stack.

use std::ops::Range;

use coracle::wire::ipv4::protocol;
use coracle::wire::tcp::{SackBlocks, TcpFields, TcpFlags, TcpOptions};

use super::engine::Seed;
use super::field::{Field, OptionRules, Table};
use super::protocols::{seed_of, split_options};
use crate::frames::{Ipv4, tcp};
use crate::rig::{ADDRESS, ECHO_PORT, PEER};

/// Length of a header without options.
const HEADER_LEN: usize = 20;

/// A TCP header.
pub static TCP: Table = Table {
    name: "TCP",
    fields: &[
        Field::word("source port", 0),
        Field::word("destination port", 2).also(&[7, 9]),
        Field::long("sequence number", 4).sequence(),
        Field::long("acknowledgment number", 8).sequence(),
        Field::bits("data offset", 12, 1, 0xf0).length(),
        Field::bits("reserved", 12, 1, 0x0e),
        Field::bits("accurate ECN", 12, 1, 0x01),
        // None, each alone, and those that contradict each other.
        Field::byte("flags", 13).also(&[
            0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x08, 0x10, 0x11, 0x12, 0x13, 0x14, 0x16, 0x17, 0x18, 0x19,
            0x20, 0x28, 0x29, 0x30, 0x31, 0x32, 0x38, 0x3f, 0x40, 0x50, 0x52, 0x80, 0x90, 0xc0, 0xc2, 0xd0,
            0xd2,
        ]),
        Field::word("window", 14),
        Field::word("checksum", 16).checksum(),
        Field::word("urgent pointer", 18),
    ],
    options: Some(OptionRules {
        samples: SAMPLES,
        area: option_area,
        split: split_options,
        replace: replace_options,
    }),
};

/// Options right and wrong: each with its length, with others, and with values that mean trouble.
const SAMPLES: &[&[u8]] = &[
    &[0],
    &[1, 1, 1, 1],
    &[2, 4, 0x05, 0xb4],
    &[2, 4, 0, 0],
    &[2, 4, 0, 1],
    &[2, 4, 0xff, 0xff],
    &[2, 0, 5, 0xb4],
    &[2, 1, 5, 0xb4],
    &[2, 3, 5],
    &[2, 5, 5, 0xb4, 0],
    &[2, 255, 5, 0xb4],
    &[3, 3, 0],
    &[3, 3, 14],
    &[3, 3, 255],
    &[3, 2],
    &[3, 4, 7, 7],
    &[4, 2],
    &[4, 3, 0],
    &[4, 0],
    // Blocks: none, a part of one, one below all, one reversed, an empty one, more than there is.
    &[5, 2],
    &[5, 9, 0, 0, 0, 1, 0, 0, 0],
    &[5, 10, 0, 0, 0, 1, 0, 0, 0, 2],
    &[5, 10, 0x80, 0, 0, 2, 0x80, 0, 0, 1],
    &[5, 10, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff],
    &[5, 10, 0x12, 0x34, 0x56, 0x78, 0x12, 0x34, 0x56, 0x78],
    &[5, 34, 0, 0, 0, 1, 0, 0, 0, 2],
    &[5, 42, 0, 0, 0, 1, 0, 0, 0, 2],
    &[8, 10, 0, 0, 0, 0, 0, 0, 0, 0],
    &[8, 10, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    &[8, 9, 0, 0, 0, 1, 0, 0, 0],
    &[8, 2],
    &[8, 11, 0, 0, 0, 1, 0, 0, 0, 2, 0],
    &[28, 4, 0x80, 0],
    &[28, 3, 0],
    // A signature, authentication, fast open with and without a cookie, several paths, and what nobody knows.
    &[19, 18, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16],
    &[29, 4, 1, 1],
    &[34, 2],
    &[34, 6, 1, 2, 3, 4],
    &[30, 12, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8],
    &[254, 4, 0xf9, 0x89],
    &[253, 0, 1, 1],
    &[253, 1, 1, 1],
    &[253, 255, 1, 1],
    &[1, 1, 1, 253],
];

fn option_area(header: &[u8]) -> Range<usize> {
    let end = header.get(12).map_or(0, |&offset| usize::from(offset >> 4) * 4);
    HEADER_LEN..end.clamp(HEADER_LEN, header.len().max(HEADER_LEN))
}

fn replace_options(frame: &mut Vec<u8>, at: usize, options: &[u8]) -> bool {
    let area = option_area(&frame[at..]);
    let padded = options.len().next_multiple_of(4);
    if padded > 40 {
        return false;
    }
    let mut new = options.to_vec();
    new.resize(padded, 0);
    frame.splice(at + area.start..at + area.end, new);
    frame[at + 12] = frame[at + 12] & 0x0f | ((5 + padded / 4) << 4) as u8;
    true
}

const KIND: Field = Field::byte("kind", 0).also(&[0, 1, 2, 3, 4, 5, 8, 28, 253]);
const LENGTH: Field = Field::byte("length", 1).length().also(&[0, 1, 2, 3, 4, 10, 18, 26, 34, 40, 41]);

/// The option that says the largest segment.
pub static MSS: Table = Table {
    name: "TCP MSS option",
    fields: &[KIND, LENGTH, Field::word("size", 2).also(&[1, 40, 48, 64, 535, 536, 1_460])],
    options: None,
};

/// The option that says by how much windows are shifted.
pub static WINDOW_SCALE: Table = Table {
    name: "TCP window scale option",
    fields: &[KIND, LENGTH, Field::byte("shift", 2).also(&[13, 14, 15, 16, 31, 32])],
    options: None,
};

/// The option that permits SACK.
pub static SACK_PERMITTED: Table =
    Table { name: "TCP SACK-permitted option", fields: &[KIND, LENGTH], options: None };

/// The option with blocks of what arrived out of order; the first two of these.
pub static SACK: Table = Table {
    name: "TCP SACK option",
    fields: &[
        KIND,
        LENGTH,
        Field::long("first left edge", 2).sequence(),
        Field::long("first right edge", 6).sequence(),
        Field::long("second left edge", 10).sequence(),
        Field::long("second right edge", 14).sequence(),
    ],
    options: None,
};

/// The option with times.
pub static TIMESTAMPS: Table = Table {
    name: "TCP timestamps option",
    fields: &[KIND, LENGTH, Field::long("value", 2).sequence(), Field::long("echo", 6).sequence()],
    options: None,
};

/// The option that says how long data is kept.
pub static USER_TIMEOUT: Table = Table {
    name: "TCP user timeout option",
    fields: &[KIND, LENGTH, Field::bits("granularity", 2, 2, 0x8000), Field::bits("timeout", 2, 2, 0x7fff)],
    options: None,
};

/// What a segment has to say to fit a connection: where peer and stack are in their streams.
#[derive(Clone, Copy, Debug)]
pub struct Conversation {
    /// The port of the peer.
    pub peer_port: u16,
    /// The port of the stack.
    pub port: u16,
    /// The sequence number that the stack expects next.
    pub sequence: u32,
    /// The first sequence number of the stack that the peer does not acknowledge.
    pub acknowledgment: u32,
    /// The peer's time, and the last that it saw of the stack.
    pub timestamps: Option<(u32, u32)>,
}

impl Default for Conversation {
    /// One that no stack has had: with its echo server, close to the wrap of all numbers.
    fn default() -> Self {
        Self {
            peer_port: 40_000,
            port: ECHO_PORT,
            sequence: 0xffff_fff0,
            acknowledgment: 0x7fff_fffe,
            timestamps: Some((0xffff_ff00, 0x0102_0304)),
        }
    }
}

impl Conversation {
    fn seed(&self, name: &'static str, flags: TcpFlags, options: TcpOptions, data: &[u8]) -> Seed {
        let urgent = flags.contains(TcpFlags::URG);
        let fields = TcpFields {
            source_port: self.peer_port,
            destination_port: self.port,
            sequence: self.sequence,
            acknowledgment: if flags.contains(TcpFlags::ACK) { self.acknowledgment } else { 0 },
            flags,
            window: 0xfff0,
            urgent_pointer: if urgent { data.len() as u16 } else { 0 },
            ..TcpFields::default()
        };
        let options = TcpOptions { timestamps: self.timestamps, ..options };
        let segment = tcp(&fields, &options, data);
        let mut inner = vec![(0, &TCP)];
        inner.extend(option_tables(&segment));
        seed_of(name, &Ipv4::new(PEER, ADDRESS), protocol::TCP, &segment, &inner)
    }

    /// Every option that belongs on a SYN.
    fn syn_options() -> TcpOptions {
        TcpOptions {
            mss: Some(1_460),
            window_scale: Some(7),
            sack_permitted: true,
            user_timeout: Some(300),
            ..TcpOptions::default()
        }
    }

    /// Blocks of the stack's data, behind bytes that are missing.
    fn blocks(&self) -> TcpOptions {
        let mut sack = SackBlocks::new();
        for (left, right) in [(20, 30), (5, 10)] {
            let at = |by| self.acknowledgment.wrapping_add(by);
            sack.push(at(left), at(right));
        }
        TcpOptions { sack, ..TcpOptions::default() }
    }
}

/// Where the options of a segment are, and what their fields are.
fn option_tables(segment: &[u8]) -> Vec<(usize, &'static Table)> {
    let area = option_area(segment);
    let mut at = area.start;
    let mut tables = Vec::new();
    for option in split_options(&segment[area]) {
        let table = match option[0] {
            2 => Some(&MSS),
            3 => Some(&WINDOW_SCALE),
            4 => Some(&SACK_PERMITTED),
            5 => Some(&SACK),
            8 => Some(&TIMESTAMPS),
            28 => Some(&USER_TIMEOUT),
            _ => None,
        };
        tables.extend(table.map(|table| (at, table)));
        at += option.len();
    }
    tables
}

/// A valid segment of each kind. In which state of the connection one is welcome is another matter.
pub fn seeds(of: &Conversation) -> Vec<Seed> {
    let none = TcpOptions::default();
    let ack = TcpFlags::ACK;
    vec![
        of.seed("SYN with all options", TcpFlags::SYN, Conversation::syn_options(), b""),
        of.seed("SYN and ACK", TcpFlags::SYN | ack, Conversation::syn_options(), b""),
        of.seed("ACK", ack, none, b""),
        of.seed("ACK with SACK", ack, of.blocks(), b""),
        of.seed("data", ack | TcpFlags::PSH, none, b"data of a segment"),
        of.seed("urgent data", ack | TcpFlags::URG, none, b"urgent!"),
        of.seed("FIN with data", ack | TcpFlags::FIN, none, b"the last"),
        of.seed("FIN", ack | TcpFlags::FIN, none, b""),
        of.seed("RST", TcpFlags::RST, none, b""),
        of.seed("RST and ACK", TcpFlags::RST | ack, none, b""),
    ]
}
