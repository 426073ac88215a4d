//! The head of an HTTP/1 request [RFC 9112 §2 to §6], taken from bytes as they come.

/// A request line may be as long as this.
const MAX_LINE: usize = 2 * 1024;
/// All lines of a head together may.
const MAX_HEAD: usize = 8 * 1024;
/// A body that nobody asked for is read and forgotten up to here.
const MAX_BODY: u64 = 1 << 20;

/// What is wanted of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Get,
    Head,
}

/// A request, as far as this server looks at it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) method: Method,
    /// The path, without a query.
    pub(super) path: String,
    /// Another request may follow on this connection.
    pub(super) keep_alive: bool,
    /// Bytes of a body that follow the head.
    pub(super) body: u64,
}

/// What a request gets instead of an answer: the status, and its reason. The connection ends with it, since where the
/// next request would begin is not known or not worth finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal(pub(super) u16, pub(super) &'static str);

const BAD: Refusal = Refusal(400, "Bad Request");

/// Collects the bytes of a head until it is whole.
#[derive(Debug, Default)]
pub(super) struct Reader {
    bytes: Vec<u8>,
    /// Where the present line starts.
    line: usize,
}

impl Reader {
    /// No request has begun.
    pub(super) fn is_idle(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Takes bytes in, no more than belong to the head: how many, and the request once its head is whole.
    pub(super) fn take(&mut self, bytes: &[u8]) -> (usize, Option<Result<Request, Refusal>>) {
        for (position, &byte) in bytes.iter().enumerate() {
            let taken = position + 1;
            self.bytes.push(byte);
            if byte == b'\n' {
                match self.end_of_line() {
                    None => {}
                    Some(result) => {
                        *self = Self::default();
                        return (taken, Some(result));
                    }
                }
            } else if self.line == 0 && self.bytes.len() > MAX_LINE {
                return (taken, Some(Err(Refusal(414, "URI Too Long"))));
            } else if self.bytes.len() > MAX_HEAD {
                return (taken, Some(Err(Refusal(431, "Request Header Fields Too Large"))));
            }
        }
        (bytes.len(), None)
    }

    fn end_of_line(&mut self) -> Option<Result<Request, Refusal>> {
        let line = trim_end_of_line(&self.bytes[self.line..]);
        match (self.line, line.is_empty()) {
            // [RFC 9112 §2.2] Empty lines before a request are nothing.
            (0, true) => self.bytes.clear(),
            (_, true) => return Some(parse(&self.bytes)),
            (_, false) => self.line = self.bytes.len(),
        }
        None
    }
}

/// Without the line's end: CR LF, or LF alone [RFC 9112 §2.2].
fn trim_end_of_line(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

fn parse(head: &[u8]) -> Result<Request, Refusal> {
    // What is not ASCII is no part of what is understood here; a carriage return or a zero within a line is an attack.
    if !head.iter().all(|byte| matches!(byte, b'\t' | b'\r' | b'\n' | 0x20..=0x7E | 0x80..)) {
        return Err(BAD);
    }
    let mut lines = head.split(|byte| *byte == b'\n').map(trim_end_of_line);
    let (method, path, version) = request_line(lines.next().unwrap_or_default())?;
    let fields = Fields::read(lines)?;
    // [RFC 9112 §3.2]
    if fields.hosts > 1 || (fields.hosts == 0 && version >= 1) {
        return Err(BAD);
    }
    if fields.transfer_encoding {
        return Err(Refusal(501, "Not Implemented"));
    }
    let body = fields.content_length.unwrap_or(0);
    if body > MAX_BODY {
        return Err(Refusal(413, "Content Too Large"));
    }
    // [RFC 9112 §9.3]
    let keep_alive = !fields.close && (version >= 1 || fields.keep_alive);
    Ok(Request { method, path, keep_alive, body })
}

/// `GET /path HTTP/1.1`: the method, the path and the minor version.
fn request_line(line: &[u8]) -> Result<(Method, String, u8), Refusal> {
    let line = core::str::from_utf8(line).map_err(|_| BAD)?;
    let mut words = line.split(' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(BAD);
    };
    let version = match version.strip_prefix("HTTP/").map(str::as_bytes) {
        Some([b'1', b'.', minor @ b'0'..=b'9']) => minor - b'0',
        Some([b'0'..=b'9', b'.', b'0'..=b'9']) => return Err(Refusal(505, "HTTP Version Not Supported")),
        _ => return Err(BAD),
    };
    let method = match method {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" | "PUT" | "DELETE" | "CONNECT" | "OPTIONS" | "TRACE" | "PATCH" => {
            return Err(Refusal(405, "Method Not Allowed"));
        }
        other if !other.is_empty() && other.bytes().all(is_token) => {
            return Err(Refusal(501, "Not Implemented"));
        }
        _ => return Err(BAD),
    };
    Ok((method, path(target).ok_or(BAD)?, version))
}

/// The path of a target in origin form or absolute form [RFC 9112 §3.2].
fn path(target: &str) -> Option<String> {
    let scheme = target.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("http://"));
    let path = match scheme {
        Some(_) => target[7..].find('/').map_or("/", |slash| &target[7 + slash..]),
        None => target,
    };
    let path = path.split(['?', '#']).next()?;
    path.starts_with('/').then(|| path.to_owned())
}

/// The fields that matter.
#[derive(Default)]
struct Fields {
    hosts: usize,
    content_length: Option<u64>,
    transfer_encoding: bool,
    close: bool,
    keep_alive: bool,
}

impl Fields {
    fn read<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Result<Self, Refusal> {
        let mut fields = Self::default();
        for line in lines.take_while(|line| !line.is_empty()) {
            let colon = line.iter().position(|byte| *byte == b':').ok_or(BAD)?;
            let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
            // Continued lines start with a space, which is no token either [RFC 9112 §5.1, §5.2].
            if name.is_empty() || !name.iter().copied().all(is_token) || line.contains(&b'\r') {
                return Err(BAD);
            }
            fields.add(&name.to_ascii_lowercase(), value)?;
        }
        Ok(fields)
    }

    fn add(&mut self, name: &[u8], value: &[u8]) -> Result<(), Refusal> {
        match name {
            b"host" => self.hosts += 1,
            b"transfer-encoding" => self.transfer_encoding = true,
            b"connection" => {
                for option in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                    self.close |= option.eq_ignore_ascii_case(b"close");
                    self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                }
            }
            b"content-length" => {
                let length = decimal(value).ok_or(BAD)?;
                // [RFC 9112 §6.3] Two that differ are an attempt to smuggle a request.
                if self.content_length.replace(length).is_some_and(|before| before != length) {
                    return Err(BAD);
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// A number in digits alone: no sign, nothing empty.
pub(super) fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    core::str::from_utf8(digits).ok()?.parse().ok()
}

/// Bytes of a token [RFC 9110 §5.6.2].
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
