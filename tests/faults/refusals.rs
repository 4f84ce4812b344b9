//! Errors of the kernel that a program without rights can have: nobody may send to everybody.

use std::io::{ErrorKind, Write};

use mkcp::{Config, Stream};

use super::{
    log::{record, warnings},
    support::{ARRANGEMENTS, EchoServer, PATIENCE, bytes, eventually, exchange},
};

/// A broadcast, which a socket must be allowed expressly.
const EVERYBODY: &str = "255.255.255.255";

#[test]
fn datagrams_that_the_kernel_refuses_are_counted_and_told_of_once() {
    record();
    for (port, builder) in (9001_u16..).zip(ARRANGEMENTS) {
        let server = EchoServer::start(builder());
        let client = builder().bind("0.0.0.0:0").unwrap();
        let stream = client.connect((EVERYBODY, port)).unwrap();
        (&stream).write_all(b"hello, all").unwrap();
        eventually("it is tried again", PATIENCE, || {
            client.stats().send_errors >= 3
        });
        assert_eq!(client.stats().datagrams_sent, 0);
        // Neither is it the others' affair, nor is there a line for each.
        let other = client
            .connect(("127.0.0.1", server.address.port()))
            .unwrap();
        exchange(&other, &bytes(100_000));
        let told = warnings(&format!("cannot send to {EVERYBODY}:{port}: "));
        assert_eq!(told.len(), 1, "{told:?}");
    }
}

#[test]
fn a_socket_of_its_own_is_refused_at_once() {
    let error = Stream::connect_with((EVERYBODY, 9), &Config::default()).unwrap_err();
    let kinds = [ErrorKind::PermissionDenied, ErrorKind::NetworkUnreachable];
    assert!(kinds.contains(&error.kind()), "{error}");
}
