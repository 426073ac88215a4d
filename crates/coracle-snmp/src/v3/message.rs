//! The form of messages [RFC 3412 §6, RFC 3414 §2.4].

use core::ops::Range;

use super::crypto::{self, Start};
use super::keys::{AuthKey, Keys, PrivKey};
use crate::agent::SecurityLevel;
use crate::ber::{Malformed, Reader, Writer, tag};
use crate::message::Version;
use crate::pdu::Pdu;

/// Flag: the message is signed.
pub const FLAG_AUTH: u8 = 1;
/// Flag: the message is encrypted.
pub const FLAG_PRIV: u8 = 2;
/// Flag: the sender wants to hear what is wrong.
pub const FLAG_REPORTABLE: u8 = 4;

/// The fields before the security parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Ties an answer to its question.
    pub id: i32,
    /// The longest message that the sender takes, in bytes.
    pub max_size: i32,
    /// See [`FLAG_AUTH`] and others.
    pub flags: u8,
    /// The security model: 3.
    pub model: i32,
}

impl Header {
    /// The level of its flags; `None` for encryption without a signature [3412-1].
    pub const fn level(&self) -> Option<SecurityLevel> {
        match self.flags & (FLAG_AUTH | FLAG_PRIV) {
            0 => Some(SecurityLevel::NoAuthNoPriv),
            FLAG_AUTH => Some(SecurityLevel::AuthNoPriv),
            FLAG_PRIV => None,
            _ => Some(SecurityLevel::AuthPriv),
        }
    }

    /// Whether the sender wants to hear what is wrong.
    pub const fn is_reportable(&self) -> bool {
        self.flags & FLAG_REPORTABLE != 0
    }

    /// Takes the header out of a message after its version; what follows stays in the reader.
    ///
    /// # Errors
    ///
    /// [`Malformed`], whatever is wrong with it.
    pub fn read(body: &mut Reader<'_>) -> Result<Self, Malformed> {
        let mut inner = body.sequence(tag::SEQUENCE)?;
        let (id, max_size) = (inner.integer()?, inner.integer()?);
        let [flags] = inner.octets()? else { return Err(Malformed::Value) };
        let model = inner.integer()?;
        inner.finish()?;
        if id < 0 || max_size < 484 || model < 1 {
            return Err(Malformed::Value);
        }
        Ok(Self { id, max_size, flags: *flags, model })
    }
}

/// The security parameters, by their places in the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Security {
    /// The engine whose boots and time, and keys, these are.
    pub engine: Range<usize>,
    /// How often that engine has started.
    pub boots: u32,
    /// For how many seconds it runs.
    pub time: u32,
    /// The user.
    pub user: Range<usize>,
    /// The signature.
    signature: Range<usize>,
    /// What decryption starts with.
    salt: Range<usize>,
    /// What is encrypted, or the scoped PDU.
    data: Range<usize>,
}

impl Security {
    /// Takes the security parameters out of a message, after its header [3414-5].
    ///
    /// # Errors
    ///
    /// [`Malformed`], whatever is wrong with them: names too long among others.
    pub fn read(message: &[u8], mut body: Reader<'_>, encrypted: bool) -> Result<Self, Malformed> {
        let mut outer = body.sequence(tag::OCTET_STRING)?;
        let mut inner = outer.sequence(tag::SEQUENCE)?;
        outer.finish()?;
        let engine = inner.octets()?;
        let (boots, time) = (inner.integer()?, inner.integer()?);
        let (user, signature, salt) = (inner.octets()?, inner.octets()?, inner.octets()?);
        inner.finish()?;
        let data =
            if encrypted { body.octets()? } else { core::mem::replace(&mut body, Reader::new(&[])).rest() };
        body.finish()?;
        if engine.len() > 32 || user.len() > 32 {
            return Err(Malformed::Value);
        }
        let (Ok(boots), Ok(time)) = (u32::try_from(boots), u32::try_from(time)) else {
            return Err(Malformed::Value);
        };
        let place = |part: &[u8]| {
            let start = part.as_ptr().addr() - message.as_ptr().addr();
            start..start + part.len()
        };
        Ok(Self {
            engine: place(engine),
            boots,
            time,
            user: place(user),
            signature: place(signature),
            salt: place(salt),
            data: place(data),
        })
    }

    /// Whether a message has the right signature: that of all of it with zeros in the signature's place [3414-3].
    pub fn is_signed(&self, message: &[u8], key: &AuthKey) -> bool {
        let (Some(before), Some(signature), Some(after)) = (
            message.get(..self.signature.start),
            message.get(self.signature.clone()),
            message.get(self.signature.end..),
        ) else {
            return false;
        };
        let zeros = &[0; 48][..signature.len().min(48)];
        crypto::verify(key.protocol(), key.as_bytes(), &[before, zeros, after], signature)
    }

    /// Decrypts the scoped PDU in its place; `false` when that cannot be.
    pub fn decrypt(&self, message: &mut [u8], key: &PrivKey) -> bool {
        let Some(salt) = message.get(self.salt.clone()).and_then(|salt| salt.try_into().ok()) else {
            return false;
        };
        let start = Start { boots: self.boots, time: self.time, salt };
        let Some(data) = message.get_mut(self.data.clone()) else { return false };
        crypto::decrypt(key.protocol(), key.as_bytes(), &start, data)
    }

