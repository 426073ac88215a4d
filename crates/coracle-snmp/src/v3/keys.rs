//! Engines, users and their keys.

use core::fmt;

use super::crypto::{self, AuthProtocol, MAX_DIGEST, PrivProtocol};
use crate::agent::SecurityLevel;

/// The name of an SNMP engine, the only one in the world: 5 to 32 bytes [RFC 3411 §5].
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct EngineId {
    bytes: [u8; 32],
    len: u8,
}

impl EngineId {
    /// A name of these bytes; `None` for fewer than 5 or more than 32 of them [3414-5].
    pub fn new(source: &[u8]) -> Option<Self> {
        let mut bytes = [0; 32];
        if source.len() < 5 {
            return None;
        }
        bytes.get_mut(..source.len())?.copy_from_slice(source);
        Some(Self { bytes, len: source.len() as u8 })
    }

    /// A name made of an enterprise number and the address of a station [RFC 3411 §5].
    pub fn of_station(enterprise: u32, station: [u8; 6]) -> Self {
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&(enterprise | 0x8000_0000).to_be_bytes());
        bytes[4] = 3;
        bytes[5..11].copy_from_slice(&station);
        Self { bytes, len: 11 }
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len as usize]
    }
}

impl fmt::Debug for EngineId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("0x")?;
        self.as_bytes().iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

/// A key made of a password: the same for every engine. It takes a while to make, and should be kept.
#[derive(Clone, Copy)]
pub struct MasterKey {
    protocol: AuthProtocol,
    bytes: [u8; MAX_DIGEST],
}

impl MasterKey {
    /// Makes a key of a password [RFC 3414 §A.2]: a mebibyte is hashed. lwIP: `snmpv3_password_to_key_sha`.
    pub fn new(protocol: AuthProtocol, password: &[u8]) -> Self {
        Self { protocol, bytes: crypto::hash_password(protocol, password) }
    }

    fn localize(&self, engine: &[u8]) -> [u8; MAX_DIGEST] {
        let own = &self.bytes[..self.protocol.key_len()];
        crypto::hash(self.protocol, &[own, engine, own])
    }

    /// The key with which messages of or to an engine are signed [3414-4].
    pub fn auth(&self, engine: EngineId) -> AuthKey {
        AuthKey { protocol: self.protocol, bytes: self.localize(engine.as_bytes()) }
    }

    /// The key with which messages of or to an engine are encrypted.
    pub fn privacy(&self, protocol: PrivProtocol, engine: EngineId) -> PrivKey {
        let hash_len = self.protocol.key_len();
        let mut bytes = [0; 96];
        bytes[..MAX_DIGEST].copy_from_slice(&self.localize(engine.as_bytes()));
        let mut len = hash_len;
        let mut last = [0; MAX_DIGEST];
        last[..hash_len].copy_from_slice(&bytes[..hash_len]);
        while len < protocol.key_len() {
            let more = if protocol.is_reeder() {
                Self::new(self.protocol, &last[..hash_len]).localize(engine.as_bytes())
            } else {
                crypto::hash(self.protocol, &[&bytes[..len]])
            };
            bytes[len..len + hash_len].copy_from_slice(&more[..hash_len]);
            last = more;
            len += hash_len;
        }
        let mut key = PrivKey { protocol, bytes: [0; 32] };
        key.bytes.copy_from_slice(&bytes[..32]);
        key
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.protocol.fmt(formatter)
    }
}

/// A key that signs messages of one engine.
#[derive(Clone, Copy)]
pub struct AuthKey {
    protocol: AuthProtocol,
    bytes: [u8; MAX_DIGEST],
}

impl AuthKey {
    /// A key that was made elsewhere; `None` when its length is not the protocol's.
    pub fn new(protocol: AuthProtocol, key: &[u8]) -> Option<Self> {
        let mut bytes = [0; MAX_DIGEST];
        bytes.get_mut(..protocol.key_len()).filter(|place| place.len() == key.len())?.copy_from_slice(key);
        Some(Self { protocol, bytes })
    }

    /// How it signs.
    pub fn protocol(&self) -> AuthProtocol {
        self.protocol
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.protocol.key_len()]
    }
}

impl fmt::Debug for AuthKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.protocol.fmt(formatter)
    }
}

/// A key that encrypts messages of one engine.
#[derive(Clone, Copy)]
pub struct PrivKey {
    protocol: PrivProtocol,
    bytes: [u8; 32],
}

impl PrivKey {
    /// A key that was made elsewhere; `None` when its length is not the protocol's.
    pub fn new(protocol: PrivProtocol, key: &[u8]) -> Option<Self> {
        let mut bytes = [0; 32];
        bytes.get_mut(..protocol.key_len()).filter(|place| place.len() == key.len())?.copy_from_slice(key);
        Some(Self { protocol, bytes })
    }

    /// How it encrypts.
    pub fn protocol(&self) -> PrivProtocol {
        self.protocol
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.protocol.key_len()]
    }
}

impl fmt::Debug for PrivKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.protocol.fmt(formatter)
    }
}

/// The keys of a user at an engine.
#[derive(Debug, Clone, Copy, Default)]
pub struct Keys {
    /// What signs; without it, nothing is encrypted either.
    pub auth: Option<AuthKey>,
    /// What encrypts.
    pub privacy: Option<PrivKey>,
}

impl Keys {
    /// The highest level that they allow.
    pub const fn level(&self) -> SecurityLevel {
        match (&self.auth, &self.privacy) {
            (None, _) => SecurityLevel::NoAuthNoPriv,
            (Some(_), None) => SecurityLevel::AuthNoPriv,
            (Some(_), Some(_)) => SecurityLevel::AuthPriv,
        }
    }

    /// The keys that a level uses; `None` when one is missing.
    pub fn at(&self, level: SecurityLevel) -> Option<Self> {
        match level {
            SecurityLevel::NoAuthNoPriv => Some(Self::default()),
            SecurityLevel::AuthNoPriv => Some(Self { auth: Some(self.auth?), privacy: None }),
            SecurityLevel::AuthPriv => Some(Self { auth: Some(self.auth?), privacy: Some(self.privacy?) }),
        }
    }
}

/// A user of the agent [RFC 3414 §2.1].
#[derive(Debug, Clone, Copy)]
pub struct User<'a> {
    /// The name, of up to 32 bytes.
    pub name: &'a str,
    /// The group whose rights it has.
    pub group: &'a str,
    /// The keys, for the agent's engine.
    pub keys: Keys,
}

impl<'a> User<'a> {
    /// A user without keys.
    pub fn new(name: &'a str, group: &'a str) -> Self {
        Self { name, group, keys: Keys::default() }
    }

    /// The same, signing with a password.
    #[must_use]
    pub fn auth(mut self, protocol: AuthProtocol, password: &str, engine: EngineId) -> Self {
        self.keys.auth = Some(MasterKey::new(protocol, password.as_bytes()).auth(engine));
        self
    }

    /// The same, encrypting with a password. It signs already: without that, nothing changes.
    #[must_use]
    pub fn privacy(mut self, protocol: PrivProtocol, password: &str, engine: EngineId) -> Self {
        if let Some(auth) = &self.keys.auth {
            let master = MasterKey::new(auth.protocol, password.as_bytes());
            self.keys.privacy = Some(master.privacy(protocol, engine));
        }
        self
    }
}
