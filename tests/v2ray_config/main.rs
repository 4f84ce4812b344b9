//! Configurations as they are met in the world: a corpus, conversions, damage, and the real v2ray.

// A test fails by panicking, its helpers too.
#![allow(clippy::unwrap_used)]

mod corpus;
mod damage;
mod files;
mod links;
mod real_v2ray;
mod round_trip;
mod tls;
mod transport;
