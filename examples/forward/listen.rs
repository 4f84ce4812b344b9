//! Where connections come in.

#[cfg(unix)]
use std::{
    fs,
    os::unix::{
        fs::FileTypeExt,
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
};
use std::{
    io,
    net::{Shutdown, TcpListener},
    sync::atomic::{AtomicBool, Ordering},
};

use mkcp::Endpoint;
use socket2::SockRef;

use crate::{carrier::Server, plan::End, socket::Socket};

/// A listening socket of any kind.
pub(crate) struct Entrance {
    kind: Kind,
    closed: AtomicBool,
}

enum Kind {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(UnixListener, PathBuf),
    Mkcp(Server),
}

/// Why there is no connection.
pub(crate) enum Refusal {
    /// The entrance has been closed.
    Closed,
    /// This time; the next may do.
    Once(io::Error),
    /// For good.
    Broken(io::Error),
}

impl Entrance {
    pub(crate) fn open(end: &End) -> io::Result<Self> {
        let kind = match end {
            End::Tcp(place) => Kind::Tcp(TcpListener::bind(place.pair())?),
            #[cfg(unix)]
            End::Unix(path) => Kind::Unix(listen_at(path)?, path.clone()),
            End::Mkcp(place, settings) => Kind::Mkcp(Server::open(place, settings)?),
        };
        Ok(Self {
            kind,
            closed: AtomicBool::new(false),
        })
    }

    /// Where it listens, as text.
    pub(crate) fn local_name(&self) -> io::Result<String> {
        Ok(match &self.kind {
            Kind::Tcp(listener) => listener.local_addr()?.to_string(),
            #[cfg(unix)]
            Kind::Unix(_, path) => path.display().to_string(),
            Kind::Mkcp(server) => server.listener().local_addr()?.to_string(),
        })
    }

    /// Waits for the next connection, and gives it with the name of its peer.
    pub(crate) fn accept(&self) -> Result<(Socket, String), Refusal> {
        let accepted = match &self.kind {
            Kind::Tcp(listener) => listener
                .accept()
                .and_then(|(stream, peer)| Ok((Socket::tcp(stream)?, peer.to_string()))),
            #[cfg(unix)]
            Kind::Unix(listener, path) => listener
                .accept()
                .and_then(|(stream, _)| Ok((Socket::unix(stream)?, path.display().to_string()))),
            Kind::Mkcp(server) => server
                .accept()
                .map(|(stream, peer)| (Socket::Mkcp(stream), peer)),
        };
        match accepted {
            _ if self.closed.load(Ordering::SeqCst) => Err(Refusal::Closed),
            Ok(accepted) => Ok(accepted),
            Err(error) if matches!(self.kind, Kind::Mkcp(_)) => Err(Refusal::Broken(error)),
            Err(error) => Err(Refusal::Once(error)),
        }
    }

    /// Accepts nothing more, and removes the file of a Unix socket.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        // Linux wakes who waits for a connection. Elsewhere the next one to come is turned away.
        let result = match &self.kind {
            Kind::Tcp(listener) => SockRef::from(listener).shutdown(Shutdown::Both),
            #[cfg(unix)]
            Kind::Unix(listener, path) => SockRef::from(listener)
                .shutdown(Shutdown::Both)
                .and_then(|()| fs::remove_file(path)),
            Kind::Mkcp(server) => {
                server.listener().close();
                Ok(())
            }
        };
        if let Err(error) = result {
            log::debug!("closing the entrance: {error}");
        }
    }

    /// The UDP socket, if there is one.
    pub(crate) fn endpoint(&self) -> Option<&Endpoint> {
        match &self.kind {
            Kind::Mkcp(server) => Some(server.listener().endpoint()),
            _ => None,
        }
    }
}

/// Binds to a path; a file there is replaced only if it is a socket at which nobody listens.
#[cfg(unix)]
fn listen_at(path: &Path) -> io::Result<UnixListener> {
    let in_use = match UnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => error,
        result => return result,
    };
    if !fs::symlink_metadata(path)?.file_type().is_socket() {
        let text = format!("{} is there, and it is no socket", path.display());
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
        _ => return Err(in_use),
    }
    log::info!("{} was left behind and is replaced", path.display());
    fs::remove_file(path)?;
    UnixListener::bind(path)
}
