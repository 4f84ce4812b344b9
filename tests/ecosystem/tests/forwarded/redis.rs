//! The redis crate and Debian's redis-server.

use std::{sync::mpsc, thread};

use ::redis::{Client, Commands, Connection, cmd, pipe};
use tempfile::{TempDir, tempdir};

use crate::{
    pattern::pattern,
    process::{Server, program},
    tunnel::{Link, Tunnel},
};

const MIB: usize = 1024 * 1024;

/// A redis-server that listens on a Unix socket alone, and a tunnel to it.
struct Redis {
    tunnel: Tunnel,
    _server: Server,
    _folder: TempDir,
}

impl Redis {
    fn start(link: Link) -> Self {
        let folder = tempdir().unwrap();
        let socket = folder.path().join("redis.sock");
        let mut command = program("redis-server");
        command.args(["--port", "0", "--save", "", "--appendonly", "no"]);
        command.arg("--unixsocket").arg(&socket);
        command.arg("--dir").arg(folder.path());
        let ready = |line: &str| line.contains("eady to accept connections").then_some(());
        let (server, ()) = Server::start(command, ready);
        Self {
            tunnel: Tunnel::to(&format!("unix://{}", socket.display()), link),
            _server: server,
            _folder: folder,
        }
    }

    fn connect(&self) -> Connection {
        let uri = format!("redis://{}/", self.tunnel.address);
        Client::open(uri).unwrap().get_connection().unwrap()
    }
}

pub(crate) fn redis_keeps_small_and_large_values(link: Link) {
    let redis = Redis::start(link);
    let mut connection = redis.connect();
    let missing: Option<Vec<u8>> = connection.get("missing").unwrap();
    assert_eq!(missing, None);
    for length in [0, 1, 1_000, MIB, 16 * MIB] {
        let value = pattern(length, length as u64);
        let () = connection.set("key", &value).unwrap();
        // What one connection has set, another one gets.
        let kept: Vec<u8> = redis.connect().get("key").unwrap();
        assert!(kept == value, "{length}: the bytes differ");
    }
}

pub(crate) fn redis_takes_ten_thousand_commands_at_once(link: Link) {
    const COMMANDS: usize = 10_000;
    let redis = Redis::start(link);
    let mut connection = redis.connect();
    let mut pipeline = pipe();
    for number in 0..COMMANDS {
        pipeline.set(number, number * 7).ignore();
        pipeline.get(number);
    }
    let values: Vec<usize> = pipeline.query(&mut connection).unwrap();
    assert!(
        values
            .into_iter()
            .eq((0..COMMANDS).map(|number| number * 7))
    );
    let count: usize = cmd("DBSIZE").query(&mut connection).unwrap();
    assert_eq!(count, COMMANDS);
}

pub(crate) fn redis_publishes_to_a_subscriber(link: Link) {
    const MESSAGES: usize = 200;
    let redis = Redis::start(link);
    let (subscribed, wait) = mpsc::channel();
    thread::scope(|scope| {
        let subscriber = scope.spawn(|| {
            let mut connection = redis.connect();
            let mut channel = connection.as_pubsub();
            channel.subscribe("news").unwrap();
            subscribed.send(()).unwrap();
            let payload = |_| {
                channel
                    .get_message()
                    .unwrap()
                    .get_payload::<usize>()
                    .unwrap()
            };
            (0..MESSAGES).map(payload).collect::<Vec<_>>()
        });
        wait.recv().unwrap();
        let mut publisher = redis.connect();
        for number in 0..MESSAGES {
            let receivers: usize = publisher.publish("news", number).unwrap();
            assert_eq!(receivers, 1);
        }
        assert!(subscriber.join().unwrap().into_iter().eq(0..MESSAGES));
    });
}

pub(crate) fn redis_serves_many_connections(link: Link) {
    const CONNECTIONS: usize = 20;
    const ROUNDS: usize = 50;
    let redis = Redis::start(link);
    thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            scope.spawn(|| {
                let mut connection = redis.connect();
                for _ in 0..ROUNDS {
                    let _: usize = connection.incr("count", 1).unwrap();
                }
            });
        }
    });
    let count: usize = redis.connect().get("count").unwrap();
    assert_eq!(count, CONNECTIONS * ROUNDS);
}
