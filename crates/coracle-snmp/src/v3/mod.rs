//! Version 3: messages that are signed and encrypted for a user [RFC 3412, RFC 3414, RFC 3826, RFC 7860].

mod crypto;
mod keys;
mod message;

pub use crypto::{AuthProtocol, PrivProtocol};
pub use keys::{AuthKey, EngineId, Keys, MasterKey, PrivKey, User};
pub use message::{FLAG_AUTH, FLAG_PRIV, FLAG_REPORTABLE, Header, Scoped, Sealing, Security};

#[cfg(test)]
mod tests;
