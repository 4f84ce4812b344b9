//! One direction of the bad path: a bottleneck, a delay and faults, all drawn from a seed.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

use rand::{Rng, SeedableRng, rngs::SmallRng};

use crate::forgery::Forger;

/// What waits before the bottleneck is at most what it passes in this time.
const QUEUE: Duration = Duration::from_millis(200);
/// Datagrams that are held back come so much later, at most.
const HELD_BACK: Duration = Duration::from_millis(30);
/// Datagrams whose payload is forged are one in so many of those that are damaged.
const FORGED_OF_ALTERED: f64 = 0.1;

/// Shares of datagrams, in percent.
#[derive(Clone, Copy, Debug, clap::Args)]
#[command(next_help_heading = "The path between the ends")]
pub(crate) struct Faults {
    /// Datagrams that get lost
    #[arg(long, value_name = "PERCENT", default_value_t = 5.0, value_parser = percent)]
    pub(crate) loss: f64,

    /// Datagrams that are held back, so that others overtake them
    #[arg(long, value_name = "PERCENT", default_value_t = 5.0, value_parser = percent)]
    pub(crate) reorder: f64,

    /// Datagrams that come twice
    #[arg(long, value_name = "PERCENT", default_value_t = 2.0, value_parser = percent)]
    pub(crate) duplicate: f64,

    /// Datagrams in which bits flip. Where there is TLS inside simple security, a tenth as many get
    /// another payload byte and the checksum that fits
    #[arg(long, value_name = "PERCENT", default_value_t = 1.0, value_parser = percent)]
    pub(crate) alter: f64,

    /// Time for one way
    #[arg(long, value_name = "MS", default_value_t = 10)]
    pub(crate) delay: u64,

    /// What all sessions together can send in each direction
    #[arg(long, value_name = "MB/S", default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub(crate) rate: u64,
}

fn percent(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(percent @ 0.0..=90.0) => Ok(percent),
        Ok(_) => Err("must be from 0 to 90".to_owned()),
        Err(_) => Err("not a number".to_owned()),
    }
}

/// What has been done to datagrams.
#[derive(Debug, Default)]
pub(crate) struct Injected {
    pub(crate) datagrams: AtomicU64,
    pub(crate) bytes: AtomicU64,
    pub(crate) lost: AtomicU64,
    /// Those that found the queue full.
    pub(crate) queue_drops: AtomicU64,
    pub(crate) held_back: AtomicU64,
    pub(crate) duplicated: AtomicU64,
    pub(crate) altered: AtomicU64,
    pub(crate) forged: AtomicU64,
}

impl Injected {
    pub(crate) fn counts(&self) -> [(&'static str, u64); 8] {
        [
            ("datagrams", &self.datagrams),
            ("bytes", &self.bytes),
            ("lost", &self.lost),
            ("queue_drops", &self.queue_drops),
            ("held_back", &self.held_back),
            ("duplicated", &self.duplicated),
            ("altered", &self.altered),
            ("forged", &self.forged),
        ]
        .map(|(name, count)| (name, count.load(Relaxed)))
    }
}

pub(crate) struct Link<'a> {
    faults: Faults,
    rng: SmallRng,
    injected: &'a Injected,
    /// When the bottleneck has sent all that waits.
    free_at: Instant,
}

impl<'a> Link<'a> {
    pub(crate) fn new(faults: Faults, seed: u64, injected: &'a Injected) -> Self {
        Self {
            faults,
            rng: SmallRng::seed_from_u64(seed),
            injected,
            free_at: Instant::now(),
        }
    }

    /// Whether a datagram that comes now gets through, damaged or not, and when it arrives: once,
    /// twice or never.
    pub(crate) fn pass(
        &mut self,
        now: Instant,
        datagram: &mut [u8],
        forger: Option<&Forger>,
    ) -> impl Iterator<Item = Instant> + use<> {
        count(&self.injected.datagrams);
        let bytes = datagram.len() as u64;
        self.injected.bytes.fetch_add(bytes, Relaxed);
        let mut arrivals = [None, None];
        match self.departure(now, bytes) {
            None => count(&self.injected.queue_drops),
            Some(_) if self.happens(self.faults.loss) => count(&self.injected.lost),
            Some(departure) => {
                self.damage(datagram, forger);
                arrivals[0] = Some(self.arrival(departure));
                if self.happens(self.faults.duplicate) {
                    count(&self.injected.duplicated);
                    arrivals[1] = Some(self.arrival(departure));
                }
            }
        }
        arrivals.into_iter().flatten()
    }

    /// When the last byte has passed the bottleneck, or `None` if the queue is full.
    fn departure(&mut self, now: Instant, bytes: u64) -> Option<Instant> {
        let begin = self.free_at.max(now);
        if begin - now > QUEUE {
            return None;
        }
        let rate = self.faults.rate * 1_000_000;
        self.free_at = begin + Duration::from_nanos(bytes * 1_000_000_000 / rate);
        Some(self.free_at)
    }

    fn arrival(&mut self, departure: Instant) -> Instant {
        let arrival = departure + Duration::from_millis(self.faults.delay);
        if self.happens(self.faults.reorder) {
            count(&self.injected.held_back);
            return arrival + HELD_BACK.mul_f64(self.rng.random());
        }
        arrival
    }

    fn damage(&mut self, datagram: &mut [u8], forger: Option<&Forger>) {
        if datagram.is_empty() {
            return;
        }
        if self.happens(self.faults.alter) {
            let bit = self.rng.random_range(0..datagram.len() * 8);
            datagram[bit / 8] ^= 1 << (bit % 8);
            count(&self.injected.altered);
        } else if let Some(forger) = forger
            && self.happens(self.faults.alter * FORGED_OF_ALTERED)
            && forger.forge(datagram, &mut self.rng)
        {
            count(&self.injected.forged);
        }
    }

    fn happens(&mut self, percent: f64) -> bool {
        self.rng.random_bool(percent / 100.0)
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}
