//! Packets in both directions.

use super::ParseError;
use super::ast::{Body, Ecn, Icmp, IpFields, Packet, Quoted, Tcp, TcpOption, Udp, flag};
use super::cursor::Cursor;
use crate::packet::icmp_names;

/// What follows `<` or `>`.
pub(super) fn packet(cursor: &mut Cursor<'_>) -> Result<Packet, ParseError> {
    let connection = if cursor.accept("@")? { Some(cursor.fitting("a connection's number")?) } else { None };
    let mut ip = IpFields::default();
    let mut quoted = None;
    while cursor.accept("[")? {
        cursor.skip_space()?;
        if cursor.rest().starts_with(|c: char| c.is_ascii_digit()) || cursor.peek_word() == "udp" {
            quoted = Some(quote(cursor)?);
            cursor.expect("]")?;
        } else {
            ip_fields(cursor, &mut ip)?;
        }
    }
    cursor.skip_space()?;
    let word = cursor.peek_word();
    let body = match word {
        "icmp" | "icmpv6" | "icmp6" => {
            cursor.take(word.len());
            Body::Icmp(icmp(cursor, word != "icmp", quoted)?)
        }
        "udp" if quoted.is_none() => {
            cursor.take(word.len());
            cursor.expect("(")?;
            let payload = cursor.fitting("a length")?;
            cursor.expect(")")?;
            Body::Udp(Udp { payload })
        }
        "ipv4" | "ipv6" | "gre" | "mpls" | "psp" => {
            return Err(cursor.error(format!("encapsulation ({word}) is not supported")));
        }
        _ if quoted.is_none() => Body::Tcp(tcp(cursor)?),
        _ => return Err(cursor.expected("`icmp` behind the packet that it quotes")),
    };
    Ok(Packet { ip, connection, body })
}

/// The rest of `[ect0]`, `[tos 0x10, ttl 64]` and the like.
fn ip_fields(cursor: &mut Cursor<'_>, ip: &mut IpFields) -> Result<(), ParseError> {
    loop {
        match cursor.word("a field of the IP header")? {
            "noecn" => ip.ecn = Some(Ecn::NotEct),
            "ect0" => ip.ecn = Some(Ecn::Ect0),
            "ect1" => ip.ecn = Some(Ecn::Ect1),
            "ect01" => ip.ecn = Some(Ecn::Ect01),
            "ce" => ip.ecn = Some(Ecn::Ce),
            "tos" | "tclass" => ip.tos = Some(cursor.fitting("a type of service")?),
            "ttl" | "hlim" => ip.ttl = Some(cursor.fitting("a time-to-live")?),
            "flowlabel" => ip.flow_label = Some(cursor.fitting("a flow label")?),
            "df" => ip.dont_fragment = Some(true),
            "badsum" => ip.wrong_checksum = true,
            "nodf" => ip.dont_fragment = Some(false),
            other => return Err(cursor.error(format!("`{other}` is no field of the IP header"))),
        }
        if !cursor.accept(",")? {
            return cursor.expect("]");
        }
    }
}

/// `1:1001(1000)`: the first number and the length.
fn sequence(cursor: &mut Cursor<'_>) -> Result<(u32, u32), ParseError> {
    let first: u32 = cursor.fitting("a sequence number")?;
    cursor.expect(":")?;
    let end: u32 = cursor.fitting("a sequence number")?;
    cursor.expect("(")?;
    let len: u32 = cursor.fitting("a length")?;
    cursor.expect(")")?;
    if first.wrapping_add(len) != end {
        return Err(cursor.error(format!("{first}:{end} is not of length {len}")));
    }
    if len > 65_535 * 32 {
        return Err(cursor.error(format!("{len} bytes are more than any packets hold")));
    }
    Ok((first, len))
}

fn flags(cursor: &mut Cursor<'_>) -> Result<u16, ParseError> {
    cursor.skip_space()?;
    let rest = cursor.rest();
    let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
    let word = &rest[..end];
    let mut flags = 0;
    for letter in word.chars() {
        let bits = match letter {
            // The ACE field of three bits [RFC 9768 §3.1].
            '0'..='7' => {
                let ace = letter as u16 - '0' as u16;
                ((ace >> 2) * flag::AE) | (((ace >> 1) & 1) * flag::CWR) | ((ace & 1) * flag::ECE)
            }
            '-' if word == "-" => 0,
            _ => match flag::LETTERS.iter().find(|&&(known, _)| known == letter) {
                Some(&(_, bits)) => bits,
                None => return Err(cursor.expected("TCP flags, `udp` or `icmp`")),
            },
        };
        flags |= bits;
    }
    if word.is_empty() {
        return Err(cursor.expected("a packet"));
    }
    cursor.take(end);
    Ok(flags)
}

fn tcp(cursor: &mut Cursor<'_>) -> Result<Tcp, ParseError> {
    let flags = flags(cursor)?;
    let (seq, payload) = sequence(cursor)?;
    let mut segment =
        Tcp { flags, seq, payload, ack: None, window: None, urgent: None, options: Some(Vec::new()) };
    loop {
        if cursor.accept_word("ack")? {
            segment.ack = Some(cursor.fitting("a sequence number")?);
        } else if cursor.accept_word("win")? {
            segment.window = Some(cursor.fitting("a window")?);
        } else if cursor.accept_word("urg")? {
            segment.urgent = Some(cursor.fitting("an urgent pointer")?);
        } else {
            break;
        }
    }
    if segment.ack.is_some() != (flags & flag::ACK != 0) {
        return Err(cursor.error("`ack` and the flag `.` belong together"));
    }
    if cursor.accept("<")? {
        segment.options = if cursor.accept("...")? {
            cursor.expect(">")?;
            None
        } else {
            Some(options(cursor)?)
        };
    }
    Ok(segment)
}

