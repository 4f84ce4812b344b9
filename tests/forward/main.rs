//! The example `forward` as its users run it: between sockets of the system, over mKCP with and
//! without TLS, and with the real v2ray at the other end. Without v2ray these tests fail.

// A test fails by panicking, its helpers too.
#![allow(clippy::unwrap_used)]
#![cfg(unix)]

mod config;
mod ending;
#[path = "../common/example.rs"]
mod example;
mod frozen;
mod half_close;
mod kinds;
mod options;
#[path = "../common/payload.rs"]
mod payload;
mod process;
mod service;
mod tls;
mod v2ray;
