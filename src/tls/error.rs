//! Why TLS did not work on a stream.

use std::{error, fmt, io, time::Duration};

use rustls::Error;

/// What went wrong inside a [`TlsStream`](super::TlsStream), beyond what can go wrong in the stream
/// that carries it.
///
/// Every [`io::Error`] that a `TlsStream` gives for one of these carries it inside, reachable by
/// `error.get_ref()` and `downcast_ref::<TlsError>()`; [`source`](error::Error::source) gives the
/// error of rustls.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
pub enum TlsError {
    /// The ends could not agree: an unknown or expired certificate, another name, no common
    /// version, an alert of the peer, or bytes that are no TLS at all.
    Handshake(Error),
    /// The peer did not complete the handshake within this time. Its kind is that of a call whose
    /// own timeout is over, but it is final, and an `io::Error` of a mere timeout carries nothing
    /// inside.
    HandshakeTimeout(Duration),
    /// The stream ended before the handshake was complete.
    HandshakeCut,
    /// After the handshake: a record that cannot be opened, or an alert of the peer.
    Session(Error),
    /// The stream ended without the peer's close_notify: bytes may be missing.
    Truncated,
}

impl TlsError {
    /// The [`io::ErrorKind`] under which this error is reported.
    pub fn kind(&self) -> io::ErrorKind {
        match self {
            Self::Handshake(_) | Self::Session(_) => io::ErrorKind::InvalidData,
            Self::HandshakeTimeout(_) => io::ErrorKind::TimedOut,
            Self::HandshakeCut | Self::Truncated => io::ErrorKind::UnexpectedEof,
        }
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Handshake(error) => write!(f, "TLS handshake failed: {error}"),
            Self::HandshakeTimeout(limit) => {
                write!(f, "TLS handshake not completed within {limit:?}")
            }
            Self::HandshakeCut => f.write_str("stream ended during the TLS handshake"),
            Self::Session(error) => write!(f, "TLS failed: {error}"),
            Self::Truncated => f.write_str("stream ended without TLS close_notify"),
        }
    }
}

impl error::Error for TlsError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Handshake(error) | Self::Session(error) => Some(error),
            Self::HandshakeTimeout(_) | Self::HandshakeCut | Self::Truncated => None,
        }
    }
}

impl From<TlsError> for io::Error {
    fn from(error: TlsError) -> Self {
        Self::new(error.kind(), error)
    }
}
