//! What stands behind the forwarders, and what goes through them.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::mpsc::{self, Receiver},
    thread,
    time::Duration,
};

use crate::{
    payload,
    process::{DEADLINE, Server, with_deadline},
};

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

/// Sends a payload, gets it back and compares it.
pub(crate) fn exchange<S: Sync>(socket: &S, payload: &[u8])
where
    for<'a> &'a S: Read + Write,
{
    payload::echo(socket, payload, || {}).unwrap(); // Writers have a deadline.
}

/// Likewise over a new connection, and over another if v2ray closed that early. It does so in
/// order: if `ours`, through which the connection goes, says that it failed, that is another thing.
pub(crate) fn exchange_through_v2ray(
    ours: &Server,
    connect: impl Fn() -> TcpStream,
    payload: &[u8],
) -> TcpStream {
    let stream = connect();
    let end = || {
        let _ = stream.shutdown(Shutdown::Both);
    };
    let Err(error) = payload::echo(&stream, payload, end) else {
        return stream;
    };
    assert!(payload::closed_early(&error), "{error}");
    println!("closed early ({error}), once more");
    let log = ours.log_of(Duration::from_secs(1));
    assert!(!log.iter().any(|line| line.contains(" failed")), "{log:?}");
    let stream = connect();
    exchange(&stream, payload);
    stream
}

/// Reads as many bytes as are expected, and compares them.
pub(crate) fn expect<S>(socket: &S, expected: &[u8])
where
    for<'a> &'a S: Read,
{
    payload::expect(socket, expected).unwrap();
}

/// Reads as many bytes as are expected, and then the end.
pub(crate) fn expect_all<S>(mut socket: &S, expected: &[u8])
where
    for<'a> &'a S: Read,
{
    expect(socket, expected);
    assert_eq!(socket.read(&mut [0]).unwrap(), 0);
}
