//! The network of a machine, taken apart. These tests need a network namespace of their own, which
//! not every container may have, so they run on demand: `cargo test --test faults -- --ignored`.

use std::{
    io::{ErrorKind, Write},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use mkcp::{Config, Stream};

use super::{
    log::{record, warnings},
    process::alone,
    support::{ARRANGEMENTS, EchoServer, PATIENCE, bytes, eventually, exchange},
};

/// What runs a program in a namespace of its own, where it may do with the network what it likes.
pub(crate) const UNSHARE: [&str; 4] = ["unshare", "--user", "--map-root-user", "--net"];

/// Runs a test in a namespace whose only interface, the loopback, is up.
fn in_a_namespace(test: &str, body: impl FnOnce()) {
    alone(&format!("network::{test}"), &UNSHARE, || {
        record();
        ip("link set lo up");
        body();
    });
}

pub(crate) fn ip(arguments: &str) {
    run("ip", arguments);
}

fn nft(arguments: &str) {
    run("nft", arguments);
}

pub(crate) fn run(program: &str, arguments: &str) {
    let mut command = Command::new(program);
    let status = command.args(arguments.split(' ')).status();
    assert!(
        status.is_ok_and(|status| status.success()),
        "{program} {arguments}"
    );
}

/// Breaks the network for a second in the midst of a transfer, which goes on afterwards, as does a
/// session that begins meanwhile. Does so with several sessions; returns how many datagrams a server
/// was refused at the least.
fn survive(break_it: impl Fn(), mend: impl Fn()) -> u64 {
    const BYTES: usize = 20_000_000;
    let mut refused = u64::MAX;
    for builder in ARRANGEMENTS {
        let server = EchoServer::start(builder());
        let client = builder().bind("127.0.0.1:0").unwrap();
        for stream in [
            client.connect(server.address).unwrap(),
            Stream::connect(server.address).unwrap(),
        ] {
            exchange(&stream, b"hello");
            let before = server.listener.stats().send_errors;
            thread::scope(|scope| {
                let transfer = scope.spawn(|| exchange(&stream, &bytes(BYTES)));
                eventually("it has begun", PATIENCE, || {
                    stream.stats().bytes_read > 100_000
                });
                break_it();
                let broken = Instant::now();
                let newcomer = client.connect(server.address).unwrap();
                let newcomer = scope.spawn(move || exchange(&newcomer, b"hello"));
                thread::sleep(Duration::from_secs(1));
                assert!(!transfer.is_finished(), "{:?}", broken.elapsed());
                assert!(!newcomer.is_finished(), "{:?}", broken.elapsed());
                mend();
                transfer.join().unwrap();
                newcomer.join().unwrap();
            });
            let stats = server.listener.stats();
            assert_eq!(stats.sessions_failed, 0, "{stats:?}");
            refused = refused.min(stats.send_errors - before);
        }
    }
    refused
}

#[test]
#[ignore = "needs a network namespace"]
fn a_network_without_a_route() {
    in_a_namespace("a_network_without_a_route", || {
        let (nowhere, port) = ("192.0.2.1", 9);
        let error = Stream::connect((nowhere, port)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NetworkUnreachable);
        let config = Config::builder().idle_timeout(Duration::from_secs(6));
        let config = config.keepalive(Duration::from_secs(2)).build().unwrap();
        for (port, builder) in (9_u16..).zip(ARRANGEMENTS) {
            let client = builder().config(config.clone()).bind("0.0.0.0:0").unwrap();
            let stream = client.connect((nowhere, port)).unwrap();
            let begun = Instant::now();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            (&stream).write_all(b"hello").unwrap();
            let error = std::io::Read::read(&mut &stream, &mut [0]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::TimedOut);
            assert!(
                begun.elapsed() < Duration::from_secs(8),
                "{:?}",
                begun.elapsed()
            );
            let stats = client.stats();
            assert!(stats.send_errors >= 3, "{stats:?}");
            assert_eq!(stats.datagrams_sent, 0, "{stats:?}");
            let told = warnings(&format!(
                "cannot send to {nowhere}:{port}: Network is unreachable"
            ));
            assert_eq!(told.len(), 1, "{told:?}");
        }
    });
}

#[test]
#[ignore = "needs a network namespace"]
fn an_interface_that_goes_down_and_up() {
    in_a_namespace("an_interface_that_goes_down_and_up", || {
        survive(|| ip("link set lo down"), || ip("link set lo up"));
    });
}

#[test]
#[ignore = "needs a network namespace"]
fn rules_that_forbid_for_a_while() {
    in_a_namespace("rules_that_forbid_for_a_while", || {
        // The table of this machine's own addresses is asked first; now second.
        ip("rule add pref 10 table local");
        ip("rule del pref 0");
        for rule in ["prohibit", "unreachable", "blackhole"] {
            let change = |how| ip(&format!("rule {how} pref 5 to 127.0.0.1 {rule}"));
            let refused = survive(|| change("add"), || change("del"));
            assert!(refused > 0, "{rule} is not counted");
        }
    });
}

/// Whose own packets a packet filter drops is told `EPERM`.
#[test]
#[ignore = "needs a network namespace"]
fn a_packet_filter_that_drops_for_a_while() {
    in_a_namespace("a_packet_filter_that_drops_for_a_while", || {
        nft("add table ip filter");
        nft("add chain ip filter output { type filter hook output priority 0 ; }");
        let refused = survive(
            || nft("add rule ip filter output meta l4proto udp drop"),
            || nft("flush chain ip filter output"),
        );
        assert!(refused > 0, "it is not counted");
        // In a second each endpoint says it once: a server, a client and every other time a stream's.
        let told = warnings("cannot send to 127.0.0.1:");
        let refused = |line: &String| line.contains("Operation not permitted");
        assert!(told.iter().all(refused), "{told:?}");
        assert!((2..=10).contains(&told.len()), "{told:?}");
    });
}

/// The sockets of streams are told so by ICMP, in the midst of all that is to be read.
#[test]
#[ignore = "needs a network namespace"]
fn a_packet_filter_that_rejects_every_fourth_datagram() {
    in_a_namespace("a_packet_filter_that_rejects_every_fourth_datagram", || {
        nft("add table ip filter");
        nft("add chain ip filter input { type filter hook input priority 0 ; }");
        for answer in ["port-unreachable", "admin-prohibited"] {
            let server = EchoServer::start(ARRANGEMENTS[0]());
            let stream = Stream::connect(server.address).unwrap();
            exchange(&stream, b"hello");
            nft(&format!(
                "add rule ip filter input meta l4proto udp numgen inc mod 4 0 \
                 reject with icmp type {answer}"
            ));
            exchange(&stream, &bytes(2_000_000));
            nft("flush chain ip filter input");
            exchange(&stream, &bytes(2_000_000));
        }
        let told = warnings("No route to host");
        assert_eq!(told.len(), 1, "{told:?}");
    });
}

#[test]
#[ignore = "needs a network namespace"]
fn an_interface_whose_mtu_shrinks() {
    in_a_namespace("an_interface_whose_mtu_shrinks", || {
        let server = EchoServer::start(ARRANGEMENTS[0]());
        let stream = Stream::connect(server.address).unwrap();
        exchange(&stream, &bytes(100_000));
        // Trains of longer datagrams are refused; each by itself leaves in fragments.
        ip("link set lo mtu 1000");
        exchange(&stream, &bytes(5_000_000));
        assert_eq!(server.listener.stats().send_errors, 0);
        ip("link set lo mtu 65536");
        exchange(&stream, &bytes(5_000_000));
    });
}
