//! The clock that a connection shows its peer: the only place where time becomes a number.

use std::time::{Duration, Instant};

use crate::{
    moment::{Moment, Start},
    wire::Timestamp,
};

/// Timestamps run from 1 to 2^31 - 2 and start over. A Go peer echoes only what is below
/// 2^31 - 1, and 0 is what an ACK carries that echoes nothing.
const PERIOD: u64 = (1 << 31) - 2;

/// Milliseconds since the connection began, from a random start so that nobody can guess them.
#[derive(Clone, Debug)]
pub(super) struct Clock {
    start: Start,
    offset: u32,
}

impl Clock {
    pub(super) fn new(start: Instant, offset: u32) -> Self {
        Self {
            start: Start::new(start),
            offset,
        }
    }

    /// Shows a later time from now on, by so many milliseconds.
    pub(super) fn jump(&mut self, milliseconds: u32) {
        let offset = u64::from(self.offset) + u64::from(milliseconds);
        self.offset = (offset % PERIOD) as u32;
    }

    pub(super) fn moment(&self, time: Instant) -> Moment {
        self.start.moment(time)
    }

    pub(super) fn instant(&self, moment: Moment) -> Instant {
        self.start.instant(moment)
    }

    pub(super) fn timestamp(&self, now: Moment) -> Timestamp {
        let elapsed = now.since_start().as_millis() as u64;
        Timestamp::new(((elapsed + u64::from(self.offset)) % PERIOD) as u32 + 1)
    }

    /// How long ago this clock showed `timestamp`, to the millisecond; meaningless for a
    /// timestamp that it never showed.
    pub(super) fn age(&self, now: Moment, timestamp: Timestamp) -> Duration {
        let now = u64::from(self.timestamp(now).get());
        let age = (now + PERIOD - u64::from(timestamp.get()) % PERIOD) % PERIOD;
        Duration::from_millis(age)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jump_leads_to_a_time_that_the_go_peers_take_for_later() {
        let now = Moment::START;
        let mut clock = Clock::new(Instant::now(), 1 << 30);
        let before = clock.timestamp(now);
        clock.jump(1 << 29);
        let after = clock.timestamp(now);
        assert_eq!(after.get() - before.get(), 1 << 29);
        assert_eq!(before.take(after), after);
        clock.jump(1 << 30);
        assert!((1..0x7fff_ffff).contains(&clock.timestamp(now).get()));
    }

    #[test]
    fn timestamps_count_milliseconds_and_stay_echoable_over_the_wrap() {
        let clock = Clock::new(Instant::now(), PERIOD as u32 - 2);
        let at = |ms| Moment::START + Duration::from_millis(ms);
        let shown: Vec<_> = (0..4).map(|ms| clock.timestamp(at(ms)).get()).collect();
        assert_eq!(shown, [0x7fff_fffd, 0x7fff_fffe, 1, 2]);
        for ms in 0..4 {
            assert_eq!(
                clock.age(at(3), clock.timestamp(at(ms))),
                Duration::from_millis(3 - ms)
            );
        }
        assert_eq!(
            Timestamp::ZERO.take(clock.timestamp(at(1))),
            clock.timestamp(at(1))
        );
    }
}
