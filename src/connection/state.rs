//! The life of a connection: the six states of mKCP as one table, and what belongs to closing.
//!
//! The table is that of the Go peers except for these deliberate deviations:
//!
//! | here | there | why |
//! |---|---|---|
//! | silence ends any state at once, with an error | Active goes to ReadyToClose | the reader learns of it 15 s earlier, and truthfully |
//! | ReadyToClose + Terminate -> Terminated | Terminating | both ends have said it; the answer is sent on the way |
//! | ReadyToClose + linger over -> Terminated, with an error | 15 s, then Terminating | the peer must not take a truncated stream for a complete one |
//! | PeerClosed + no progress -> Terminated, with an error | no timer | a lost Terminate would block the reader for ever |
//! | PeerTerminating stays until closed here | Terminating after 4 s | a slow reader gets every byte that was received |
//! | PeerTerminating answers each Terminate | silent | the peer need not linger |

use std::time::Duration;

use crate::moment::Moment;

/// The six states of mKCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    Active,
    /// Closed here, what was written is still being delivered.
    ReadyToClose,
    /// The peer's application closed; its remaining data is still coming.
    PeerClosed,
    /// Everything is delivered; telling the peer that it is over.
    Terminating,
    /// The peer said that it is over; the reader may still have bytes to fetch.
    PeerTerminating,
    Terminated,
}

/// What can move a connection to another state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Trigger {
    /// The application closed both directions.
    LocalClose,
    /// A segment carried the Close option.
    PeerClose,
    /// A Terminate came.
    PeerTerminate,
    /// Everything written has been acknowledged.
    Flushed,
    /// The linger time is over.
    LingerOver,
    /// Terminate has been repeated long enough.
    TerminateOver,
    /// Silence, no progress, a reset, or an error.
    Abort,
}

impl State {
    /// The next state, or the same if the trigger means nothing here.
    pub fn after(self, trigger: Trigger) -> Self {
        use State::*;
        match (self, trigger) {
            (Terminated, _) => Terminated,
            (_, Trigger::Abort) => Terminated,

            (Active, Trigger::LocalClose) => ReadyToClose,
            (PeerClosed, Trigger::LocalClose) => Terminating,
            (PeerTerminating, Trigger::LocalClose) => Terminated,

            (Active, Trigger::PeerClose) => PeerClosed,
            (ReadyToClose, Trigger::PeerClose) => Terminating,

            (Active | PeerClosed, Trigger::PeerTerminate) => PeerTerminating,
            (ReadyToClose | Terminating, Trigger::PeerTerminate) => Terminated,

            (ReadyToClose, Trigger::Flushed) => Terminating,
            (ReadyToClose, Trigger::LingerOver) => Terminated,
            (Terminating, Trigger::TerminateOver) => Terminated,
            (state, _) => state,
        }
    }

    /// Whether data is still sent, and what was sent still repeated.
    pub fn is_sending(self) -> bool {
        matches!(self, Self::Active | Self::ReadyToClose)
    }

    /// Whether data from the peer is still taken and acknowledged.
    pub fn is_receiving(self) -> bool {
        matches!(self, Self::Active | Self::ReadyToClose | Self::PeerClosed)
    }
}

/// mKCP: Terminate is repeated for at most 8 s.
const TERMINATE_LIMIT: Duration = Duration::from_secs(8);
const TERMINATE_INTERVAL: Duration = Duration::from_millis(100);
/// Between two of them at most. On a longer path they outrun the answer, but some should arrive.
const MAX_TERMINATE_INTERVAL: Duration = Duration::from_secs(1);
/// The last word of a connection that is gone is said at most four times: at once, and after one,
/// three and seven intervals.
const LAST_WORD_INTERVALS: u32 = 8;

/// When the next Terminate is due, and when it is time to stop.
#[derive(Clone, Copy, Debug)]
pub(super) struct TerminateSchedule {
    next: Moment,
    /// The least and the longest time between two, and the time to the one after the next.
    least: Duration,
    longest: Duration,
    interval: Duration,
    end: Moment,
    sent_at: Option<Moment>,
}

impl TerminateSchedule {
    /// `rto` keeps repetitions from outrunning the answer, within bounds.
    pub(super) fn new(now: Moment, rto: Duration) -> Self {
        let interval = rto.clamp(TERMINATE_INTERVAL, MAX_TERMINATE_INTERVAL);
        Self {
            next: now,
            least: interval,
            longest: MAX_TERMINATE_INTERVAL,
            interval,
            end: now + TERMINATE_LIMIT,
            sent_at: None,
        }
    }

