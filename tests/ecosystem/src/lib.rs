//! What the tests of this crate have in common. They run crates that people know from `TcpStream`
//! over the streams of mkcp.
//!
//! [`MkcpConnector`] is of use beyond tests: ureq over mKCP.

mod duplex;
mod http;

use std::time::Duration;

pub use duplex::Duplex;
pub use http::{MkcpConnector, MkcpTransport};

/// Reached only by a test that fails.
pub const DEADLINE: Duration = Duration::from_secs(120);
