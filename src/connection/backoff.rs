//! How long to wait for a peer that does not answer.

use std::time::Duration;

/// For the first seconds of a silence it is asked this often, so that a path that comes back is
/// noticed soon; one datagram in that time is no burden to any path.
pub(super) const EARLY_INTERVAL: Duration = Duration::from_millis(250);
const EARLY_ATTEMPTS: u32 = 24;
const MAX_INTERVAL: Duration = Duration::from_secs(4);

/// The time from the attempt before, `attempts` counting those that were not answered.
pub(super) fn interval(base: Duration, attempts: u32) -> Duration {
    if attempts == 0 {
        return base;
    }
    if attempts < EARLY_ATTEMPTS {
        let grown = base * 2u32.saturating_pow(attempts);
        return grown.min(EARLY_INTERVAL.max(base));
    }
    let doublings = (attempts - EARLY_ATTEMPTS + 1).min(16);
    let grown = EARLY_INTERVAL.max(base) * 2u32.saturating_pow(doublings);
    grown.min(MAX_INTERVAL.max(base))
}

/// The same for a peer that does answer, but whose window is closed: it will tell by itself when
/// that opens, and is asked only because that may get lost.
pub(super) fn persist(base: Duration, attempts: u32) -> Duration {
    let grown = base * 2u32.saturating_pow(attempts.min(16));
    grown.min(MAX_INTERVAL.max(base))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_to_a_limit_and_later_beyond_it() {
        let wait = |attempts| interval(Duration::from_millis(70), attempts).as_millis();
        let waits: Vec<_> = (0..8).map(wait).collect();
        assert_eq!(waits, [70, 140, 250, 250, 250, 250, 250, 250]);
        let waits: Vec<_> = (23..29).map(wait).collect();
        assert_eq!(waits, [250, 500, 1000, 2000, 4000, 4000]);
        assert_eq!(wait(u32::MAX), 4000);
    }

    #[test]
    fn a_closed_window_is_tried_ever_more_rarely() {
        let wait = |attempts| persist(Duration::from_millis(100), attempts).as_millis();
        let waits: Vec<_> = (0..8).map(wait).collect();
        assert_eq!(waits, [100, 200, 400, 800, 1600, 3200, 4000, 4000]);
    }

    #[test]
    fn a_long_path_is_never_asked_before_it_can_have_answered() {
        let long = Duration::from_secs(6);
        for attempts in [0, 1, 23] {
            assert_eq!(interval(long, attempts), long);
        }
        assert!(interval(long, 40) >= long);
    }
}
