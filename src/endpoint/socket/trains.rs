//! Whether a socket takes trains: several datagrams in one system call (`UDP_SEGMENT`).
//!
//! A driver or a route can refuse them at any time, by `EIO` or `EINVAL`, and single datagrams
//! then still go. `quinn-udp` notes this too, but for good and for every `EINVAL`, also that of a
//! single datagram: one to port 0, or from an address that is not ours any more. As peers can
//! provoke those, its note is not used: they would slow down everybody's sending, by ten times.

use std::{
    io,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

/// How long no train is tried after one was refused: the reason may have been a single route, and
/// routes change.
const PAUSE: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct Trains {
    /// Datagrams in a train, at most, unless trains were refused.
    longest: usize,
    since: Instant,
    /// Milliseconds from `since` until trains are tried again; 0 if none was refused.
    until: AtomicU64,
}

impl Trains {
    pub(super) fn of(longest: usize) -> Self {
        Self {
            longest,
            since: Instant::now(),
            until: AtomicU64::new(0),
        }
    }

    /// How many datagrams a train may have now.
    pub(super) fn longest(&self) -> usize {
        match self.until.load(Ordering::Relaxed) {
            0 => self.longest,
            until => self.longest_at(until, Instant::now()),
        }
    }

    fn longest_at(&self, until: u64, now: Instant) -> usize {
        if self.since_start(now) < until {
            return 1;
        }
        self.until.store(0, Ordering::Relaxed);
        self.longest
    }

    /// A train was not sent. What is not about trains as such, as a full buffer, changes nothing;
    /// one that is too long for its path (`EMSGSIZE`, of which single datagrams are fragments)
    /// says nothing of others.
    pub(super) fn on_refusal(&self, error: &io::Error, now: Instant) {
        if !is_about_trains(error) {
            return;
        }
        let until = self.since_start(now + PAUSE).max(1);
        if self.until.swap(until, Ordering::Relaxed) == 0 {
            log::info!("datagrams leave singly for a minute: {error}");
        }
    }

    fn since_start(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.since).as_millis() as u64
    }
}

/// `EIO` or `EINVAL`, as Linux numbers them; elsewhere there are no trains.
fn is_about_trains(error: &io::Error) -> bool {
    const EIO: i32 = 5;
    const EINVAL: i32 = 22;
    matches!(error.raw_os_error(), Some(EIO | EINVAL))
}

#[cfg(test)]
#[cfg(all(not(loom), target_os = "linux"))]
mod tests {
    use rustix::io::Errno;

    use super::*;

    #[test]
    fn a_refusal_of_trains_is_remembered_for_a_while() {
        let trains = Trains::of(16);
        let now = Instant::now();
        for other in [Errno::AGAIN, Errno::MSGSIZE, Errno::CONNREFUSED] {
            trains.on_refusal(&other.into(), now);
            assert_eq!(trains.longest(), 16, "{other}");
        }
        for refusal in [Errno::IO, Errno::INVAL] {
            trains.on_refusal(&refusal.into(), now);
            assert_eq!(trains.longest(), 1, "{refusal}");
            let until = trains.until.load(Ordering::Relaxed);
            let before = now + PAUSE - Duration::from_secs(1);
            assert_eq!(trains.longest_at(until, before), 1, "{refusal}");
            assert_eq!(trains.longest_at(until, now + PAUSE), 16, "{refusal}");
            assert_eq!(trains.longest(), 16, "{refusal}");
        }
    }
}
