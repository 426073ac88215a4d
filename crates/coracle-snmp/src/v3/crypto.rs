//! Signatures and encryption.

use aes::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use hmac::{Hmac, KeyInit, Mac};
use md5::Digest;

/// How messages are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthProtocol {
    /// HMAC-MD5-96 [RFC 3414 §6]: for old managers.
    Md5,
    /// HMAC-SHA-96 [RFC 3414 §7]: for old managers.
    Sha1,
    /// HMAC-128-SHA-224 [RFC 7860].
    Sha224,
    /// HMAC-192-SHA-256 [RFC 7860].
    Sha256,
    /// HMAC-256-SHA-384 [RFC 7860].
    Sha384,
    /// HMAC-384-SHA-512 [RFC 7860].
    Sha512,
}

impl AuthProtocol {
    /// How many bytes its keys and digests have.
    pub const fn key_len(self) -> usize {
        match self {
            Self::Md5 => 16,
            Self::Sha1 => 20,
            Self::Sha224 => 28,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    /// How many bytes of the digest a message carries.
    pub const fn mac_len(self) -> usize {
        match self {
            Self::Md5 | Self::Sha1 => 12,
            Self::Sha224 => 16,
            Self::Sha256 => 24,
            Self::Sha384 => 32,
            Self::Sha512 => 48,
        }
    }

    /// The last arc of its identifier below `snmpAuthProtocols`.
    pub const fn arc(self) -> u32 {
        match self {
            Self::Md5 => 2,
            Self::Sha1 => 3,
            Self::Sha224 => 4,
            Self::Sha256 => 5,
            Self::Sha384 => 6,
            Self::Sha512 => 7,
        }
    }
}

/// How messages are encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrivProtocol {
    /// CBC-DES [RFC 3414 §8]: for old managers; it hides little.
    Des,
    /// CFB128-AES-128 [RFC 3826].
    Aes128,
    /// The same with keys of 192 bits, made as most managers do (draft-blumenthal-aes-usm-04).
    Aes192,
    /// The same with keys of 256 bits.
    Aes256,
    /// Keys of 192 bits, made as some managers do (draft-reeder-snmpv3-usm-3desede-00).
    Aes192Reeder,
    /// The same with keys of 256 bits.
    Aes256Reeder,
}

impl PrivProtocol {
    /// How many bytes its keys have; those of DES, with what makes its initialisation vectors.
    pub const fn key_len(self) -> usize {
        match self {
            Self::Des | Self::Aes128 => 16,
            Self::Aes192 | Self::Aes192Reeder => 24,
            Self::Aes256 | Self::Aes256Reeder => 32,
        }
    }

    pub(super) const fn is_reeder(self) -> bool {
        matches!(self, Self::Aes192Reeder | Self::Aes256Reeder)
    }

    /// What encrypted bytes come in.
    pub const fn block(self) -> usize {
        if matches!(self, Self::Des) { 8 } else { 1 }
    }
}

/// The longest digest, in bytes.
pub(super) const MAX_DIGEST: usize = 64;

/// Runs a block with a type alias for the hash of a protocol.
macro_rules! with_hash {
    ($protocol:expr, $hash:ident => $block:expr) => {
        match $protocol {
            AuthProtocol::Md5 => {
                type $hash = md5::Md5;
                $block
            }
            AuthProtocol::Sha1 => {
                type $hash = sha1::Sha1;
                $block
            }
            AuthProtocol::Sha224 => {
                type $hash = sha2::Sha224;
                $block
            }
            AuthProtocol::Sha256 => {
                type $hash = sha2::Sha256;
                $block
            }
            AuthProtocol::Sha384 => {
                type $hash = sha2::Sha384;
                $block
            }
            AuthProtocol::Sha512 => {
                type $hash = sha2::Sha512;
                $block
            }
        }
    };
}

/// The digest of parts; the first bytes of it are valid.
pub(super) fn hash(protocol: AuthProtocol, parts: &[&[u8]]) -> [u8; MAX_DIGEST] {
    let mut out = [0; MAX_DIGEST];
    with_hash!(protocol, Hash => {
        let mut hash = Hash::new();
        for part in parts {
            hash.update(part);
        }
        let digest = hash.finalize();
        out[..digest.len()].copy_from_slice(&digest);
    });
    out
}

/// The digest of a password that is repeated up to a mebibyte [RFC 3414 §A.2].
pub(super) fn hash_password(protocol: AuthProtocol, password: &[u8]) -> [u8; MAX_DIGEST] {
    let mut out = [0; MAX_DIGEST];
    if password.is_empty() {
        return out;
    }
    let mut next = password.iter().copied().cycle();
    with_hash!(protocol, Hash => {
        let mut hash = Hash::new();
        for _ in 0..0x10_0000 / 64 {
            let mut chunk = [0; 64];
            for (byte, source) in chunk.iter_mut().zip(&mut next) {
                *byte = source;
            }
            hash.update(chunk);
        }
        let digest = hash.finalize();
        out[..digest.len()].copy_from_slice(&digest);
    });
    out
}

/// The signature of a message in parts; the first [`AuthProtocol::mac_len`] bytes of it are sent.
pub(super) fn sign(protocol: AuthProtocol, key: &[u8], parts: &[&[u8]]) -> [u8; MAX_DIGEST] {
    let mut out = [0; MAX_DIGEST];
    with_hash!(protocol, Hash => {
        // Keys of any length are taken.
        if let Ok(mut mac) = Hmac::<Hash>::new_from_slice(key) {
            for part in parts {
                mac.update(part);
            }
            let digest = mac.finalize().into_bytes();
            out[..digest.len()].copy_from_slice(&digest);
        }
    });
    out
}

/// Whether a message in parts has this signature, in a time that does not depend on where it is wrong [3414-3].
pub(super) fn verify(protocol: AuthProtocol, key: &[u8], parts: &[&[u8]], signature: &[u8]) -> bool {
    if signature.len() != protocol.mac_len() {
        return false;
    }
    with_hash!(protocol, Hash => {
        let Ok(mut mac) = Hmac::<Hash>::new_from_slice(key) else { return false };
        for part in parts {
            mac.update(part);
        }
        mac.verify_truncated_left(signature).is_ok()
    })
}

/// Where encryption of a message starts.
pub(super) struct Start {
    pub(super) boots: u32,
    pub(super) time: u32,
    /// What the message carries.
    pub(super) salt: [u8; 8],
}

impl Start {
    /// [RFC 3826 §3.1.2.1]
    fn aes(&self) -> [u8; 16] {
        let mut vector = [0; 16];
        vector[..4].copy_from_slice(&self.boots.to_be_bytes());
        vector[4..8].copy_from_slice(&self.time.to_be_bytes());
        vector[8..].copy_from_slice(&self.salt);
        vector
    }

