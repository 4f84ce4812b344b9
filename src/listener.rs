//! `Listener`, as `std::net::TcpListener`.

use std::{
    io,
    net::{SocketAddr, ToSocketAddrs},
    time::Duration,
};

use crate::{config::Config, endpoint::Endpoint, stats::EndpointStats, stream::Stream};

/// Accepts connections, as `std::net::TcpListener` does.
#[derive(Debug)]
pub struct Listener {}

/// The connections of a [`Listener`], until it is closed.
#[derive(Debug)]
pub struct Incoming<'a> {
    listener: &'a Listener,
}

impl Iterator for Incoming<'_> {
    type Item = io::Result<Stream>;

    fn next(&mut self) -> Option<Self::Item> {
        let _ = self.listener;
        todo!()
    }
}

#[allow(unused_variables, missing_docs)]
impl Listener {
    pub fn bind<A: ToSocketAddrs>(addr: A) -> io::Result<Self> {
        todo!()
    }
    pub fn bind_with<A: ToSocketAddrs>(addr: A, config: &Config) -> io::Result<Self> {
        todo!()
    }
    pub fn accept(&self) -> io::Result<(Stream, SocketAddr)> {
        todo!()
    }
    pub fn accept_timeout(&self, timeout: Duration) -> io::Result<(Stream, SocketAddr)> {
        todo!()
    }
    pub fn incoming(&self) -> Incoming<'_> {
        todo!()
    }
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        todo!()
    }
    pub fn try_clone(&self) -> io::Result<Self> {
        todo!()
    }
    pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        todo!()
    }
    pub fn close(&self) {
        todo!()
    }
    pub fn endpoint(&self) -> &Endpoint {
        todo!()
    }
    pub fn active_connections(&self) -> usize {
        todo!()
    }
    pub fn stats(&self) -> EndpointStats {
        todo!()
    }
}
