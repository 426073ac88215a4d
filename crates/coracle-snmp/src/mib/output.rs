//! Where objects put their values.

use core::net::Ipv4Addr;

use crate::ber::{Writer, tag};
use crate::value::Value;

/// Takes the one value that is asked for. Nothing put in means that there is no such instance.
#[derive(Debug)]
pub struct Output<'w, 'b> {
    writer: &'w mut Writer<'b>,
    kind: Option<u8>,
}

impl<'w, 'b> Output<'w, 'b> {
    /// An output in front of a message.
    pub(crate) fn new(writer: &'w mut Writer<'b>) -> Self {
        Self { writer, kind: None }
    }

    /// The tag of the value that was put in.
    pub(crate) fn kind(&self) -> Option<u8> {
        self.kind
    }

    /// Puts a value in; a second one is not taken.
    pub fn value(&mut self, value: &Value<'_>) {
        if self.kind.is_none() {
            self.kind = Some(value.tag());
            value.write(self.writer);
        }
    }

    /// Puts a signed number in.
    pub fn integer(&mut self, value: i32) {
        self.value(&Value::Integer(value));
    }

    /// Puts a yes or no in: `TruthValue` [RFC 2579 §2].
    pub fn truth(&mut self, value: bool) {
        self.integer(if value { 1 } else { 2 });
    }

    /// Puts bytes in.
    pub fn octets(&mut self, value: &[u8]) {
        self.value(&Value::Octets(value));
    }

    /// Puts text in.
    pub fn text(&mut self, value: &str) {
        self.octets(value.as_bytes());
    }

    /// Puts a counter in.
    pub fn counter(&mut self, value: u32) {
        self.value(&Value::Counter32(value));
    }

    /// Puts a gauge, or any `Unsigned32`, in.
    pub fn gauge(&mut self, value: u32) {
        self.value(&Value::Gauge32(value));
    }

    /// Puts a long counter in.
    pub fn counter64(&mut self, value: u64) {
        self.value(&Value::Counter64(value));
    }

    /// Puts a time in hundredths of a second in.
    pub fn ticks(&mut self, value: u32) {
        self.value(&Value::TimeTicks(value));
    }

    /// Puts an IPv4 address in.
    pub fn address(&mut self, value: Ipv4Addr) {
        self.value(&Value::IpAddress(value));
    }

    /// Puts an object identifier in.
    pub fn oid(&mut self, arcs: &[u32]) {
        if self.kind.is_none() {
            self.kind = Some(tag::OBJECT_IDENTIFIER);
            self.writer.oid(arcs);
        }
    }
}
