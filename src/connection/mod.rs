//! One mKCP connection as a pure state machine.
//!
//! It performs no I/O, starts no thread, takes no lock, reads no clock and rolls no dice of its
//! own: time comes in as `now`, randomness as a seed, bytes as slices. What comes out are
//! datagrams' plaintexts and one deadline. Whoever drives it follows one rule:
//!
//! > Any number of `handle_*`, `write`, `consume`, `shutdown`; then `poll_transmit` until it gives
//! > `None`; then wait until `poll_timeout`, or for the next event.
//!
//! All status is level-triggered: ask [`Connection::read_end`], [`Connection::write_end`],
//! [`Connection::is_drained`] after driving; nothing is lost by not asking.

use std::{
    net::Shutdown,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{config::Config, error::ConnectionError, stats::ConnectionStats};

/// Which end opened the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// This one.
    Client,
    /// The peer.
    Server,
}

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

/// Why a connection wants to be woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Timer {
    Loss,
    Pacing,
    Delayed,
    Keepalive,
    Lifetime,
}

/// One connection.
#[derive(Debug)]
pub struct Connection {}

#[allow(unused_variables)]
impl Connection {
    /// `max_plaintext` is how many bytes of segments fit into a datagram of `config.mtu()` bytes.
    pub fn new(
        side: Side,
        conversation: u16,
        config: Arc<Config>,
        max_plaintext: usize,
        seed: u64,
        now: Instant,
    ) -> Self {
        todo!()
    }

    // ---- input from the network and the clock

    /// Takes the opened bytes of a datagram for this conversation. Anything is safe to pass.
    pub fn handle_datagram(&mut self, now: Instant, plaintext: &[u8]) {
        todo!()
    }

    /// To be called when the deadline of `poll_timeout` has come (earlier does no harm).
    pub fn handle_timeout(&mut self, now: Instant) {
        todo!()
    }

    /// The network said (by ICMP) that nobody listens at the peer's port. Believed only before
    /// the peer has been heard.
    pub fn handle_refused(&mut self, now: Instant) {
        todo!()
    }

    // ---- the application's side

    /// Queues bytes; returns how many were taken, 0 when the queue is full or writing has ended.
    pub fn write(&mut self, now: Instant, data: &[u8]) -> usize {
        todo!()
    }

    /// How many bytes `write` would take now.
    pub fn write_room(&self) -> usize {
        todo!()
    }

    /// The next received bytes in order; empty when there are none at the moment.
    pub fn read(&self) -> &[u8] {
        todo!()
    }

    /// Removes `count` bytes from the front of what `read` gave.
    pub fn consume(&mut self, count: usize) {
        todo!()
    }

    /// Ends one or both directions. mKCP cannot tell the peer about one direction alone: ending
    /// writing flushes, and the peer learns of it once reading has ended too, or when the linger
    /// time is over. Ending both closes the connection after everything written is delivered.
    pub fn shutdown(&mut self, now: Instant, how: Shutdown) {
        todo!()
    }

    /// Ends the connection at once; the peer is told by a single Terminate.
    pub fn reset(&mut self, now: Instant, error: ConnectionError) {
        todo!()
    }

    /// Whether small writes leave at once (`true`) or may wait a few milliseconds for company
    /// while others are in flight (`false`, the default).
    pub fn set_nodelay(&mut self, nodelay: bool) {
        todo!()
    }

    /// How long a closed connection tries to deliver what was written. Starts as configured.
    pub fn set_linger(&mut self, linger: Duration) {
        todo!()
    }

    // ---- output

    /// Appends the segments of one datagram to `datagram` and returns how many bytes that were,
    /// or `None` if there is nothing to send now.
    pub fn poll_transmit(&mut self, now: Instant, datagram: &mut Vec<u8>) -> Option<usize> {
        todo!()
    }

    /// When `handle_timeout` wants to be called next, and why.
    pub fn poll_timeout(&self) -> Option<(Instant, Timer)> {
        todo!()
    }

    // ---- status

    pub fn state(&self) -> State {
        todo!()
    }

    pub fn conversation(&self) -> u16 {
        todo!()
    }

    /// Set once no bytes will follow those that `read` still gives: `Ok` if the peer's stream is
    /// complete (end of file), else why it is not.
    pub fn read_end(&self) -> Option<Result<(), ConnectionError>> {
        todo!()
    }

    /// Set once nothing more can be written, and why.
    pub fn write_end(&self) -> Option<ConnectionError> {
        todo!()
    }

    /// Whether every byte written has been acknowledged by the peer.
    pub fn is_flushed(&self) -> bool {
        todo!()
    }

    /// Whether anything valid has been received from the peer.
    pub fn is_established(&self) -> bool {
        todo!()
    }

    /// Whether the peer has proven that it receives what is sent to its address.
    pub fn is_validated(&self) -> bool {
        todo!()
    }

    /// Whether the connection has nothing more to do on the network: it wants no timeout, sends
    /// nothing and ignores what comes. It may be dropped once `read` is empty.
    pub fn is_drained(&self) -> bool {
        todo!()
    }

    pub fn stats(&self) -> ConnectionStats {
        todo!()
    }

    /// Bytes of payload held for the reader and for repetition.
    pub fn memory(&self) -> usize {
        todo!()
    }

    /// The fields of the Terminate with which a late datagram of this connection is to be
    /// answered after it is gone (see `wire::Command`).
    pub fn final_terminate(&self) -> crate::wire::Command {
        todo!()
    }

    /// Panics if an internal rule is broken. For tests.
    pub fn check_invariants(&self) {
        todo!()
    }
}
