//! Connections under virtual time, on simulated links, against each other and against a model of
//! the Go peers.
//!
//! `MKCP_SIM_SEED=0x2a cargo test --test sim -- --nocapture sweep_ours` replays one seed with a
//! trace; `MKCP_SIM_SEEDS=100000` widens the sweeps. `links` measures how well links are used.
// A test target is no library: nothing in it can be reached from outside.
#![allow(
    unreachable_pub,
    missing_docs,
    clippy::exhaustive_enums,
    clippy::exhaustive_structs
)]

mod app;
mod clock;
mod closing;
mod defects;
mod frozen;
mod go_peer;
mod go_vectors;
mod hostile;
mod invariants;
mod judge;
mod links;
mod network;
mod node;
mod opening;
mod peer;
mod radio;
mod scenarios;
mod sweep;
mod trace;
mod workload;
mod world;

use workload::Pairing;

#[test]
fn sweep_ours_with_ours() {
    sweep::sweep("sweep_ours_with_ours", Pairing::OursWithOurs, 1200);
}

#[test]
fn sweep_our_client_with_go() {
    sweep::sweep("sweep_our_client_with_go", Pairing::OurClientWithGo, 400);
}

#[test]
fn sweep_our_server_with_go() {
    sweep::sweep("sweep_our_server_with_go", Pairing::OurServerWithGo, 400);
}

/// Shows that the model and the links are sound by themselves.
#[test]
fn sweep_go_with_go() {
    sweep::sweep("sweep_go_with_go", Pairing::GoWithGo, 200);
}
