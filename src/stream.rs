//! `Stream`, as `std::net::TcpStream`.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, ToSocketAddrs},
    time::Duration,
};

use crate::{config::Config, stats::ConnectionStats};

/// A reliable byte stream, used as `std::net::TcpStream` is.
#[derive(Debug)]
pub struct Stream {}

#[allow(unused_variables, missing_docs)]
impl Stream {
    pub fn connect<A: ToSocketAddrs>(addr: A) -> io::Result<Self> {
        todo!()
    }
    pub fn connect_with<A: ToSocketAddrs>(addr: A, config: &Config) -> io::Result<Self> {
        todo!()
    }
    pub fn connect_timeout(
        addr: &SocketAddr,
        config: &Config,
        timeout: Duration,
    ) -> io::Result<Self> {
        todo!()
    }
    pub fn pair(config: &Config) -> io::Result<(Self, Self)> {
        todo!()
    }
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        todo!()
    }
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        todo!()
    }
    pub fn conversation(&self) -> u16 {
        todo!()
    }
    pub fn try_clone(&self) -> io::Result<Self> {
        todo!()
    }
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        todo!()
    }
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        todo!()
    }
    pub fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        todo!()
    }
    pub fn read_timeout(&self) -> io::Result<Option<Duration>> {
        todo!()
    }
    pub fn write_timeout(&self) -> io::Result<Option<Duration>> {
        todo!()
    }
    pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        todo!()
    }
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        todo!()
    }
    pub fn nodelay(&self) -> io::Result<bool> {
        todo!()
    }
    pub fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        todo!()
    }
    pub fn linger(&self) -> io::Result<Option<Duration>> {
        todo!()
    }
    pub fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        todo!()
    }
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        todo!()
    }
    pub fn close(self) -> io::Result<()> {
        todo!()
    }
    pub fn reset(&self) {
        todo!()
    }
    pub fn stats(&self) -> ConnectionStats {
        todo!()
    }
}

impl Read for &Stream {
    fn read(&mut self, _buf: &mut [u8]) -> io::Result<usize> {
        todo!()
    }
}

impl Write for &Stream {
    fn write(&mut self, _buf: &[u8]) -> io::Result<usize> {
        todo!()
    }
    fn flush(&mut self) -> io::Result<()> {
        todo!()
    }
}

impl Read for Stream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        (&*self).read(buf)
    }
}

impl Write for Stream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        (&*self).write(buf)
    }
    fn flush(&mut self) -> io::Result<()> {
        (&*self).flush()
    }
}
