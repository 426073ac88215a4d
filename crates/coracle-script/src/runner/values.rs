//! The values of expressions.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::language::ast::Expression;
use crate::sockets::constants;

/// Why an expression has no value here.
pub(super) type Unknown = String;

/// An integer.
pub(super) fn integer(expression: &Expression) -> Result<i64, Unknown> {
    match expression {
        Expression::Number(number) => Ok(*number),
        Expression::Word(word) => match constants::named(word) {
            Some(value) => Ok(value.into()),
            None => Err(format!("`{word}` is no constant that is known here")),
        },
        Expression::Or(left, right) => Ok(integer(left)? | integer(right)?),
        // Ports stay in the order that we count in.
        Expression::Apply(name, arguments) if matches!(name.as_str(), "htons" | "htonl") => {
            integer(arguments.first().ok_or("an argument is missing")?)
        }
        Expression::List(items) if items.len() == 1 => integer(&items[0]),
        _ => Err("expected a number".into()),
    }
}

/// An integer of 32 bits.
pub(super) fn int(expression: &Expression) -> Result<i32, Unknown> {
    let number = integer(expression)?;
    i32::try_from(number)
        .or_else(|_| u32::try_from(number).map(u32::cast_signed))
        .map_err(|_| format!("{number} has more than 32 bits"))
}

pub(super) fn length(expression: &Expression) -> Result<usize, Unknown> {
    usize::try_from(integer(expression)?)
        .ok()
        .filter(|&len| len <= 1 << 28)
        .ok_or_else(|| "a length out of range".into())
}

/// A field of a structure, by its name.
pub(super) fn field<'a>(expression: &'a Expression, name: &str) -> Option<&'a Expression> {
    let Expression::Struct(fields) = expression else { return None };
    fields.iter().find(|(known, _)| known.as_deref() == Some(name)).map(|(_, value)| value)
}

/// A `struct sockaddr`, or the default for `...`.
pub(super) fn address(expression: &Expression, default: SocketAddr) -> Result<SocketAddr, Unknown> {
    if *expression == Expression::Ellipsis {
        return Ok(default);
    }
    let either = |v4, v6| field(expression, v4).or_else(|| field(expression, v6));
    let port = match either("sin_port", "sin6_port") {
        None | Some(Expression::Ellipsis) => default.port(),
        Some(port) => u16::try_from(integer(port)?).map_err(|_| "a port above 65535")?,
    };
    let host = match either("sin_addr", "sin6_addr") {
        None | Some(Expression::Ellipsis) => default.ip(),
        Some(Expression::Apply(name, arguments)) if matches!(name.as_str(), "inet_addr" | "inet_pton") => {
            match arguments.last() {
                Some(Expression::Text(text)) => {
                    text.parse().map_err(|_| format!("`{text}` is no address"))?
                }
                _ => return Err("expected an address as text".into()),
            }
        }
        Some(number) => IpAddr::V4(Ipv4Addr::from(int(number)?.cast_unsigned())),
    };
    Ok(SocketAddr::new(host, port))
}

/// The lengths of the buffers of an `iovec` array, in sum.
pub(super) fn vector_length(expression: &Expression) -> Result<usize, Unknown> {
    let Expression::List(items) = expression else { return Err("expected a list of buffers".into()) };
    items.iter().try_fold(0, |sum, item| match item {
        Expression::Struct(fields) if fields.len() == 2 => Ok(sum + length(&fields[1].1)?),
        _ => Err("expected {buffer, length}".into()),
    })
}

/// The bytes of an option's value.
pub(super) fn option_bytes(expression: &Expression) -> Result<Vec<u8>, Unknown> {
    match expression {
        Expression::Text(text) => Ok(text.clone().into_bytes()),
        Expression::List(items) => {
            let numbers = items.iter().map(int).collect::<Result<Vec<_>, _>>()?;
            Ok(numbers.into_iter().flat_map(i32::to_ne_bytes).collect())
        }
        Expression::Struct(fields) => {
            let numbers = fields.iter().map(|(_, value)| integer(value)).collect::<Result<Vec<_>, _>>()?;
            // The fields of a time are of 64 bits, those of all other structures of 32.
            Ok(if field(expression, "tv_sec").is_some() {
                numbers.into_iter().flat_map(i64::to_ne_bytes).collect()
            } else {
                numbers.into_iter().flat_map(|number| (number as i32).to_ne_bytes()).collect()
            })
        }
        _ => Ok(int(expression)?.to_ne_bytes().to_vec()),
    }
}
