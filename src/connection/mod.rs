//! One mKCP connection as a pure state machine.
//!
//! It performs no I/O, starts no thread, takes no lock, reads no clock and rolls no dice of its
//! own: time comes in as `now`, randomness as a seed, bytes as slices. What comes out are
//! datagrams' plaintexts and one deadline. Whoever drives it follows one rule:
//!
//! > Any number of `handle_*`, `write`, `consume`, `shutdown`; then `poll_transmit` until it gives
//! > `None`, or would by [`Connection::has_more`]; then wait until `poll_timeout`, or for the next
//! > event.
//!
//! All status is level-triggered: ask [`Connection::read_end`], [`Connection::write_end`],
//! [`Connection::is_drained`] after driving; nothing is lost by not asking.
//!
//! | file | its question |
//! |---|---|
//! | `input` | what does a segment change? |
//! | `output` | what leaves next? |
//! | `send`, `receive`, `gaps`, `bytes`, `queue` | which bytes, under which numbers? |
//! | `ack`, `relist` | what is acknowledged, when, and how often? |
//! | `round`, `throttle` | how much may the peer send? |
//! | `rtt`, `loss`, `backoff` | how long is the path, what got lost on it, and when to ask again? |
//! | `thin` | what of that is different for small messages? |
//! | `congestion`, `pacing`, `validation` | how much may leave, and how fast? |
//! | `ensemble` | what do others tell that send over the same path? |
//! | `migration` | where is the peer now? |
//! | `state`, `life`, `keepalive`, `reminder`, `ending` | how does it begin, go on and end? |
//! | `status`, `counters` | how does it stand? |
//! | `clock`, `timer`, `amount`, `most` | what time is it, when is it next, and how much until then? |

mod ack;
mod amount;
mod backoff;
mod bytes;
mod clock;
mod congestion;
mod counters;
mod ending;
mod ensemble;
mod gaps;
mod input;
mod keepalive;
mod life;
mod loss;
mod migration;
mod most;
mod output;
mod pacing;
mod prefetch;
mod queue;
mod receive;
mod relist;
mod reminder;
mod round;
mod rtt;
mod send;
mod state;
mod status;
mod thin;
mod throttle;
mod timer;
mod validation;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    config::{Config, derive},
    error::ConnectionError,
    moment::Moment,
    wire::{Options, SeqNum},
};

pub use bytes::ByteQueue;
pub use counters::Counters;
pub use ensemble::{Ensembles, Members};
pub(crate) use queue::shrink as shrink_queue;
pub use state::{State, Trigger};
pub use timer::Timer;

/// Which end opened the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// This one.
    Client,
    /// The peer.
    Server,
}

impl Side {
    /// What the segments of this end carry, but for a Ping with the Close option, and none of the
    /// other's.
    fn mark(self) -> Options {
        match self {
            Self::Client => Options::OPENER,
            Self::Server => Options::ACCEPTOR,
        }
    }

    /// The side of whoever is told something with these options, if they say which.
    pub(crate) fn told(options: Options) -> Option<Self> {
        let by_opener = options.contains(Self::Client.mark());
        let by_acceptor = options.contains(Self::Server.mark());
        match (by_opener, by_acceptor) {
            (true, false) => Some(Self::Server),
            (false, true) => Some(Self::Client),
            _ => None,
        }
    }
}

/// Where counters start. Only tests choose anything but the default.
#[derive(Clone, Copy, Debug, Default)]
pub struct Origin {
    /// The number of the first segment sent and expected.
    pub number: SeqNum,
    /// The clock's first milliseconds, instead of a random choice.
    pub clock: Option<u32>,
}

/// How long a path that has given no sample is taken to be.
const UNKNOWN_RTT: Duration = Duration::from_millis(100);
/// Acknowledgements and small segments wait at least this long for company, however short the
/// path: threads cannot answer faster.
const MIN_DELAY: Duration = Duration::from_millis(1);

