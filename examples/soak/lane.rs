//! The ways from client to server: each has a header, a security, TLS or not, and an address.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use mkcp::{
    Config, Endpoint, EndpointStats, Header, Listener, Stream,
    tls::{self as mkcp_tls, rustls::ServerConfig},
    v2ray::MaybeTlsStream,
};

use crate::{
    forgery::Forger,
    relay::{Exit, Relay},
    tls,
};

/// Short, so that pings have their part.
const KEEPALIVE: Duration = Duration::from_secs(1);
/// Small, because there are many sessions, and so that writers have to wait.
const READ_BUFFER: usize = 1024 * 1024;
const WRITE_BUFFER: usize = 256 * 1024;
/// All clients may come at once.
const BACKLOG: usize = 4096;
/// For how long sessions may take to end when all is over.
const FAREWELL: Duration = Duration::from_secs(5);

/// What makes a lane.
struct Plan {
    name: &'static str,
    header: Header,
    seed: Option<&'static str>,
    has_tls: bool,
    /// All clients over one socket, or a socket for each.
    shares_socket: bool,
    /// Without a seed the checksum can be forged; TLS must find that out.
    is_forged: bool,
}

const PLANS: [Plan; 6] = [
    Plan {
        name: "simple",
        header: Header::None,
        seed: None,
        has_tls: false,
        shares_socket: false,
        is_forged: false,
    },
    Plan {
        name: "simple-utp-shared",
        header: Header::Utp,
        seed: None,
        has_tls: false,
        shares_socket: true,
        is_forged: false,
    },
    Plan {
        name: "seed-srtp",
        header: Header::Srtp,
        seed: Some("soak"),
        has_tls: false,
        shares_socket: false,
        is_forged: false,
    },
    Plan {
        name: "seed-wechat-tls-shared",
        header: Header::WechatVideo,
        seed: Some(""),
        has_tls: true,
        shares_socket: true,
        is_forged: false,
    },
    Plan {
        name: "simple-dtls-tls-forged",
        header: Header::Dtls,
        seed: None,
        has_tls: true,
        shares_socket: false,
        is_forged: true,
    },
    Plan {
        name: "simple-wireguard-tls-shared-forged",
        header: Header::Wireguard,
        seed: None,
        has_tls: true,
        shares_socket: true,
        is_forged: true,
    },
];

/// The two sides of TLS.
struct Certified {
    server: Arc<ServerConfig>,
    client: tls::Client,
}

pub(crate) struct Lane {
    plan: &'static Plan,
    config: Config,
    server: Endpoint,
    pub(crate) listener: Listener,
    /// Where clients send to: the relay.
    entrance: SocketAddr,
    /// None if each client has a socket of its own.
    clients: Option<Endpoint>,
    certified: Option<Arc<Certified>>,
}

/// Opens all lanes, each through the relay that `relay` starts.
pub(crate) fn open_all(
    patience: Duration,
    relay: impl FnOnce(Vec<Exit>) -> io::Result<Relay>,
) -> io::Result<(Vec<Lane>, Relay)> {
    let certified = Arc::new(certify()?);
    let lanes = PLANS.iter().map(|plan| plan.open(patience, &certified));
    let mut lanes: Vec<_> = lanes.collect::<io::Result<_>>()?;
    let exits = lanes.iter().map(Lane::exit).collect::<io::Result<_>>()?;
    let relay = relay(exits)?;
    for (lane, &entrance) in lanes.iter_mut().zip(&relay.entrances) {
        lane.entrance = entrance;
    }
    Ok((lanes, relay))
}

fn certify() -> io::Result<Certified> {
    let file = tempfile::NamedTempFile::new()?;
    Ok(Certified {
        server: tls::server(file.path())?,
        client: tls::Client::trusting(file.path())?,
    })
}

impl Plan {
    fn open(&'static self, patience: Duration, certified: &Arc<Certified>) -> io::Result<Lane> {
        let mut config = Config::builder()
            .header(self.header.clone())
            .keepalive(KEEPALIVE)
            .idle_timeout(patience.max(6 * KEEPALIVE))
            .linger(patience)
            .read_buffer(READ_BUFFER)
            .write_buffer(WRITE_BUFFER);
        if let Some(seed) = self.seed {
            config = config.seed(seed);
        }
        let config = config.build()?;
        let bind = || {
            let builder = Endpoint::builder().config(config.clone());
            builder
                .accept_backlog(BACKLOG)
                .bind((Ipv4Addr::LOCALHOST, 0))
        };
        let server = bind()?;
        Ok(Lane {
            plan: self,
            listener: server.listen()?,
            entrance: server.local_addr()?,
            server,
            clients: self.shares_socket.then(bind).transpose()?,
            certified: self.has_tls.then(|| Arc::clone(certified)),
            config,
        })
    }
}

impl Lane {
    pub(crate) fn name(&self) -> &'static str {
        self.plan.name
    }

    pub(crate) fn is_forged(&self) -> bool {
        self.plan.is_forged
    }

    fn exit(&self) -> io::Result<Exit> {
        Ok(Exit {
            server: self.server.local_addr()?,
            forger: self.plan.is_forged.then(|| Forger::new(&self.plan.header)),
        })
    }

    pub(crate) fn connect(&self) -> io::Result<MaybeTlsStream> {
        let stream = match &self.clients {
            Some(endpoint) => endpoint.connect(self.entrance)?,
            None => Stream::connect_with(self.entrance, &self.config)?,
        };
        match &self.certified {
            Some(certified) => certified.client.wrap(stream).map(MaybeTlsStream::from),
            None => Ok(stream.into()),
        }
    }

    /// The server's side of a stream.
    pub(crate) fn accept(&self, stream: Stream) -> io::Result<MaybeTlsStream> {
        match &self.certified {
            Some(certified) => {
                mkcp_tls::accept(stream, Arc::clone(&certified.server)).map(MaybeTlsStream::from)
            }
            None => Ok(stream.into()),
        }
    }

    /// What each endpoint has done, the server's first.
    pub(crate) fn stats(&self) -> impl Iterator<Item = EndpointStats> {
        let endpoints = [Some(&self.server), self.clients.as_ref()];
        endpoints.into_iter().flatten().map(Endpoint::stats)
    }

    pub(crate) fn sessions(&self) -> u64 {
        self.stats().map(|stats| stats.sessions).sum()
    }

    /// Ends both sides.
    ///
    /// # Errors
    ///
    /// Something was left that could not be delivered.
    pub(crate) fn shut_down(self) -> io::Result<()> {
        drop(self.listener);
        self.clients
            .map_or(Ok(()), |endpoint| endpoint.shutdown(FAREWELL))?;
        self.server.shutdown(FAREWELL)
    }
}
