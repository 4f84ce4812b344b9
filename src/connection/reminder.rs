//! A receiver's own sign of life.
//!
//! Whoever receives a stream waits for the sender to repeat what got lost. If the path dies in the
//! middle of a transfer and comes back, that can take long; so a receiver that has no sign that
//! its last acknowledgement arrived repeats it, which sets the sender going again.

use std::time::Duration;

use super::backoff;
use crate::moment::Moment;

/// The first reminder leaves this long after the round trip in which something should have come.
pub(super) const PATIENCE: Duration = Duration::from_millis(200);

#[derive(Debug, Default)]
pub(super) struct Reminder {
    /// How many have left in this silence.
    sent: u32,
    next: Option<Moment>,
}

impl Reminder {
    /// A datagram came. `unfinished` says whether more has to follow.
    pub(super) fn on_heard(&mut self, now: Moment, unfinished: bool, round_trip: Duration) {
        self.sent = 0;
        self.next = unfinished.then(|| now + round_trip + PATIENCE);
    }

    pub(super) fn deadline(&self) -> Option<Moment> {
        self.next
    }

    /// Whether an acknowledgement is to be repeated now; if so it counts as sent.
    pub(super) fn take(&mut self, now: Moment, round_trip: Duration) -> bool {
        let due = self.next.is_some_and(|at| at <= now);
        if due {
            self.next = Some(now + backoff::interval(round_trip + PATIENCE, self.sent));
            self.sent = self.sent.saturating_add(1);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_silence_in_mid_transfer_is_broken_again_and_again() {
        let start = Moment::START;
        let mut reminder = Reminder::default();
        reminder.on_heard(start, true, 50 * MS);
        let mut now = start;
        let mut waits = Vec::new();
        for _ in 0..5 {
            let at = reminder.deadline().unwrap();
            waits.push((at - now).as_millis());
            now = at;
            assert!(reminder.take(now, 50 * MS));
            assert!(!reminder.take(now, 50 * MS));
        }
        assert_eq!(waits, [250, 250, 250, 250, 250]);
        reminder.on_heard(now, false, 50 * MS);
        assert_eq!(reminder.deadline(), None);
    }
}