/// Bytes that are held for a peer that has not proven its address, in each direction and apart from
/// those that it has sent itself.
pub const UNPROVEN_BYTES: usize = 64 * 1024;
/// The least time in which such a peer is given up: a healthy Go peer may be silent for 5 s, and
/// one of its Pings may get lost.
const LEAST_PATIENCE: Duration = Duration::from_secs(12);

/// Memory that a queue keeps, at most, when it becomes empty, until it is told to give it back.
const KEPT_BYTES: usize = 1024 * 1024;

/// One connection.
#[derive(Debug)]
pub struct Connection {
    side: Side,
    conversation: u16,
    config: Arc<Config>,
    max_plaintext: usize,
    clock: clock::Clock,
    life: life::Life,
    send: send::SendHalf,
    receive: receive::ReceiveHalf,
    /// The peer knows that everything before this has arrived.
    peer_sending_next: SeqNum,
    round: round::RoundMeter,
    throttle: throttle::Throttle,
    acks: ack::AckQueue,
    reminder: reminder::Reminder,
    rtt: rtt::RttEstimator,
    loss: loss::LossDetector,
    controller: Box<dyn congestion::Controller>,
    sampler: congestion::rate::RateSampler,
    pacer: pacing::Pacer,
    pings: keepalive::Pings,
    validation: validation::Validation,
    path: migration::PathStart,
    output: output::Output,
    /// Something that came has been dropped, and nobody has asked yet.
    has_dropped: bool,
    stats: Arc<Counters>,
}

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
        Self::with_origin(
            side,
            conversation,
            config,
            max_plaintext,
            seed,
            now,
            Origin::default(),
        )
    }

    /// As `new`, with counters that start elsewhere.
    pub fn with_origin(
        side: Side,
        conversation: u16,
        config: Arc<Config>,
        max_plaintext: usize,
        seed: u64,
        start: Instant,
        origin: Origin,
    ) -> Self {
        let now = Moment::START;
        let max_payload = derive::max_segment_payload(max_plaintext);
        let mtu = usize::from(config.mtu());
        // A start below 2^30 keeps the clock far from its wrap for twelve days.
        let clock_offset = origin.clock.unwrap_or((seed >> 34) as u32);
        let first = origin.number;
        let controller = congestion::controller(&config, max_payload, seed);
        let mut pings = keepalive::Pings::new(now, first);
        if side == Side::Client {
            pings.start_opening(now);
        }
        let mut connection = Self {
            side,
            conversation,
            max_plaintext,
            clock: clock::Clock::new(start, clock_offset),
            life: life::Life::new(now, patience(&config), config.linger()),
            send: send::SendHalf::new(first, max_payload, derive::send_window_bytes(&config)),
            receive: receive::ReceiveHalf::new(
                first,
                derive::first_window_bytes(&config),
                derive::receive_window_bytes(&config),
                max_payload,
            ),
            peer_sending_next: first,
            round: round::RoundMeter::default(),
            throttle: throttle::Throttle::new(),
            acks: ack::AckQueue::new(first, max_plaintext),
            reminder: reminder::Reminder::default(),
            rtt: rtt::RttEstimator::default(),
            loss: loss::LossDetector::new(),
            sampler: congestion::rate::RateSampler::new(now),
            pacer: pacing::Pacer::new(now, max_payload, controller.pacing_rate()),
            controller,
            pings,
            validation: validation::Validation::new(now, mtu),
            path: migration::PathStart::default(),
            output: output::Output::default(),
            has_dropped: false,
            stats: Arc::default(),
            config,
        };
        if side == Side::Client {
            // It chose the address itself.
            connection.on_proof();
        }
        connection
    }

    /// How many bytes a peer that has not proven its address may be sent for each that it sent,
    /// beyond a floor. Starts as 3.
    pub fn set_amplification_factor(&mut self, factor: u32) {
        self.validation.set_factor(factor);
    }

    /// The peer's address was proven by another connection a short while ago: it is sent more at
    /// first.
    pub fn advance(&mut self) {
        self.validation.advance();
    }

    /// The peer has proven that it receives what is sent to its address. From now on it costs what
    /// it needs.
    fn on_proof(&mut self) {
        if !self.validation.is_validated() {
            if self.validation.was_exhausted() && self.send.candidate().is_some() {
                self.controller.on_late_proof();
            }
            self.validation.validate();
            self.life.on_proof(self.config.idle_timeout());
            self.send.set_proven();
            self.receive.set_proven();
        }
    }

    /// How many bytes each half may hold at present; `usize::MAX` leaves it to the settings. While
    /// there is a limit, a peer that has not proven its address gets room for no more than a
    /// segment. What a peer has been told stands, but what is beyond this limit is dropped; not so
    /// the next segment if nothing waits before it.
    pub fn set_allowance(&mut self, bytes: usize) {
        self.send.set_allowance(bytes);
        // What is to be acknowledged belongs to the half that has received it.
        let listed = self.acks.keep_within(bytes / 4);
        self.receive.set_allowance(match bytes {
            usize::MAX => bytes,
            _ => bytes - listed,
        });
    }

    // ---- the clock; input from the network is in `input.rs`

    /// To be called when the deadline of `poll_timeout` has come (earlier does no harm).
    pub fn handle_timeout(&mut self, now: Instant) {
        let now = self.clock.moment(now);
        self.count_wake(now);
        match self.life.state {
            State::Terminated | State::PeerTerminating => return,
            _ if self.life.is_dead(now) => {
                self.abort(now, ConnectionError::TimedOut);
                return;
            }
            State::Terminating if self.life.is_terminate_over(now) => {
                return self.apply(now, Trigger::TerminateOver);
            }
            State::ReadyToClose if self.life.is_linger_over(now) => {
                return self.give_up_lingering(now);
            }
            State::Active | State::PeerClosed if self.life.is_linger_over(now) => {
                self.apply(now, Trigger::LocalClose);
            }
            _ => {}
        }
        self.allow_extra(now);
        let lost = self.loss.is_loss_due(now) && self.detect_losses(now);
        if !lost && self.loss_deadline().is_some_and(|at| at <= now) {
            self.probe(now);
        }
    }

    /// Data that waits for a proof of the peer's address is tried again from time to time.
    fn allow_extra(&mut self, now: Moment) {
        if !self.send.is_empty() {
            self.validation.on_timeout(now);
        }
    }

    fn count_wake(&self, now: Moment) {
        let Some((_, timer)) = self.deadline().filter(|&(at, _)| at <= now) else {
            return;
        };
        let wakes = &self.stats.wakes;
        let counter = match timer {
            Timer::Loss => &wakes.loss,
            Timer::Pacing => &wakes.pacing,
            Timer::Delayed => &wakes.delayed,
            Timer::Keepalive => &wakes.keepalive,
            Timer::Lifetime => &wakes.lifetime,
        };
        counter.add(1);
    }

    /// What was to leave could not, for a reason that has nothing to do with this connection: what
    /// it earns meanwhile is not for later.
    pub fn on_blocked(&mut self) {
        self.pacer.on_other_limit();
    }

    // ---- the application's side

    /// Queues bytes; returns how many were taken, 0 when the queue is full or writing has ended.
    pub fn write(&mut self, data: &[u8]) -> usize {
        if self.write_end().is_some() {
            return 0;
        }
        self.note_idle_sender();
        let taken = self.send.write(data);
        self.stats.bytes_written.add(taken as u64);
        self.stats.wakes.application.add(1);
        taken
    }

    /// As `write`, but moves the bytes from the front of `queue`.
    pub fn write_from(&mut self, queue: &mut ByteQueue) -> usize {
        if self.write_end().is_some() {
            return 0;
        }
        self.note_idle_sender();
        let taken = self.send.write_from(queue);
        self.stats.bytes_written.add(taken as u64);
        self.stats.wakes.application.add(1);
        taken
    }

    /// If all has left, what is written now could not be sent before. Until its first byte is
    /// acknowledged, what arrives tells of that as well.
    fn note_idle_sender(&mut self) {
        if self.send.unsent() == 0 && self.send.candidate().is_none() {
            self.sampler.on_app_limited(self.send.in_flight() + 1);
        }
    }

    /// Bytes that were written after those that `write` took will never come: the stream is not
    /// whole.
    pub fn on_written_lost(&mut self) {
        self.send.set_cut();
    }

    /// How many bytes `write` would take now.
    pub fn write_room(&self) -> usize {
        if self.write_end().is_some() {
            0
        } else {
            self.send.room()
        }
    }

    /// The next received bytes in order; empty when there are none at the moment.
    pub fn read(&self) -> &[u8] {
        self.receive.read()
    }

    /// Removes `count` bytes from the front of what `read` gave.
    pub fn consume(&mut self, count: usize) {
        self.receive.consume(count);
        self.stats.bytes_read.add(count as u64);
        self.stats.wakes.application.add(1);
    }

    /// Moves received bytes to the end of `queue`, at most so many. Returns how many.
    pub fn read_into(&mut self, queue: &mut ByteQueue, most: usize) -> usize {
        let count = self.receive.read_into(queue, most);
        self.stats.bytes_read.add(count as u64);
        self.stats.wakes.application.add(1);
        count
    }

    /// Whether small writes leave at once (`true`) or may wait a few milliseconds for company
    /// while others are in flight (`false`, the default).
    pub fn set_nodelay(&mut self, nodelay: bool) {
        self.output.nodelay = nodelay;
    }

    /// How long a closed connection tries to deliver what was written, counted from its close even
    /// if that lies behind. Starts as configured.
    pub fn set_linger(&mut self, linger: Duration) {
        self.life.set_linger(linger);
    }

    /// What was set by `set_linger`.
    pub fn linger(&self) -> Duration {
        self.life.linger()
    }

    // ---- shared by input, output and timers

    /// Bytes that header and seal add to a datagram.
    fn overhead(&self) -> usize {
        usize::from(self.config.mtu()).saturating_sub(self.max_plaintext)
    }

    fn round_trip(&self) -> Duration {
        self.rtt.smoothed().unwrap_or(UNKNOWN_RTT)
    }

    /// How long an acknowledgement or a small segment may wait for company.
    fn company_delay(&self) -> Duration {
        let quarter = (self.round_trip() / 4).max(MIN_DELAY);
        quarter.min(self.config.tti()).min(ack::MAX_DELAY)
    }

    fn loss_deadline(&self) -> Option<Moment> {
        // What may not be repeated now need not be found lost now.
        if !self.life.state.is_sending() || !self.validation.allows_datagram() {
            return None;
        }
        let allowance = || self.probe_allowance();
        self.loss.deadline(&self.rtt, allowance, &self.send)
    }

    /// How long the peer may hold back an acknowledgement.
    fn peer_ack_delay(&self) -> Duration {
        self.peer_tick().max(self.company_delay())
    }

    /// The interval at which the peer acts. One of ours acts at any time.
    fn peer_tick(&self) -> Duration {
        if self.output.peer_wraps {
            Duration::ZERO
        } else {
            self.config.tti()
        }
    }
}

/// How long a peer that has not proven its address may be silent: one of its Pings may get lost, if
/// it keeps the same intervals.
fn patience(config: &Config) -> Duration {
    let patience = (config.keepalive() * 5 / 2).max(LEAST_PATIENCE);
    patience.min(config.idle_timeout())
}

#[cfg(test)]
mod tests;