/// The rest of `<mss 1460,…>`.
fn options(cursor: &mut Cursor<'_>) -> Result<Vec<TcpOption>, ParseError> {
    let mut options = Vec::new();
    if cursor.accept(">")? {
        return Ok(options);
    }
    loop {
        options.push(tcp_option(cursor)?);
        if cursor.accept(">")? {
            return Ok(options);
        }
        cursor.expect(",")?;
    }
}

fn tcp_option(cursor: &mut Cursor<'_>) -> Result<TcpOption, ParseError> {
    Ok(match cursor.word("a TCP option")? {
        "nop" => TcpOption::Nop,
        "eol" => TcpOption::End,
        "mss" => TcpOption::Mss(cursor.fitting("a segment size")?),
        "wscale" => TcpOption::WindowScale(cursor.fitting("a window scale")?),
        "sackOK" => TcpOption::SackPermitted,
        "sack" => TcpOption::Sack(sack_blocks(cursor)?),
        "TS" => {
            let (mut value, mut echo) = (0, 0);
            if cursor.accept_word("val")? {
                value = cursor.fitting("a timestamp")?;
            }
            if cursor.accept_word("ecr")? {
                echo = cursor.fitting("a timestamp")?;
            }
            TcpOption::Timestamps { value, echo }
        }
        "uto" => TcpOption::UserTimeout(cursor.fitting("a user timeout")?),
        "hex" => TcpOption::Raw(hex(cursor)?),
        "FO" => TcpOption::Raw(framed(cursor, 34, &[])?),
        "FOEXP" => TcpOption::Raw(framed(cursor, 254, &[0xf9, 0x89])?),
        "md5" => TcpOption::Raw(framed(cursor, 19, &[])?),
        other => return Err(cursor.error(format!("`{other}` is no TCP option that is known here"))),
    })
}

fn sack_blocks(cursor: &mut Cursor<'_>) -> Result<Vec<(u32, u32)>, ParseError> {
    let mut blocks = Vec::new();
    loop {
        cursor.skip_space()?;
        if !cursor.rest().starts_with(|c: char| c.is_ascii_digit()) {
            return Ok(blocks);
        }
        let left = cursor.fitting("a sequence number")?;
        cursor.expect(":")?;
        blocks.push((left, cursor.fitting("a sequence number")?));
    }
}

/// Pairs of hexadecimal digits.
fn hex(cursor: &mut Cursor<'_>) -> Result<Vec<u8>, ParseError> {
    cursor.skip_space()?;
    let word = cursor.peek_word();
    let digits = word.bytes().map(|digit| char::from(digit).to_digit(16)).collect::<Option<Vec<_>>>();
    let digits = digits.filter(|digits| digits.len() % 2 == 0 && digits.len() <= 80);
    let digits = digits.ok_or_else(|| cursor.expected("at most 40 bytes as pairs of hexadecimal digits"))?;
    cursor.take(word.len());
    Ok(digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect())
}

/// An option of a kind, its content a magic and hexadecimal digits, if there are any.
fn framed(cursor: &mut Cursor<'_>, kind: u8, magic: &[u8]) -> Result<Vec<u8>, ParseError> {
    let content = hex(cursor)?;
    let len = 2 + magic.len() + content.len();
    Ok([&[kind, len as u8], magic, &content].concat())
}

/// What stands between the brackets of a quoted packet.
fn quote(cursor: &mut Cursor<'_>) -> Result<Quoted, ParseError> {
    if cursor.accept_word("udp")? {
        cursor.expect("(")?;
        let payload = cursor.fitting("a length")?;
        cursor.expect(")")?;
        return Ok(Quoted::Udp { payload });
    }
    let (seq, payload) = sequence(cursor)?;
    Ok(Quoted::Tcp { seq, payload })
}

fn icmp(cursor: &mut Cursor<'_>, v6: bool, mut quoted: Option<Quoted>) -> Result<Icmp, ParseError> {
    let name = cursor.word("the type of an ICMP message")?;
    let kind = icmp_names::kind(v6, name).ok_or_else(|| cursor.error(format!("`{name}` is no ICMP type")))?;
    cursor.skip_space()?;
    let name = cursor.peek_word();
    let code = icmp_names::code(v6, kind, name);
    if code.is_some() {
        cursor.take(name.len());
    }
    let mut icmp = Icmp { v6, kind, code, mtu: None, echo: None, payload: 0, quoted: None };
    if cursor.accept_word("mtu")? {
        icmp.mtu = Some(cursor.fitting("an MTU")?);
    }
    if cursor.accept_word("id")? {
        let identifier = cursor.fitting("an identifier")?;
        let number = if cursor.accept_word("seq")? { cursor.fitting("a sequence number")? } else { 0 };
        icmp.echo = Some((identifier, number));
    }
    if cursor.accept("(")? {
        icmp.payload = cursor.fitting("a length")?;
        cursor.expect(")")?;
    }
    if cursor.accept("[")? {
        quoted = Some(quote(cursor)?);
        cursor.expect("]")?;
    }
    icmp.quoted = quoted;
    Ok(icmp)
}
