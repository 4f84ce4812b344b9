//! One UDP socket with its threads and sessions.

pub(crate) mod accept;
pub(crate) mod handle;
mod pipe;
mod sync;

use std::{
    io,
    net::{SocketAddr, ToSocketAddrs, UdpSocket},
    sync::Arc,
    time::Duration,
};

use self::{accept::AcceptQueue, handle::SessionHandle};
use crate::{config::Config, stats::EndpointStats};

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
    pub(crate) fn start_listening(&self) -> io::Result<Arc<AcceptQueue>> {
        todo!()
    }
    pub(crate) fn stop_listening(&self) {
        todo!()
    }
    pub(crate) fn open_session(&self, peer: SocketAddr) -> io::Result<Arc<SessionHandle>> {
        todo!()
    }
    pub(crate) fn config(&self) -> &Arc<Config> {
        todo!()
    }
    pub(crate) fn active_sessions(&self) -> usize {
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

#[allow(unused_variables)]
pub(crate) fn connect_own_socket(
    peer: &SocketAddr,
    config: &Config,
) -> io::Result<(Endpoint, Arc<SessionHandle>)> {
    todo!()
}
