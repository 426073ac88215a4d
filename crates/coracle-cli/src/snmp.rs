//! `coracle snmp`: a manager, over the kernel's sockets.

use crate::Failure;
use crate::arguments::Snmp;
use coracle_snmp::{
    Binding, CommunityMessage, ErrorStatus, Message, Oid, OidRef, Pdu, PduKind, TRAP_V1, TrapV1, Value,
    Version,
};
use std::fmt::Write;
use std::net::UdpSocket;
use std::time::{Duration, Instant};

/// How long an answer may take, and how often the question is asked.
const WAIT: Duration = Duration::from_secs(1);
const TRIES: usize = 3;

/// The longest message of UDP.
const LONGEST: usize = 65_507;

/// Runs a command; whether the agent did what was asked.
pub(crate) fn run(options: &Snmp) -> Result<bool, Failure> {
    if options.what == "trapd" {
        return receive(options.port);
    }
    let manager = Manager::new(options)?;
    let names = &options.words[1..];
    match options.what.as_str() {
        "walk" => manager.walk(&names[0]),
        "set" => {
            let names: Vec<Oid> = names.chunks(3).map(|words| words[0].parse()).collect::<Result<_, _>>()?;
            let values: Vec<Owned> = options.words[1..]
                .chunks(3)
                .map(|words| Owned::parse(&words[1], &words[2]))
                .collect::<Result<_, _>>()?;
            let bindings: Vec<_> = names
                .iter()
                .zip(&values)
                .map(|(name, value)| Binding::new(name.arcs(), value.as_value()))
                .collect();
            manager.show(PduKind::Set, &bindings)
        }
        what => {
            let kind = if what == "get" { PduKind::Get } else { PduKind::GetNext };
            let names: Vec<Oid> = names.iter().map(|name| name.parse()).collect::<Result<_, _>>()?;
            let bindings: Vec<_> = names.iter().map(|name| Binding::new(name.arcs(), Value::Null)).collect();
            manager.show(kind, &bindings)
        }
    }
}

/// A value from the command line.
enum Owned {
    Integer(i32),
    Unsigned(u32),
    Text(String),
    Address(std::net::Ipv4Addr),
    Name(Box<Oid>),
}

impl Owned {
    fn parse(kind: &str, text: &str) -> Result<Self, Failure> {
        Ok(match kind {
            "i" => Self::Integer(text.parse()?),
            "u" => Self::Unsigned(text.parse()?),
            "s" => Self::Text(text.to_owned()),
            "a" => Self::Address(text.parse()?),
            "o" => Self::Name(Box::new(text.parse()?)),
            other => return Err(format!("there is no type {other}: i, u, s, a or o").into()),
        })
    }

    fn as_value(&self) -> Value<'_> {
        match self {
            Self::Integer(value) => Value::Integer(*value),
            Self::Unsigned(value) => Value::Gauge32(*value),
            Self::Text(text) => Value::Octets(text.as_bytes()),
            Self::Address(address) => Value::IpAddress(*address),
            Self::Name(name) => Value::Oid(OidRef::new(name.arcs())),
        }
    }
}

struct Manager {
    socket: UdpSocket,
    version: Version,
    community: Vec<u8>,
}

impl Manager {
    fn new(options: &Snmp) -> Result<Self, Failure> {
        let agent = &options.words[0];
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        if agent.contains(':') {
            socket.connect(agent.as_str())?;
        } else {
            socket.connect((agent.as_str(), coracle_snmp::AGENT_PORT))?;
        }
        socket.set_read_timeout(Some(WAIT))?;
        let version = if options.v1 { Version::V1 } else { Version::V2c };
        Ok(Self { socket, version, community: options.community.clone().into_bytes() })
    }

