//! The ends of the other transports, as hidden commands of this program.

mod counter;
pub(crate) mod quic_send;
pub(crate) mod quic_sink;
pub(crate) mod tcp_send;
pub(crate) mod tcp_sink;

/// What senders write at once.
const PIECE: usize = 64 * 1024;
