//! System calls: from the script to the sockets, and the results back.

use std::net::SocketAddr;
use std::time::Duration;

use super::settings::Version;
use super::values::{self, Unknown, address, int, length, option_bytes, vector_length};
use super::{Failure, Runner};
use crate::language::ast::{Call, Expression};
use crate::sockets::constants::{AF_INET, AF_INET6, FIONBIO, SO_RCVTIMEO, SO_SNDTIMEO, SOL_SOCKET};
use crate::sockets::{Completion, Errno, Operation, PollEntry};

/// What became of a call at once.
pub(super) enum Started {
    Done(Result<Completion, Errno>),
    Blocked(Operation),
}

impl Started {
    fn value(result: Result<i32, Errno>) -> Self {
        Self::Done(result.map(|value| Completion { value, ..Completion::default() }))
    }

    fn nothing(result: Result<(), Errno>) -> Self {
        Self::value(result.map(|()| 0))
    }
}

/// Why a call could not be made, or gave something else than the script says.
enum Trouble {
    Wrong(String),
    Unsupported(String),
}

impl From<Unknown> for Trouble {
    fn from(why: Unknown) -> Self {
        Self::Unsupported(why)
    }
}

/// The arguments of a call.
struct Arguments<'a>(&'a [Expression]);

impl<'a> Arguments<'a> {
    fn at(&self, position: usize) -> Result<&'a Expression, Unknown> {
        self.0.get(position).ok_or_else(|| format!("argument {} is missing", position + 1))
    }

    fn int(&self, position: usize) -> Result<i32, Unknown> {
        int(self.at(position)?)
    }
}

impl Runner {
    pub(super) fn perform(&mut self, line: u32, call: &Call) -> Result<Started, Failure> {
        self.start_call(call).map_err(|trouble| match trouble {
            Trouble::Wrong(why) => Failure::new(line, format!("{}: {why}", call.name)),
            Trouble::Unsupported(why) => Failure::unsupported(line, format!("{}: {why}", call.name)),
        })
    }

    fn start_call(&mut self, call: &Call) -> Result<Started, Trouble> {
        let arguments = Arguments(&call.arguments);
        let fd = || arguments.int(0);
        match call.name.as_str() {
            "socket" => self.socket(&arguments),
            "bind" => {
                let default = SocketAddr::new(self.settings.local(), self.settings.bind_port);
                let local = address(arguments.at(1)?, default)?;
                let result = self.sockets.bind(fd()?, local);
                if let Ok(local) = result.and_then(|()| self.sockets.local(fd().unwrap_or(-1))) {
                    self.connections.bound(local.port());
                }
                Ok(Started::nothing(result))
            }
            "listen" => Ok(Started::nothing(self.sockets.listen(fd()?, arguments.int(1)?))),
            "shutdown" => Ok(Started::nothing(self.sockets.shutdown(fd()?, arguments.int(1)?))),
            "close" => Ok(Started::nothing(self.sockets.close(fd()?))),
            "fcntl" => {
                let argument = if call.arguments.len() > 2 { arguments.int(2)? } else { 0 };
                Ok(Started::value(self.sockets.fcntl(fd()?, arguments.int(1)?, argument)))
            }
            "ioctl" => self.ioctl(&arguments),
            "getsockopt" => self.get_option(&arguments),
            "setsockopt" => {
                let value = option_bytes(arguments.at(3)?)?;
                let (level, name) = (arguments.int(1)?, arguments.int(2)?);
                Ok(Started::nothing(self.sockets.set_option(fd()?, level, name, &value)))
            }
            _ => self.transfer(call, &arguments),
        }
    }

