//! Random bytes for nonces, cheap enough to be drawn for every datagram.

use std::fmt;

use ring::rand::{SecureRandom, SystemRandom};

use super::SealError;

const PAGE: usize = 4096;

/// Draws nonces from pages of system randomness, because asking for each costs ten times more.
/// Each sending thread has its own.
#[derive(Default)]
pub struct NonceSource {
    page: Vec<u8>,
    drawn: usize,
}

impl NonceSource {
    /// Gives these bytes before any random ones, so that known datagrams can be reproduced.
    #[cfg(any(test, feature = "internal"))]
    pub fn starting_with(bytes: Vec<u8>) -> Self {
        Self {
            page: bytes,
            drawn: 0,
        }
    }

    /// Bytes that were never drawn before; at most a page.
    pub(super) fn draw<const N: usize>(&mut self) -> Result<[u8; N], SealError> {
        if let Some(bytes) = self.take() {
            return Ok(bytes);
        }
        self.refill()?;
        self.take().ok_or(SealError::NoRandomness)
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let bytes = *self.page.get(self.drawn..)?.first_chunk()?;
        self.drawn = self.drawn.saturating_add(N);
        Some(bytes)
    }

    fn refill(&mut self) -> Result<(), SealError> {
        self.page.resize(PAGE, 0);
        self.drawn = 0;
        SystemRandom::new().fill(&mut self.page).map_err(|_| {
            // What stands in the page now was drawn before, and a nonce must not repeat.
            self.page.clear();
            SealError::NoRandomness
        })
    }
}

/// Without the bytes.
impl fmt::Debug for NonceSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NonceSource").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn nonces_do_not_repeat_across_pages() {
        let mut source = NonceSource::default();
        let drawn: HashSet<[u8; 12]> = (0..2000).map(|_| source.draw().unwrap()).collect();
        assert_eq!(drawn.len(), 2000);
    }

    #[test]
    fn given_bytes_come_first_and_a_remainder_too_short_is_skipped() {
        let mut source = NonceSource::starting_with(vec![1, 2, 3, 4, 5]);
        assert_eq!(source.draw(), Ok([1, 2]));
        assert_eq!(source.draw(), Ok([3, 4]));
        source.draw::<2>().unwrap();
        assert_eq!((source.page.len(), source.drawn), (PAGE, 2));
    }

    #[test]
    fn more_than_a_page_is_refused() {
        assert_eq!(
            NonceSource::default().draw::<{ PAGE + 1 }>(),
            Err(SealError::NoRandomness)
        );
    }
}
