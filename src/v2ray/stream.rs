//! A stream with or without TLS.

use std::{
    fmt,
    io::{self, IoSlice, IoSliceMut, Read, Write},
    net::{Shutdown, SocketAddr},
    panic::AssertUnwindSafe,
    sync::Arc,
};

use rustls::ClientConfig;

use super::{StreamSettings, TlsSettings, host::split_host_port};
use crate::{
    endpoint::Endpoint,
    stream::Stream,
    tls::{self, TlsInfo, TlsStream},
};

/// A stream that carries TLS if its settings ask for it.
///
/// Reading and writing work through a reference too, as with [`Stream`].
#[non_exhaustive]
#[derive(Debug)]
pub enum MaybeTlsStream {
    /// Without TLS.
    Plain(Stream),
    /// With TLS.
    Tls(TlsStream),
}

impl StreamSettings {
    /// Connects to `host:port`, as upstream's `DialKCP` does.
    ///
    /// It returns at once, because mKCP has no handshake, and that of TLS runs at the first read
    /// or write. With TLS and no server name in the settings, the certificate must be for the
    /// host that is dialled. Certificates are read by the first call; later ones, those of clones
    /// too, use what it has read and resume its sessions.
    ///
    /// # Errors
    ///
    /// Those of [`Stream::connect_with`] and [`TlsSettings::client_config`]; `InvalidInput` if
    /// the host can be no server's name.
    ///
    /// ```
    /// use std::io::Write;
    /// use mkcp::v2ray::{self, ReadOptions};
    ///
    /// # let listener = mkcp::Listener::bind("127.0.0.1:0")?;
    /// # let server = listener.local_addr()?;
    /// let json = r#"{"network": "kcp", "kcpSettings": {"header": {"type": "none"}}}"#;
    /// let settings = v2ray::read(json, &ReadOptions::new())?.into_settings();
    /// let mut stream = settings.connect(server)?;
    /// stream.write_all(b"hello")?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn connect(&self, addr: impl fmt::Display) -> io::Result<MaybeTlsStream> {
        let addr = addr.to_string();
        self.wrap(&addr, || Stream::connect_with(addr.as_str(), &self.config))
    }

    /// Connects over this endpoint's socket, beside all others. The endpoint's own
    /// [`Config`](crate::Config) holds for it; what is used of these settings is TLS.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the endpoint has another header or security than these settings; those of
    /// [`Endpoint::connect`], else as [`connect`](Self::connect).
    pub fn connect_over(
        &self,
        endpoint: &Endpoint,
        addr: impl fmt::Display,
    ) -> io::Result<MaybeTlsStream> {
        self.check_endpoint(endpoint)?;
        let addr = addr.to_string();
        self.wrap(&addr, || endpoint.connect(addr.as_str()))
    }

    /// Reads the certificates and authorities of a client now, instead of at the first connection,
    /// so that a program can tell at its start that a file is broken. Without TLS it does nothing.
    ///
    /// What was read is kept, for clones too. After an error the next connection tries again.
    ///
    /// # Errors
    ///
    /// Those of [`TlsSettings::client_config`].
    ///
    /// ```
    /// use mkcp::{Config, v2ray::{StreamSettings, TlsSettings}};
    ///
    /// let settings = StreamSettings::new(Config::default());
    /// settings.load_client()?;
    /// let tls = TlsSettings::client("example.org").with_root_file("/no/such.crt");
    /// let error = settings.with_tls(tls).load_client().unwrap_err();
    /// assert!(error.to_string().starts_with("/no/such.crt: "));
    /// # std::io::Result::Ok(())
    /// ```
    pub fn load_client(&self) -> io::Result<()> {
        match &self.tls {
            Some(settings) => self.client_config(settings).map(drop),
            None => Ok(()),
        }
    }

    /// Everything that can fail by the settings alone does so before anything is opened.
    fn wrap(
        &self,
        addr: &str,
        open: impl FnOnce() -> io::Result<Stream>,
    ) -> io::Result<MaybeTlsStream> {
        let Some(settings) = &self.tls else {
            return open().map(MaybeTlsStream::Plain);
        };
        let name = settings.server_name(split_host_port(addr).0)?;
        let config = self.client_config(settings)?;
        tls::connect(open()?, config, name).map(MaybeTlsStream::Tls)
    }

    fn client_config(&self, settings: &TlsSettings) -> io::Result<Arc<ClientConfig>> {
        if let Some(config) = self.client.get() {
            return Ok(Arc::clone(config));
        }
        let config = AssertUnwindSafe(settings.client_config()?);
        Ok(Arc::clone(self.client.get_or_init(|| config)))
    }
}

