//! Transfers over a TCP or mKCP stream, and the services at their other end.
//!
//! Lengths are known to both sides: v2ray has no half-close, so an end of stream marks nothing.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::LazyLock,
    thread,
    time::{Duration, Instant},
};

use mkcp::{Listener, Stream, tls::TlsStream};
use rand::{RngCore, SeedableRng, rngs::SmallRng};

use crate::link::Link;

/// For how long nothing may move.
const PATIENCE: Duration = Duration::from_secs(30);

/// 5 MB of random bytes, the same in all tests of a run.
pub(crate) static PAYLOAD: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut payload = vec![0; 5_000_000];
    SmallRng::from_os_rng().fill_bytes(&mut payload);
    payload
});

/// What TCP streams and ours have in common.
pub(crate) trait Socket: Send + Sync + 'static {
    fn set_timeouts(&self, timeout: Duration) -> io::Result<()>;
    fn end(&self);
}

impl Socket for TcpStream {
    fn set_timeouts(&self, timeout: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(timeout))?;
        self.set_write_timeout(Some(timeout))
    }
    fn end(&self) {
        let _ = self.shutdown(Shutdown::Both);
    }
}

impl Socket for Stream {
    fn set_timeouts(&self, timeout: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(timeout))?;
        self.set_write_timeout(Some(timeout))
    }
    fn end(&self) {
        let _ = self.shutdown(Shutdown::Both);
    }
}

impl Socket for TlsStream {
    fn set_timeouts(&self, timeout: Duration) -> io::Result<()> {
        self.get_ref().set_timeouts(timeout)
    }
    fn end(&self) {
        let _ = self.shutdown(Shutdown::Both);
    }
}

/// Why a transfer did not work.
pub(crate) enum Failure {
    /// The connection ended before its time. v2ray does that to busy connections now and then,
    /// through a race in its inactivity check.
    ClosedEarly(io::Error),
    /// It stalled, or bytes were changed.
    Wrong(io::Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionReset => Self::ClosedEarly(error),
            _ => Self::Wrong(error),
        }
    }
}

/// Runs a transfer, and once more if the connection ended before its time.
pub(crate) fn run(name: &str, transfer: impl Fn() -> Result<(), Failure>) {
    let started = Instant::now();
    let result = transfer().or_else(|failure| match failure {
        Failure::ClosedEarly(error) => {
            println!("{name}: closed early ({error}), trying once more");
            transfer()
        }
        wrong @ Failure::Wrong(_) => Err(wrong),
    });
    match result {
        Ok(()) => println!("{name}: {:.3} s", started.elapsed().as_secs_f64()),
        Err(Failure::ClosedEarly(error)) => panic!("{name}: closed early twice: {error}"),
        Err(Failure::Wrong(error)) => panic!("{name}: {error}"),
    }
}

/// Writes in one thread what another reads back and compares.
pub(crate) fn echo<S: Socket>(socket: &S, payload: &[u8]) -> Result<(), Failure>
where
    for<'a> &'a S: Read + Write,
{
    socket.set_timeouts(PATIENCE)?;
    let result = thread::scope(|scope| {
        let mut writing = socket;
        let writer = scope.spawn(move || writing.write_all(payload));
        let compared = expect(socket, payload);
        if compared.is_err() {
            socket.end(); // Wakes the writer.
        }
        let written = writer.join().unwrap();
        compared.and(written)
    });
    Ok(result?)
}

/// Opens the connection with a byte, and compares what the server then sends.
pub(crate) fn download<S: Socket>(socket: &S, payload: &[u8]) -> Result<(), Failure>
where
    for<'a> &'a S: Read + Write,
{
    socket.set_timeouts(PATIENCE)?;
    let mut writing = socket;
    writing.write_all(b"?")?;
    Ok(expect(socket, payload)?)
}

/// Writes all; the server says with a byte that it has got it unchanged.
pub(crate) fn upload<S: Socket>(socket: &S, payload: &[u8]) -> Result<(), Failure>
where
    for<'a> &'a S: Read + Write,
{
    socket.set_timeouts(PATIENCE)?;
    let mut writing = socket;
    writing.write_all(payload)?;
    Ok(expect(socket, b"!")?)
}

/// Reads as many bytes as are expected, and compares them.
pub(crate) fn expect<S>(mut socket: &S, expected: &[u8]) -> io::Result<()>
where
    for<'a> &'a S: Read,
{
    let mut buffer = vec![0; 64 * 1024];
    let mut at = 0;
    while at < expected.len() {
        let most = buffer.len().min(expected.len() - at);
        let count = socket.read(&mut buffer[..most])?;
        if count == 0 {
            let text = format!("ended after {at} of {} bytes", expected.len());
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, text));
        }
        if buffer[..count] != expected[at..at + count] {
            return Err(io::Error::other(format!("changed bytes after {at}")));
        }
        at += count;
    }
    Ok(())
}

/// What a server does with a stream.
#[derive(Clone, Copy)]
pub(crate) enum Service {
    /// Sends back what comes.
    Echo,
    /// Sends the payload once a byte has come.
    Source,
    /// Reads the payload, compares it and answers with a byte.
    Sink,
}

impl Service {
    /// Serves a stream until its end, which is the peer's to choose.
    pub(crate) fn serve<S: Socket>(self, socket: &S) -> io::Result<()>
    where
        for<'a> &'a S: Read + Write,
    {
        let mut writing = socket;
        match self {
            Self::Echo => {}
            Self::Source => {
                expect(socket, b"?")?;
                writing.write_all(&PAYLOAD)?;
            }
            Self::Sink => {
                expect(socket, &PAYLOAD)?;
                writing.write_all(b"!")?;
            }
        }
        let mut reading = socket;
        io::copy(&mut reading, &mut writing).map(drop)
    }

    /// Serves mKCP in the background for as long as the listener lives.
    pub(crate) fn over_mkcp(self, link: &Link) -> Listener {
        let listener = Listener::bind_with("127.0.0.1:0", &link.config()).unwrap();
        let acceptor = listener.try_clone().unwrap();
        thread::spawn(move || {
            for stream in acceptor.incoming().map_while(Result::ok) {
                thread::spawn(move || self.serve(&stream));
            }
        });
        listener
    }

    /// Serves TCP in the background to the end of the process.
    pub(crate) fn over_tcp(self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                thread::spawn(move || self.serve(&stream));
            }
        });
        address
    }
}

/// Runs tasks, two at a time.
pub(crate) fn in_two_lanes<T: Sync>(tasks: &[T], run: impl Fn(&T) + Sync) {
    let (even, odd): (Vec<_>, Vec<_>) = tasks.iter().enumerate().partition(|(n, _)| n % 2 == 0);
    thread::scope(|scope| {
        for lane in [even, odd] {
            let run = &run;
            scope.spawn(move || lane.into_iter().for_each(|(_, task)| run(task)));
        }
    });
}
