//! How a connection stands, for whoever drives it.

use std::{
    mem,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use super::{Connection, Counters, Side, State, send::Discarded};
use crate::{
    error::ConnectionError,
    stats::ConnectionStats,
    wire::{Command, CommandKind, Options},
};

impl Connection {
    pub fn state(&self) -> State {
        self.life.state
    }

    pub fn conversation(&self) -> u16 {
        self.conversation
    }

    /// Set once no bytes will follow those that `read` still gives: `Ok` if the peer's stream is
    /// complete (end of file), else why it is not.
    pub fn read_end(&self) -> Option<Result<(), ConnectionError>> {
        let life = &self.life;
        let complete = |sending_next| self.receive.is_complete_until(sending_next);
        if self.receive.has_last() || life.peer_final.is_some_and(complete) {
            return Some(Ok(()));
        }
        match (life.error, life.state) {
            (Some(error), _) => Some(Err(error)),
            (None, State::Terminated) if life.read_shut => {
                Some(Err(ConnectionError::LocallyClosed))
            }
            (None, State::Terminated) => Some(Err(ConnectionError::TimedOut)),
            _ => None,
        }
    }

    /// Set once nothing more can be written, and why.
    pub fn write_end(&self) -> Option<ConnectionError> {
        let life = &self.life;
        match (life.error, life.state) {
            (Some(error), _) => Some(error),
            (None, _) if life.write_shut => Some(ConnectionError::LocallyClosed),
            (None, State::Active) => None,
            (None, State::ReadyToClose) => Some(ConnectionError::LocallyClosed),
            (None, _) => Some(ConnectionError::PeerClosed),
        }
    }

    /// Whether every byte written has been acknowledged by the peer.
    pub fn is_flushed(&self) -> bool {
        self.send.is_empty() && self.send.discarded() == Discarded::Nothing
    }

    /// Whether anything valid has been received from the peer.
    pub fn is_established(&self) -> bool {
        self.life.established
    }

    pub fn side(&self) -> Side {
        self.side
    }

    /// Whether the peer opened it.
    pub fn is_server(&self) -> bool {
        self.side == Side::Server
    }

    /// Whether the peer has proven that it receives what is sent to its address.
    pub fn is_validated(&self) -> bool {
        self.validation.is_validated()
    }

    /// Whether the peer claims to have heard of what arrived here. No proof, for that can be
    /// guessed; but whoever forges single datagrams does not. Once the peer has been sent data, only
    /// the proof counts.
    pub fn is_answering(&self) -> bool {
        self.is_validated() || self.life.answering && !self.validation.is_asked()
    }

    /// Whether the peer seemed to answer, and now has to prove it.
    pub fn owes_proof(&self) -> bool {
        self.life.answering && self.validation.is_asked()
    }

    /// Whether the connection is over, and the peer has been told. It may yet be told again.
    pub fn has_ended(&self) -> bool {
        let ended = matches!(self.life.state, State::Terminated | State::PeerTerminating);
        ended && !self.life.owes_terminate()
    }

    /// Whether the connection has nothing more to do on the network: it wants no timeout, sends
    /// nothing and ignores what comes. It may be dropped once `read` is empty.
    pub fn is_drained(&self) -> bool {
        self.has_ended() && !self.life.repeats_terminate()
    }

    pub fn stats(&self) -> ConnectionStats {
        self.show_times();
        self.show_amounts();
        self.stats.stats()
    }

    /// What it has counted, and goes on to count. How it stands they say as of the last `show`.
    pub fn counters(&self) -> &Arc<Counters> {
        &self.stats
    }

    /// Whether it has dropped anything that came, since this was asked last.
    pub fn take_dropped(&mut self) -> bool {
        mem::take(&mut self.has_dropped)
    }

    /// Shows how it stands.
    pub fn show(&mut self) {
        if self.rtt.take_news() {
            self.show_times();
        }
        self.show_amounts();
    }

    fn show_times(&self) {
        let levels = &self.stats.levels;
        let [rtt, min_rtt, rtt_variation] = self.rtt.shown();
        levels.rtt.set_time(rtt);
        levels.min_rtt.set_time(min_rtt);
        levels.rtt_variation.set_time(rtt_variation);
        levels.rto.set_time(self.rtt.rto().into());
    }

    fn show_amounts(&self) {
        let levels = &self.stats.levels;
        let rate = self.pacer.rate().unwrap_or(0);
        levels.pacing_rate.store(rate, Ordering::Relaxed);
        levels.congestion_window.set(self.controller.window());
        levels.bytes_in_flight.set(self.send.in_flight());
        levels.send_queue.set(self.send.len() as u64);
        levels.receive_queue.set(self.receive.ready_bytes() as u64);
        levels.peer_window.set(self.send.window().into());
    }

    /// After how long without an acknowledgement something is sent again.
    pub fn rto(&self) -> Duration {
        self.rtt.rto()
    }

    /// Bytes of payload held for the reader and for repetition.
    pub fn memory(&self) -> usize {
        self.send.len() + self.receive.memory()
    }

    /// Bytes held beside the payload, segment by segment. Of small ones that is the most.
    pub fn bookkeeping(&self) -> usize {
        let sending = self.send.bookkeeping() + self.loss.bookkeeping();
        sending + self.receive.bookkeeping() + self.acks.bookkeeping()
    }

    /// Gives back memory that holds nothing at the moment. For connections that are idle: those
    /// that are not would soon ask for it again.
    pub fn release_memory(&mut self) {
        self.send.release_memory();
        self.receive.release_memory();
        self.loss.release_memory();
        self.acks.release_memory(self.receive.next());
    }

    /// The Terminate with which a late datagram is to be answered after this connection is gone.
    pub fn final_terminate(&self) -> Command {
        let discarded = self.send.discarded();
        // A number that never was tells one of ours that bytes are missing. Whether it has all that
        // were sent, the peer knows best: what was thrown away here may have arrived.
        let cut = self.life.error.is_some() || discarded == Discarded::Unsent;
        let is_whole = self.life.write_shut && !cut && discarded == Discarded::Nothing;
        Command {
            conversation: self.conversation,
            kind: CommandKind::Terminate,
            options: match is_whole {
                true => self.side.mark().with(Options::LAST),
                false => self.side.mark(),
            },
            sending_next: self.send.next_number().plus(u32::from(cut)),
            receiving_next: self.receive.next(),
            peer_rto: self.rtt.peer_rto(),
        }
    }

    /// Panics if an internal rule is broken. For tests.
    pub fn check_invariants(&self) {
        self.send.check_invariants();
        self.receive.check_invariants();
        let sending = self.life.state.is_sending();
        assert!(
            sending || self.send.is_empty(),
            "data held in {:?}",
            self.life.state
        );
        let drained_wants = self.is_drained().then(|| self.poll_timeout()).flatten();
        assert_eq!(
            drained_wants, None,
            "a drained connection wants to be woken"
        );
    }
}
