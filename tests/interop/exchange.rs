//! Transfers over a TCP or mKCP stream, and the services at their other end.
//!
//! Lengths are known to both sides: v2ray has no half-close, so an end of stream marks nothing.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use mkcp::{Listener, Stream, tls::TlsStream};

use crate::{
    link::Link,
    payload::{self, PAYLOAD, expect},
};

/// For how long nothing may move.
const PATIENCE: Duration = Duration::from_secs(30);

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

/// Runs a transfer, and once more if the connection ended before its time.
pub(crate) fn run(name: &str, transfer: impl Fn() -> io::Result<()>) {
    let started = Instant::now();
    let result = transfer().or_else(|error| {
        if !payload::closed_early(&error) {
            return Err(error);
        }
        println!("{name}: closed early ({error}), trying once more");
        transfer()
    });
    match result {
        Ok(()) => println!("{name}: {:.3} s", started.elapsed().as_secs_f64()),
        Err(error) => panic!("{name}: {error}"),
    }
}

/// Writes what comes back, and compares it.
pub(crate) fn echo<S: Socket>(socket: &S, payload: &[u8]) -> io::Result<()>
where
    for<'a> &'a S: Read + Write,
{
    socket.set_timeouts(PATIENCE)?;
    payload::echo(socket, payload, || socket.end())
}

/// Opens the connection with a byte, and compares what the server then sends.
pub(crate) fn download<S: Socket>(socket: &S, payload: &[u8]) -> io::Result<()>
where
    for<'a> &'a S: Read + Write,
{
    socket.set_timeouts(PATIENCE)?;
    let mut writing = socket;
    writing.write_all(b"?")?;
    expect(socket, payload)
}

/// Writes all; the server says with a byte that it has got it unchanged.
pub(crate) fn upload<S: Socket>(socket: &S, payload: &[u8]) -> io::Result<()>
where
    for<'a> &'a S: Read + Write,
{
    socket.set_timeouts(PATIENCE)?;
    let mut writing = socket;
    writing.write_all(payload)?;
    expect(socket, b"!")
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
