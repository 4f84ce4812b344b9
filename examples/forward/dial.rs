//! Where connections go.

use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpStream, ToSocketAddrs},
    time::{Duration, Instant},
};
#[cfg(unix)]
use std::{os::unix::net::UnixStream, path::PathBuf};

use mkcp::Endpoint;

use crate::{
    address::{Address, Place},
    carrier::Carrier,
    socket::Socket,
};

/// A target of any kind.
pub(crate) enum Exit {
    Tcp(Place, Duration),
    #[cfg(unix)]
    Unix(PathBuf),
    /// All connections share the endpoint.
    Mkcp(Place, Carrier, Endpoint),
}

impl Exit {
    /// Nothing is sent yet, and no name looked up. `timeout` is for TCP.
    pub(crate) fn open(address: &Address, carrier: Carrier, timeout: Duration) -> io::Result<Self> {
        Ok(match address {
            Address::Tcp(place) => Self::Tcp(place.clone(), timeout),
            #[cfg(unix)]
            Address::Unix(path) => Self::Unix(path.clone()),
            Address::Mkcp(place, _) => {
                let endpoint = open_endpoint(place, &carrier)?;
                Self::Mkcp(place.clone(), carrier, endpoint)
            }
        })
    }

    /// Connects. Over mKCP that does not wait for an answer.
    pub(crate) fn connect(&self) -> io::Result<Socket> {
        match self {
            Self::Tcp(place, timeout) => Socket::tcp(connect_tcp(place, *timeout)?),
            #[cfg(unix)]
            Self::Unix(path) => Socket::unix(UnixStream::connect(path)?),
            Self::Mkcp(place, carrier, endpoint) => carrier.connect_over(endpoint, place),
        }
    }

    /// The UDP socket, if there is one.
    pub(crate) fn endpoint(&self) -> Option<&Endpoint> {
        match self {
            Self::Mkcp(_, _, endpoint) => Some(endpoint),
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
            Self::Mkcp(place, ..) => write!(f, "mkcp://{place}"),
        }
    }
}

/// A socket for the family of the target, or for both if that is known only later.
fn open_endpoint(target: &Place, carrier: &Carrier) -> io::Result<Endpoint> {
    let bind = |address: IpAddr| {
        Endpoint::builder()
            .config(carrier.config().clone())
            .bind((address, 0))
    };
    match target.host.parse() {
        Ok(IpAddr::V4(_)) => bind(Ipv4Addr::UNSPECIFIED.into()),
        Ok(IpAddr::V6(_)) => bind(Ipv6Addr::UNSPECIFIED.into()),
        Err(_) => {
            bind(Ipv6Addr::UNSPECIFIED.into()).or_else(|_| bind(Ipv4Addr::UNSPECIFIED.into()))
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