    /// For the last word of a connection that waits for nothing more.
    pub(super) fn last_word(now: Moment, rto: Duration) -> Self {
        let mut schedule = Self::new(now, rto);
        schedule.longest = TERMINATE_LIMIT;
        let end = now + schedule.interval * LAST_WORD_INTERVALS;
        schedule.end = schedule.end.min(end);
        schedule
    }

    pub(super) fn is_due(&self, now: Moment) -> bool {
        now >= self.next
    }

    pub(super) fn on_sent(&mut self, now: Moment) {
        self.next = now + self.interval;
        self.interval = (2 * self.interval).min(self.longest);
        self.sent_at = Some(now);
    }

    /// The peer goes on talking. If it could have heard of the end by now, it has not.
    pub(super) fn hasten(&mut self) {
        if let Some(sent_at) = self.sent_at {
            self.next = self.next.min(sent_at + self.least);
        }
    }

    pub(super) fn has_sent(&self) -> bool {
        self.sent_at.is_some()
    }

    /// Whether none is left to send.
    pub(super) fn is_exhausted(&self) -> bool {
        self.next >= self.end
    }

    pub(super) fn is_over(&self, now: Moment) -> bool {
        now >= self.end
    }

    pub(super) fn deadline(&self) -> Moment {
        self.next.min(self.end)
    }
}

#[cfg(test)]
mod tests {
    use super::{State::*, Trigger::*, *};

    const STATES: [State; 6] = [
        Active,
        ReadyToClose,
        PeerClosed,
        Terminating,
        PeerTerminating,
        Terminated,
    ];

    /// One row for each trigger, one column for each state in the order of `STATES`.
    const TABLE: [(Trigger, [State; 6]); 7] = [
        (
            LocalClose,
            [
                ReadyToClose,
                ReadyToClose,
                Terminating,
                Terminating,
                Terminated,
                Terminated,
            ],
        ),
        (
            PeerClose,
            [
                PeerClosed,
                Terminating,
                PeerClosed,
                Terminating,
                PeerTerminating,
                Terminated,
            ],
        ),
        // Deviation: the Go peers go from ReadyToClose to Terminating.
        (
            PeerTerminate,
            [
                PeerTerminating,
                Terminated,
                PeerTerminating,
                Terminated,
                PeerTerminating,
                Terminated,
            ],
        ),
        (
            Flushed,
            [
                Active,
                Terminating,
                PeerClosed,
                Terminating,
                PeerTerminating,
                Terminated,
            ],
        ),
        // Deviation: the Go peers go from ReadyToClose to Terminating.
        (
            LingerOver,
            [
                Active,
                Terminated,
                PeerClosed,
                Terminating,
                PeerTerminating,
                Terminated,
            ],
        ),
        (
            TerminateOver,
            [
                Active,
                ReadyToClose,
                PeerClosed,
                Terminated,
                PeerTerminating,
                Terminated,
            ],
        ),
        // Deviation: the Go peers know silence in Active only, and go to ReadyToClose.
        (Abort, [Terminated; 6]),
    ];

    #[test]
    fn every_cell_of_the_transition_table() {
        for (trigger, row) in TABLE {
            for (state, expected) in STATES.into_iter().zip(row) {
                assert_eq!(
                    state.after(trigger),
                    expected,
                    "{state:?} after {trigger:?}"
                );
            }
        }
    }

    #[test]
    fn terminate_is_repeated_with_back_off_and_stops() {
        let short: &[u128] = &[0, 100, 300, 700, 1500, 2500, 3500, 4500, 5500, 6500, 7500];
        let long: &[u128] = &[0, 1000, 2000, 3000, 4000, 5000, 6000, 7000];
        for (rto, expected) in [(20, short), (1200, long), (6000, long)] {
            let start = Moment::START;
            let mut schedule = TerminateSchedule::new(start, Duration::from_millis(rto));
            let mut sent = Vec::new();
            let mut now = start;
            while !schedule.is_over(now) {
                if schedule.is_due(now) {
                    sent.push((now - start).as_millis());
                    schedule.on_sent(now);
                }
                now = schedule.deadline();
            }
            assert_eq!(sent, expected);
            assert_eq!(now, start + TERMINATE_LIMIT);
        }
    }

    #[test]
    fn a_peer_that_goes_on_talking_is_told_sooner_but_not_at_once() {
        let start = Moment::START;
        let after = |millis| start + Duration::from_millis(millis);
        let mut schedule = TerminateSchedule::new(start, Duration::from_millis(20));
        schedule.hasten();
        assert!(schedule.is_due(start));
        for millis in [0, 100, 300] {
            schedule.on_sent(after(millis));
        }
        assert_eq!(schedule.deadline(), after(700));
        schedule.hasten();
        assert_eq!(schedule.deadline(), after(400));
    }
}