    /// Takes the scoped PDU out of a message. What was encrypted may be followed by padding.
    ///
    /// # Errors
    ///
    /// [`Malformed`], whatever is wrong with it.
    pub fn scoped<'m>(&self, message: &'m [u8], encrypted: bool) -> Result<Scoped<'m>, Malformed> {
        let mut reader = Reader::new(message.get(self.data.clone()).ok_or(Malformed::Truncated)?);
        let mut inner = reader.sequence(tag::SEQUENCE)?;
        if !encrypted {
            reader.finish()?;
        }
        let (engine, context) = (inner.octets()?, inner.octets()?);
        let pdu = Pdu::read(&mut inner)?;
        inner.finish()?;
        Ok(Scoped { engine, context, pdu })
    }
}

/// A PDU and the context that it is about.
#[derive(Debug, Clone, Copy)]
pub struct Scoped<'a> {
    /// The engine that has the context.
    pub engine: &'a [u8],
    /// The context's name.
    pub context: &'a [u8],
    /// What is said.
    pub pdu: Pdu<'a>,
}

/// What a message is closed with.
#[derive(Debug, Clone, Copy)]
pub struct Sealing<'a> {
    /// The header; its flags are set by the keys, but for [`FLAG_REPORTABLE`].
    pub header: Header,
    /// The engine whose keys, boots and time these are; empty to find it out.
    pub engine: &'a [u8],
    /// How often that engine has started.
    pub boots: u32,
    /// For how many seconds it runs.
    pub time: u32,
    /// The user.
    pub user: &'a [u8],
    /// What the message is signed and encrypted with.
    pub keys: &'a Keys,
    /// What encryption starts with: never the same twice.
    pub salt: u64,
}

impl Sealing<'_> {
    /// How many bytes [`Sealing::close`] may add in front.
    pub const fn room(&self) -> usize {
        // Two names, a signature, a salt, and the tags, lengths and numbers between them.
        96 + self.engine.len() + self.user.len() + 64
    }

    /// Encrypts and signs a message whose scoped PDU lies in a buffer from `start` to `end`, with [`Sealing::room`]
    /// before it and 8 bytes after. Returns where the message lies; `None` when it does not fit.
    pub fn close(&self, buffer: &mut [u8], start: usize, mut end: usize) -> Option<Range<usize>> {
        let (auth, privacy) = match &self.keys.auth {
            None => (None, None),
            Some(auth) => (Some(auth), self.keys.privacy.as_ref()),
        };
        let mut flags = self.header.flags & FLAG_REPORTABLE;
        let mut salt = &[][..];
        let vector = self.vector(privacy);
        if let Some(key) = privacy {
            let padding = (end - start).next_multiple_of(key.protocol().block()) - (end - start);
            buffer.get_mut(end..end + padding)?.fill(0);
            end += padding;
            crypto::encrypt(key.protocol(), key.as_bytes(), &vector, buffer.get_mut(start..end)?);
            salt = &vector.salt;
            flags |= FLAG_PRIV;
        }
        let mut writer = Writer::before(buffer.get_mut(..end)?, start);
        let mark = writer.end();
        if privacy.is_some() {
            writer.close(tag::OCTET_STRING, mark);
        }
        let signature = self.parameters(&mut writer, salt, auth);
        if auth.is_some() {
            flags |= FLAG_AUTH;
        }
        let inner = writer.mark();
        writer.integer(self.header.model);
        writer.octets(&[flags]);
        writer.integer(self.header.max_size);
        writer.integer(self.header.id);
        writer.close(tag::SEQUENCE, inner);
        writer.integer(Version::V3 as i32);
        writer.close(tag::SEQUENCE, mark);
        let start = writer.start()?;
        if let Some(key) = auth {
            let digest = crypto::sign(key.protocol(), key.as_bytes(), &[&buffer[start..end]]);
            let len = key.protocol().mac_len();
            buffer.get_mut(signature..signature + len)?.copy_from_slice(&digest[..len]);
        }
        Some(start..end)
    }

    fn vector(&self, key: Option<&PrivKey>) -> Start {
        let mut salt = self.salt.to_be_bytes();
        if key.is_some_and(|key| key.protocol().block() > 1) {
            // [RFC 3414 §8.1.1.1]
            salt[..4].copy_from_slice(&self.boots.to_be_bytes());
        }
        Start { boots: self.boots, time: self.time, salt }
    }

    /// Puts the security parameters in front, with zeros for the signature; returns its place.
    fn parameters(&self, writer: &mut Writer<'_>, salt: &[u8], auth: Option<&AuthKey>) -> usize {
        let end = writer.mark();
        writer.octets(salt);
        let before = writer.mark();
        writer.raw(&[0; 48][..auth.map_or(0, |key| key.protocol().mac_len())]);
        let place = writer.start().unwrap_or(0);
        writer.close(tag::OCTET_STRING, before);
        writer.octets(self.user);
        writer.integer(self.time.cast_signed());
        writer.integer(self.boots.cast_signed());
        writer.octets(self.engine);
        writer.close(tag::SEQUENCE, end);
        writer.close(tag::OCTET_STRING, end);
        place
    }
}
