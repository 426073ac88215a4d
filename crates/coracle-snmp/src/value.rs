//! Values of variables.

use core::net::Ipv4Addr;

use crate::ber::{Malformed, Reader, Writer, tag};
use crate::ber::{signed, unsigned32, unsigned64};
use crate::oid::OidRef;

/// The value of a variable, or what stands in its place [RFC 3416 §3].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// A signed number.
    Integer(i32),
    /// Bytes.
    Octets(&'a [u8]),
    /// None; in requests.
    Null,
    /// An object identifier.
    Oid(OidRef<'a>),
    /// An IPv4 address.
    IpAddress(Ipv4Addr),
    /// A number that wraps at 2³².
    Counter32(u32),
    /// A number that may fall again; also any `Unsigned32`.
    Gauge32(u32),
    /// Hundredths of a second.
    TimeTicks(u32),
    /// Bytes that hold something encoded on its own.
    Opaque(&'a [u8]),
    /// A number that wraps at 2⁶⁴; version 1 has none.
    Counter64(u64),
    /// There is no such object; not in version 1.
    NoSuchObject,
    /// There is no such instance of the object; not in version 1.
    NoSuchInstance,
    /// Nothing follows; not in version 1.
    EndOfMibView,
}

impl<'a> Value<'a> {
    /// Takes a value out of a message.
    ///
    /// # Errors
    ///
    /// [`Malformed::Tag`] for a type that SNMP does not have; otherwise as [`Reader::element`], [`Reader::integer`]
    /// and [`OidRef::decode`].
    pub fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let (kind, content) = reader.element()?;
        let empty = |value| if content.is_empty() { Ok(value) } else { Err(Malformed::Value) };
        Ok(match kind {
            tag::INTEGER => Self::Integer(signed(content)?),
            tag::OCTET_STRING => Self::Octets(content),
            tag::NULL => empty(Self::Null)?,
            tag::OBJECT_IDENTIFIER => Self::Oid(OidRef::decode(content)?),
            tag::IP_ADDRESS => {
                let octets: [u8; 4] = content.try_into().map_err(|_| Malformed::Value)?;
                Self::IpAddress(Ipv4Addr::from(octets))
            }
            tag::COUNTER32 => Self::Counter32(unsigned32(content)?),
            tag::GAUGE32 => Self::Gauge32(unsigned32(content)?),
            tag::TIME_TICKS => Self::TimeTicks(unsigned32(content)?),
            tag::OPAQUE => Self::Opaque(content),
            tag::COUNTER64 => Self::Counter64(unsigned64(content)?),
            tag::NO_SUCH_OBJECT => empty(Self::NoSuchObject)?,
            tag::NO_SUCH_INSTANCE => empty(Self::NoSuchInstance)?,
            tag::END_OF_MIB_VIEW => empty(Self::EndOfMibView)?,
            _ => return Err(Malformed::Tag),
        })
    }

    /// Puts the value in front of a message.
    pub fn write(&self, writer: &mut Writer<'_>) {
        match self {
            Self::Integer(value) => writer.integer(*value),
            Self::Oid(oid) => oid.write(writer),
            Self::Octets(bytes) | Self::Opaque(bytes) => writer.element(self.tag(), bytes),
            Self::IpAddress(address) => writer.element(tag::IP_ADDRESS, &address.octets()),
            Self::Counter32(value) | Self::Gauge32(value) | Self::TimeTicks(value) => {
                writer.unsigned(self.tag(), u64::from(*value));
            }
            Self::Counter64(value) => writer.unsigned(tag::COUNTER64, *value),
            Self::Null | Self::NoSuchObject | Self::NoSuchInstance | Self::EndOfMibView => {
                writer.element(self.tag(), &[]);
            }
        }
    }

    /// The tag of its type, see [`tag`].
    pub const fn tag(&self) -> u8 {
        match self {
            Self::Integer(_) => tag::INTEGER,
            Self::Octets(_) => tag::OCTET_STRING,
            Self::Null => tag::NULL,
            Self::Oid(_) => tag::OBJECT_IDENTIFIER,
            Self::IpAddress(_) => tag::IP_ADDRESS,
            Self::Counter32(_) => tag::COUNTER32,
            Self::Gauge32(_) => tag::GAUGE32,
            Self::TimeTicks(_) => tag::TIME_TICKS,
            Self::Opaque(_) => tag::OPAQUE,
            Self::Counter64(_) => tag::COUNTER64,
            Self::NoSuchObject => tag::NO_SUCH_OBJECT,
            Self::NoSuchInstance => tag::NO_SUCH_INSTANCE,
            Self::EndOfMibView => tag::END_OF_MIB_VIEW,
        }
    }

    /// Whether it stands in the place of a value.
    pub const fn is_exception(&self) -> bool {
        matches!(self, Self::NoSuchObject | Self::NoSuchInstance | Self::EndOfMibView)
    }
}
