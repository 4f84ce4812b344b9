//! The time at which a poll thread wants to wake up although nothing has come.
//!
//! Linux's poll facility counts in milliseconds, which is too coarse for pacing; a timer that can
//! be polled is exact. Elsewhere the facility is exact itself, or nothing better is there.

use std::time::{Duration, Instant};

use mio::{Registry, Token};

/// A wait longer than this may be a millisecond longer still.
const COARSE: Duration = Duration::from_millis(50);

/// One poll thread's alarm clock.
#[derive(Debug)]
pub(super) struct Alarm {
    /// None where there is none: then all waits are coarse.
    timer: Option<Timer>,
    /// What the timer is set to.
    set: Option<Instant>,
}

impl Alarm {
    /// Reports with this token.
    pub(super) fn new(registry: &Registry, token: Token) -> Self {
        let timer = Timer::new(registry, token);
        if let Err(error) = &timer {
            log::warn!("no timer, so that timeouts are a millisecond late: {error}");
        }
        Self {
            timer: timer.ok(),
            set: None,
        }
    }

    /// Sees to it that the thread wakes up at `deadline`; returns for how long it may poll.
    pub(super) fn set(&mut self, deadline: Option<Instant>) -> Option<Duration> {
        let deadline = deadline?;
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() || left > COARSE {
            return Some(left);
        }
        if self.set != Some(deadline) {
            if !self.timer.as_ref().is_some_and(|timer| timer.set(left)) {
                return Some(left);
            }
            self.set = Some(deadline);
        }
        None
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
use timerfd::Timer;
#[cfg(any(target_os = "linux", target_os = "android"))]
mod timerfd {
    use std::{
        io,
        os::fd::{AsRawFd, OwnedFd},
        time::Duration,
    };

    use mio::{Interest, Registry, Token, unix::SourceFd};
    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    };

    #[derive(Debug)]
    pub(super) struct Timer(OwnedFd);

    impl Timer {
        pub(super) fn new(registry: &Registry, token: Token) -> io::Result<Self> {
            let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
            let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
            registry.register(&mut SourceFd(&timer.as_raw_fd()), token, Interest::READABLE)?;
            Ok(Self(timer))
        }

        /// Whether it will go off after this time, which is not zero.
        pub(super) fn set(&self, after: Duration) -> bool {
            const NEVER: Timespec = Timespec {
                tv_sec: 0,
                tv_nsec: 0,
            };
            let Ok(after) = Timespec::try_from(after) else {
                return false;
            };
            let once = Itimerspec {
                it_interval: NEVER,
                it_value: after,
            };
            timerfd_settime(&self.0, TimerfdTimerFlags::empty(), &once).is_ok()
        }
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
use none::Timer;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod none {
    use std::{io, time::Duration};

    use mio::{Registry, Token};

    #[derive(Debug)]
    pub(super) struct Timer;

    impl Timer {
        pub(super) fn new(_registry: &Registry, _token: Token) -> io::Result<Self> {
            Ok(Self)
        }

        pub(super) fn set(&self, _after: Duration) -> bool {
            false
        }
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use mio::{Events, Poll};

    use super::*;

    const TOKEN: Token = Token(1);

    fn waits(poll: &mut Poll, alarm: &mut Alarm, deadline: Instant) -> Duration {
        let begun = Instant::now();
        let mut events = Events::with_capacity(4);
        while Instant::now() < deadline {
            let timeout = alarm.set(Some(deadline));
            poll.poll(&mut events, timeout).unwrap();
        }
        begun.elapsed()
    }

    #[test]
    fn a_thread_wakes_up_in_time_again_and_again() {
        let mut poll = Poll::new().unwrap();
        let mut alarm = Alarm::new(poll.registry(), TOKEN);
        for wait in [300, 100, 2000, 70_000].map(Duration::from_micros) {
            let waited = waits(&mut poll, &mut alarm, Instant::now() + wait);
            assert!(waited >= wait, "{waited:?} of {wait:?}");
            assert!(waited < wait + Duration::from_secs(5), "{waited:?}");
        }
    }

    #[test]
    fn a_time_that_is_over_is_not_waited_for() {
        let poll = Poll::new().unwrap();
        let mut alarm = Alarm::new(poll.registry(), TOKEN);
        assert_eq!(alarm.set(Some(Instant::now())), Some(Duration::ZERO));
        assert_eq!(alarm.set(None), None);
    }
}
