//! What both transports can do, and the list of what they do differently.

use std::{
    fmt::Debug,
    io::{self, ErrorKind, IoSlice, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs},
    sync::{Arc, LazyLock},
    thread,
    time::Duration,
};

use mkcp::{
    Config,
    tls::{
        self, TlsListener, TlsStream,
        rustls::{ClientConfig, ServerConfig},
    },
};

use crate::identity::Identity;

/// Where `mkcp` differs from `std::net` on purpose. This is the whole list, together with what
/// `ours.rs` shows: `accept` can be stopped and timed, options reach calls that are blocked, and
/// `shutdown(Write)` is not told to the peer before reading has ended too.
#[derive(Debug)]
pub struct Manners {
    /// What a deadline that passes gives. TCP: what the system calls it. `mkcp`: `TimedOut`, for
    /// `WouldBlock` belongs to non-blocking mode.
    pub deadline: ErrorKind,
    /// Whether a read into an empty buffer waits for bytes that it does not take. Linux does that.
    pub empty_read_waits: bool,
    /// Whether `connect` waits for the peer. mKCP has no handshake, so a closed port shows only
    /// in the first read.
    pub connect_waits: bool,
    /// Whether the error that cut a stream is given by every read after it. TCP gives it once and
    /// then what looks like a regular end of file.
    pub errors_repeat: bool,
    /// What writing gives after the peer has reset the connection and a read has said so.
    pub write_after_reset: ErrorKind,
}

/// A way to connect two streams.
pub trait Transport: 'static {
    type Stream: Stream;
    type Listener: Listener<Stream = Self::Stream>;
    const MANNERS: Manners;

    fn bind() -> io::Result<Self::Listener>;
    fn connect<A: ToSocketAddrs>(addr: A) -> io::Result<Self::Stream>;
    fn connect_timeout(addr: &SocketAddr, timeout: Duration) -> io::Result<Self::Stream>;

    /// A client and its server.
    fn pair() -> (Self::Stream, Self::Stream) {
        let listener = Self::bind().unwrap();
        let client = Self::connect(listener.local_addr().unwrap()).unwrap();
        let (server, peer) = listener.accept().unwrap();
        assert_eq!(peer, client.local_addr().unwrap());
        (client, server)
    }
}

pub trait Stream: Read + Write + Debug + Send + Sync + Sized + 'static {
    /// Reads and writes through `&Stream`.
    fn shared(&self) -> impl Read + Write + Send + '_;
    /// Cuts the connection.
    fn reset(self);

    fn peer_addr(&self) -> io::Result<SocketAddr>;
    fn local_addr(&self) -> io::Result<SocketAddr>;
    fn try_clone(&self) -> io::Result<Self>;
    fn shutdown(&self, how: Shutdown) -> io::Result<()>;
    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()>;
    fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()>;
    fn read_timeout(&self) -> io::Result<Option<Duration>>;
    fn write_timeout(&self) -> io::Result<Option<Duration>>;
    fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()>;
    fn set_nodelay(&self, nodelay: bool) -> io::Result<()>;
    fn nodelay(&self) -> io::Result<bool>;
    fn set_linger(&self, linger: Option<Duration>) -> io::Result<()>;
    fn linger(&self) -> io::Result<Option<Duration>>;
    fn peek(&self, buf: &mut [u8]) -> io::Result<usize>;
    fn take_error(&self) -> io::Result<Option<io::Error>>;

    fn read_shared(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.shared().read(buf)
    }

    fn write_vectored_shared(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.shared().write_vectored(bufs)
    }
}

pub trait Listener: Debug + Send + Sync + Sized + 'static {
    type Stream: Stream;

    fn accept(&self) -> io::Result<(Self::Stream, SocketAddr)>;
    fn incoming(&self) -> impl Iterator<Item = io::Result<Self::Stream>> + '_;
    fn local_addr(&self) -> io::Result<SocketAddr>;
    fn try_clone(&self) -> io::Result<Self>;
    fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()>;
}

#[derive(Debug)]
pub struct Tcp;

