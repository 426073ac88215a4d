//! Packets as scripts write them.

use std::fmt::{self, Display, Formatter};

use super::icmp_names;
use crate::language::ast::{Body, Ecn, Icmp, IpFields, Packet, Quoted, Tcp, TcpOption, Udp, flag};

impl Display for Packet {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let Some(connection) = self.connection {
            write!(f, "@{connection} ")?;
        }
        write!(f, "{}", self.ip)?;
        match &self.body {
            Body::Tcp(segment) => write!(f, "{segment}"),
            Body::Udp(Udp { payload }) => write!(f, "udp ({payload})"),
            Body::Icmp(message) => write!(f, "{message}"),
        }
    }
}

impl Display for IpFields {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut fields = Vec::new();
        fields.extend(self.ecn.map(|ecn| {
            match ecn {
                Ecn::NotEct => "noecn",
                Ecn::Ect0 => "ect0",
                Ecn::Ect1 => "ect1",
                Ecn::Ect01 => "ect01",
                Ecn::Ce => "ce",
            }
            .to_owned()
        }));
        fields.extend(self.tos.map(|tos| format!("tos {tos:#04x}")));
        fields.extend(self.ttl.map(|ttl| format!("ttl {ttl}")));
        fields.extend(self.flow_label.map(|label| format!("flowlabel {label:#07x}")));
        fields.extend(self.dont_fragment.map(|set| if set { "df" } else { "nodf" }.to_owned()));
        fields.extend(self.wrong_checksum.then(|| "badsum".to_owned()));
        if fields.is_empty() { Ok(()) } else { write!(f, "[{}] ", fields.join(", ")) }
    }
}

impl Display for Tcp {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let letters: String = flag::LETTERS
            .iter()
            .filter(|(_, bit)| self.flags & bit != 0)
            .map(|&(letter, _)| letter)
            .collect();
        let letters = if letters.is_empty() { "-" } else { &letters };
        let end = self.seq.wrapping_add(self.payload);
        write!(f, "{letters} {}:{end}({})", self.seq, self.payload)?;
        for (name, value) in
            [("ack", self.ack), ("win", self.window.map(u32::from)), ("urg", self.urgent.map(u32::from))]
        {
            if let Some(value) = value {
                write!(f, " {name} {value}")?;
            }
        }
        match &self.options {
            None => f.write_str(" <...>"),
            Some(options) if options.is_empty() => Ok(()),
            Some(options) => {
                let options: Vec<_> = options.iter().map(ToString::to_string).collect();
                write!(f, " <{}>", options.join(","))
            }
        }
    }
}

impl Display for TcpOption {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::End => f.write_str("eol"),
            Self::Nop => f.write_str("nop"),
            Self::Mss(mss) => write!(f, "mss {mss}"),
            Self::WindowScale(shift) => write!(f, "wscale {shift}"),
            Self::SackPermitted => f.write_str("sackOK"),
            Self::Sack(blocks) => {
                f.write_str("sack")?;
                blocks.iter().try_for_each(|(left, right)| write!(f, " {left}:{right}"))
            }
            Self::Timestamps { value, echo } => write!(f, "TS val {value} ecr {echo}"),
            Self::UserTimeout(timeout) => write!(f, "uto {timeout}"),
            Self::Raw(bytes) => {
                f.write_str("hex ")?;
                bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }
    }
}

impl Display for Icmp {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", if self.v6 { "icmpv6" } else { "icmp" })?;
        f.write_str(&icmp_names::show_kind(self.v6, self.kind))?;
        if let Some(code) = self.code {
            write!(f, " {}", icmp_names::show_code(self.v6, self.kind, code))?;
        }
        if let Some(mtu) = self.mtu {
            write!(f, " mtu {mtu}")?;
        }
        if let Some((identifier, number)) = self.echo {
            write!(f, " id {identifier} seq {number}")?;
        }
        if self.payload > 0 {
            write!(f, " ({})", self.payload)?;
        }
        match self.quoted {
            None => Ok(()),
            Some(Quoted::Tcp { seq, payload }) => {
                write!(f, " [{seq}:{}({payload})]", seq.wrapping_add(payload))
            }
            Some(Quoted::Udp { payload }) => write!(f, " [udp ({payload})]"),
        }
    }
}