    /// Asks, and hands the answer to a function.
    fn ask<R>(
        &self,
        kind: PduKind,
        bindings: &[Binding<'_>],
        answer: impl FnOnce(&Pdu<'_>) -> R,
    ) -> Result<R, Failure> {
        let mut buffer = vec![0; LONGEST];
        let id = std::process::id().cast_signed() & i32::MAX;
        let message =
            CommunityMessage::write(&mut buffer, self.version, &self.community, kind, (id, 0, 0), bindings)
                .ok_or("too much for one message")?;
        let mut reply = vec![0; LONGEST];
        for _ in 0..TRIES {
            self.socket.send(message)?;
            let asked = Instant::now();
            while asked.elapsed() < WAIT {
                let Ok(len) = self.socket.recv(&mut reply) else { break };
                let Ok(message) = Message::open(&reply[..len]) else { continue };
                let Ok(message) = CommunityMessage::read(message.body) else { continue };
                if message.pdu.kind == PduKind::Response && message.pdu.request_id == id {
                    return Ok(answer(&message.pdu));
                }
            }
        }
        Err("no answer".into())
    }

    fn show(&self, kind: PduKind, bindings: &[Binding<'_>]) -> Result<bool, Failure> {
        self.ask(kind, bindings, |pdu| {
            if pdu.status != 0 {
                eprintln!("{}", failure(pdu));
                return false;
            }
            pdu.bindings.into_iter().for_each(|binding| println!("{}", line(&binding)));
            true
        })
    }

    fn walk(&self, root: &str) -> Result<bool, Failure> {
        let root: Oid = root.parse()?;
        let mut at = root.clone();
        loop {
            let question = [Binding::new(at.arcs(), Value::Null)];
            let next = self.ask(PduKind::GetNext, &question, |pdu| {
                let binding = pdu.bindings.into_iter().next()?;
                let name = binding.name.to_oid();
                let inside = name.arcs().starts_with(root.arcs()) && name > at;
                if pdu.status != 0 || binding.value.is_exception() || !inside {
                    return None;
                }
                println!("{}", line(&binding));
                Some(name)
            })?;
            let Some(next) = next else { return Ok(true) };
            at = next;
        }
    }
}

fn failure(pdu: &Pdu<'_>) -> String {
    let name = pdu.bindings.into_iter().nth((pdu.index - 1).max(0).unsigned_abs() as usize);
    let status = ErrorStatus::of_number(pdu.status);
    let status = status.map_or_else(|| format!("error {}", pdu.status), |status| format!("{status:?}"));
    match name.filter(|_| pdu.index > 0) {
        Some(binding) => format!("{status}: {:?}", binding.name),
        None => status,
    }
}

/// A variable in a line.
fn line(binding: &Binding<'_>) -> String {
    let name = binding.name;
    match binding.value {
        Value::Octets(bytes) | Value::Opaque(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) if !text.contains(char::is_control) => format!("{name:?} = {text:?}"),
            _ => {
                let hex = bytes.iter().fold(String::new(), |mut hex, byte| {
                    // Writing to a string does not fail.
                    write!(hex, " {byte:02x}").unwrap_or_default();
                    hex
                });
                format!("{name:?} ={hex}")
            }
        },
        Value::Oid(oid) => format!("{name:?} = {oid:?}"),
        Value::IpAddress(address) => format!("{name:?} = {address}"),
        Value::Integer(value) => format!("{name:?} = {value}"),
        Value::Counter32(value) | Value::Gauge32(value) => format!("{name:?} = {value}"),
        Value::TimeTicks(value) => format!("{name:?} = {}.{:02} s", value / 100, value % 100),
        Value::Counter64(value) => format!("{name:?} = {value}"),
        other => format!("{name:?}: {other:?}"),
    }
}

/// Prints traps and informs until the program is ended, and answers informs.
fn receive(port: u16) -> Result<bool, Failure> {
    let socket = UdpSocket::bind(("0.0.0.0", port))?;
    println!("listening on port {}", socket.local_addr()?.port());
    let (mut buffer, mut out) = (vec![0; LONGEST], vec![0; LONGEST]);
    loop {
        let (len, from) = socket.recv_from(&mut buffer)?;
        let Ok(message) = Message::open(&buffer[..len]) else { continue };
        if message.version > Version::V2c as i32 {
            println!("{from}: version 3, which is not spoken here");
            continue;
        }
        let mut body = message.body;
        if let (Ok(_), Some(TRAP_V1)) = (body.octets(), body.peek()) {
            if let Ok(trap) = TrapV1::read(&mut body) {
                println!("{from}: trap {} {} of {:?}", trap.generic, trap.specific, trap.enterprise);
                trap.bindings.into_iter().for_each(|binding| println!("    {}", line(&binding)));
            }
            continue;
        }
        let Ok(CommunityMessage { community, pdu }) = CommunityMessage::read(message.body) else { continue };
        if !matches!(pdu.kind, PduKind::Trap | PduKind::Inform) {
            continue;
        }
        println!("{from}: {}", if pdu.kind == PduKind::Trap { "trap" } else { "inform" });
        pdu.bindings.into_iter().for_each(|binding| println!("    {}", line(&binding)));
        if pdu.kind == PduKind::Inform {
            let bindings: Vec<_> = pdu.bindings.into_iter().collect();
            let numbers = (pdu.request_id, 0, 0);
            let answer = CommunityMessage::write(
                &mut out,
                Version::V2c,
                community,
                PduKind::Response,
                numbers,
                &bindings,
            );
            if let Some(answer) = answer {
                socket.send_to(answer, from)?;
            }
        }
    }
}
