//! How a connection ends: closed here, reset, or given up.

use std::{
    net::Shutdown,
    time::{Duration, Instant},
};

use super::{Connection, State, Trigger};
use crate::{error::ConnectionError, moment::Moment};

/// From here on a Terminate that waits for the last acknowledgement comes noticeably late.
const LONG_PATH: Duration = Duration::from_millis(50);

impl Connection {
    /// Ends one or both directions. mKCP cannot tell the peer about one direction alone: ending
    /// writing flushes, and the peer learns of it once reading has ended too, or when the linger
    /// time is over. Ending both closes the connection after everything written is delivered.
    pub fn shutdown(&mut self, now: Instant, how: Shutdown) {
        let now = self.clock.moment(now);
        if matches!(how, Shutdown::Read | Shutdown::Both) && !self.life.read_shut {
            self.life.read_shut = true;
            self.receive.discard();
        }
        if matches!(how, Shutdown::Write | Shutdown::Both) && !self.life.write_shut {
            self.life.write_shut = true;
            self.life.start_linger(now);
        }
        self.close_if_both_ended(now);
    }

    /// The linger time of a connection that is closing began when its program ended it, although
    /// data waited elsewhere then.
    pub fn count_linger_from(&mut self, begun: Instant) {
        self.life.count_linger_from(self.clock.moment(begun));
    }

    /// Closes once neither direction is of use to the application any more.
    pub(super) fn close_if_both_ended(&mut self, now: Moment) {
        let read_ended = self.life.read_shut || self.read_end().is_some();
        if self.life.write_shut && read_ended {
            self.apply(now, Trigger::LocalClose);
        }
    }

    /// Ends the connection at once; the peer is told by a Terminate, which is repeated a few times
    /// for a peer that does not answer it.
    pub fn reset(&mut self, now: Instant, error: ConnectionError) {
        let now = self.clock.moment(now);
        self.fail(now, error);
    }

    pub(super) fn fail(&mut self, now: Moment, error: ConnectionError) {
        // It may get lost, and nobody waits for an answer to it. Who has said that it is over waits
        // for no word of ours; who was never heard, or has not proven its address, is told once.
        let waits = self.life.state != State::PeerTerminating;
        let is_known = self.abort(now, error);
        if is_known && waits && self.life.established && self.validation.is_validated() {
            self.life.repeat_last_word(now, self.rtt.rto());
        }
    }

    /// As `fail`, but the peer is told once. Returns whether there is anybody to be told.
    pub(super) fn abort(&mut self, now: Moment, error: ConnectionError) -> bool {
        if self.life.state == State::Terminated {
            return false;
        }
        // What has ended in order is not called off: perhaps the peer has not heard of that yet.
        if self.life.state != State::Terminating {
            self.life.error.get_or_insert(error);
        }
        let is_known = self.is_known_to_peer();
        if is_known {
            self.life.owe_last_word();
        }
        self.apply(now, Trigger::Abort);
        is_known
    }

    /// Whether the peer can know of this connection.
    fn is_known_to_peer(&self) -> bool {
        self.life.established || self.stats.datagrams_sent.get() > 0
    }

    /// The linger time is over, and with it all that the peer gets, but for one Terminate.
    pub(super) fn give_up_lingering(&mut self, now: Moment) {
        self.life.error = Some(ConnectionError::TimedOut);
        self.life.owe_last_word();
        self.apply(now, Trigger::LingerOver);
    }

    /// The network said (by ICMP) that nobody listens at the peer's port. Believed only before
    /// the peer has been heard, since anyone can forge it.
    pub fn handle_refused(&mut self, now: Instant) {
        let now = self.clock.moment(now);
        if !self.life.established {
            self.life.error = Some(ConnectionError::Refused);
            self.apply(now, Trigger::Abort);
        }
    }

    /// Moves to the state that the trigger leads to, with what belongs to entering it.
    pub(super) fn apply(&mut self, now: Moment, trigger: Trigger) {
        let next = self.life.state.after(trigger);
        if next == self.life.state {
            return;
        }
        self.life.enter(now, next, self.rtt.rto());
        match next {
            State::Active => {}
            State::ReadyToClose if !self.is_known_to_peer() && self.send.is_empty() => {
                self.apply(now, Trigger::Abort);
            }
            State::ReadyToClose => self.start_closing(now),
            State::PeerClosed => {
                self.discard_unacknowledged();
                self.close_if_both_ended(now);
            }
            State::Terminating | State::PeerTerminating | State::Terminated => {
                self.discard_unacknowledged();
                self.acks.stop();
                self.close_if_both_ended(now);
            }
        }
    }

    fn discard_unacknowledged(&mut self) {
        self.send.discard();
        self.loss.forget_sent();
    }

    fn start_closing(&mut self, now: Moment) {
        if self.send.is_empty() {
            return self.apply(now, Trigger::Flushed);
        }
        // On a long path the reader should not wait for our Terminate to learn of the end: the
        // last segment says it, and if that one has left already, it is repeated.
        if self.round_trip() > LONG_PATH
            && let Some(tail) = self.send.outstanding_tail()
        {
            self.send.mark_lost(tail);
            self.output.probe = true;
        }
    }
}