impl Transport for Tcp {
    type Stream = TcpStream;
    type Listener = TcpListener;
    const MANNERS: Manners = Manners {
        deadline: if cfg!(windows) {
            ErrorKind::TimedOut
        } else {
            ErrorKind::WouldBlock
        },
        empty_read_waits: cfg!(target_os = "linux"),
        connect_waits: true,
        errors_repeat: false,
        write_after_reset: ErrorKind::BrokenPipe,
    };

    fn bind() -> io::Result<TcpListener> {
        TcpListener::bind("127.0.0.1:0")
    }

    fn connect<A: ToSocketAddrs>(addr: A) -> io::Result<TcpStream> {
        TcpStream::connect(addr)
    }

    fn connect_timeout(addr: &SocketAddr, timeout: Duration) -> io::Result<TcpStream> {
        TcpStream::connect_timeout(addr, timeout)
    }
}

#[derive(Debug)]
pub struct Mkcp;

impl Transport for Mkcp {
    type Stream = mkcp::Stream;
    type Listener = mkcp::Listener;
    const MANNERS: Manners = Manners {
        deadline: ErrorKind::TimedOut,
        empty_read_waits: false,
        connect_waits: false,
        errors_repeat: true,
        write_after_reset: ErrorKind::ConnectionReset,
    };

    fn bind() -> io::Result<mkcp::Listener> {
        mkcp::Listener::bind("127.0.0.1:0")
    }

    fn connect<A: ToSocketAddrs>(addr: A) -> io::Result<mkcp::Stream> {
        mkcp::Stream::connect(addr)
    }

    fn connect_timeout(addr: &SocketAddr, timeout: Duration) -> io::Result<mkcp::Stream> {
        mkcp::Stream::connect_timeout(addr, &Config::default(), timeout)
    }
}

/// TLS over mKCP: the manners of the stream below.
#[derive(Debug)]
pub struct Tls;

struct Configs {
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
}

static CONFIGS: LazyLock<Configs> = LazyLock::new(|| {
    let identity = Identity::new(&[Tls::NAME]);
    Configs {
        server: identity.server(),
        client: identity.client(),
    }
});

impl Tls {
    const NAME: &str = "server.test";

    fn wrap(stream: mkcp::Stream) -> io::Result<TlsStream> {
        tls::connect(
            stream,
            CONFIGS.client.clone(),
            Self::NAME.try_into().unwrap(),
        )
    }
}

impl Transport for Tls {
    type Stream = TlsStream;
    type Listener = TlsListener;
    const MANNERS: Manners = Mkcp::MANNERS;

    fn bind() -> io::Result<TlsListener> {
        Ok(TlsListener::new(Mkcp::bind()?, CONFIGS.server.clone()))
    }

    fn connect<A: ToSocketAddrs>(addr: A) -> io::Result<TlsStream> {
        Self::wrap(Mkcp::connect(addr)?)
    }

    fn connect_timeout(addr: &SocketAddr, timeout: Duration) -> io::Result<TlsStream> {
        Self::wrap(Mkcp::connect_timeout(addr, timeout)?)
    }

    /// With the handshake behind them: cases that use both ends in one thread could not do it.
    fn pair() -> (TlsStream, TlsStream) {
        let listener = Self::bind().unwrap();
        let client = Self::connect(listener.local_addr().unwrap()).unwrap();
        thread::scope(|scope| {
            let server = scope.spawn(|| {
                let (server, _) = listener.accept().unwrap();
                server.handshake().map(|()| server)
            });
            client.handshake().unwrap();
            (client, server.join().unwrap().unwrap())
        })
    }
}

/// The methods that have the same name and signature in both.
macro_rules! delegate {
    ($type:ty; $(fn $name:ident(&self $(, $arg:ident: $arg_type:ty)*) -> $result:ty;)+) => {
        $(fn $name(&self $(, $arg: $arg_type)*) -> $result {
            <$type>::$name(self $(, $arg)*)
        })+
    };
}

/// The methods that a TLS stream leaves to the stream below.
macro_rules! delegate_below {
    ($(fn $name:ident(&self $(, $arg:ident: $arg_type:ty)*) -> $result:ty;)+) => {
        $(fn $name(&self $(, $arg: $arg_type)*) -> $result {
            self.get_ref().$name($($arg),*)
        })+
    };
}

