//! Processes that are stopped in the midst of a transfer, as by Ctrl-Z, and go on. What else the
//! process at the other end does goes on all the time.

use std::{
    io::{Read, Write},
    thread,
    time::{Duration, Instant},
};

use mkcp::{Config, Endpoint, Header};
use rustix::process::Signal;

use crate::{
    payload::PAYLOAD,
    process::{Chain, DEADLINE, PLAIN, Server},
    service::{self, exchange, expect},
};

/// Shorter than the idle timeout, and longer than everything else that an end waits for.
const STOPPED: Duration = Duration::from_secs(20);

/// Long for an exchange of a few bytes on a busy machine, short beside `STOPPED`.
const STALL: Duration = Duration::from_secs(5);

/// Longer than any queue on the way holds.
const ROUNDS: usize = 10;

/// What `PLAIN` says.
fn settings() -> Config {
    let config = Config::builder().seed("correct horse");
    config.header(Header::Srtp).build().unwrap()
}

/// Has a process stand still while bytes go both ways through it. The other connection does
/// not go through it.
fn stop_for_a_while<S: Sync>(stopped: &Server, through: &S, other: &S)
where
    for<'a> &'a S: Read + Write,
{
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut writing = through;
            for _ in 0..ROUNDS {
                writing.write_all(&PAYLOAD).unwrap();
            }
        });
        expect(through, &PAYLOAD);
        exchange(other, &PAYLOAD[..10_000]);
        stopped.signal(Signal::STOP);
        let begun = Instant::now();
        while begun.elapsed() < STOPPED {
            let before = Instant::now();
            exchange(other, &PAYLOAD[..10_000]);
            let took = before.elapsed();
            assert!(took < STALL, "another session stood still for {took:?}");
            thread::sleep(Duration::from_millis(20));
        }
        assert!(!writer.is_finished(), "what was stopped?");
        stopped.signal(Signal::CONT);
        for _ in 1..ROUNDS {
            expect(through, &PAYLOAD);
        }
    });
    exchange(other, &PAYLOAD);
}

/// The process that goes on is this one: the client of both servers.
#[test]
fn a_transfer_survives_a_server_that_is_stopped() {
    let target = format!("tcp://{}", service::echo());
    let server = || {
        let listen = format!("mkcp://127.0.0.1:0?{PLAIN}");
        Server::between(&listen, &target, &[])
    };
    let (stopped, lasting) = (server(), server());
    let client = Endpoint::builder().config(settings());
    let client = client.bind("127.0.0.1:0").unwrap();
    let [through, other] = [&stopped, &lasting].map(|server| {
        let stream = client.connect(server.socket_addr()).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        stream
    });
    stop_for_a_while(&stopped, &through, &other);
}

/// The process that goes on is the server of both clients.
#[test]
fn a_transfer_survives_a_client_that_is_stopped() {
    let chain = Chain::plain(service::echo(), &[]);
    let lasting = Server::entry(&chain.exit, PLAIN, &[]);
    let (through, other) = (chain.entry.connect(), lasting.connect());
    stop_for_a_while(&chain.entry, &through, &other);
}
