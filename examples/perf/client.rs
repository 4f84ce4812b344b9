//! What all clients have in common: where they connect to, over which sockets, with TLS or not.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use mkcp::{Config, Endpoint, Stream, v2ray::MaybeTlsStream};

use crate::{
    endpoint::Machinery,
    tls,
    transport::{self, Transport},
};

/// Conversations that one socket can have with one server.
const CONVERSATIONS: u64 = 65_536;
/// For how long sessions may take to end.
const FAREWELL: Duration = Duration::from_secs(5);

/// The server, and the way to it.
#[derive(clap::Args)]
pub(crate) struct Target {
    /// UDP address of the server
    #[arg(long, value_name = "ADDR", value_parser = transport::address)]
    connect: SocketAddr,

    /// Sockets that all streams share, each with threads of its own [default: a socket for each
    /// stream and one thread for all; 1 for idle and where the following are asked for]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    sockets: Option<u16>,

    /// TLS inside the streams, to a server whose certificate for "localhost" is in this PEM file;
    /// `serve --tls FILE` writes it
    #[arg(long, value_name = "FILE")]
    tls: Option<PathBuf>,

    #[command(flatten)]
    machinery: Machinery,

    #[command(flatten)]
    transport: Transport,
}

/// Opens streams to the server.
pub(crate) struct Client {
    server: SocketAddr,
    config: Config,
    /// None if each stream has a socket of its own.
    endpoints: Vec<Endpoint>,
    next: AtomicUsize,
    tls: Option<tls::Client>,
}

impl Target {
    pub(crate) fn open(&self) -> io::Result<Client> {
        let implied = u16::from(self.machinery.is_given());
        self.open_with(self.sockets.unwrap_or(implied))
    }

    /// As `open`, for streams that share sockets in any case.
    pub(crate) fn open_shared(&self, streams: u32) -> io::Result<Client> {
        let sockets = self.sockets.unwrap_or(1);
        let most = u64::from(sockets) * CONVERSATIONS;
        if u64::from(streams) > most {
            transport::bad_usage(format!(
                "streams is {streams}, must be at most {most} with --sockets {sockets}"
            ));
        }
        self.open_with(sockets)
    }

    fn open_with(&self, sockets: u16) -> io::Result<Client> {
        let config = self.transport.config();
        let any: SocketAddr = match self.connect {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let bind = |_| {
            let builder = Endpoint::builder().config(config.clone());
            self.machinery.apply(builder).bind(any)
        };
        Ok(Client {
            server: self.connect,
            endpoints: (0..sockets).map(bind).collect::<io::Result<_>>()?,
            config,
            next: AtomicUsize::new(0),
            tls: self.tls.as_deref().map(tls::Client::trusting).transpose()?,
        })
    }
}

impl Client {
    /// Opens a stream, over the sockets in turn.
    pub(crate) fn connect(&self) -> io::Result<MaybeTlsStream> {
        let stream = if self.endpoints.is_empty() {
            Stream::connect_with(self.server, &self.config)?
        } else {
            let turn = self.next.fetch_add(1, Ordering::Relaxed);
            self.endpoints[turn % self.endpoints.len()].connect(self.server)?
        };
        match &self.tls {
            Some(tls) => tls.wrap(stream).map(MaybeTlsStream::from),
            None => Ok(stream.into()),
        }
    }

    /// Ends what is left. Peers written in Go do not confirm an end, so that it may fail.
    pub(crate) fn shut_down(self) {
        for endpoint in self.endpoints {
            if let Err(error) = endpoint.shutdown(FAREWELL) {
                log::debug!("{error}");
            }
        }
    }
}
