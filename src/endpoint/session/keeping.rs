//! For how long a session keeps memory that is empty.
//!
//! Given back at once, it would be asked for anew with each message. And if it were kept for long,
//! what is given back by many sessions would lie between what they go on to need, and the process
//! would not become smaller.

use std::time::{Duration, Instant};

const KEEP: Duration = Duration::from_millis(200);
/// Where no more than so many bytes were ever moved, as when many sessions open at once.
const KEEP_AT_FIRST: Duration = Duration::from_millis(20);
const FIRST: u64 = 512;
const KEEP_IN_USE: Duration = Duration::from_secs(2);
/// One that has moved so many bytes meanwhile, a few small messages, is in use: it is not looked at
/// so often. One that has moved so many more keeps all that it has.
const IN_USE: u32 = 256;
const BUSY: u32 = 2 * 1024 * 1024;

/// What a session had at its last visit, and until when it keeps what is left of that.
#[derive(Debug, Default)]
pub(super) struct Keeping {
    until: Option<Instant>,
    /// Bytes that the application wrote and read, and bytes that the connection holds: the lower
    /// halves, as of the last visit, and the former as of the beginning of this time.
    moved: u32,
    held: u32,
    moved_before: u32,
}

impl Keeping {
    /// Takes how things stand; returns whether empty memory is to be given back. While it is scarce
    /// nobody keeps any for long.
    pub(super) fn visit(&mut self, now: Instant, moved: u64, held: usize, is_scarce: bool) -> bool {
        let changed = (moved as u32, held as u32) != (self.moved, self.held);
        (self.moved, self.held) = (moved as u32, held as u32);
        match self.until {
            None if changed => {
                let time = if moved > FIRST { KEEP } else { KEEP_AT_FIRST };
                self.until = Some(now + time);
                self.moved_before = self.moved;
                false
            }
            Some(until) if until <= now => {
                let more = self.moved.wrapping_sub(self.moved_before);
                let stays = more >= IN_USE && !is_scarce;
                self.until = stays.then(|| now + KEEP_IN_USE);
                self.moved_before = self.moved;
                more < BUSY || is_scarce
            }
            Some(until) if is_scarce => {
                self.until = Some(until.min(now + KEEP));
                false
            }
            _ => false,
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Visits a session that moves so many bytes with each message, one in 10 ms; gives how often
    /// its memory was given back in so many seconds.
    fn given_back(bytes: u64, seconds: u64, is_scarce: bool) -> usize {
        const MESSAGE: Duration = Duration::from_millis(10);
        let (mut keeping, mut now, mut moved) = (Keeping::default(), Instant::now(), 1000);
        keeping.visit(now, moved, 0, is_scarce);
        let visit = |_: &u64| {
            now += MESSAGE;
            moved += bytes;
            keeping.visit(now, moved, 0, is_scarce)
        };
        (0..seconds * 100).filter(visit).count()
    }

    #[test]
    fn the_more_a_session_moves_the_longer_it_keeps() {
        assert_eq!(given_back(0, 10, false), 1);
        assert_eq!(given_back(64, 10, false), 5);
        assert_eq!(given_back(100_000, 10, false), 1);
    }

    #[test]
    fn while_memory_is_scarce_nobody_keeps_it_for_long() {
        for bytes in [64, 100_000] {
            assert!(given_back(bytes, 10, true) >= 45);
        }
    }

    #[test]
    fn what_is_kept_when_memory_becomes_scarce_is_kept_for_no_longer_than_then() {
        let (mut keeping, now) = (Keeping::default(), Instant::now());
        keeping.visit(now, 1000, 0, false);
        assert!(keeping.visit(now + KEEP, 2000, 0, false));
        assert_eq!(keeping.deadline(), Some(now + KEEP + KEEP_IN_USE));
        keeping.visit(now + 2 * KEEP, 2000, 0, true);
        assert_eq!(keeping.deadline(), Some(now + 3 * KEEP));
        // And for no longer, because it is looked at again.
        keeping.visit(now + 5 * KEEP / 2, 2000, 0, true);
        assert_eq!(keeping.deadline(), Some(now + 3 * KEEP));
    }

    #[test]
    fn a_session_that_has_just_begun_gives_back_at_once() {
        let (mut keeping, now) = (Keeping::default(), Instant::now());
        assert!(!keeping.visit(now, 1, 1, false));
        assert_eq!(keeping.deadline(), Some(now + KEEP_AT_FIRST));
        assert!(keeping.visit(now + KEEP_AT_FIRST, 1, 1, false));
        assert_eq!(keeping.deadline(), None);
        assert!(!keeping.visit(now + KEEP, 1, 1, false));
        assert_eq!(keeping.deadline(), None, "nothing has changed");
    }
}
