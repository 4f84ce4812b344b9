//! Reliable byte streams over UDP for programs that are not async.
//!
//! This crate speaks *mKCP*, the reliable-UDP transport of V2Ray, V2Fly and Xray, byte for byte,
//! and looks like `std::net`: [`Listener`] and [`Stream`] are used as `TcpListener` and
//! `TcpStream` are, from ordinary blocking threads, without an async runtime.
//!
//! ```
//! use std::{io::{self, Read, Write}, thread};
//! use mkcp::{Config, Header, Listener, Stream};
//!
//! let config = Config::builder().seed("s3cret").header(Header::Srtp).build()?;
//! let listener = Listener::bind_with("127.0.0.1:0", &config)?;
//! let address = listener.local_addr()?;
//!
//! let server = thread::spawn(move || -> io::Result<u64> {
//!     let (stream, _peer) = listener.accept()?;
//!     io::copy(&mut &stream, &mut &stream) // an echo server
//! });
//!
//! let mut client = Stream::connect_with(address, &config)?;
//! client.write_all(b"hello")?;
//! let mut answer = [0; 5];
//! client.read_exact(&mut answer)?;
//! assert_eq!(&answer, b"hello");
//! client.close()?;
//! assert_eq!(server.join().unwrap()?, 5);
//! # io::Result::Ok(())
//! ```
//!
//! # What to know
//!
//! - **Both ends need the same [`Security`], and a [`Header`] of the same length.** mKCP negotiates
//!   nothing, and what does not fit is dropped in silence; [`EndpointStats::drops`] says why.
//! - **There is no handshake.** [`Stream::connect`] returns at once;
//!   [`Stream::connect_timeout`] waits for the peer's first answer.
//! - **One direction cannot be closed alone.** [`Stream::shutdown`] says what happens instead.
//! - **A program that writes and returns from `main` calls [`Stream::close`]**, which waits until
//!   the peer has everything. Dropping a stream delivers in the background.
//! - **What the machine does to an endpoint** ends nothing that it need not end: [`Endpoint`] has
//!   a table of faults and of what follows from each.
//! - **Many streams need not be many threads.** A [`Selector`] tells which of thousands can be read
//!   or written.
//! - **A seed is no TLS.** It keeps outsiders from reading and forging, but not quite from
//!   repeating what they recorded; [`Security::Aes128Gcm`] says how far. Without a seed they can do
//!   all of it. The module `tls` puts TLS into streams.
//!
//! # Features
//!
//! - `tls` (on by default): TLS inside streams, by rustls with ring.
//! - `v2ray-config`: reads and writes the settings of V2Ray, V2Fly and Xray, in all their dialects.
//!
//! # How it works
//!
//! Each socket is served by a poll thread, which reads, opens and checks datagrams, and by worker
//! threads, each of which owns the sessions whose ids hash to it; a single worker shares the poll
//! thread. An application's thread never touches a connection: it waits at one of two bounded
//! pipes, or by a [`Selector`] at many. Every queue has a bound, and what exceeds it is counted. An
//! idle endpoint does not wake.
//!
//! [`Endpoint`] is that machinery as a value, for those who want to choose workers and limits, or
//! to run many connections in both directions over one port. The connection itself is a state
//! machine without I/O, clock or threads, which is how it is tested: thousands of simulated
//! networks, each replayable from its seed.
#![doc = ""]
#![doc = include_str!("manual/threats.md")]
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
mod moment;
#[allow(missing_docs, clippy::exhaustive_enums, clippy::exhaustive_structs)]
#[cfg_attr(not(feature = "internal"), allow(dead_code, unreachable_pub))]
mod packet;
mod prefetch;
mod selector;
mod stats;
mod stream;
mod sync;
#[cfg(feature = "tls")]
pub mod tls;
#[cfg(feature = "v2ray-config")]
pub mod v2ray;
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
pub use selector::Selector;
pub use stats::{ConnectionStats, DropStats, EndpointStats, WakeStats};
pub use stream::Stream;
pub use sync::{Event, Readiness};

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
    pub mod strangers {
        pub use crate::endpoint::strangers::{Stranger, judge};
    }
    pub mod wire {
        pub use crate::wire::*;
    }
}

/// The examples of the README, kept compiling.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