macro_rules! delegate_stream {
    ($type:ty) => {
        fn shared(&self) -> impl Read + Write + Send + '_ {
            self
        }

        delegate! { $type;
            fn peer_addr(&self) -> io::Result<SocketAddr>;
            fn local_addr(&self) -> io::Result<SocketAddr>;
            fn try_clone(&self) -> io::Result<Self>;
            fn shutdown(&self, how: Shutdown) -> io::Result<()>;
            fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()>;
            fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()>;
            fn read_timeout(&self) -> io::Result<Option<Duration>>;
            fn write_timeout(&self) -> io::Result<Option<Duration>>;
            fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()>;
            fn set_nodelay(&self, nodelay: bool) -> io::Result<()>;
            fn nodelay(&self) -> io::Result<bool>;
            fn peek(&self, buf: &mut [u8]) -> io::Result<usize>;
            fn take_error(&self) -> io::Result<Option<io::Error>>;
        }
    };
}

macro_rules! delegate_listener {
    ($type:ty) => {
        fn incoming(&self) -> impl Iterator<Item = io::Result<Self::Stream>> + '_ {
            <$type>::incoming(self)
        }

        delegate! { $type;
            fn accept(&self) -> io::Result<(Self::Stream, SocketAddr)>;
            fn local_addr(&self) -> io::Result<SocketAddr>;
            fn try_clone(&self) -> io::Result<Self>;
            fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()>;
        }
    };
}

impl Stream for TcpStream {
    delegate_stream!(Self);

    fn reset(self) {
        Stream::set_linger(&self, Some(Duration::ZERO)).unwrap();
    }

    // `std` keeps these two unstable.
    fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        socket2::SockRef::from(self).set_linger(linger)
    }

    fn linger(&self) -> io::Result<Option<Duration>> {
        socket2::SockRef::from(self).linger()
    }
}

impl Stream for mkcp::Stream {
    delegate_stream!(Self);

    fn reset(self) {
        Self::reset(&self);
    }

    delegate! { Self;
        fn set_linger(&self, linger: Option<Duration>) -> io::Result<()>;
        fn linger(&self) -> io::Result<Option<Duration>>;
    }
}

impl Stream for TlsStream {
    fn shared(&self) -> impl Read + Write + Send + '_ {
        self
    }

    fn reset(self) {
        self.get_ref().reset();
    }

    delegate! { TlsStream;
        fn try_clone(&self) -> io::Result<Self>;
        fn shutdown(&self, how: Shutdown) -> io::Result<()>;
        fn peek(&self, buf: &mut [u8]) -> io::Result<usize>;
    }

    delegate_below! {
        fn peer_addr(&self) -> io::Result<SocketAddr>;
        fn local_addr(&self) -> io::Result<SocketAddr>;
        fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()>;
        fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()>;
        fn read_timeout(&self) -> io::Result<Option<Duration>>;
        fn write_timeout(&self) -> io::Result<Option<Duration>>;
        fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()>;
        fn set_nodelay(&self, nodelay: bool) -> io::Result<()>;
        fn nodelay(&self) -> io::Result<bool>;
        fn set_linger(&self, linger: Option<Duration>) -> io::Result<()>;
        fn linger(&self) -> io::Result<Option<Duration>>;
        fn take_error(&self) -> io::Result<Option<io::Error>>;
    }
}

impl Listener for TlsListener {
    type Stream = TlsStream;

    fn incoming(&self) -> impl Iterator<Item = io::Result<Self::Stream>> + '_ {
        Self::incoming(self)
    }

    fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.get_ref().set_nonblocking(nonblocking)
    }

    delegate! { TlsListener;
        fn accept(&self) -> io::Result<(Self::Stream, SocketAddr)>;
        fn local_addr(&self) -> io::Result<SocketAddr>;
        fn try_clone(&self) -> io::Result<Self>;
    }
}

impl Listener for TcpListener {
    type Stream = TcpStream;
    delegate_listener!(Self);
}

impl Listener for mkcp::Listener {
    type Stream = mkcp::Stream;
    delegate_listener!(Self);
}
