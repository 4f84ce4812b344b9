//! One direction ends before the other.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpStream},
    thread,
    time::{Duration, Instant},
};

use crate::{
    ending::assert_reset,
    payload::PAYLOAD,
    process::{Chain, Server},
    service::{self, expect, expect_all, result},
    tls::Identity,
};

/// The least time for silence.
const SHORT: [&str; 2] = ["--half-close", "1"];
const LONGER: Duration = Duration::from_secs(3);

/// Reads to the end, then waits, then answers.
fn answer_late(mut stream: TcpStream) -> io::Result<usize> {
    let mut request = Vec::new();
    stream.read_to_end(&mut request)?;
    thread::sleep(LONGER);
    stream.write_all(&PAYLOAD)?;
    Ok(request.len())
}

#[test]
fn over_tls_the_answer_may_come_as_late_as_it_likes() {
    let identity = Identity::new();
    let (target, results) = service::serve(answer_late);
    let chain = Chain::new(&identity.server(), &identity.client(), target, &SHORT);
    let stream = chain.entry.connect();
    (&stream).write_all(&PAYLOAD[..1_000_000]).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    expect_all(&stream, &PAYLOAD);
    assert_eq!(result(&results).unwrap(), 1_000_000);
}

#[test]
fn between_sockets_the_answer_may_come_as_late_as_it_likes() {
    let (target, _) = service::serve(answer_late);
    let to = format!("tcp://{target}");
    let server = Server::between("tcp://127.0.0.1:0", &to, &SHORT);
    let stream = server.connect();
    stream.shutdown(Shutdown::Write).unwrap();
    expect_all(&stream, &PAYLOAD);
}

#[test]
fn over_plain_mkcp_an_answer_under_way_is_delivered_in_full() {
    // It does not wait for the end of the request, and makes pauses.
    let (target, _) = service::serve(|mut stream| {
        stream.read_exact(&mut [0; 7]).unwrap();
        for part in PAYLOAD.chunks(500_000) {
            stream.write_all(part).unwrap();
            thread::sleep(Duration::from_millis(300));
        }
    });
    let chain = Chain::plain(target, &["--half-close", "5"]);
    let stream = chain.entry.connect();
    (&stream).write_all(b"request").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    expect(&stream, &PAYLOAD[..1_000_000]);
    thread::sleep(Duration::from_secs(7)); // A client that does not read is no silent server.
    expect_all(&stream, &PAYLOAD[1_000_000..]);
}

#[test]
fn over_plain_mkcp_a_request_is_complete_even_if_the_answer_never_comes() {
    let (target, results) = service::serve(|mut stream| {
        thread::sleep(LONGER);
        let mut request = Vec::new();
        stream.read_to_end(&mut request).unwrap();
        // Too late: nobody hears it.
        (request == *PAYLOAD, stream.write_all(b"ok"))
    });
    let chain = Chain::plain(target, &SHORT);
    let stream = chain.entry.connect();
    (&stream).write_all(&PAYLOAD).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    // No end of stream: that would be an empty answer.
    let error = (&stream).read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    assert!(result(&results).0);
    let ended = " ended after 1 s of silence of the target (--half-close), 5000000 bytes in, 0 out";
    chain.entry.wait_for_log(ended);
}

#[test]
fn over_plain_mkcp_the_end_of_an_answer_is_told_within_seconds() {
    let (target, _) = service::serve(|mut stream| {
        stream.read_exact(&mut [0; 7]).unwrap();
        stream.write_all(&PAYLOAD).unwrap();
    });
    let chain = Chain::plain(target, &[]);
    let stream = chain.entry.connect();
    (&stream).write_all(b"request").unwrap();
    expect(&stream, &PAYLOAD);
    let started = Instant::now();
    expect_all(&stream, b"");
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "{:?}",
        started.elapsed()
    );
}

#[test]
fn over_tls_the_end_of_an_answer_is_told_at_once() {
    let identity = Identity::new();
    let (target, results) = service::serve(|mut stream| {
        stream.write_all(b"answer").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut request = Vec::new();
        stream.read_to_end(&mut request).unwrap();
        request
    });
    let chain = Chain::new(&identity.server(), &identity.client(), target, &SHORT);
    let started = Instant::now();
    let stream = chain.entry.connect();
    expect_all(&stream, b"answer");
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "{:?}",
        started.elapsed()
    );
    thread::sleep(LONGER);
    (&stream).write_all(b"still here").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(result(&results), b"still here");
}

#[test]
fn over_plain_mkcp_a_pause_does_not_make_an_upload_look_complete() {
    // It says something, ends that, and then takes an upload.
    let (target, results) = service::serve(|mut stream| {
        stream.write_all(b"go on").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        stream.read_to_end(&mut Vec::new())
    });
    let chain = Chain::plain(target, &[]);
    let stream = chain.entry.connect();
    (&stream).write_all(&PAYLOAD[..100_000]).unwrap();
    expect(&stream, b"go on");
    thread::sleep(LONGER);
    let _ = (&stream).write_all(&PAYLOAD[100_000..300_000]); // Too late.
    let error = result(&results).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    let ended = " ended after 1 s of silence of the client, 100000 bytes in, 5 out";
    chain.exit.wait_for_log(ended);
}

#[test]
fn an_answer_that_never_comes_is_no_empty_answer_over_tls_either() {
    let identity = Identity::new();
    let (target, _) = service::serve(|stream| {
        thread::sleep(2 * LONGER);
        drop(stream);
    });
    let exit = Server::between("mkcp://127.0.0.1:0", &format!("tcp://{target}"), &SHORT);
    let listen = format!("mkcp://127.0.0.1:0?{}", identity.server());
    let middle = Server::between(&listen, &format!("mkcp://{}", exit.address), &SHORT);
    let to = format!("mkcp://{}?{}", middle.address, identity.client());
    let entry = Server::between("tcp://127.0.0.1:0", &to, &SHORT);
    let stream = entry.connect();
    (&stream).write_all(b"request").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_reset(&stream);
}
