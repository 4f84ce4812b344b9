//! What belongs to a connection's beginning and end: its state, its limits in time, and why it
//! ended.

use std::time::Duration;

use super::state::{State, TerminateSchedule};
use crate::{
    error::ConnectionError,
    moment::{Moment, Span},
    wire::SeqNum,
};

/// How long a peer that closed may take to say that it is over, without anything new from it; but
/// not while the reader holds it up.
const PEER_CLOSED_LIMIT: Duration = Duration::from_secs(30);
/// How many Terminates of the peer are answered.
const MAX_ANSWERS: u8 = 8;

#[derive(Debug)]
pub(super) struct Life {
    pub(super) state: State,
    /// Why the connection failed, if it did.
    pub(super) error: Option<ConnectionError>,
    /// Whether anything valid has come from the peer.
    pub(super) established: bool,
    /// The peer claims to have heard of what arrived here.
    pub(super) answering: bool,
    /// The application has ended reading or writing.
    pub(super) read_shut: bool,
    pub(super) write_shut: bool,
    /// The SendingNext of the peer's Terminate.
    pub(super) peer_final: Option<SeqNum>,
    linger: Span,
    /// When the peer was first given that time; it may still be changed.
    linger_begun: Option<Moment>,
    /// How long the peer may be silent.
    idle_timeout: Span,
    heard_at: Moment,
    /// When the peer last brought something new.
    progress_at: Moment,
    /// While Terminating, and while Terminated as long as the last word is repeated. Apart, for it
    /// takes memory only towards the end.
    terminate: Option<Box<TerminateSchedule>>,
    /// A single Terminate is owed, as an answer or as the last word.
    owed: bool,
    answers: u8,
}

impl Life {
    pub(super) fn new(now: Moment, idle_timeout: Duration, linger: Duration) -> Self {
        Self {
            state: State::Active,
            error: None,
            established: false,
            answering: false,
            read_shut: false,
            write_shut: false,
            peer_final: None,
            linger: linger.into(),
            linger_begun: None,
            idle_timeout: idle_timeout.into(),
            heard_at: now,
            progress_at: now,
            terminate: None,
            owed: false,
            answers: 0,
        }
    }

    pub(super) fn enter(&mut self, now: Moment, state: State, rto: Duration) {
        self.state = state;
        self.progress_at = now;
        self.linger_begun = None;
        self.terminate = None;
        match state {
            State::ReadyToClose => self.start_linger(now),
            State::Terminating => {
                self.terminate = Some(Box::new(TerminateSchedule::new(now, rto)));
            }
            _ => {}
        }
    }

    /// From now on the peer has the linger time.
    pub(super) fn start_linger(&mut self, now: Moment) {
        self.linger_begun = Some(now);
    }

    /// The peer was given that time already then, by somebody who kept data back until now.
    pub(super) fn count_linger_from(&mut self, begun: Moment) {
        if let Some(linger_begun) = &mut self.linger_begun {
            *linger_begun = begun.min(*linger_begun);
        }
    }

    pub(super) fn is_linger_over(&self, now: Moment) -> bool {
        self.linger_end().is_some_and(|end| now >= end)
    }

    fn linger_end(&self) -> Option<Moment> {
        Some(self.linger_begun? + self.linger())
    }

    pub(super) fn linger(&self) -> Duration {
        self.linger.get()
    }

    pub(super) fn set_linger(&mut self, linger: Duration) {
        self.linger = linger.into();
    }

    /// The peer's address is proven. From now on it may be silent for so long.
    pub(super) fn on_proof(&mut self, idle_timeout: Duration) {
        self.idle_timeout = idle_timeout.into();
    }

    pub(super) fn on_heard(&mut self, now: Moment) {
        self.heard_at = now;
    }

    pub(super) fn heard_at(&self) -> Moment {
        self.heard_at
    }

    pub(super) fn on_progress(&mut self, now: Moment) {
        self.progress_at = now;
    }

    /// The peer has been silent, or has brought nothing new after its close, for too long.
    pub(super) fn is_dead(&self, now: Moment) -> bool {
        let silent = now >= self.idle_end();
        let stuck = self.state == State::PeerClosed && now >= self.progress_at + PEER_CLOSED_LIMIT;
        silent || stuck
    }

    fn idle_end(&self) -> Moment {
        self.heard_at + self.idle_timeout.get()
    }

    pub(super) fn is_terminate_over(&self, now: Moment) -> bool {
        self.terminate
            .as_ref()
            .is_some_and(|schedule| schedule.is_over(now))
    }

    /// The peer's Terminate is answered, for ours may have been lost. Whoever is Terminated no
    /// longer answers, so that two ends cannot go on for ever.
    pub(super) fn owe_answer(&mut self) {
        if self.answers < MAX_ANSWERS {
            self.answers += 1;
            self.owed = true;
        }
    }

    /// Whether the peer has been told that it is over, so that its Terminate may be an answer.
    pub(super) fn has_said_over(&self) -> bool {
        self.terminate
            .as_ref()
            .is_some_and(|schedule| schedule.has_sent())
    }

    pub(super) fn owe_last_word(&mut self) {
        self.owed = true;
    }

    /// The peer goes on talking although it has been told that it is over.
    pub(super) fn on_talk(&mut self) {
        if let Some(schedule) = &mut self.terminate {
            schedule.hasten();
        }
    }

    /// The last word, which may get lost, is said more than once.
    pub(super) fn repeat_last_word(&mut self, now: Moment, rto: Duration) {
        self.terminate = Some(Box::new(TerminateSchedule::last_word(now, rto)));
    }

    /// The peer knows that it is over.
    pub(super) fn on_last_word_heard(&mut self) {
        self.terminate = None;
    }

    pub(super) fn owes_terminate(&self) -> bool {
        self.owed
    }

    /// Whether a Terminated connection will say once more that it is over.
    pub(super) fn repeats_terminate(&self) -> bool {
        self.owed || self.terminate.is_some()
    }

    /// Whether to send a Terminate now; if so it counts as sent.
    pub(super) fn take_terminate(&mut self, now: Moment) -> bool {
        if let Some(schedule) = self
            .terminate
            .as_mut()
            .filter(|schedule| schedule.is_due(now))
        {
            schedule.on_sent(now);
            if self.state == State::Terminated && schedule.is_exhausted() {
                self.terminate = None;
            }
            self.owed = false;
            return true;
        }
        std::mem::take(&mut self.owed)
    }

    #[inline]
    pub(super) fn deadline(&self) -> Option<Moment> {
        let dead = match self.state {
            State::Terminated | State::PeerTerminating => {
                return self.terminate.as_ref().map(|schedule| schedule.deadline());
            }
            State::PeerClosed => self.progress_at + PEER_CLOSED_LIMIT,
            _ => self.idle_end(),
        };
        let dead = dead.min(self.idle_end());
        let terminate = self.terminate.as_ref().map(|schedule| schedule.deadline());
        [self.linger_end(), terminate]
            .into_iter()
            .flatten()
            .chain([dead])
            .min()
    }
}
