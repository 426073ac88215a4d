//! Domain names in options: the search list [RFC 3397], a client's full name [RFC 4702].

/// The longest name in bytes, lengths of labels and the end included [RFC 1035 §2.3.4].
const MAX_NAME: usize = 255;

/// The longest label.
const MAX_LABEL: u8 = 63;

/// The names of a search list, whose compression points back into the same option. A name that is malformed is the end of
/// the list: it is cut, too long, or has a pointer that does not point backwards.
#[derive(Debug, Clone)]
pub struct Names<'a> {
    all: &'a [u8],
    at: usize,
}

impl<'a> Names<'a> {
    /// The names in the bytes of option 119, in one piece ([`Value::contiguous`](super::Value::contiguous) or
    /// [`Value::copy_to`](super::Value::copy_to)); the names of DHCP for IPv6 are the same, without compression.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { all: bytes, at: 0 }
    }
}

impl<'a> Iterator for Names<'a> {
    type Item = Name<'a>;

    fn next(&mut self) -> Option<Name<'a>> {
        let name = Name { all: self.all, at: self.at };
        let behind = (self.at < self.all.len()).then(|| name.check()).flatten();
        self.at = behind.unwrap_or(self.all.len());
        behind.map(|_| name)
    }
}

/// A name whose every label is in its place.
#[derive(Debug, Clone, Copy)]
pub struct Name<'a> {
    all: &'a [u8],
    at: usize,
}

impl<'a> Name<'a> {
    /// The labels, the first one first; none for the root.
    pub fn labels(self) -> impl Iterator<Item = &'a [u8]> {
        let mut at = self.at;
        core::iter::from_fn(move || {
            self.label(at).map(|(label, next)| {
                at = next;
                label
            })
        })
    }

    /// The label at a place and the place behind it, past any pointers; `None` at the end of the name.
    fn label(&self, mut at: usize) -> Option<(&'a [u8], usize)> {
        loop {
            let len = *self.all.get(at)?;
            if len == 0 {
                return None;
            }
            if len <= MAX_LABEL {
                let end = at + 1 + usize::from(len);
                return Some((self.all.get(at + 1..end)?, end));
            }
            at = self.target(at)?;
        }
    }

    /// Where the pointer at a place leads.
    fn target(&self, at: usize) -> Option<usize> {
        let pointer = [*self.all.get(at)?, *self.all.get(at + 1)?];
        (pointer[0] & 0xc0 == 0xc0).then_some(usize::from(u16::from_be_bytes(pointer) & 0x3fff))
    }

    /// The place behind the name, if all of it is well formed.
    fn check(&self) -> Option<usize> {
        let (mut at, mut start) = (self.at, self.at);
        let (mut behind, mut total) = (None, 1);
        loop {
            match *self.all.get(at)? {
                0 => return behind.or(Some(at + 1)),
                len @ 1..=MAX_LABEL => {
                    total += 1 + usize::from(len);
                    at += 1 + usize::from(len);
                }
                _ => {
                    behind = behind.or(Some(at + 2));
                    // Before all that was read of the name, so that following pointers comes to an end.
                    at = self.target(at).filter(|&target| target < start)?;
                    start = at;
                }
            }
            if total > MAX_NAME {
                return None;
            }
        }
    }
}

/// Writes a name like `boat.example.org` as labels with its end, and returns how many bytes it took. `None` for a name with
/// empty or long labels, or that does not fit.
pub fn write_name(into: &mut [u8], name: &str) -> Option<usize> {
    let mut at = 0;
    let labels = name.strip_suffix('.').unwrap_or(name).split('.');
    for label in labels {
        if label.is_empty() || label.len() > usize::from(MAX_LABEL) {
            return None;
        }
        *into.get_mut(at)? = label.len() as u8;
        into.get_mut(at + 1..=at + label.len())?.copy_from_slice(label.as_bytes());
        at += 1 + label.len();
    }
    *into.get_mut(at)? = 0;
    (at < MAX_NAME).then_some(at + 1)
}