    /// Calls that may block.
    fn transfer(&mut self, call: &Call, arguments: &Arguments<'_>) -> Result<Started, Trouble> {
        let fd = || arguments.int(0);
        let remote = self.peer();
        let zeros = |len: usize| vec![0; len];
        let operation = match call.name.as_str() {
            "accept" => Operation::accept(fd()?, 0),
            "accept4" => Operation::accept(fd()?, arguments.int(3)?),
            "connect" => {
                let default = SocketAddr::new(self.settings.remote(), self.settings.connect_port);
                Operation::connect(fd()?, address(arguments.at(1)?, default)?)
            }
            "read" => Operation::receive(fd()?, length(arguments.at(2)?)?, 0),
            "readv" => Operation::receive(fd()?, vector_length(arguments.at(1)?)?, 0),
            "recv" | "recvfrom" => Operation::receive(fd()?, length(arguments.at(2)?)?, arguments.int(3)?),
            "recvmsg" => {
                let buffers =
                    values::field(arguments.at(1)?, "msg_iov").ok_or("msg_iov is missing".to_owned())?;
                Operation::receive(fd()?, vector_length(buffers)?, arguments.int(2)?)
            }
            "write" => Operation::send(fd()?, zeros(length(arguments.at(2)?)?), 0, None),
            "writev" => Operation::send(fd()?, zeros(vector_length(arguments.at(1)?)?), 0, None),
            "send" => Operation::send(fd()?, zeros(length(arguments.at(2)?)?), arguments.int(3)?, None),
            "sendto" => {
                let to = address(arguments.at(4)?, remote)?;
                Operation::send(fd()?, zeros(length(arguments.at(2)?)?), arguments.int(3)?, Some(to))
            }
            "sendmsg" => {
                let message = arguments.at(1)?;
                let buffers = values::field(message, "msg_iov").ok_or("msg_iov is missing".to_owned())?;
                let to = match values::field(message, "msg_name") {
                    None | Some(Expression::Ellipsis) => None,
                    Some(name) => Some(address(name, remote)?),
                };
                Operation::send(fd()?, zeros(vector_length(buffers)?), arguments.int(2)?, to)
            }
            "poll" => poll(arguments)?,
            other => return Err(Trouble::Unsupported(format!("the call {other} is not known here"))),
        };
        Ok(self.start_operation(operation))
    }

    fn start_operation(&mut self, mut operation: Operation) -> Started {
        match self.sockets.attempt(&mut operation) {
            Some(result) => Started::Done(result),
            None => Started::Blocked(operation),
        }
    }

    fn socket(&mut self, arguments: &Arguments<'_>) -> Result<Started, Trouble> {
        let domain = match arguments.at(0)? {
            Expression::Ellipsis if self.settings.version == Version::V4 => AF_INET,
            Expression::Ellipsis => AF_INET6,
            domain => int(domain)?,
        };
        let fd = self.sockets.socket(domain, arguments.int(1)?, arguments.int(2)?);
        self.connections.new_socket();
        Ok(Started::value(fd))
    }

    /// The peer of the current conversation, or whom `connect` would reach.
    fn peer(&self) -> SocketAddr {
        let default = SocketAddr::new(self.settings.remote(), self.settings.connect_port);
        self.connections.current().map_or(default, |current| current.ends.destination)
    }

    fn ioctl(&mut self, arguments: &Arguments<'_>) -> Result<Started, Trouble> {
        let (fd, request) = (arguments.int(0)?, arguments.int(1)?);
        let argument = if request == FIONBIO { arguments.int(2)? } else { 0 };
        let result = self.sockets.ioctl(fd, request, argument);
        if let Ok(value) = result
            && arguments.0.len() > 2
        {
            expect(&value.to_ne_bytes(), arguments.at(2)?)?;
        }
        Ok(Started::value(result.map(|_| 0)))
    }

    fn get_option(&mut self, arguments: &Arguments<'_>) -> Result<Started, Trouble> {
        let (level, name) = (arguments.int(1)?, arguments.int(2)?);
        let result = self.sockets.option(arguments.int(0)?, level, name);
        if let Ok(bytes) = &result {
            let expected = arguments.at(3)?;
            if level == SOL_SOCKET && (name == SO_RCVTIMEO || name == SO_SNDTIMEO) {
                let wanted = option_bytes(expected)?;
                if wanted != *bytes {
                    return Err(Trouble::Wrong(format!("the time is {bytes:02x?}, not {wanted:02x?}")));
                }
            } else {
                expect(bytes, expected)?;
            }
        }
        Ok(Started::nothing(result.map(|_| ())))
    }

