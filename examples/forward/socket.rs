//! One end of a forwarded connection, of whatever kind.

#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpStream},
    time::Duration,
};

use mkcp::{ConnectionError, ConnectionStats, Stream, v2ray::MaybeTlsStream};
use socket2::{SockRef, TcpKeepalive};

/// How long a write to a socket of the system waits before it is asked whether to go on:
/// such a write cannot be woken.
const PATIENCE: Duration = Duration::from_secs(1);
/// After which silence a TCP peer is asked whether it is still there.
const KEEPALIVE: Duration = Duration::from_secs(60);
/// How long the rest of what an mKCP connection carries may take. A peer that is gone is found out
/// much earlier; a slow path may need minutes for a full buffer.
const LINGER: Duration = Duration::from_secs(300);

#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
    Mkcp(MaybeTlsStream),
}

impl Socket {
    /// Until it is closed by [`close`](Self::close), dropping the socket resets the connection:
    /// whatever happens to this process, the peer does not take a part for the whole.
    pub(crate) fn tcp(stream: TcpStream) -> io::Result<Self> {
        let socket = SockRef::from(&stream);
        socket.set_linger(Some(Duration::ZERO))?;
        socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE))?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self::Tcp(stream))
    }

    #[cfg(unix)]
    pub(crate) fn unix(stream: UnixStream) -> io::Result<Self> {
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self::Unix(stream))
    }

    /// Completes the handshake, if there is to be TLS.
    pub(crate) fn handshake(&self) -> io::Result<()> {
        match self {
            Self::Mkcp(MaybeTlsStream::Tls(stream)) => stream.handshake(),
            _ => Ok(()),
        }
    }

    /// Whether the peer can be told the end of one direction while the other goes on.
    pub(crate) fn can_half_close(&self) -> bool {
        !matches!(self, Self::Mkcp(MaybeTlsStream::Plain(_)))
    }

    /// Tells the peer that nothing more will come, if that can be told by itself.
    pub(crate) fn end_writing(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Write),
            #[cfg(unix)]
            Self::Unix(stream) => stream.shutdown(Shutdown::Write),
            Self::Mkcp(_) if !self.can_half_close() => Ok(()),
            Self::Mkcp(stream) => stream.shutdown(Shutdown::Write),
        }
    }

    /// Readers get what has come, and then end of file. The peer does not learn of it.
    pub(crate) fn end_reading(&self) {
        let result = match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Read),
            #[cfg(unix)]
            Self::Unix(stream) => stream.shutdown(Shutdown::Read),
            Self::Mkcp(stream) => stream.shutdown(Shutdown::Read),
        };
        if let Err(error) = result {
            log::debug!("{self:?}: {error}"); // It has ended already.
        }
    }

    /// Ends everything; readers and writers return soon. The peer gets a reset, at the latest when
    /// the socket is dropped. A Unix socket has nothing of the kind.
    pub(crate) fn abort(&self) {
        match self.mkcp() {
            Some(stream) => stream.reset(),
            None => self.end_reading(),
        }
    }

    /// From now on the rest of what an mKCP connection carries has [`LINGER`]. That is to be said
    /// before its end: the time that it has then is what it gets.
    pub(crate) fn allow_time(&self) {
        self.set_linger(Some(LINGER));
    }

    fn set_linger(&self, linger: Option<Duration>) {
        if let Some(Err(error)) = self.mkcp().map(|stream| stream.set_linger(linger)) {
            log::debug!("{self:?}: {error}");
        }
    }

    /// Tells an mKCP peer that it is over, which it hears once it has all. [`close`](Self::close)
    /// does the rest.
    pub(crate) fn begin_close(&self) {
        if let Self::Mkcp(stream) = self
            && let Err(error) = stream.shutdown(Shutdown::Both)
        {
            log::debug!("{self:?}: {error}"); // Closing shows it too.
        }
    }

    /// Ends everything in order. Over mKCP that waits until the peer has all, for as long as it
    /// shows life, within [`LINGER`]; otherwise the system delivers in the background.
    pub(crate) fn close(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => SockRef::from(stream).set_linger(None),
            #[cfg(unix)]
            Self::Unix(_) => Ok(()),
            Self::Mkcp(stream) => {
                let result = stream.try_clone()?.close();
                self.set_linger(None); // Dropping it would wait once more.
                result
            }
        }
    }

    /// Whether this was connected and is not any more.
    pub(crate) fn is_disconnected(&self) -> bool {
        match self {
            Self::Tcp(stream) => stream.peer_addr().is_err(),
            _ => false,
        }
    }

    /// An error that the system has noted and told nobody.
    pub(crate) fn take_error(&self) -> Option<io::Error> {
        match self {
            Self::Tcp(stream) => stream.take_error().ok().flatten(),
            _ => None,
        }
    }

    /// Whether this error of writing says that the peer closed in order: what it sent before is
    /// still to be read, to its end.
    pub(crate) fn is_closed_by_peer(&self, error: &io::Error) -> bool {
        match self.mkcp() {
            None => error.kind() == io::ErrorKind::BrokenPipe,
            Some(_) => {
                let reason = error.get_ref().and_then(|error| error.downcast_ref());
                reason == Some(&ConnectionError::PeerClosed)
            }
        }
    }

    /// Bytes that were written and that the peer has not acknowledged, as far as is known.
    pub(crate) fn undelivered(&self) -> u64 {
        self.stats().map_or(0, |stats| stats.send_queue)
    }

    pub(crate) fn stats(&self) -> Option<ConnectionStats> {
        self.mkcp().map(Stream::stats)
    }

    pub(crate) fn mkcp(&self) -> Option<&Stream> {
        match self {
            Self::Tcp(_) => None,
            #[cfg(unix)]
            Self::Unix(_) => None,
            Self::Mkcp(stream) => Some(stream.get_ref()),
        }
    }
}

impl Read for &Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(stream) => (&*stream).read(buffer),
            #[cfg(unix)]
            Socket::Unix(stream) => (&*stream).read(buffer),
            Socket::Mkcp(stream) => (&*stream).read(buffer),
        }
    }
}

impl Write for &Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(stream) => (&*stream).write(bytes),
            #[cfg(unix)]
            Socket::Unix(stream) => (&*stream).write(bytes),
            Socket::Mkcp(stream) => (&*stream).write(bytes),
        }
    }

    /// Nothing is held back here.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
