//! Keyless security: an FNV-1a checksum and an XOR chain. It finds damage and stops nobody.
//!
//! | offset | size | field |
//! |---|---|---|
//! | 0 | 4 | FNV-1a of everything after it |
//! | 4 | 2 | length of the segments |
//! | 6 | n | segments |
//!
//! This is then masked: from the first byte on, each byte from offset 4 is XORed with the masked
//! byte four before it.

use super::SealError;

/// Bytes in front of the segments.
pub const OVERHEAD: usize = HASH_LEN + LENGTH_LEN;

const HASH_LEN: usize = 4;
const LENGTH_LEN: usize = 2;

const FNV_OFFSET: u32 = 0x811c_9dc5;
const FNV_PRIME: u32 = 0x0100_0193;

/// Seals `body`, whose first [`OVERHEAD`] bytes are overwritten.
pub fn seal(body: &mut [u8]) -> Result<(), SealError> {
    let (hash, checked) = body
        .split_first_chunk_mut::<HASH_LEN>()
        .ok_or(SealError::NotBegun)?;
    let (length, segments) = checked
        .split_first_chunk_mut::<LENGTH_LEN>()
        .ok_or(SealError::NotBegun)?;
    let count = u16::try_from(segments.len()).map_err(|_| SealError::TooLong)?;
    *length = count.to_be_bytes();
    *hash = fnv1a(checked).to_be_bytes();
    mask(body);
    Ok(())
}

/// Opens `body` in place and returns its segments, or `None` if hash or length is wrong.
pub fn open(body: &mut [u8]) -> Option<&[u8]> {
    unmask(body);
    let (hash, checked) = body.split_first_chunk::<HASH_LEN>()?;
    let (length, segments) = checked.split_first_chunk::<LENGTH_LEN>()?;
    // mKCP: the length must fit exactly. It is compared first because hashing is what costs.
    let fits = usize::from(u16::from_be_bytes(*length)) == segments.len();
    (fits && fnv1a(checked) == u32::from_be_bytes(*hash)).then_some(segments)
}

fn fnv1a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(FNV_OFFSET, |hash, &byte| {
        (hash ^ u32::from(byte)).wrapping_mul(FNV_PRIME)
    })
}

/// The XOR chain, word by word; the order of bytes in a word does not matter to it.
fn mask(bytes: &mut [u8]) {
    let (words, tail) = bytes.as_chunks_mut::<4>();
    let mut masked = 0;
    for word in words {
        masked ^= u32::from_ne_bytes(*word);
        *word = masked.to_ne_bytes();
    }
    xor_tail(tail, masked);
}

fn unmask(bytes: &mut [u8]) {
    let (words, tail) = bytes.as_chunks_mut::<4>();
    let mut previous = 0;
    for word in words {
        let masked = u32::from_ne_bytes(*word);
        *word = (masked ^ previous).to_ne_bytes();
        previous = masked;
    }
    xor_tail(tail, previous);
}

/// Masks and unmasks alike what is left after the last whole word.
fn xor_tail(tail: &mut [u8], last_word: u32) {
    for (byte, before) in tail.iter_mut().zip(last_word.to_ne_bytes()) {
        *byte ^= before;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(segments: &[u8]) -> Vec<u8> {
        let mut body = vec![0; OVERHEAD];
        body.extend(segments);
        seal(&mut body).unwrap();
        body
    }

    #[test]
    fn hello_is_sealed_as_upstream_seals_it() {
        let expected = [
            0x8b, 0x22, 0x1b, 0xce, 0x8b, 0x27, 0x73, 0xab, 0xe7, 0x4b, 0x1c,
        ];
        assert_eq!(sealed(b"hello"), expected);
        assert_eq!(open(&mut sealed(b"hello")), Some(&b"hello"[..]));
    }

    #[test]
    fn the_word_chain_is_the_byte_chain() {
        for length in 0..40 {
            let plain: Vec<u8> = (0..length).map(|i: u8| i.wrapping_mul(37)).collect();
            let mut bytewise = plain.clone();
            for i in 4..bytewise.len() {
                bytewise[i] ^= bytewise[i - 4];
            }
            let mut bytes = plain.clone();
            mask(&mut bytes);
            assert_eq!(bytes, bytewise);
            unmask(&mut bytes);
            assert_eq!(bytes, plain);
        }
    }

    #[test]
    fn a_wrong_length_with_a_right_hash_is_refused() {
        let mut body = vec![0; OVERHEAD];
        body.extend(b"hello");
        body[5] = 4;
        let hash = fnv1a(&body[4..]);
        body[..4].copy_from_slice(&hash.to_be_bytes());
        mask(&mut body);
        assert_eq!(open(&mut body), None);
    }

    #[test]
    fn what_no_length_field_can_say_is_refused() {
        let mut body = vec![0; OVERHEAD + 65536];
        assert_eq!(seal(&mut body), Err(SealError::TooLong));
        body.pop();
        assert_eq!(seal(&mut body), Ok(()));
        assert_eq!(seal(&mut body[..5]), Err(SealError::NotBegun));
    }
}
