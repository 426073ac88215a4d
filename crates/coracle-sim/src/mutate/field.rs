//! How a header is described: its fields, and its options if it has any.

use std::ops::Range;

/// What a field says, which decides how it is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A number, an address, a type.
    Value,
    /// The length of something.
    Length,
    /// The length of a header and what is in it, which changes with the options of the header and of those inside.
    Total,
    /// A place among numbers that count modulo 2³², such as a sequence number.
    Sequence,
    /// A checksum: never mutated and repaired at once, but damaged as a control.
    Checksum,
}

/// How far sequence numbers are moved.
const DISTANCES: [u32; 6] = [2, 536, 0xffff, 0x1_0000, 0x4000_0000, 0x8000_0000];

/// A field of a header: up to four bytes in network order, or some bits of them.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its name in the RFC.
    pub name: &'static str,
    /// Where its first byte lies in the header.
    pub at: usize,
    /// Its bytes: 1 to 4.
    pub len: usize,
    /// Its bits among these bytes, in one run.
    pub mask: u32,
    /// What it says.
    pub role: Role,
    /// Values worth trying beside the edges.
    pub also: &'static [u32],
}

impl Field {
    /// A field of one byte.
    pub const fn byte(name: &'static str, at: usize) -> Self {
        Self::bits(name, at, 1, 0xff)
    }

    /// A field of two bytes.
    pub const fn word(name: &'static str, at: usize) -> Self {
        Self::bits(name, at, 2, 0xffff)
    }

    /// A field of four bytes.
    pub const fn long(name: &'static str, at: usize) -> Self {
        Self::bits(name, at, 4, u32::MAX)
    }

    /// A field of some bits of `len` bytes.
    pub const fn bits(name: &'static str, at: usize, len: usize, mask: u32) -> Self {
        Self { name, at, len, mask, role: Role::Value, also: &[] }
    }

    /// The same as a length.
    #[must_use]
    pub const fn length(mut self) -> Self {
        self.role = Role::Length;
        self
    }

    /// The same as the length of header and payload.
    #[must_use]
    pub const fn total(mut self) -> Self {
        self.role = Role::Total;
        self
    }

    /// The same as a sequence number.
    #[must_use]
    pub const fn sequence(mut self) -> Self {
        self.role = Role::Sequence;
        self
    }

    /// The same as a checksum.
    #[must_use]
    pub const fn checksum(mut self) -> Self {
        self.role = Role::Checksum;
        self
    }

    /// The same with more values to try.
    #[must_use]
    pub const fn also(mut self, values: &'static [u32]) -> Self {
        self.also = values;
        self
    }

    /// What the field says in this header; `None` when the header is cut before its end.
    pub fn get(&self, header: &[u8]) -> Option<u32> {
        let bytes = header.get(self.at..self.at + self.len)?;
        let whole = bytes.iter().fold(0, |whole, &byte| whole << 8 | u32::from(byte));
        Some((whole & self.mask) >> self.mask.trailing_zeros())
    }

    /// Writes the field, bits that do not fit left out; nothing happens when the header is cut before its end.
    pub fn set(&self, header: &mut [u8], value: u32) {
        let Some(bytes) = header.get_mut(self.at..self.at + self.len) else { return };
        let old = bytes.iter().fold(0, |whole, &byte| whole << 8 | u32::from(byte));
        let new = old & !self.mask | value << self.mask.trailing_zeros() & self.mask;
        for (i, byte) in bytes.iter_mut().rev().enumerate() {
            *byte = (new >> (8 * i)) as u8;
        }
    }

    /// The largest value.
    pub const fn max(&self) -> u32 {
        self.mask >> self.mask.trailing_zeros()
    }

    /// Every value to try in place of `present`: both ends, the sign boundary, the neighbours, and what else the table
    /// says.
    pub fn values(&self, present: u32) -> Vec<u32> {
        let boundary = self.max() / 2;
        let mut values = self.edges(present);
        values.extend([1, boundary, boundary + 1, present.wrapping_mul(2) & self.max(), present / 2]);
        if self.role == Role::Sequence {
            // A segment, a window and half of the numbers away, on both sides.
            values.extend(DISTANCES.map(|by| present.wrapping_add(by)));
            values.extend(DISTANCES.map(|by| present.wrapping_sub(by)));
        }
        values.extend(self.also.iter().filter(|&&value| value <= self.max()));
        values.sort_unstable();
        values.dedup();
        values.retain(|&value| value != present);
        values
    }

    /// The values to try when several fields change at once.
    pub fn edges(&self, present: u32) -> Vec<u32> {
        let max = self.max();
        let mut values =
            vec![0, max, present.wrapping_add(1) & max, present.wrapping_sub(1) & max, max / 2 + 1];
        values.sort_unstable();
        values.dedup();
        values.retain(|&value| value != present);
        values
    }
}

/// How the options of a header are found, split and replaced.
#[derive(Clone, Copy, Debug)]
pub struct OptionRules {
    /// Options to put in, right and wrong ones.
    pub samples: &'static [&'static [u8]],
    /// Where the options lie in a header.
    pub area: fn(&[u8]) -> Range<usize>,
    /// The options one by one.
    pub split: fn(&[u8]) -> Vec<&[u8]>,
    /// Puts other options into the header that begins at this place of a frame, and makes the length of the header
    /// right. Returns whether there was room for them. Lengths of a whole ([`Role::Total`]) are not its concern.
    pub replace: fn(&mut Vec<u8>, usize, &[u8]) -> bool,
}

/// The description of a protocol's header.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    /// The protocol.
    pub name: &'static str,
    /// Its fields.
    pub fields: &'static [Field],
    /// Its options, where it has any.
    pub options: Option<OptionRules>,
}
