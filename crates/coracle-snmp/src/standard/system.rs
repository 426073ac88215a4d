//! SNMPv2-MIB [RFC 3418]: the system and snmp groups.

use crate::agent::{State, Text};
use crate::ber::tag;
use crate::mib::{Column, Context, Node, Output, Table, Writable, WritableRows};
use crate::oid::Oid;
use crate::pdu::ErrorStatus;
use crate::value::Value;

/// The system group, the table of MIB modules, and the counters of the agent.
pub const SYSTEM: &[Node<'static>] = &[
    Node::new(&[1, 3, 6, 1, 2, 1, 1], SYSTEM_COLUMNS, &WritableRows(System)),
    Node::new(&[1, 3, 6, 1, 2, 1, 1, 9, 1], OR_COLUMNS, &crate::mib::Listed(Modules)),
    Node::new(&[1, 3, 6, 1, 2, 1, 11], SNMP_COLUMNS, &WritableRows(Snmp)),
    Node::new(&[1, 3, 6, 1, 6, 3, 1, 1, 6], SERIAL_COLUMNS, &WritableRows(Serial)),
];

const SYSTEM_COLUMNS: &[Column] = &[
    Column::octets(1),
    Column::oid(2),
    Column::ticks(3),
    Column::writable(4, tag::OCTET_STRING),
    Column::writable(5, tag::OCTET_STRING),
    Column::writable(6, tag::OCTET_STRING),
    Column::integer(7),
    Column::ticks(8),
];

struct System;

impl System {
    fn text<'a>(state: &'a State<'_>, id: u32) -> Option<&'a core::cell::Cell<Text>> {
        match id {
            4 => Some(&state.texts.contact),
            5 => Some(&state.texts.name),
            6 => Some(&state.texts.location),
            _ => None,
        }
    }
}

impl Writable for System {
    fn read(&self, cx: &Context<'_>, id: u32, out: &mut Output<'_, '_>) {
        let setup = &cx.state.setup;
        match id {
            1 => out.text(setup.description),
            2 => out.oid(setup.object_id),
            3 => out.ticks(cx.state.uptime(cx.now)),
            7 => out.integer(i32::from(setup.services)),
            // The table of modules is as it was at the start.
            8 => out.ticks(0),
            _ => {
                if let Some(text) = Self::text(cx.state, id) {
                    out.octets(text.get().as_bytes());
                }
            }
        }
    }

    fn test(&self, _cx: &Context<'_>, _id: u32, value: &Value<'_>) -> Result<(), ErrorStatus> {
        match value {
            Value::Octets(bytes) if bytes.len() > 255 => Err(ErrorStatus::WrongLength),
            Value::Octets(bytes) if !bytes.is_ascii() => Err(ErrorStatus::WrongValue),
            Value::Octets(bytes) if bytes.len() > Text::CAPACITY => Err(ErrorStatus::ResourceUnavailable),
            Value::Octets(_) => Ok(()),
            _ => Err(ErrorStatus::WrongType),
        }
    }

    fn commit(&self, cx: &Context<'_>, id: u32, value: &Value<'_>) -> Result<(), ErrorStatus> {
        let Value::Octets(bytes) = value else { return Err(ErrorStatus::CommitFailed) };
        let (Some(cell), Some(text)) = (Self::text(cx.state, id), Text::of_bytes(bytes)) else {
            return Err(ErrorStatus::CommitFailed);
        };
        cell.set(text);
        Ok(())
    }
}

const OR_COLUMNS: &[Column] = &[Column::oid(2), Column::octets(3), Column::ticks(4)];

