//! A server of ours that is killed, so that it says nothing to its peers, and started again at the
//! same address, in front of it a v2ray client that knows nothing of it. By itself v2ray would wait
//! for 30 s.

use std::{
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream, UdpSocket},
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use mkcp::Header;

use crate::{
    behaviour::{PATIENCE, PROMPT, V2RAY_TIMER},
    example::example,
    link::Link,
    payload::expect,
    relay::{Relay, Rule},
    v2ray::V2ray,
};

/// Of a v2ray that has told, and been told, everything: several of its ticks.
const SILENCE: Duration = Duration::from_millis(300);
const ANYWHERE: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0));

/// An example in a process of its own, until it is killed.
struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    fn echo(address: SocketAddr) -> Self {
        Self::start(example("echo_server").args(["--listen", &address.to_string()]))
    }

    /// Passes on what comes to a TCP server.
    fn forward(address: SocketAddr, to: &TcpListener) -> Self {
        let to = format!("tcp://{}", to.local_addr().unwrap());
        let listen = format!("mkcp://{address}");
        Self::start(example("forward").args(["--listen", &listen, "--to", &to]))
    }

    fn start(command: &mut Command) -> Self {
        command.stdin(Stdio::null()).stderr(Stdio::null());
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        let stdout = child.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on ").unwrap();
        let address = address.parse().unwrap();
        Self { child, address }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// When something was last sent outward.
struct LastSent(Instant);

impl Rule for LastSent {
    fn outward(&mut self, _: &[u8], _: &mut Arc<UdpSocket>) -> bool {
        self.0 = Instant::now();
        true
    }
}

/// A v2ray client in front of a server, and a TCP connection through it.
struct Client {
    _v2ray: V2ray,
    relay: Relay<LastSent>,
    tcp: TcpStream,
}

impl Client {
    fn of(server: SocketAddr) -> Self {
        let relay = Relay::towards(server, LastSent(Instant::now()));
        let links = [(Link::new(Header::None, None), relay.address)];
        let (v2ray, entries) = V2ray::client(&links);
        let tcp = TcpStream::connect(entries[0]).unwrap();
        tcp.set_read_timeout(Some(PATIENCE)).unwrap();
        Self {
            _v2ray: v2ray,
            relay,
            tcp,
        }
    }

    /// With a server that has answered, and is dead since v2ray was done with the answer.
    fn orphan() -> (Self, SocketAddr) {
        let server = Server::echo(ANYWHERE);
        let mut client = Self::of(server.address);
        client.tcp.write_all(b"hello").unwrap();
        expect(&client.tcp, b"hello").unwrap();
        client.fall_silent();
        (client, server.address)
    }

    /// Waits until v2ray says nothing any more, not even what it has received.
    fn fall_silent(&self) {
        let deadline = Instant::now() + PATIENCE;
        let silence = || self.relay.state.lock().unwrap().rule.0.elapsed();
        while silence() < SILENCE {
            assert!(Instant::now() < deadline, "v2ray does not fall silent");
            thread::sleep(SILENCE / 20);
        }
    }
}

fn assert_ends_within(limit: Duration, started: Instant, mut tcp: &TcpStream) {
    match tcp.read(&mut [0; 8]) {
        Ok(0) => {}
        Ok(_) => panic!("a server that knows nothing has answered"),
        // v2ray has closed before it has read all that was written.
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
    }
    let time = started.elapsed();
    println!("ended after {time:?}");
    assert!(time < limit, "{time:?}");
}

#[test]
fn what_is_written_through_v2ray_after_a_restart_ends_the_connection() {
    let (mut client, address) = Client::orphan();
    let _server = Server::echo(address);
    let wrote = Instant::now();
    // If v2ray has sent a Ping just now, the end is here already.
    let _ = client.tcp.write_all(b"is anybody there?");
    assert_ends_within(PROMPT, wrote, &client.tcp);
}

#[test]
fn what_was_written_through_v2ray_before_the_restart_ends_the_connection() {
    let (mut client, address) = Client::orphan();
    client.tcp.write_all(b"is anybody there?").unwrap();
    let _server = Server::echo(address);
    assert_ends_within(PROMPT, Instant::now(), &client.tcp);
}

#[test]
fn a_v2ray_client_that_waits_learns_of_a_restart_by_its_ping() {
    let (client, address) = Client::orphan();
    let _server = Server::echo(address);
    assert_ends_within(V2RAY_TIMER, Instant::now(), &client.tcp);
}

/// What it writes looks like the beginning of a connection, and what it has received does not: it
/// says that in the same tick, or with a Ping.
#[test]
fn a_v2ray_client_that_had_only_listened_learns_of_a_restart_too() {
    let behind = TcpListener::bind(ANYWHERE).unwrap();
    let server = Server::forward(ANYWHERE, &behind);
    let mut client = Client::of(server.address);
    // v2ray says nothing for 5 s, and opens its connection by a Ping then.
    let (mut first, _) = behind.accept().unwrap();
    first.write_all(b"welcome").unwrap();
    expect(&client.tcp, b"welcome").unwrap();
    client.fall_silent();
    let address = server.address;
    drop(server);
    let _server = Server::forward(address, &behind);
    let wrote = Instant::now();
    let _ = client.tcp.write_all(b"hello");
    assert_ends_within(V2RAY_TIMER, wrote, &client.tcp);
}
