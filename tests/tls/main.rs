//! TLS inside streams: both directions at once, handshakes that never come, every way to end, and
//! what strangers may send instead of TLS.

// A test fails by panicking, its helpers too.
#![allow(clippy::unwrap_used)]

mod duplex;
mod ending;
mod flood;
mod handshake;
mod hostile;
mod renegotiation;
mod support;
mod waiting;
