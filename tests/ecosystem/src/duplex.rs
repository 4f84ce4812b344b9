//! What a stream and a stream with TLS inside have in common.

use std::{
    fmt::Debug,
    io::{self, Read, Write},
    net::Shutdown,
};

use mkcp::{Stream, tls::TlsStream};

/// A stream, with or without TLS inside.
pub trait Duplex: Read + Write + Debug + Send + Sync + Sized + 'static {
    /// Reads and writes through `&self`, for several threads at once.
    fn shared(&self) -> impl Read + Write + Send + '_;
    /// The mKCP stream itself: for its options and addresses.
    fn stream(&self) -> &Stream;
    /// Ends reading, writing or both.
    fn shutdown(&self, how: Shutdown) -> io::Result<()>;
    /// Ends the stream and waits until the peer has everything.
    fn close(self) -> io::Result<()>;
}

impl Duplex for Stream {
    fn shared(&self) -> impl Read + Write + Send + '_ {
        self
    }

    fn stream(&self) -> &Stream {
        self
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        Self::shutdown(self, how)
    }

    fn close(self) -> io::Result<()> {
        Self::close(self)
    }
}

impl Duplex for TlsStream {
    fn shared(&self) -> impl Read + Write + Send + '_ {
        self
    }

    fn stream(&self) -> &Stream {
        self.get_ref()
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        Self::shutdown(self, how)
    }

    fn close(self) -> io::Result<()> {
        Self::close(self)
    }
}
