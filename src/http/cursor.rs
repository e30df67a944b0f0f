//! Cursors: the position after a page, as a text that only this server can have written.
//!
//! A cursor is readable and reveals nothing hidden: it counts only rows that its reader sees. A message authentication code over it
//! (HMAC-SHA-256, RFC 2104) detects forgery.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::log::CursorSecret;

/// The bytes of the code that a cursor carries.
const CODE_BYTES: usize = 16;
/// The bytes that SHA-256 takes at a time.
const BLOCK_BYTES: usize = 64;

/// The key that cursors are signed with. The store keeps it, so cursors outlive a restart, a restored backup and an exchange of the
/// key that signs the logs.
#[derive(Clone)]
pub struct CursorKey(CursorSecret);

impl CursorKey {
    /// The key of a server whose store has this secret.
    pub const fn of(secret: CursorSecret) -> Self {
        Self(secret)
    }

    /// Returns a cursor as text. `list` names the list, so that a cursor is valid for its own list only.
    pub fn seal(&self, list: &str, cursor: &impl Serialize) -> String {
        let bytes = serde_json::to_vec(cursor).unwrap_or_default();
        let code = self.code(list, &bytes);
        format!("{}.{}", URL_SAFE_NO_PAD.encode(bytes), URL_SAFE_NO_PAD.encode(code))
    }

    /// Parses a cursor; none if this server did not write it for this list.
    pub fn open<T: DeserializeOwned>(&self, list: &str, text: &str) -> Option<T> {
        let (bytes, code) = text.split_once('.')?;
        let (bytes, code) = (URL_SAFE_NO_PAD.decode(bytes).ok()?, URL_SAFE_NO_PAD.decode(code).ok()?);
        let own: bool = self.code(list, &bytes).ct_eq(code.as_slice()).into();
        if own { serde_json::from_slice(&bytes).ok() } else { None }
    }

    fn code(&self, list: &str, bytes: &[u8]) -> [u8; CODE_BYTES] {
        let mac = hmac(self.0.expose(), &[list.as_bytes(), b"\0", bytes]);
        let mut code = [0; CODE_BYTES];
        code.iter_mut().zip(mac).for_each(|(target, byte)| *target = byte);
        code
    }
}

/// HMAC-SHA-256 (RFC 2104 §2) over the parts one after the other.
fn hmac(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    let padded = |pad: u8| {
        let mut block = Zeroizing::new([pad; BLOCK_BYTES]);
        block.iter_mut().zip(key).for_each(|(target, byte)| *target ^= byte);
        Sha256::new().chain_update(block.as_slice())
    };
    let inner = parts.iter().fold(padded(0x36), Sha256::chain_update).finalize();
    padded(0x5c).chain_update(inner).finalize().into()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    fn hexadecimal(bytes: &[u8]) -> String {
        bytes
            .iter()
            .flat_map(|byte| [byte >> 4, byte & 0xf])
            .map(|digit| char::from_digit(digit.into(), 16).unwrap())
            .collect()
    }

    #[test]
    fn the_code_is_hmac_sha_256() {
        // RFC 4231 §4.2 and §4.3; a shorter key is filled up with zeros.
        let key = |bytes: &[u8]| {
            let mut key = [0; 32];
            key[..bytes.len()].copy_from_slice(bytes);
            key
        };
        let first = hmac(&key(&[0x0b; 20]), &[b"Hi ", b"There"]);
        assert_eq!(hexadecimal(&first), "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
        let second = hmac(&key(b"Jefe"), &[b"what do ya want for nothing?"]);
        assert_eq!(hexadecimal(&second), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }

    #[test]
    fn only_an_authentic_cursor_of_the_same_list_is_read() {
        let key = CursorKey::of(CursorSecret::new([1; 32]));
        let sealed = key.seal("members", &(7_u64, "x"));
        assert_eq!(key.open("members", &sealed), Some((7_u64, "x".to_owned())));
        assert_eq!(key.open::<(u64, String)>("tokens", &sealed), None);
        assert_eq!(CursorKey::of(CursorSecret::new([2; 32])).open::<(u64, String)>("members", &sealed), None);
        for index in 0..sealed.len() {
            let mut other = sealed.clone().into_bytes();
            other[index] = if other[index] == b'A' { b'B' } else { b'A' };
            let other = String::from_utf8(other).unwrap();
            assert_eq!(key.open::<(u64, String)>("members", &other), None, "{other}");
        }
        let (bytes, code) = sealed.split_once('.').unwrap();
        for other in ["", ".", bytes, code, &format!("{bytes}."), &format!(".{code}"), &format!("{sealed}.x")] {
            assert_eq!(key.open::<(u64, String)>("members", other), None, "{other}");
        }
    }
}