    /// Holds a result against the script's.
    pub(super) fn check_result(
        &mut self,
        line: u32,
        call: &Call,
        result: &Result<Completion, Errno>,
    ) -> Result<(), Failure> {
        let shown = match result {
            Ok(completion) => completion.value.to_string(),
            Err(errno) => format!("-1 {errno}"),
        };
        self.say(self.time(), format_args!("{}(...) = {shown}", call.name));
        if let Ok(completion) = result
            && matches!(call.name.as_str(), "socket" | "accept" | "accept4")
        {
            self.subject = completion.value;
        }
        let wrong = |why: String| Err(Failure::new(line, format!("{}: {why}", call.name)));
        if let Some(name) = &call.errno {
            let Some(expected) = Errno::named(name) else {
                return Err(Failure::unsupported(line, format!("`{name}` is no error that is known here")));
            };
            if *result != Err(expected) {
                return wrong(format!("\n    expected  = -1 {name}\n    actual    = {shown}"));
            }
            return Ok(());
        }
        if call.result != Expression::Ellipsis {
            let expected =
                int(&call.result).map_err(|why| Failure::unsupported(line, format!("the result: {why}")))?;
            let actual = result.as_ref().map_or(-1, |completion| completion.value);
            if expected != actual {
                return wrong(format!("\n    expected  = {expected}\n    actual    = {shown}"));
            }
        }
        let Ok(completion) = result else { return Ok(()) };
        if let Some(at) = completion.data.iter().position(|&byte| byte != 0) {
            return wrong(format!("byte {at} that was read is not zero"));
        }
        if call.name == "poll" { check_poll(line, call, completion) } else { Ok(()) }
    }
}

/// Holds bytes of an option against a value of the script: numbers of 32 bits, or a text.
fn expect(bytes: &[u8], expected: &Expression) -> Result<(), Trouble> {
    let numbers: Vec<i32> = bytes.as_chunks::<4>().0.iter().map(|&chunk| i32::from_ne_bytes(chunk)).collect();
    let values: Vec<&Expression> = match expected {
        Expression::Ellipsis => return Ok(()),
        Expression::Text(text) => {
            let found = String::from_utf8_lossy(bytes);
            let found = found.trim_end_matches('\0');
            let wrong = || Trouble::Wrong(format!("the value is \"{found}\", not \"{text}\""));
            return if found == text { Ok(()) } else { Err(wrong()) };
        }
        Expression::List(items) => items.iter().collect(),
        Expression::Struct(fields) => fields.iter().map(|(_, value)| value).collect(),
        number => vec![number],
    };
    for (position, value) in values.into_iter().enumerate() {
        if *value == Expression::Ellipsis {
            continue;
        }
        let wanted = int(value)?;
        let found = numbers.get(position).copied();
        if found != Some(wanted) {
            let found = found.map_or("nothing".into(), |found| found.to_string());
            return Err(Trouble::Wrong(format!("the value is {found}, not {wanted}")));
        }
    }
    Ok(())
}

/// The entries of `poll`: `{fd=…, events=…, revents=…}`.
fn poll_entries(expression: &Expression) -> Result<Vec<(PollEntry, Option<i16>)>, Unknown> {
    let Expression::List(items) = expression else { return Err("expected a list of entries".into()) };
    items
        .iter()
        .map(|item| {
            let number = |name: &str| values::field(item, name).map(int).transpose();
            let fd = number("fd")?.ok_or("fd is missing")?;
            let events = number("events")?.ok_or("events is missing")? as i16;
            Ok((PollEntry { fd, events }, number("revents")?.map(|events| events as i16)))
        })
        .collect()
}

fn poll(arguments: &Arguments<'_>) -> Result<Operation, Unknown> {
    let entries = poll_entries(arguments.at(0)?)?.into_iter().map(|(entry, _)| entry).collect();
    let timeout = u64::try_from(arguments.int(2)?).ok().map(Duration::from_millis);
    Ok(Operation::poll(entries, timeout))
}

fn check_poll(line: u32, call: &Call, completion: &Completion) -> Result<(), Failure> {
    let entries = poll_entries(&call.arguments[0]).map_err(|why| Failure::unsupported(line, why))?;
    for ((entry, expected), actual) in entries.iter().zip(&completion.events) {
        if expected.is_some_and(|expected| expected != *actual) {
            let expected = expected.unwrap_or(0);
            let why = format!(
                "poll: revents of {}\n    expected  {expected:#x}\n    actual    {actual:#x}",
                entry.fd
            );
            return Err(Failure::new(line, why));
        }
    }
    Ok(())
}
