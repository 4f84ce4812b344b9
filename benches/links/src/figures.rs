//! What is measured on a link.

use bench_common::figures;

/// A quantity that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Measure {
    /// Delivered payload in MB/s.
    Goodput,
    /// Bytes offered to the link, IP headers included, for each byte of payload.
    Wire,
    /// Goodput of the TCP connection beside, in MB/s.
    Beside,
    /// Jain's index over the streams.
    Jain,
    /// 95th percentile of what the queue added to the round trip, in ms.
    QueueDelay,
    /// From the end of a blackout to the first delivery, in ms.
    Resume,
    /// Datagrams sent into a blackout, once it was to be noticed.
    Dark,
    /// Round trip of messages, in ms.
    Median,
    /// The same, 99th percentile.
    P99,
    /// The same, the longest.
    Longest,
    /// How much later than due packets were delivered on average, in ms.
    Lateness,
    /// Packets that netlab was too slow to take.
    Overruns,
    /// Datagrams that applications were too slow to take.
    BufferDrops,
}

/// What was measured in one run, or is the median of several.
pub(crate) type Figures = figures::Figures<Measure>;

impl figures::Measure for Measure {
    fn name(self) -> &'static str {
        match self {
            Self::Goodput => "goodput_mb_s",
            Self::Wire => "wire_ratio",
            Self::Beside => "beside_mb_s",
            Self::Jain => "jain",
            Self::QueueDelay => "queue_delay_p95_ms",
            Self::Resume => "resume_ms",
            Self::Dark => "dark_datagrams",
            Self::Median => "p50_ms",
            Self::P99 => "p99_ms",
            Self::Longest => "max_ms",
            Self::Lateness => "lateness_ms",
            Self::Overruns => "overruns",
            Self::BufferDrops => "udp_buffer_drops",
        }
    }
}
