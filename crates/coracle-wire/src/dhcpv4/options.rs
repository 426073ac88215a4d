//! Options: found in up to three fields, put together from pieces.

use core::net::Ipv4Addr;

use crate::Malformed;

/// Numbers of options; RFC 2132 unless said otherwise.
pub mod code {
    /// Fills space; it has no length.
    pub const PAD: u8 = 0;
    /// The netmask.
    pub const NETMASK: u8 = 1;
    /// Routers, the best first.
    pub const ROUTERS: u8 = 3;
    /// DNS servers, the best first.
    pub const DNS_SERVERS: u8 = 6;
    /// The client's name.
    pub const HOSTNAME: u8 = 12;
    /// The domain that names are completed with.
    pub const DOMAIN: u8 = 15;
    /// The MTU, 68 at least.
    pub const MTU: u8 = 26;
    /// The network's broadcast address.
    pub const BROADCAST: u8 = 28;
    /// Routes by classes of addresses; obsolete.
    pub const STATIC_ROUTES: u8 = 33;
    /// NTP servers, the best first.
    pub const NTP_SERVERS: u8 = 42;
    /// What a vendor's clients and servers tell each other.
    pub const VENDOR: u8 = 43;
    /// The address that a client wants.
    pub const REQUESTED_ADDRESS: u8 = 50;
    /// The lease time in seconds.
    pub const LEASE_TIME: u8 = 51;
    /// Which of `file` (1) and `sname` (2) hold options.
    pub const OVERLOAD: u8 = 52;
    /// What the message is for.
    pub const MESSAGE_TYPE: u8 = 53;
    /// The server's address.
    pub const SERVER_ID: u8 = 54;
    /// The options that a client wants.
    pub const PARAMETERS: u8 = 55;
    /// Why a server refuses, or a client declines, for people to read.
    pub const MESSAGE: u8 = 56;
    /// The longest message that the sender takes, with IP and UDP headers.
    pub const MAX_MESSAGE: u8 = 57;
    /// When to renew, in seconds (T1).
    pub const RENEWAL_TIME: u8 = 58;
    /// When to ask any server (T2), in seconds.
    pub const REBINDING_TIME: u8 = 59;
    /// What kind of client this is.
    pub const VENDOR_CLASS: u8 = 60;
    /// What names the client instead of its station.
    pub const CLIENT_ID: u8 = 61;
    /// Name of the TFTP server.
    pub const TFTP_SERVER: u8 = 66;
    /// Name of the file to boot from.
    pub const BOOT_FILE: u8 = 67;
    /// An acknowledgment at once instead of an offer is welcome, or is this [RFC 4039].
    pub const RAPID_COMMIT: u8 = 80;
    /// The client's full name, and who updates DNS [RFC 4702].
    pub const FQDN: u8 = 81;
    /// Whether clients may give themselves an address [RFC 2563].
    pub const AUTO_CONFIGURE: u8 = 116;
    /// Domains to search names in [RFC 3397].
    pub const SEARCH: u8 = 119;
    /// Routes [RFC 3442].
    pub const CLASSLESS_ROUTES: u8 = 121;
    /// The end; it has no length.
    pub const END: u8 = 255;
}

/// The options of a message, as pairs of number and bytes, in the order in which pieces are to be joined: the options
/// field, then `file`, then `sname` (RFC 3396 §5).
#[derive(Debug, Clone)]
pub struct Options<'a> {
    rest: &'a [u8],
    later: [&'a [u8]; 2],
}

impl<'a> Options<'a> {
    /// [`Malformed::Option`] if an option goes past the end of its field.
    pub(super) fn read(field: &'a [u8], file: &'a [u8], sname: &'a [u8]) -> Result<Self, Malformed> {
        check(field)?;
        let only = Self { rest: field, later: [&[]; 2] };
        let overload = Value::find(only, code::OVERLOAD).and_then(Value::byte).unwrap_or(0);
        let used = |bit, field| if overload <= 3 && overload & bit != 0 { field } else { [].as_slice() };
        let later = [used(1, file), used(2, sname)];
        check(later[0])?;
        check(later[1])?;
        Ok(Self { rest: field, later })
    }
}

