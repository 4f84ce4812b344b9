//! What the tests of this crate have in common. They run crates that people know from `TcpStream`
//! over the streams of mkcp.
//!
//! [`MkcpConnector`] is of use beyond tests: ureq over mKCP.

mod duplex;
mod http;
mod support;

pub use duplex::Duplex;
pub use http::{MkcpConnector, MkcpTransport};
pub use support::{DEADLINE, pattern, within_deadline};
