//! One UDP socket with its threads and sessions.

use std::{
    io,
    net::{SocketAddr, ToSocketAddrs, UdpSocket},
    time::Duration,
};

use crate::{config::Config, listener::Listener, stats::EndpointStats, stream::Stream};

/// A UDP socket with the threads that serve it, for many streams in both directions.
#[derive(Clone, Debug)]
pub struct Endpoint {}

/// Collects settings for an [`Endpoint`].
#[derive(Debug, Default)]
#[must_use]
pub struct EndpointBuilder {}

/// A peer that wants to open a session, for [`EndpointBuilder::on_attempt`].
#[non_exhaustive]
#[derive(Clone, Copy, Debug)]
pub struct Attempt {
    source: SocketAddr,
    conversation: u16,
    sessions_from_source: usize,
}

impl Attempt {
    /// Where the datagram came from. Not proven: it can be forged.
    pub fn source(&self) -> SocketAddr {
        self.source
    }

    /// The conversation id that the peer chose.
    pub fn conversation(&self) -> u16 {
        self.conversation
    }

    /// How many sessions this source has open.
    pub fn sessions_from_source(&self) -> usize {
        self.sessions_from_source
    }
}

/// The answer to an [`Attempt`].
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Open the session.
    Accept,
    /// Drop the datagram; the peer learns nothing.
    Ignore,
}

#[allow(unused_variables, missing_docs)]
impl Endpoint {
    pub fn builder() -> EndpointBuilder {
        todo!()
    }
    pub fn listen(&self) -> io::Result<Listener> {
        todo!()
    }
    pub fn connect<A: ToSocketAddrs>(&self, addr: A) -> io::Result<Stream> {
        todo!()
    }
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        todo!()
    }
    pub fn stats(&self) -> EndpointStats {
        todo!()
    }
    pub fn shutdown(self, timeout: Duration) -> io::Result<()> {
        todo!()
    }
}

#[allow(unused_variables, missing_docs)]
impl EndpointBuilder {
    pub fn config(self, config: Config) -> Self {
        todo!()
    }
    pub fn workers(self, n: usize) -> Self {
        todo!()
    }
    pub fn poll_threads(self, n: usize) -> Self {
        todo!()
    }
    pub fn accept_backlog(self, n: usize) -> Self {
        todo!()
    }
    pub fn max_sessions(self, n: usize) -> Self {
        todo!()
    }
    pub fn max_unvalidated(self, n: usize) -> Self {
        todo!()
    }
    pub fn max_per_source(self, n: usize) -> Self {
        todo!()
    }
    pub fn memory_limit(self, bytes: usize) -> Self {
        todo!()
    }
    pub fn recv_buffer_size(self, bytes: usize) -> Self {
        todo!()
    }
    pub fn send_buffer_size(self, bytes: usize) -> Self {
        todo!()
    }
    pub fn on_attempt(self, f: impl Fn(&Attempt) -> Decision + Send + Sync + 'static) -> Self {
        todo!()
    }
    pub fn bind<A: ToSocketAddrs>(self, addr: A) -> io::Result<Endpoint> {
        todo!()
    }
    pub fn from_socket(self, socket: UdpSocket) -> io::Result<Endpoint> {
        todo!()
    }
}