impl<'a> Iterator for Options<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match split(self.rest) {
                Ok(Some((code, data, behind))) => {
                    self.rest = behind;
                    return Some((code, data));
                }
                // A field whose options were cut does not come here; it would end.
                Ok(None) | Err(_) if self.later == [&[]; 2] => {
                    self.rest = &[];
                    return None;
                }
                Ok(None) | Err(_) => {
                    self.rest = self.later[0];
                    self.later = [self.later[1], &[]];
                }
            }
        }
    }
}

/// Number, data and what follows of the next option; `None` at the end, marked or not.
#[allow(clippy::type_complexity)]
fn split(mut bytes: &[u8]) -> Result<Option<(u8, &[u8], &[u8])>, Malformed> {
    loop {
        match *bytes {
            [] | [code::END, ..] => return Ok(None),
            [code::PAD, ref behind @ ..] => bytes = behind,
            [code, len, ref behind @ ..] => {
                let (data, behind) = behind.split_at_checked(usize::from(len)).ok_or(Malformed::Option)?;
                return Ok(Some((code, data, behind)));
            }
            [_] => return Err(Malformed::Option),
        }
    }
}

fn check(mut field: &[u8]) -> Result<(), Malformed> {
    while let Some((_, _, behind)) = split(field)? {
        field = behind;
    }
    Ok(())
}

/// The value of an option: its bytes, from all pieces.
#[derive(Debug, Clone)]
pub struct Value<'a> {
    code: u8,
    piece: &'a [u8],
    behind: Options<'a>,
}

impl<'a> Value<'a> {
    pub(super) fn find(mut options: Options<'a>, wanted: u8) -> Option<Self> {
        let (code, piece) = options.find(|&(code, _)| code == wanted)?;
        Some(Self { code, piece, behind: options })
    }

    /// How many bytes are left.
    pub fn len(&self) -> usize {
        let pieces = self.behind.clone().filter(|&(code, _)| code == self.code);
        self.piece.len() + pieces.map(|(_, piece)| piece.len()).sum::<usize>()
    }

    /// Whether no byte is left.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes in one piece, if they are.
    pub fn contiguous(&self) -> Option<&'a [u8]> {
        (self.len() == self.piece.len()).then_some(self.piece)
    }

    /// Copies the bytes, and returns where they are; `None` if there is not room for all.
    pub fn copy_to<'b>(&self, into: &'b mut [u8]) -> Option<&'b [u8]> {
        let into = into.get_mut(..self.len())?;
        for (place, byte) in into.iter_mut().zip(self.clone()) {
            *place = byte;
        }
        Some(into)
    }

    /// The one byte that it is.
    pub fn byte(mut self) -> Option<u8> {
        (self.len() == 1).then(|| self.next()).flatten()
    }

    /// The one number of 16 bits that it is.
    pub fn short(self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    /// The one number of 32 bits that it is.
    pub fn number(self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    /// The addresses that it lists; `None` unless these are whole, and one at least.
    pub fn addresses(self) -> Option<impl Iterator<Item = Ipv4Addr> + use<'a>> {
        let mut bytes = self;
        let len = bytes.len();
        let next = move || bytes.next_chunk().map(Ipv4Addr::from);
        (len > 0 && len.is_multiple_of(4)).then(|| core::iter::from_fn(next))
    }

    fn array<const N: usize>(mut self) -> Option<[u8; N]> {
        (self.len() == N).then(|| self.next_chunk()).flatten()
    }

    /// The next `N` bytes, which may lie in two pieces.
    pub(super) fn next_chunk<const N: usize>(&mut self) -> Option<[u8; N]> {
        let mut chunk = [0; N];
        for place in &mut chunk {
            *place = self.next()?;
        }
        Some(chunk)
    }
}

/// The bytes one by one.
impl Iterator for Value<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        loop {
            if let [byte, rest @ ..] = self.piece {
                self.piece = rest;
                return Some(*byte);
            }
            let code = self.code;
            self.piece = self.behind.find(|&(other, _)| other == code)?.1;
        }
    }
}
