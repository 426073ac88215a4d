//! The encoding of SNMP messages: the basic encoding rules of ASN.1, as far as SNMP uses them [RFC 3417 §8].
//!
//! Reading is without copies: a [`Reader`] walks over the bytes of a message, and hands out parts of them. Writing
//! is backwards, from the end of a buffer to its front, so that a length is known when its turn comes.

mod reader;
mod writer;

pub use reader::{Malformed, Reader};
pub(crate) use reader::{signed, unsigned32, unsigned64};
pub use writer::{Mark, Writer};

/// The tags that SNMP uses.
pub mod tag {
    /// A signed number.
    pub const INTEGER: u8 = 0x02;
    /// Bytes.
    pub const OCTET_STRING: u8 = 0x04;
    /// No value.
    pub const NULL: u8 = 0x05;
    /// An object identifier.
    pub const OBJECT_IDENTIFIER: u8 = 0x06;
    /// Parts in a row.
    pub const SEQUENCE: u8 = 0x30;
    /// An IPv4 address.
    pub const IP_ADDRESS: u8 = 0x40;
    /// A number that wraps at 2³².
    pub const COUNTER32: u8 = 0x41;
    /// A number from 0 to 2³² − 1; the tag of `Unsigned32` and `Gauge32` alike.
    pub const GAUGE32: u8 = 0x42;
    /// Hundredths of a second.
    pub const TIME_TICKS: u8 = 0x43;
    /// Bytes that hold something encoded on its own.
    pub const OPAQUE: u8 = 0x44;
    /// A number that wraps at 2⁶⁴.
    pub const COUNTER64: u8 = 0x46;
    /// In place of a value: there is no such object.
    pub const NO_SUCH_OBJECT: u8 = 0x80;
    /// In place of a value: there is no such instance of the object.
    pub const NO_SUCH_INSTANCE: u8 = 0x81;
    /// In place of a value: nothing follows.
    pub const END_OF_MIB_VIEW: u8 = 0x82;
}

#[cfg(test)]
mod tests;
