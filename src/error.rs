//! What can go wrong, as plain data: why a connection ended, why a setting was refused, why a
//! datagram was dropped.

use std::{error, fmt, io};

/// Why a connection ended before its stream was complete.
///
/// Every [`io::Error`] that a [`Stream`](crate::Stream) gives for one of these carries it inside,
/// reachable by `error.get_ref()` and `downcast_ref::<ConnectionError>()`.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConnectionError {
    /// The peer ended the connection while bytes were still missing, or does not know it.
    Reset,
    /// The peer has been silent for longer than the idle timeout, or did not take the last bytes
    /// within the linger time.
    TimedOut,
    /// An ICMP message said that nobody listens at the peer's port.
    Refused,
    /// The peer closed the stream, so it will not read what is written.
    PeerClosed,
    /// This side closed or reset the stream.
    LocallyClosed,
    /// The endpoint was shut down under the stream.
    EndpointClosed,
    /// The 32-bit segment numbers are used up. mKCP peers written in Go stall when numbers wrap,
    /// so a connection ends first (after 5 TB or more).
    NumbersExhausted,
    /// A thread of this library died. This is a defect; please report it.
    Internal,
}

impl ConnectionError {
    /// The [`io::ErrorKind`] under which this error is reported.
    pub fn kind(self) -> io::ErrorKind {
        match self {
            Self::Reset => io::ErrorKind::ConnectionReset,
            Self::TimedOut => io::ErrorKind::TimedOut,
            Self::Refused => io::ErrorKind::ConnectionRefused,
            Self::PeerClosed | Self::LocallyClosed => io::ErrorKind::BrokenPipe,
            Self::EndpointClosed => io::ErrorKind::ConnectionAborted,
            Self::NumbersExhausted | Self::Internal => io::ErrorKind::Other,
        }
    }
}

impl fmt::Display for ConnectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reset => "connection reset by peer",
            Self::TimedOut => "connection timed out",
            Self::Refused => "connection refused",
            Self::PeerClosed => "stream closed by peer",
            Self::LocallyClosed => "stream closed on this side",
            Self::EndpointClosed => "endpoint shut down",
            Self::NumbersExhausted => "segment numbers exhausted",
            Self::Internal => "a thread of the endpoint died",
        })
    }
}

impl error::Error for ConnectionError {}

impl From<ConnectionError> for io::Error {
    fn from(error: ConnectionError) -> Self {
        Self::new(error.kind(), error)
    }
}

/// A setting that [`ConfigBuilder::build`](crate::ConfigBuilder::build) or
/// [`EndpointBuilder::bind`](crate::EndpointBuilder::bind) refused.
///
/// ```
/// let error = mkcp::Config::builder().mtu(20).build().unwrap_err();
/// assert_eq!(error.field(), "mtu");
/// assert_eq!(
///     error.to_string(),
///     "mtu is 20, must be 27 to 65507 with header none and security simple",
/// );
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    field: &'static str,
    value: String,
    expected: String,
}

impl ConfigError {
    pub(crate) fn new(
        field: &'static str,
        value: impl fmt::Display,
        expected: impl fmt::Display,
    ) -> Self {
        Self {
            field,
            value: value.to_string(),
            expected: expected.to_string(),
        }
    }

    /// The setter's name.
    pub fn field(&self) -> &'static str {
        self.field
    }

    /// The refused value, as text.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// What would have been accepted, as text.
    pub fn expected(&self) -> &str {
        &self.expected
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} is {}, must be {}",
            self.field, self.value, self.expected
        )
    }
}

impl error::Error for ConfigError {}

impl From<ConfigError> for io::Error {
    fn from(error: ConfigError) -> Self {
        Self::new(io::ErrorKind::InvalidInput, error)
    }
}

/// Declares [`DropReason`] once, so that its list, its texts and the counters cannot disagree.
macro_rules! drop_reasons {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal,)+) => {
        /// Why a datagram, or a segment in one, was dropped.
        ///
        /// Dropping is silent on the wire; [`DropStats`](crate::DropStats) counts it.
        #[non_exhaustive]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum DropReason {
            $($(#[doc = $doc])+ $name,)+
        }

        impl DropReason {
            /// Every reason, in a fixed order.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// A short name in snake case, fit for a metric's label.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }
        }
    };
}

drop_reasons! {
    /// Not longer than the packet header, nonce and tag that every datagram carries.
    TooShort = "too_short",
    /// The checksum or the authentication tag does not match: noise, damage or another seed.
    BadSeal = "bad_seal",
    /// No segment could be parsed from the datagram.
    BadSegment = "bad_segment",
    /// A Terminate for a connection that is not known.
    UnknownTerminate = "unknown_terminate",
    /// Cannot open a connection and belongs to none: the remains of an older one.
    Stray = "stray",
    /// Belongs to a connection that ended a short while ago.
    Tombstone = "tombstone",
    /// Would open a connection, but was received before: a recording. Known only with a seed.
    Replay = "replay",
    /// Was sent from here: somebody on the path sends it back.
    Reflected = "reflected",
    /// A Data segment beyond the window that was advertised.
    BeyondWindow = "beyond_window",
    /// The worker thread is behind with its input, or has ended.
    WorkerBehind = "worker_behind",
    /// The application does not accept fast enough.
    AcceptQueueFull = "accept_queue_full",
    /// Nobody listens on this endpoint, or the listener is closed.
    NotListening = "not_listening",
    /// The limit of sessions is reached.
    TooManySessions = "too_many_sessions",
    /// The limit of sessions whose address is not yet proven is reached.
    TooManyUnvalidated = "too_many_unvalidated",
    /// There is little room left for peers of which nothing is known, or they come too fast: one
    /// that repeats its first datagram may get in.
    Deferred = "deferred",
    /// The limit of sessions from one source is reached.
    TooManyFromSource = "too_many_from_source",
    /// The memory limit is reached, or nearly so and this session holds its part: for a first
    /// datagram, or a Data segment in one.
    OverMemory = "over_memory",
    /// The `on_attempt` hook said no.
    Refused = "refused",
}

impl DropReason {
    /// Whether a peer was refused because others take the room.
    pub(crate) fn is_crowding(self) -> bool {
        matches!(
            self,
            Self::AcceptQueueFull
                | Self::TooManySessions
                | Self::TooManyUnvalidated
                | Self::Deferred
        )
    }
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
