//! Times and spans of time in at most half the memory of an `Instant` and a `Duration`: of a
//! connection that does nothing, they are a good part.

use std::{
    num::NonZeroU64,
    ops::{Add, AddAssign, Sub},
    time::{Duration, Instant},
};

/// A time, by the nanoseconds that have passed since a [`Start`]. `Option` adds nothing to it.
///
/// One that lies too far ahead to be told is the last one, and none lies before the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(NonZeroU64);

/// A `Duration` as it is kept, of at most some centuries. `Option` adds nothing to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span(NonZeroU64);

/// A `Duration` of about an hour at most, to the microsecond. Only zero becomes zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Micros(u32);

/// What moments are counted from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Start(Instant);

impl Start {
    pub(crate) fn new(at: Instant) -> Self {
        Self(at)
    }

    #[inline]
    pub(crate) fn moment(self, time: Instant) -> Moment {
        Moment::START + time.saturating_duration_since(self.0)
    }

    #[inline]
    pub(crate) fn instant(self, moment: Moment) -> Instant {
        self.0 + moment.since_start()
    }
}

impl Moment {
    pub(crate) const START: Self = Self(NonZeroU64::MIN);

    /// Nanoseconds, not from the start but such that those of a later moment are more.
    #[inline]
    pub(crate) fn nanos(self) -> u64 {
        self.0.get()
    }

    #[inline]
    pub(crate) fn since_start(self) -> Duration {
        self - Self::START
    }

    /// The time from an earlier moment to this one; zero if that is not earlier.
    #[inline]
    pub(crate) fn saturating_duration_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.get().saturating_sub(earlier.0.get()))
    }

    /// So much earlier, if that is not before the start.
    #[inline]
    pub(crate) fn checked_sub(self, time: Duration) -> Option<Self> {
        NonZeroU64::new(self.0.get().checked_sub(nanos(time))?).map(Self)
    }
}

impl Span {
    #[inline]
    pub(crate) fn get(self) -> Duration {
        Duration::from_nanos(self.0.get() - 1)
    }
}

impl From<Duration> for Span {
    #[inline]
    fn from(time: Duration) -> Self {
        Self(NonZeroU64::MIN.saturating_add(nanos(time)))
    }
}

impl Micros {
    #[inline]
    pub(crate) fn get(self) -> Duration {
        Duration::from_micros(self.0.into())
    }

    #[inline]
    fn from_nanos(nanos: u64) -> Self {
        Self(u32::try_from(nanos.div_ceil(1000)).unwrap_or(u32::MAX))
    }
}

impl From<Duration> for Micros {
    #[inline]
    fn from(time: Duration) -> Self {
        Self::from_nanos(nanos(time))
    }
}

impl From<Span> for Micros {
    #[inline]
    fn from(time: Span) -> Self {
        Self::from_nanos(time.0.get() - 1)
    }
}

impl From<Micros> for u32 {
    #[inline]
    fn from(time: Micros) -> Self {
        time.0
    }
}

impl Default for Span {
    fn default() -> Self {
        Self(NonZeroU64::MIN)
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    #[inline]
    fn add(self, time: Duration) -> Self {
        Self(self.0.saturating_add(nanos(time)))
    }
}

impl AddAssign<Duration> for Moment {
    #[inline]
    fn add_assign(&mut self, time: Duration) {
        *self = *self + time;
    }
}

impl Sub for Moment {
    type Output = Duration;

    #[inline]
    fn sub(self, earlier: Self) -> Duration {
        self.saturating_duration_since(earlier)
    }
}

/// Centuries are as good as for ever.
#[inline]
pub(crate) fn nanos(time: Duration) -> u64 {
    let seconds = time.as_secs().saturating_mul(1_000_000_000);
    seconds.saturating_add(time.subsec_nanos().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_survives_being_made_a_moment() {
        let begun = Instant::now();
        let start = Start::new(begun);
        for nanos in [0, 1, 1_000_000_007, 365 * 24 * 3600 * 1_000_000_000] {
            let instant = begun + Duration::from_nanos(nanos);
            assert_eq!(start.instant(start.moment(instant)), instant);
        }
        assert_eq!(size_of::<Option<Moment>>(), size_of::<Instant>() / 2);
    }

    #[test]
    fn a_duration_survives_being_kept() {
        for nanos in [0, 1, 1_000_000_007, u64::MAX - 1] {
            let time = Duration::from_nanos(nanos);
            assert_eq!(Span::from(time).get(), time);
        }
        assert!(Span::from(Duration::MAX).get() > Duration::from_secs(1 << 34));
        assert_eq!(Span::default().get(), Duration::ZERO);
        assert_eq!(size_of::<Option<Span>>(), size_of::<Duration>() / 2);
    }

    #[test]
    fn microseconds_are_rounded_up() {
        for (nanos, micros) in [
            (0, 0),
            (1, 1),
            (1000, 1),
            (1001, 2),
            (60_000_000_000, 60_000_000),
        ] {
            let time = Duration::from_nanos(nanos);
            for kept in [Micros::from(time), Span::from(time).into()] {
                assert_eq!(kept.get(), Duration::from_micros(micros));
            }
        }
        assert!(Micros::from(Duration::MAX).get() > Duration::from_secs(3600));
    }

    #[test]
    fn moments_add_up_within_bounds() {
        let second = Duration::from_secs(1);
        let later = Moment::START + 2 * second;
        assert_eq!(later - Moment::START, 2 * second);
        assert_eq!(Moment::START - later, Duration::ZERO);
        assert_eq!(later.checked_sub(2 * second), Some(Moment::START));
        assert_eq!(later.checked_sub(3 * second), None);
        let last = later + Duration::MAX;
        assert_eq!(last + second, last);
        assert!(last > later);
    }
}