impl MaybeTlsStream {
    /// The stream under TLS, or the stream. Bytes that are read from or written to it bypass TLS.
    pub fn get_ref(&self) -> &Stream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.get_ref(),
        }
    }

    /// The address of the peer.
    /// Never fails.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.get_ref().peer_addr()
    }

    /// The address of the socket that carries the stream.
    /// Never fails.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.get_ref().local_addr()
    }

    /// Completes the handshake of TLS, if reading and writing have not done so yet:
    /// [`TlsStream::handshake`]. Without TLS there is none to wait for.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn handshake(&self) -> io::Result<()> {
        match self {
            Self::Plain(_) => Ok(()),
            Self::Tls(stream) => stream.handshake(),
        }
    }

    /// Another handle for the same stream.
    /// Never fails.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(match self {
            Self::Plain(stream) => Self::Plain(stream.try_clone()?),
            Self::Tls(stream) => Self::Tls(stream.try_clone()?),
        })
    }

    /// Ends reading, writing or both: [`Stream::shutdown`] or [`TlsStream::shutdown`].
    ///
    /// # Errors
    ///
    /// Those of the latter.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.shutdown(how),
            Self::Tls(stream) => stream.shutdown(how),
        }
    }

    /// Ends the stream and waits until the peer has everything: [`Stream::close`] or
    /// [`TlsStream::close`].
    ///
    /// # Errors
    ///
    /// As those.
    pub fn close(self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.close(),
            Self::Tls(stream) => stream.close(),
        }
    }

    /// What the TLS handshake came to; `None` without TLS, or before it is done.
    pub fn tls_info(&self) -> Option<TlsInfo> {
        match self {
            Self::Plain(_) => None,
            Self::Tls(stream) => stream.tls_info(),
        }
    }
}

impl From<Stream> for MaybeTlsStream {
    fn from(stream: Stream) -> Self {
        Self::Plain(stream)
    }
}

impl From<TlsStream> for MaybeTlsStream {
    fn from(stream: TlsStream) -> Self {
        Self::Tls(stream)
    }
}

impl Read for &MaybeTlsStream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            MaybeTlsStream::Plain(stream) => (&*stream).read(buf),
            MaybeTlsStream::Tls(stream) => (&*stream).read(buf),
        }
    }

    fn read_vectored(&mut self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        match self {
            MaybeTlsStream::Plain(stream) => (&*stream).read_vectored(bufs),
            MaybeTlsStream::Tls(stream) => (&*stream).read_vectored(bufs),
        }
    }
}

impl Write for &MaybeTlsStream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self {
            MaybeTlsStream::Plain(stream) => (&*stream).write(buf),
            MaybeTlsStream::Tls(stream) => (&*stream).write(buf),
        }
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            MaybeTlsStream::Plain(stream) => (&*stream).write_vectored(bufs),
            MaybeTlsStream::Tls(stream) => (&*stream).write_vectored(bufs),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            MaybeTlsStream::Plain(stream) => (&*stream).flush(),
            MaybeTlsStream::Tls(stream) => (&*stream).flush(),
        }
    }
}

impl Read for MaybeTlsStream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        (&*self).read(buf)
    }

    fn read_vectored(&mut self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        (&*self).read_vectored(bufs)
    }
}

impl Write for MaybeTlsStream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        (&*self).write(buf)
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        (&*self).write_vectored(bufs)
    }

    fn flush(&mut self) -> io::Result<()> {
        (&*self).flush()
    }
}
