//! Endpoints on real sockets: many sessions, hostile input, every way to end.
#![allow(clippy::unwrap_used)]

mod foreign;
mod forged;
mod hostile;
// Shared with the tests of TLS, which use more of it.
#[allow(dead_code)]
#[path = "../common/identity.rs"]
mod identity;
mod life;
mod migration;
#[path = "../common/nat.rs"]
mod nat;
#[path = "../common/relay.rs"]
mod relay;
mod replay;
mod replay_tls;
mod silence;
mod support;
mod traffic;

use support::{
    ARRANGEMENTS, EchoServer, PATIENCE, bytes, echo, eventually, exchange, expect_end, small,
};
