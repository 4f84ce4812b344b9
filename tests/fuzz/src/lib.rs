//! What is fuzzed: one module for each target, with its input and what must hold for it.
//!
//! The targets of cargo-fuzz in `fuzz_targets` only call these; `tests/fuzz_corpus.rs` runs them
//! over the corpora on stable. `README.md` says how to fuzz.

pub mod adversary;
pub mod config;
pub mod connection_ops;
mod end;
pub mod headers;
mod listener;
pub mod open;
pub mod segments;
mod settings;
