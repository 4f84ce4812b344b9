//! Bytes to send that are known again.

/// Bytes of which no stretch looks like another, the same ones for the same salt (xorshift).
pub(crate) fn pattern(length: usize, salt: u64) -> Vec<u8> {
    let mut state = salt.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = vec![0; length];
    for stretch in bytes.chunks_mut(size_of::<u64>()) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        stretch.copy_from_slice(&state.to_le_bytes()[..stretch.len()]);
    }
    bytes
}
