//! Congestion control: how much may be in flight, and how fast it may leave.

mod bbr;
mod fixed;
mod loss_rate;
pub(super) mod rate;

use std::{fmt::Debug, time::Duration};

use super::pacing::Bursts;
use crate::{
    config::{Config, Congestion, derive},
    moment::Moment,
};
use rate::RateSample;

/// Decides how much may be in flight. It hears of every acknowledgement and loss.
pub(super) trait Controller: Debug + Send {
    fn on_ack(&mut self, event: &AckEvent);

    /// Segments have been given up because later ones arrived.
    fn on_loss(&mut self, event: &LossEvent);

    /// Several probes in a row were not answered.
    fn on_timeout(&mut self);

    /// The peer has proven its address, and data waited for nothing else.
    fn on_late_proof(&mut self) {}

    /// The least round-trip time that it has seen itself, if it has found its share of the path and
    /// wants to know of others on it.
    fn own_least_rtt(&self) -> Option<Duration> {
        None
    }

    /// What they know together; `None` if there is no other.
    fn set_common(&mut self, _common: Option<Common>) {}

    /// Payload bytes that may be in flight.
    fn window(&self) -> u64;

    /// Has its memory brought.
    fn prefetch(&self) {}

    /// Payload bytes per second at which datagrams leave, or `None` to not pace them.
    fn pacing_rate(&self) -> Option<u64>;

    /// What may leave at once. One that does not look for queues that overflow keeps to little.
    fn bursts(&self) -> Bursts {
        Bursts::default()
    }
}

/// What several connections know together that send over the same path at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Common {
    /// Payload bytes per second on which each may count, at most.
    pub(super) rate: u64,
    pub(super) least_rtt: Duration,
}

/// What an acknowledgement brought.
#[derive(Clone, Copy, Debug)]
pub(super) struct AckEvent {
    pub(super) now: Moment,
    /// Payload bytes newly acknowledged.
    pub(super) acked: u64,
    /// Segments newly acknowledged.
    pub(super) acked_segments: u64,
    /// Payload bytes acknowledged since the connection began.
    pub(super) delivered: u64,
    /// Payload bytes in flight, this acknowledgement counted.
    pub(super) in_flight: u64,
    pub(super) rtt: Option<Duration>,
    /// How much of that may be the peer's waiting for its next tick.
    pub(super) tick: Duration,
    pub(super) rate: Option<RateSample>,
}

/// What was lost.
#[derive(Clone, Copy, Debug)]
pub(super) struct LossEvent {
    pub(super) segments: u64,
    /// When the last of them was sent.
    pub(super) sent_at: Moment,
}

/// The controller that a configuration asks for.
pub(super) fn controller(config: &Config, max_payload: usize, seed: u64) -> Box<dyn Controller> {
    let max_payload = u32::try_from(max_payload).unwrap_or(u32::MAX);
    let per_interval = derive::segments_per_interval(config.uplink(), config.mtu(), config.tti());
    match config.congestion() {
        Congestion::Bbr => Box::new(bbr::Bbr::new(max_payload, seed)),
        Congestion::Fixed => Box::new(fixed::Fixed::new(
            max_payload.into(),
            per_interval,
            config.tti(),
        )),
        Congestion::LossRate => Box::new(loss_rate::LossRate::new(
            max_payload.into(),
            per_interval,
            config.tti(),
        )),
    }
}