    /// [RFC 3414 §8.1.1.1]
    fn des(&self, key: &[u8]) -> [u8; 8] {
        let mut vector = self.salt;
        for (byte, other) in vector.iter_mut().zip(key.get(8..16).unwrap_or(&[])) {
            *byte ^= other;
        }
        vector
    }
}

/// Encrypts in place; the length is a multiple of [`PrivProtocol::block`].
pub(super) fn encrypt(protocol: PrivProtocol, key: &[u8], start: &Start, data: &mut [u8]) {
    use cfb_mode::Encryptor as Cfb;
    let vector = start.aes();
    match protocol {
        PrivProtocol::Des => {
            let vector = start.des(key);
            let Ok(mut cipher) = cbc::Encryptor::<des::Des>::new_from_slices(&key[..8], &vector) else {
                return;
            };
            let (blocks, _) = data.as_chunks_mut::<8>();
            for block in blocks {
                cipher.encrypt_block(block.into());
            }
        }
        PrivProtocol::Aes128 => {
            if let Ok(cipher) = Cfb::<aes::Aes128>::new_from_slices(&key[..16], &vector) {
                cipher.encrypt(data);
            }
        }
        PrivProtocol::Aes192 | PrivProtocol::Aes192Reeder => {
            if let Ok(cipher) = Cfb::<aes::Aes192>::new_from_slices(&key[..24], &vector) {
                cipher.encrypt(data);
            }
        }
        PrivProtocol::Aes256 | PrivProtocol::Aes256Reeder => {
            if let Ok(cipher) = Cfb::<aes::Aes256>::new_from_slices(&key[..32], &vector) {
                cipher.encrypt(data);
            }
        }
    }
}

/// Decrypts in place; `false` for a length that encryption does not give.
pub(super) fn decrypt(protocol: PrivProtocol, key: &[u8], start: &Start, data: &mut [u8]) -> bool {
    use cfb_mode::Decryptor as Cfb;
    if data.is_empty() || !data.len().is_multiple_of(protocol.block()) {
        return false;
    }
    let vector = start.aes();
    match protocol {
        PrivProtocol::Des => {
            let vector = start.des(key);
            let Ok(mut cipher) = cbc::Decryptor::<des::Des>::new_from_slices(&key[..8], &vector) else {
                return false;
            };
            let (blocks, _) = data.as_chunks_mut::<8>();
            for block in blocks {
                cipher.decrypt_block(block.into());
            }
            true
        }
        PrivProtocol::Aes128 => Cfb::<aes::Aes128>::new_from_slices(&key[..16], &vector)
            .map(|cipher| cipher.decrypt(data))
            .is_ok(),
        PrivProtocol::Aes192 | PrivProtocol::Aes192Reeder => {
            Cfb::<aes::Aes192>::new_from_slices(&key[..24], &vector)
                .map(|cipher| cipher.decrypt(data))
                .is_ok()
        }
        PrivProtocol::Aes256 | PrivProtocol::Aes256Reeder => {
            Cfb::<aes::Aes256>::new_from_slices(&key[..32], &vector)
                .map(|cipher| cipher.decrypt(data))
                .is_ok()
        }
    }
}
