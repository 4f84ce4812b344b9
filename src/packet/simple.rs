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

/// How many bodies are hashed at a time. Each step of a hash waits for a multiplication, as long
/// as a processor needs to begin four: three were measured slower, five no faster.
pub const LANES: usize = 4;

/// Seals `body`, whose first [`OVERHEAD`] bytes are overwritten.
pub fn seal(body: &mut [u8]) -> Result<(), SealError> {
    write_length(body)?;
    seal_all([body, &mut [], &mut [], &mut []]);
    Ok(())
}

/// The first half of [`seal`].
pub fn write_length(body: &mut [u8]) -> Result<(), SealError> {
    let (front, segments) = body
        .split_first_chunk_mut::<OVERHEAD>()
        .ok_or(SealError::NotBegun)?;
    let [a, b] = u16::try_from(segments.len())
        .map_err(|_| SealError::TooLong)?
        .to_be_bytes();
    *front = [0, 0, 0, 0, a, b];
    Ok(())
}

/// The second half of [`seal`], for several bodies at once. Empty ones are no bodies.
pub fn seal_all(bodies: [&mut [u8]; LANES]) {
    let checked = bodies.each_ref().map(|body| body.get(HASH_LEN..));
    let hashes = fnv1a_all(checked.map(Option::unwrap_or_default));
    for (body, hash) in bodies.into_iter().zip(hashes) {
        if let Some(front) = body.first_chunk_mut() {
            *front = hash.to_be_bytes();
            mask(body);
        }
    }
}

/// Opens `body` in place and returns its segments, or `None` if hash or length is wrong.
pub fn open(body: &mut [u8]) -> Option<&[u8]> {
    let [opened, ..] = open_all([body, &mut [], &mut [], &mut []]);
    opened
}

/// As [`open`], for several bodies at once. Empty ones are no bodies.
pub fn open_all(bodies: [&mut [u8]; LANES]) -> [Option<&[u8]>; LANES] {
    let bodies = bodies.map(Unmasked::of);
    let checked = bodies.map(|body| body.map_or(&[][..], |body| body.checked));
    let mut hashes = fnv1a_all(checked).into_iter();
    bodies.map(|body| {
        let hash = hashes.next();
        body.filter(|body| hash == Some(body.hash))
            .map(|body| body.segments)
    })
}

/// A body whose length is right.
#[derive(Clone, Copy)]
struct Unmasked<'a> {
    hash: u32,
    /// What the hash is about.
    checked: &'a [u8],
    segments: &'a [u8],
}

impl<'a> Unmasked<'a> {
    fn of(body: &'a mut [u8]) -> Option<Self> {
        unmask(body);
        let (hash, checked) = body.split_first_chunk::<HASH_LEN>()?;
        let (length, segments) = checked.split_first_chunk::<LENGTH_LEN>()?;
        // mKCP: the length must fit exactly. It is compared first because hashing is what costs.
        let fits = usize::from(u16::from_be_bytes(*length)) == segments.len();
        fits.then_some(Self {
            hash: u32::from_be_bytes(*hash),
            checked,
            segments,
        })
    }
}

/// The hash of each input.
fn fnv1a_all(inputs: [&[u8]; LANES]) -> [u32; LANES] {
    let mut rests = inputs;
    let mut hashes = [FNV_OFFSET; LANES];
    let busy = |rests: &[&[u8]; LANES]| rests.iter().filter(|rest| !rest.is_empty()).count();
    while busy(&rests) > 1 {
        let lengths = rests.iter().map(|rest| rest.len());
        let step = lengths.filter(|&length| length > 0).min().unwrap_or(0);
        // Who is at the end keeps step with one who is not, for nothing.
        let company = rests
            .iter()
            .find_map(|rest| rest.get(..step))
            .unwrap_or(&[]);
        let advanced = interleaved(
            hashes,
            rests.map(|rest| rest.get(..step).unwrap_or(company)),
        );
        for ((rest, hash), advanced) in rests.iter_mut().zip(&mut hashes).zip(advanced) {
            if let Some((_, after)) = rest.split_at_checked(step) {
                (*rest, *hash) = (after, advanced);
            }
        }
    }
    for (rest, hash) in rests.iter().zip(&mut hashes) {
        *hash = rest.iter().fold(*hash, fnv1a_step);
    }
    hashes
}

/// Continues four hashes by bytes of the same number.
fn interleaved(mut hashes: [u32; LANES], [a, b, c, d]: [&[u8]; LANES]) -> [u32; LANES] {
    for (((a, b), c), d) in a.iter().zip(b).zip(c).zip(d) {
        let [e, f, g, h] = hashes;
        hashes = [
            fnv1a_step(e, a),
            fnv1a_step(f, b),
            fnv1a_step(g, c),
            fnv1a_step(h, d),
        ];
    }
    hashes
}

fn fnv1a_step(hash: u32, byte: &u8) -> u32 {
    (hash ^ u32::from(*byte)).wrapping_mul(FNV_PRIME)
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

    fn fnv1a(bytes: &[u8]) -> u32 {
        bytes.iter().fold(FNV_OFFSET, fnv1a_step)
    }

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
    fn hashes_side_by_side_are_hashes_one_by_one() {
        assert_eq!(fnv1a(b"foobar"), 0xbf9c_f968);
        let bytes: Vec<u8> = (0..=u8::MAX).collect();
        for case in 0..10_000_usize {
            let lengths = [case % 10, case / 10 % 10, case / 100 % 10, case / 1000];
            let inputs = lengths.map(|length| &bytes[length * 3..length * 10]);
            assert_eq!(fnv1a_all(inputs), inputs.map(fnv1a), "{lengths:?}");
        }
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
