//! Endpoints on real sockets: many sessions, hostile input, every way to end.
#![allow(clippy::unwrap_used)]

mod hostile;
mod life;
mod replay;
mod traffic;

use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use mkcp::{Endpoint, EndpointBuilder, Listener, Stream};

/// Long enough for a loaded machine, short enough to notice a hang.
const PATIENCE: Duration = Duration::from_secs(20);

/// A listener whose streams are echoed until their end.
struct EchoServer {
    listener: Listener,
    address: SocketAddr,
    thread: Option<JoinHandle<()>>,
}

impl EchoServer {
    fn start(builder: EndpointBuilder) -> Self {
        Self::start_at(builder, "127.0.0.1:0")
    }

    fn start_at(builder: EndpointBuilder, address: &str) -> Self {
        let listener = builder.bind(address).unwrap().listen().unwrap();
        let address = listener.local_addr().unwrap();
        let accepting = listener.try_clone().unwrap();
        let thread = thread::spawn(move || {
            for stream in accepting.incoming().map_while(Result::ok) {
                thread::spawn(move || echo(stream));
            }
        });
        Self {
            listener,
            address,
            thread: Some(thread),
        }
    }
}

impl Drop for EchoServer {
    fn drop(&mut self) {
        self.listener.close();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

fn echo(stream: Stream) -> io::Result<()> {
    io::copy(&mut &stream, &mut &stream)?;
    stream.close()
}

/// Sends a message and expects it back.
fn exchange(stream: &Stream, message: &[u8]) {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let (mut reader, mut writer) = (stream, stream);
    let mut answer = vec![0; message.len()];
    thread::scope(|scope| {
        scope.spawn(move || writer.write_all(message).unwrap());
        reader.read_exact(&mut answer).unwrap();
    });
    assert!(answer == message, "another answer than the question");
}

fn expect_end(stream: &Stream) {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut reader = stream;
    assert_eq!(reader.read(&mut [0; 1]).unwrap(), 0);
}

fn bytes(count: usize) -> Vec<u8> {
    (0..count).map(|index| (index * 31 % 251) as u8).collect()
}

/// Waits until a condition holds, without claiming to know when.
fn eventually(what: &str, within: Duration, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + within;
    while !holds() {
        assert!(Instant::now() < deadline, "not within {within:?}: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

fn small() -> EndpointBuilder {
    Endpoint::builder().workers(2)
}
