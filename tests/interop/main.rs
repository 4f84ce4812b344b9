//! This library against the real v2ray (4.x; Debian's package `v2ray` is what it is run with).
//!
//! v2ray turns TCP into mKCP and back without any protocol of its own: a `dokodemo-door` takes
//! TCP or mKCP connections in, a `freedom` passes the bytes on. Without v2ray these tests fail.

// A test fails by panicking, its helpers too.
#![allow(clippy::unwrap_used)]

mod behaviour;
mod delay;
mod differential;
#[path = "../common/example.rs"]
mod example;
mod exchange;
mod first_response;
#[path = "../common/identity.rs"]
mod identity;
mod link;
mod migration;
#[path = "../common/nat.rs"]
mod nat;
mod our_client;
mod our_server;
#[path = "../common/payload.rs"]
mod payload;
#[path = "../common/relay.rs"]
mod relay;
mod restart;
mod tls;
mod v2ray;
