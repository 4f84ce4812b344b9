//! What a row consists of: a link, what happens to it, and who does what over it.

use std::time::Duration;

use mkcp::Config;

use crate::{
    clock::Time,
    go_peer::config::GoConfig,
    network::{Change, LinkProfile},
};

pub const MS: Duration = Duration::from_millis(1);
pub const SECOND: Duration = Duration::from_secs(1);

/// AES-GCM's nonce and tag, UDP's header and IPv4's.
pub const OVERHEAD: u64 = 28 + 8 + 20;
/// Payload bytes of a full segment in the default MTU, sealed.
pub const PAYLOAD: u64 = 1304;
/// The packet that carries it: the MTU and the headers below.
pub const PACKET: u64 = 1350 + 28;

pub struct Row {
    pub name: String,
    /// Both directions alike.
    pub link: LinkProfile,
    /// The share of packets that is lost by chance.
    pub loss: f64,
    pub changes: Vec<(Time, Change)>,
    pub flows: Vec<FlowPlan>,
    /// How long the senders write.
    pub time: Duration,
    /// From when on goodput counts.
    pub measure_from: Time,
    pub driver: Driver,
    /// Each side is one program, which compares its connections.
    pub together: bool,
}

pub struct FlowPlan {
    pub start: Time,
    pub client: Kind,
    pub server: Kind,
    pub work: Work,
}

#[derive(Clone)]
pub enum Kind {
    Ours(Config),
    Go(GoConfig),
}

/// What the two programs do. Data goes from the client to the server.
#[derive(Clone, Debug)]
pub enum Work {
    Bulk,
    Rounds { bytes: u64, count: u64 },
    ReaderRests { from: Time, until: Time },
    ReaderLeaves { at: Time, resets: bool },
}

/// How far the thread that drives a connection is from an ideal one.
#[derive(Clone, Copy, Debug)]
pub struct Driver {
    /// Up to so much passes before an arrival or a deadline is noticed.
    pub lateness: Duration,
    /// As many arrivals are handled before anything is sent.
    pub batch: usize,
    /// Up to so much passes before the program, in a thread of its own, notices what came. Without
    /// it, what it answers leaves together with the acknowledgement of the question.
    pub program: Duration,
    /// How long each datagram that is handled or sent keeps the processor busy that all ends of a
    /// side share. It serves them in the order in which they have something to do.
    pub work: Duration,
    /// The sides have one processor together and take turns of so long.
    pub turn: Duration,
}

impl Driver {
    pub const IDEAL: Self = Self {
        lateness: Duration::ZERO,
        batch: 1,
        program: Duration::ZERO,
        work: Duration::ZERO,
        turn: Duration::ZERO,
    };
    pub const REAL: Self = Self {
        lateness: Duration::from_micros(100),
        batch: 64,
        program: Duration::ZERO,
        work: Duration::ZERO,
        turn: Duration::ZERO,
    };
    /// With programs that are woken for every message, on a busy machine.
    pub const WOKEN: Self = Self {
        lateness: Duration::from_micros(300),
        batch: 64,
        program: Duration::from_micros(700),
        work: Duration::ZERO,
        turn: Duration::ZERO,
    };
}

impl Row {
    /// What a link can carry of payload in a second.
    pub fn capacity(&self) -> Option<f64> {
        let rate = self.link.rate?;
        Some(payload_rate(rate.bytes_per_second))
    }

    /// The round-trip time of a full packet and its acknowledgement when no queue stands.
    pub fn round_trip(&self) -> Duration {
        let serialisation = self.link.rate.map_or(Duration::ZERO, |rate| {
            Duration::from_secs_f64(PACKET as f64 / rate.bytes_per_second as f64)
        });
        2 * self.link.delay + serialisation
    }

    pub fn seconds(mut self, seconds: u32) -> Self {
        self.time = seconds * SECOND;
        self
    }

    pub fn measured_from(mut self, seconds: u32) -> Self {
        self.measure_from = seconds * SECOND;
        self
    }

    pub fn losing(mut self, share: f64) -> Self {
        self.loss = share;
        self.link.loss = share;
        self
    }

    pub fn queue(mut self, bytes: u64) -> Self {
        if let Some(rate) = &mut self.link.rate {
            rate.queue_bytes = bytes;
        }
        self
    }

    pub fn together(mut self) -> Self {
        self.name += "-together";
        self.together = true;
        self
    }

    pub fn with(mut self, client: Kind, server: Kind) -> Self {
        self.flows = vec![flow(Time::ZERO, client, server, Work::Bulk)];
        self
    }

    pub fn working(mut self, work: Work) -> Self {
        self.flows[0].work = work;
        self
    }
}

/// Of the bytes of packets, those that are payload.
pub fn payload_rate(bytes_per_second: u64) -> f64 {
    bytes_per_second as f64 * PAYLOAD as f64 / PACKET as f64
}

pub fn flow(start: Time, client: Kind, server: Kind, work: Work) -> FlowPlan {
    FlowPlan {
        start,
        client,
        server,
        work,
    }
}
