//! Reliable byte streams over UDP for programs that are not async.
//!
//! This crate speaks *mKCP*, the reliable-UDP transport of V2Ray, V2Fly and Xray, byte for byte,
//! and looks like `std::net`: [`Listener`] and [`Stream`] are used as `TcpListener` and
//! `TcpStream` are, from ordinary blocking threads, without an async runtime.
#![forbid(unsafe_code)]

// `connection`, `packet` and `wire` are private, but open to this crate's own tests through
// `internal`; lints about what is public have nothing to say there.
mod config;
#[allow(missing_docs, clippy::exhaustive_enums, clippy::exhaustive_structs)]
#[cfg_attr(not(feature = "internal"), allow(dead_code, unreachable_pub))]
mod connection;
mod endpoint;
mod error;
mod listener;
#[allow(missing_docs, clippy::exhaustive_enums, clippy::exhaustive_structs)]
#[cfg_attr(not(feature = "internal"), allow(dead_code, unreachable_pub))]
mod packet;
mod stats;
mod stream;
#[allow(missing_docs, clippy::exhaustive_enums, clippy::exhaustive_structs)]
#[cfg_attr(not(feature = "internal"), allow(dead_code, unreachable_pub))]
mod wire;

// The public interface: everything a user can name is in this block.
pub use config::{
    Config, ConfigBuilder, Congestion, Header, ParseOptionError, Profile, Security, Seed,
};
pub use endpoint::{Attempt, Decision, Endpoint, EndpointBuilder};
pub use error::{ConfigError, ConnectionError, DropReason};
pub use listener::{Incoming, Listener};
pub use stats::{ConnectionStats, DropStats, EndpointStats, WakeStats};
pub use stream::Stream;

/// The protocol core, for this crate's own tests, benches and fuzz targets.
///
/// Not part of the public interface: anything in here may change in any release.
#[cfg(feature = "internal")]
#[doc(hidden)]
#[allow(missing_docs)]
pub mod internal {
    pub mod config {
        pub use crate::config::derive;
    }
    pub mod connection {
        pub use crate::connection::*;
    }
    pub mod packet {
        pub use crate::packet::*;
    }
    pub mod wire {
        pub use crate::wire::*;
    }
}
