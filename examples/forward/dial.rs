//! Where connections go.

use std::{
    fmt, io,
    net::{TcpStream, ToSocketAddrs},
    time::{Duration, Instant},
};
#[cfg(unix)]
use std::{os::unix::net::UnixStream, path::PathBuf};

use mkcp::Endpoint;

use crate::{address::Place, carrier::Client, plan::End, socket::Socket};

/// A target of any kind.
pub(crate) enum Exit {
    Tcp(Place, Duration),
    #[cfg(unix)]
    Unix(PathBuf),
    Mkcp(Box<Client>),
}

impl Exit {
    /// Nothing is sent yet, and no name looked up. `timeout` is for TCP.
    pub(crate) fn open(end: &End, timeout: Duration) -> io::Result<Self> {
        Ok(match end {
            End::Tcp(place) => Self::Tcp(place.clone(), timeout),
            #[cfg(unix)]
            End::Unix(path) => Self::Unix(path.clone()),
            End::Mkcp(place, settings) => Self::Mkcp(Client::open(place, settings)?.into()),
        })
    }

    /// Connects. Over mKCP that does not wait for an answer.
    pub(crate) fn connect(&self) -> io::Result<Socket> {
        match self {
            Self::Tcp(place, timeout) => Socket::tcp(connect_tcp(place, *timeout)?),
            #[cfg(unix)]
            Self::Unix(path) => Socket::unix(UnixStream::connect(path)?),
            Self::Mkcp(client) => Ok(Socket::Mkcp(client.connect()?)),
        }
    }

    /// The UDP socket, if there is one.
    pub(crate) fn endpoint(&self) -> Option<&Endpoint> {
        match self {
            Self::Mkcp(client) => Some(client.endpoint()),
            _ => None,
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(place, _) => write!(f, "tcp://{place}"),
            #[cfg(unix)]
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Mkcp(client) => client.fmt(f),
        }
    }
}

/// Tries one address after the other within the time.
fn connect_tcp(place: &Place, timeout: Duration) -> io::Result<TcpStream> {
    let started = Instant::now();
    let mut refused = None;
    for address in place.pair().to_socket_addrs()? {
        let left = timeout.saturating_sub(started.elapsed());
        if left.is_zero() {
            break;
        }
        match TcpStream::connect_timeout(&address, left) {
            Ok(stream) => return Ok(stream),
            Err(error) => refused = Some(error),
        }
    }
    Err(refused.unwrap_or_else(|| io::ErrorKind::TimedOut.into()))
}
