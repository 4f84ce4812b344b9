//! Base64, for the few bytes that protobuf's JSON has in it.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

pub(super) fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let mut group = [0; 4];
        for (place, byte) in group.iter_mut().skip(1).zip(chunk) {
            *place = *byte;
        }
        let number = u32::from_be_bytes(group);
        for place in 0..4 {
            let digit = (number >> (18 - 6 * place)) & 63;
            let letter = ALPHABET
                .get(digit as usize)
                .filter(|_| place <= chunk.len());
            text.push(letter.map_or('=', |&letter| char::from(letter)));
        }
    }
    text
}

/// Both alphabets, with or without padding, as protobuf has it. `None` if it is anything else.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_end_matches('=');
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 2);
    for chunk in text.as_bytes().chunks(4) {
        let mut number = 0;
        for place in 0..4 {
            let digit = match chunk.get(place) {
                Some(&letter) => digit(letter)?,
                None => 0,
            };
            number = number << 6 | digit;
        }
        let group = number.to_be_bytes();
        bytes.extend(
            group
                .iter()
                .skip(1)
                .take(chunk.len().checked_sub(1).filter(|&n| n > 0)?),
        );
    }
    Some(bytes)
}

fn digit(letter: u8) -> Option<u32> {
    let letter = match letter {
        b'-' => b'+',
        b'_' => b'/',
        other => other,
    };
    let at = ALPHABET.iter().position(|&other| other == letter)?;
    u32::try_from(at).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_encoded_is_decoded() {
        assert_eq!(encode(b"light work."), "bGlnaHQgd29yay4=");
        assert_eq!(decode("bGlnaHQgd29yay4").unwrap(), b"light work.");
        for length in 0..50_u8 {
            let bytes: Vec<u8> = (0..length).map(|byte| byte.wrapping_mul(37)).collect();
            assert_eq!(decode(&encode(&bytes)).unwrap(), bytes);
        }
    }

    #[test]
    fn anything_else_is_refused() {
        assert_eq!(decode("a"), None);
        assert_eq!(decode("a b"), None);
        assert_eq!(decode("ä"), None);
    }
}
