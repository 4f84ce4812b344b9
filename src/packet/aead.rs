//! AES-128-GCM with a key made from a seed.
//!
//! Sealed segments are `nonce (12) | ciphertext | tag (16)`. The nonce is random, there is no
//! additional data, and both directions of all connections share the key.

use std::fmt;

use ring::{
    aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    digest::{SHA256, digest},
};

use super::SealError;

/// Bytes in front of the ciphertext.
pub const NONCE_LEN: usize = 12;
/// Bytes after the ciphertext.
pub const TAG_LEN: usize = 16;

const KEY_LEN: usize = 16;

/// The key of one seed. `Debug` does not show it.
pub struct Aes128Gcm {
    key: LessSafeKey,
}

impl Aes128Gcm {
    /// Any seed makes a key, the empty one too.
    pub fn new(seed: &[u8]) -> Self {
        let key = UnboundKey::new(&AES_128_GCM, &derive_key(seed))
            .expect("a key of AES-128 has the length of this array");
        Self {
            key: LessSafeKey::new(key),
        }
    }

    /// Seals `body`, whose first [`NONCE_LEN`] and last [`TAG_LEN`] bytes are overwritten.
    pub fn seal(&self, nonce: [u8; NONCE_LEN], body: &mut [u8]) -> Result<(), SealError> {
        let (front, rest) = body.split_first_chunk_mut().ok_or(SealError::NotBegun)?;
        let (segments, back) = rest
            .split_last_chunk_mut::<TAG_LEN>()
            .ok_or(SealError::NotBegun)?;
        *front = nonce;
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = self
            .key
            .seal_in_place_separate_tag(nonce, Aad::empty(), segments)
            .map_err(|_| SealError::TooLong)?;
        back.copy_from_slice(tag.as_ref());
        Ok(())
    }

    /// Opens `body` in place and returns its segments, or `None` if it is not authentic.
    pub fn open<'a>(&self, body: &'a mut [u8]) -> Option<&'a [u8]> {
        let (nonce, sealed) = body.split_first_chunk_mut()?;
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let segments = self.key.open_in_place(nonce, Aad::empty(), sealed).ok()?;
        Some(segments)
    }
}

impl fmt::Debug for Aes128Gcm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Aes128Gcm(..)")
    }
}

/// mKCP: the key is the first half of the seed's SHA-256.
pub fn derive_key(seed: &[u8]) -> [u8; KEY_LEN] {
    let digest = digest(&SHA256, seed);
    let mut key = [0; KEY_LEN];
    for (to, from) in key.iter_mut().zip(digest.as_ref()) {
        *to = *from;
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    const PING: [u8; 16] = [0x12, 0x34, 3, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 100];

    #[test]
    fn a_ping_is_sealed_as_upstream_seals_it() {
        let mut body = [[0; NONCE_LEN].as_slice(), &PING, &[0; TAG_LEN]].concat();
        let nonce = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];
        let key = Aes128Gcm::new(b"test-seed");
        key.seal(nonce, &mut body).unwrap();
        let number = |bytes: &[u8]| u128::from_be_bytes(bytes.try_into().unwrap());
        assert_eq!(body[..NONCE_LEN], nonce);
        assert_eq!(number(&body[12..28]), 0x494808dc183b8a00861e17618378dd67);
        assert_eq!(number(&body[28..]), 0xa353746e5836efe2a40ef6017c8dc8ec);
        assert_eq!(key.open(&mut body), Some(&PING[..]));
    }

    #[test]
    fn the_empty_seed_is_a_key() {
        assert_eq!(
            u128::from_be_bytes(derive_key(b"")),
            0xe3b0c44298fc1c149afbf4c8996fb924
        );
    }

    #[test]
    fn a_body_without_room_for_nonce_and_tag_is_refused() {
        let key = Aes128Gcm::new(b"");
        assert_eq!(key.open(&mut [0; NONCE_LEN - 1]), None);
        assert_eq!(key.open(&mut [0; NONCE_LEN + TAG_LEN - 1]), None);
        for length in [NONCE_LEN - 1, NONCE_LEN + TAG_LEN - 1] {
            let short = key.seal([0; NONCE_LEN], &mut vec![0; length]);
            assert_eq!(short, Err(SealError::NotBegun));
        }
    }
}