/// What `sysORTable` lists: the identifiers of modules, and what they are.
const MODULES: &[(&[u32], &str)] = &[
    (&[1, 3, 6, 1, 6, 3, 1], "The system and snmp groups (SNMPv2-MIB)"),
    (&[1, 3, 6, 1, 2, 1, 31], "Network interfaces (IF-MIB)"),
    (&[1, 3, 6, 1, 2, 1, 48], "IP and ICMP (IP-MIB)"),
    (&[1, 3, 6, 1, 2, 1, 49], "TCP (TCP-MIB)"),
    (&[1, 3, 6, 1, 2, 1, 50], "UDP (UDP-MIB)"),
];

struct Modules;

impl Table for Modules {
    fn len(&self, _cx: &Context<'_>) -> usize {
        MODULES.len()
    }

    fn index(&self, _cx: &Context<'_>, place: usize, index: &mut Oid) -> bool {
        index.push(place as u32 + 1).is_ok()
    }

    fn read(&self, _cx: &Context<'_>, place: usize, column: u32, out: &mut Output<'_, '_>) {
        let Some((oid, text)) = MODULES.get(place) else { return };
        match column {
            2 => out.oid(oid),
            3 => out.text(text),
            _ => out.ticks(0),
        }
    }

    fn is_sorted(&self) -> bool {
        true
    }
}

/// Where the counters are, of which the objects 7 and 23 do not exist.
const SNMP_COLUMNS: &[Column] = &[
    Column::counter(1),
    Column::counter(2),
    Column::counter(3),
    Column::counter(4),
    Column::counter(5),
    Column::counter(6),
    Column::counter(8),
    Column::counter(9),
    Column::counter(10),
    Column::counter(11),
    Column::counter(12),
    Column::counter(13),
    Column::counter(14),
    Column::counter(15),
    Column::counter(16),
    Column::counter(17),
    Column::counter(18),
    Column::counter(19),
    Column::counter(20),
    Column::counter(21),
    Column::counter(22),
    Column::counter(24),
    Column::counter(25),
    Column::counter(26),
    Column::counter(27),
    Column::counter(28),
    Column::counter(29),
    Column::writable(30, tag::INTEGER),
    Column::counter(31),
    Column::counter(32),
];

/// [3418-1]
struct Snmp;

impl Writable for Snmp {
    fn read(&self, cx: &Context<'_>, id: u32, out: &mut Output<'_, '_>) {
        if id == 30 {
            return out.truth(cx.state.authentication_traps.get());
        }
        if let Some(value) = cx.state.counts.by_arc(id) {
            out.counter(value);
        }
    }

    fn test(&self, _cx: &Context<'_>, _id: u32, value: &Value<'_>) -> Result<(), ErrorStatus> {
        if matches!(value, Value::Integer(1 | 2)) { Ok(()) } else { Err(ErrorStatus::WrongValue) }
    }

    fn commit(&self, cx: &Context<'_>, _id: u32, value: &Value<'_>) -> Result<(), ErrorStatus> {
        cx.state.authentication_traps.set(*value == Value::Integer(1));
        Ok(())
    }
}

const SERIAL_COLUMNS: &[Column] = &[Column::writable(1, tag::INTEGER)];

/// `snmpSetSerialNo`: a lock by agreement among managers. Setting it to what it is adds one [RFC 3418 §2].
struct Serial;

impl Writable for Serial {
    fn read(&self, cx: &Context<'_>, _id: u32, out: &mut Output<'_, '_>) {
        out.integer(cx.state.serial.get());
    }

    fn test(&self, cx: &Context<'_>, _id: u32, value: &Value<'_>) -> Result<(), ErrorStatus> {
        if *value == Value::Integer(cx.state.serial.get()) {
            Ok(())
        } else {
            Err(ErrorStatus::InconsistentValue)
        }
    }

    fn commit(&self, cx: &Context<'_>, _id: u32, value: &Value<'_>) -> Result<(), ErrorStatus> {
        let Value::Integer(value) = value else { return Err(ErrorStatus::CommitFailed) };
        let next = if *value == cx.state.serial.get() { value.checked_add(1).unwrap_or(0) } else { *value };
        cx.state.serial.set(next);
        Ok(())
    }
}
