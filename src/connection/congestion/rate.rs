//! How fast the path delivers (draft-cheng-iccrg-delivery-rate-estimation).

use std::time::Duration;

use crate::{connection::amount::per_second, moment::Moment};

/// What was known of the delivery when a segment was sent.
#[derive(Clone, Copy, Debug)]
pub(in crate::connection) struct Snapshot {
    delivered: u64,
    delivered_at: Moment,
    first_sent_at: Moment,
    app_limited: bool,
}

impl Snapshot {
    #[cfg(test)]
    pub(in crate::connection) fn at(now: Moment) -> Self {
        Self {
            delivered: 0,
            delivered_at: now,
            first_sent_at: now,
            app_limited: false,
        }
    }
}

/// A measurement over about one round trip.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::connection) struct RateSample {
    pub(in crate::connection) bytes_per_second: u64,
    /// The application, not the path, was the limit.
    pub(in crate::connection) app_limited: bool,
    /// What had been delivered when the sampled segment was sent.
    pub(in crate::connection) prior_delivered: u64,
}

/// The segment whose delivery makes a sample: among those acknowledged together, the one with which
/// most had been delivered when it left.
#[derive(Debug, Default)]
pub(in crate::connection) struct Sampled(Option<(Snapshot, Moment)>);

impl Sampled {
    /// What was delivered left at this time, with this known then. Must be certain: of a repeated
    /// segment another copy may have arrived, much earlier than this one could have.
    pub(in crate::connection) fn on_certain(&mut self, snapshot: Snapshot, sent_at: Moment) {
        if self
            .0
            .is_none_or(|(best, _)| snapshot.delivered >= best.delivered)
        {
            self.0 = Some((snapshot, sent_at));
        }
    }
}

/// Follows the bytes that the peer acknowledges.
#[derive(Debug)]
pub(in crate::connection) struct RateSampler {
    delivered: u64,
    delivered_at: Moment,
    first_sent_at: Moment,
    /// Samples are application-limited until this much has been delivered.
    app_limited_until: u64,
}

impl RateSampler {
    pub(in crate::connection) fn new(now: Moment) -> Self {
        Self {
            delivered: 0,
            delivered_at: now,
            first_sent_at: now,
            app_limited_until: 0,
        }
    }

    /// Notes a segment that is sent while `in_flight` bytes are.
    pub(in crate::connection) fn on_sent(&mut self, now: Moment, in_flight: u64) -> Snapshot {
        if in_flight == 0 {
            self.first_sent_at = now;
            self.delivered_at = now;
        }
        Snapshot {
            delivered: self.delivered,
            delivered_at: self.delivered_at,
            first_sent_at: self.first_sent_at,
            app_limited: self.app_limited_until > self.delivered,
        }
    }

    /// The application has nothing to send although the path would carry more.
    pub(in crate::connection) fn on_app_limited(&mut self, in_flight: u64) {
        self.app_limited_until = self.delivered + in_flight.max(1);
    }

    /// Whether the application was the limit at any time since so much had been delivered, or was it
    /// for what was in flight then.
    #[inline]
    pub(in crate::connection) fn was_app_limited(&self, delivered: u64) -> bool {
        self.app_limited_until > delivered
    }

    pub(in crate::connection) fn on_delivered(&mut self, now: Moment, len: u64) {
        self.delivered += len;
        self.delivered_at = now;
    }

    pub(in crate::connection) fn delivered(&self) -> u64 {
        self.delivered
    }

    /// What an acknowledgement says, of which this was the segment to sample.
    pub(in crate::connection) fn sample(
        &mut self,
        now: Moment,
        sampled: &Sampled,
    ) -> Option<RateSample> {
        let (snapshot, sent_at) = sampled.0?;
        self.first_sent_at = sent_at;
        let sending = sent_at.saturating_duration_since(snapshot.first_sent_at);
        let acking = now.saturating_duration_since(snapshot.delivered_at);
        let interval = sending.max(acking).max(Duration::from_micros(10));
        Some(RateSample {
            bytes_per_second: per_second(self.delivered - snapshot.delivered, interval),
            app_limited: snapshot.app_limited,
            prior_delivered: snapshot.delivered,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(snapshot: Snapshot, sent_at: Moment) -> Sampled {
        Sampled(Some((snapshot, sent_at)))
    }

    #[test]
    fn the_rate_is_that_of_the_slower_of_sending_and_acknowledging() {
        let start = Moment::START;
        let at = |ms| start + Duration::from_millis(ms);
        let mut sampler = RateSampler::new(start);
        let sent: Vec<_> = (0..10)
            .map(|i| (sampler.on_sent(start, i * 1000), start))
            .collect();
        let mut sampled = Sampled::default();
        for (i, (snapshot, sent_at)) in sent.into_iter().enumerate() {
            sampler.on_delivered(at(100 + 10 * i as u64), 1000);
            sampled.on_certain(snapshot, sent_at);
        }
        let sample = sampler.sample(at(190), &sampled).unwrap();
        assert_eq!(sample.bytes_per_second, 10_000 * 1000 / 190);
        assert!(!sample.app_limited);
        assert_eq!(sampler.sample(at(200), &Sampled::default()), None);
    }

    #[test]
    fn samples_say_when_the_application_was_the_limit() {
        let start = Moment::START;
        let mut sampler = RateSampler::new(start);
        sampler.on_app_limited(0);
        let snapshot = sampler.on_sent(start, 0);
        let now = start + Duration::from_millis(1);
        sampler.on_delivered(now, 500);
        assert!(
            sampler
                .sample(now, &only(snapshot, start))
                .unwrap()
                .app_limited
        );
        let snapshot = sampler.on_sent(now, 0);
        sampler.on_delivered(now, 500);
        assert!(
            !sampler
                .sample(now, &only(snapshot, now))
                .unwrap()
                .app_limited
        );
    }
}
