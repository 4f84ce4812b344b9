//! HTTP over mKCP: a connector for ureq 3.
//!
//! ureq asks for three things beyond reading and writing, and a stream of mkcp has them: timeouts
//! that can be set before every call, a look whether an idle connection is still good, and a way
//! to free a blocked call from another thread.

use std::{
    fmt,
    io::{self, ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr},
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use mkcp::{
    Config, Stream,
    tls::{
        self, TlsStream,
        rustls::{ClientConfig, pki_types::ServerName},
    },
};
use ureq::{
    Error, Timeout,
    unversioned::transport::{
        Buffers, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout, ShutdownHandle,
        Transport,
    },
};

use crate::duplex::Duplex;

/// How long all addresses of a host may take to answer if ureq has no limit for that.
const CONNECT: Duration = Duration::from_secs(10);

/// Opens the connections of a [`ureq::Agent`] over mKCP: `http` as a [`Stream`], `https` as a
/// [`TlsStream`].
///
/// ```no_run
/// # fn main() -> Result<(), ureq::Error> {
/// use ureq::{Agent, unversioned::resolver::DefaultResolver};
/// use mkcp_ecosystem::MkcpConnector;
///
/// let connector = MkcpConnector::new(mkcp::Config::default());
/// let config = Agent::config_builder().build();
/// let agent = Agent::with_parts(config, connector, DefaultResolver::default());
/// let text = agent.get("http://localhost:4433/").call()?.body_mut().read_to_string()?;
/// # Ok(())
/// # }
/// ```
pub struct MkcpConnector {
    config: Config,
    tls: Option<Arc<ClientConfig>>,
}

impl MkcpConnector {
    /// For `http` alone.
    pub fn new(config: Config) -> Self {
        Self { config, tls: None }
    }

    /// For `https` too. The protocols that `tls` offers (ALPN) should be `http/1.1` or none: ureq
    /// speaks no other.
    pub fn with_tls(config: Config, tls: Arc<ClientConfig>) -> Self {
        Self {
            config,
            tls: Some(tls),
        }
    }

    /// Tries one address after the other. mKCP has no handshake, so the first that answers counts.
    fn open(&self, addresses: &[SocketAddr], limit: Duration) -> io::Result<Stream> {
        let started = Instant::now();
        let mut failure = io::Error::from(ErrorKind::AddrNotAvailable);
        for (tried, address) in addresses.iter().enumerate() {
            let left = limit.saturating_sub(started.elapsed());
            let share = left / (addresses.len() - tried) as u32;
            if share.is_zero() {
                return Err(ErrorKind::TimedOut.into());
            }
            match Stream::connect_timeout(address, &self.config, share) {
                Ok(stream) => return Ok(stream),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }
}

impl Connector for MkcpConnector {
    type Out = Either<MkcpTransport<Stream>, MkcpTransport<TlsStream>>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        _chained: Option<()>,
    ) -> Result<Option<Self::Out>, Error> {
        let timeout = details.timeout.not_zero();
        let limit = timeout.map_or(CONNECT, |timeout| *timeout);
        let to_ureq = |error: io::Error| match error.kind() {
            ErrorKind::TimedOut => Error::Timeout(details.timeout.reason),
            _ => error.into(),
        };
        let started = Instant::now();
        let stream = self.open(&details.addrs, limit).map_err(to_ureq)?;
        stream.set_nodelay(details.config.no_delay())?;
        if !details.needs_tls() {
            return Ok(Some(Either::A(MkcpTransport::new(stream, details)?)));
        }
        let Some(config) = &self.tls else {
            return Err(Error::TlsRequired);
        };
        let host = details.uri.host().unwrap_or_default();
        let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned())
            .map_err(|error| io::Error::new(ErrorKind::InvalidInput, error))?;
        let stream = tls::connect(stream, Arc::clone(config), name)?;
        stream.set_handshake_timeout(Some(limit.saturating_sub(started.elapsed())));
        let transport = MkcpTransport::new(stream, details)?;
        // Here, so that what is wrong with it is an error of connecting.
        transport.stream().handshake().map_err(to_ureq)?;
        Ok(Some(Either::B(transport)))
    }
}

impl fmt::Debug for MkcpConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MkcpConnector").finish_non_exhaustive()
    }
}

/// One connection of a [`MkcpConnector`].
#[derive(Debug)]
pub struct MkcpTransport<S> {
    stream: Arc<Stoppable<S>>,
    buffers: LazyBuffers,
    is_tls: bool,
}

impl<S: Duplex> MkcpTransport<S> {
    fn new(stream: S, details: &ConnectionDetails<'_>) -> Result<Self, Error> {
        let stream = Arc::new(Stoppable(stream));
        let weak: Weak<Stoppable<S>> = Arc::downgrade(&stream);
        (details.register_shutdown)(weak)?;
        let config = details.config;
        Ok(Self {
            stream,
            buffers: LazyBuffers::new(config.input_buffer_size(), config.output_buffer_size()),
            is_tls: details.needs_tls(),
        })
    }

    fn stream(&self) -> &S {
        &self.stream.0
    }
}

impl<S: Duplex> Transport for MkcpTransport<S> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        let timeout = timeout.for_write();
        let limit = limit(&timeout)?;
        let stream = &self.stream.0;
        stream.stream().set_write_timeout(limit)?;
        stream
            .shared()
            .write_all(&self.buffers.output()[..amount])
            .map_err(|error| to_ureq(error, timeout.reason))
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let timeout = timeout.for_read();
        let limit = limit(&timeout)?;
        let stream = &self.stream.0;
        stream.stream().set_read_timeout(limit)?;
        let count = stream
            .shared()
            .read(self.buffers.input_append_buf())
            .map_err(|error| to_ureq(error, timeout.reason))?;
        self.buffers.input_appended(count);
        Ok(count > 0)
    }

    /// An idle connection is good if there is nothing to read from it, not even an end.
    fn is_open(&mut self) -> bool {
        let stream = self.stream();
        let look = || {
            stream.stream().set_nonblocking(true)?;
            let found = stream.shared().read(&mut [0]);
            stream.stream().set_nonblocking(false)?;
            found
        };
        look().is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    }

    fn is_tls(&self) -> bool {
        self.is_tls
    }
}

/// Lets [`Agent::shutdown`](ureq::Agent::shutdown) free whoever waits for the stream.
#[derive(Debug)]
struct Stoppable<S>(S);

impl<S: Duplex> ShutdownHandle for Stoppable<S> {
    fn shutdown(&self) {
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

/// The timeout for one call of the stream, which refuses zero.
fn limit(timeout: &NextTimeout) -> Result<Option<Duration>, Error> {
    if timeout.after.is_zero() {
        return Err(Error::Timeout(timeout.reason));
    }
    Ok(timeout.not_zero().map(|limit| *limit))
}

/// A deadline that has passed is a timeout of ureq's. One that carries a cause is none: there the
/// connection itself has ended, because the peer is gone.
fn to_ureq(error: io::Error, reason: Timeout) -> Error {
    if error.kind() == ErrorKind::TimedOut && error.get_ref().is_none() {
        Error::Timeout(reason)
    } else {
        error.into()
    }
}
