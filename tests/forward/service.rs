//! What stands behind the forwarders, and what is sent.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        LazyLock,
        mpsc::{self, Receiver},
    },
    thread,
    time::Duration,
};

use rand::{RngCore, SeedableRng, rngs::SmallRng};

use crate::process::{DEADLINE, Server, with_deadline};

/// 5 MB of random bytes, the same in all tests of a run.
pub(crate) static PAYLOAD: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut payload = vec![0; 5_000_000];
    SmallRng::from_os_rng().fill_bytes(&mut payload);
    payload
});

/// A TCP server that runs to the end of the process, and hands over what `serve` gives.
pub(crate) fn serve<R: Send + 'static>(
    serve: impl Fn(TcpStream) -> R + Clone + Send + 'static,
) -> (SocketAddr, Receiver<R>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, results) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            with_deadline(&stream);
            let (serve, sender) = (serve.clone(), sender.clone());
            thread::spawn(move || sender.send(serve(stream)));
        }
    });
    (address, results)
}

/// Sends everything back.
pub(crate) fn echo() -> SocketAddr {
    serve(|stream| copy_back(&stream)).0
}

pub(crate) fn copy_back<S>(socket: &S) -> io::Result<u64>
where
    for<'a> &'a S: Read + Write,
{
    let (mut reading, mut writing) = (socket, socket);
    io::copy(&mut reading, &mut writing)
}

/// What a service has given.
pub(crate) fn result<R>(results: &Receiver<R>) -> R {
    results.recv_timeout(DEADLINE).unwrap()
}

/// Writes in one thread what this one reads back and compares.
pub(crate) fn exchange<S: Sync>(socket: &S, payload: &[u8])
where
    for<'a> &'a S: Read + Write,
{
    thread::scope(|scope| {
        let mut writing = socket;
        scope.spawn(move || writing.write_all(payload).unwrap());
        expect(socket, payload);
    });
}

/// Likewise over a new connection, and over another if that was closed early: v2ray does so to
/// busy connections now and then, through a race in its inactivity check. It does so in order: if
/// `ours`, through which the connection goes, says that it failed, that is another thing.
pub(crate) fn exchange_through_v2ray(
    ours: &Server,
    connect: impl Fn() -> TcpStream,
    payload: &[u8],
) -> TcpStream {
    let stream = connect();
    let mut writing = &stream;
    let result = thread::scope(|scope| {
        let writer = scope.spawn(move || writing.write_all(payload));
        let result = compare(&stream, payload);
        if result.is_err() {
            let _ = stream.shutdown(Shutdown::Both); // wakes the writer
        }
        let written = writer.join().unwrap();
        result.and(written)
    });
    match result {
        Ok(()) => stream,
        Err(error) => {
            println!("closed early ({error}), once more");
            let log = ours.log_of(Duration::from_secs(1));
            assert!(!log.iter().any(|line| line.contains(" failed")), "{log:?}");
            let stream = connect();
            exchange(&stream, payload);
            stream
        }
    }
}

/// Reads as many bytes as are expected, and compares them.
pub(crate) fn expect<S>(socket: &S, expected: &[u8])
where
    for<'a> &'a S: Read,
{
    compare(socket, expected).unwrap();
}

/// Likewise, but the connection may fail. Other bytes than expected may not come.
fn compare<S>(mut socket: &S, expected: &[u8]) -> io::Result<()>
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
        assert!(
            buffer[..count] == expected[at..at + count],
            "changed after {at}"
        );
        at += count;
    }
    Ok(())
}

/// Reads as many bytes as are expected, and then the end.
pub(crate) fn expect_all<S>(mut socket: &S, expected: &[u8])
where
    for<'a> &'a S: Read,
{
    expect(socket, expected);
    assert_eq!(socket.read(&mut [0]).unwrap(), 0);
}
