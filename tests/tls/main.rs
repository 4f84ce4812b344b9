//! TLS inside streams: both directions at once, handshakes that never come, every way to end, and
//! what strangers may send instead of TLS.

// A test fails by panicking, its helpers too.
#![allow(clippy::unwrap_used)]

#[path = "../common/deadline.rs"]
mod deadline;
mod duplex;
mod ending;
mod flood;
mod handshake;
mod hostile;
#[path = "../common/identity.rs"]
mod identity;
#[path = "../common/pattern.rs"]
mod pattern;
mod renegotiation;
mod selecting;
mod support;
mod waiting;
