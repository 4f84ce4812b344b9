//! The real v2ray at the other end (4.x; Debian's package `v2ray` is what it is run with).
//!
//! It has the dokodemo-door and freedom that users have: at the client, TCP in and mKCP out; at
//! the server, mKCP in and TCP out.

use std::{
    fs,
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    sync::mpsc,
    thread,
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    payload::PAYLOAD,
    process::{DEADLINE, Server, example, with_deadline},
    service::{self, exchange, exchange_through_v2ray, expect_all},
};

const MISSING: &str = "v2ray is missing: install it (Debian, Ubuntu: apt-get install v2ray)";
const LOOPBACK: &str = "127.0.0.1";
/// v2ray shares UDP ports without complaint but not TCP ports: another program may be quicker.
const ATTEMPTS: usize = 3;

/// A v2ray that runs until this is dropped.
struct V2ray(Child);

impl V2ray {
    /// Starts it with a configuration, which is made anew if ports turn out to be taken.
    fn start<T>(configure: impl Fn() -> (Value, T)) -> (Self, T) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.json");
        for _ in 0..ATTEMPTS {
            let (config, value) = configure();
            fs::write(&file, config.to_string()).unwrap();
            if let Some(v2ray) = Self::run(&file) {
                return (v2ray, value);
            }
        }
        panic!("v2ray does not start");
    }

    /// Starts it with a file, unless it does not take it.
    fn run(file: &Path) -> Option<Self> {
        let mut child = Command::new("v2ray")
            .arg("-config")
            .arg(file)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{MISSING} ({error})"));
        let stdout = child.stdout.take().unwrap();
        let v2ray = Self(child);
        has_started(stdout).then_some(v2ray)
    }
}

impl Drop for V2ray {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits until it says so, and goes on reading what it prints.
fn has_started(stdout: ChildStdout) -> bool {
    let (started, start) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if line.contains("V2Ray") && line.ends_with("started") {
                let _ = started.send(());
            }
        }
    });
    start.recv_timeout(DEADLINE).is_ok()
}

/// How client and server are connected, as v2ray is told and as an `mkcp://` address says it.
struct Link {
    name: &'static str,
    server: Value,
    client: Value,
    server_url: String,
    client_url: String,
    /// Holds the files that these name.
    _files: Option<TempDir>,
}

impl Link {
    fn plain() -> Self {
        let settings = json!({
            "network": "kcp",
            "kcpSettings": { "header": { "type": "srtp" }, "seed": "correct & horse" },
        });
        let url = "header=srtp&seed=correct%20%26%20horse";
        Self {
            name: "plain",
            server: settings.clone(),
            client: settings,
            server_url: url.to_owned(),
            client_url: url.to_owned(),
            _files: None,
        }
    }

    /// With a certificate made by v2ray.
    fn tls() -> Self {
        let certificate = v2ctl_certificate();
        let folder = tempfile::tempdir().unwrap();
        let pem = |name: &str| {
            let lines = certificate[name].as_array().unwrap().iter();
            let lines: Vec<_> = lines.map(|line| line.as_str().unwrap()).collect();
            let path = folder.path().join(name);
            fs::write(&path, lines.join("\n")).unwrap();
            path.display().to_string()
        };
        let (cert, key) = (pem("certificate"), pem("key"));
        let plain = Self::plain();
        let with = |settings: &Value, tls: Value| {
            let mut settings = settings.clone();
            settings["security"] = json!("tls");
            settings["tlsSettings"] = tls;
            settings
        };
        Self {
            name: "TLS",
            server: with(&plain.server, json!({ "certificates": [certificate] })),
            client: with(
                &plain.client,
                json!({ "serverName": "server.test", "allowInsecure": true }),
            ),
            server_url: format!("{}&tls=1&cert={cert}&key={key}", plain.server_url),
            client_url: format!("{}&tls=1&sni=server.test&insecure=1", plain.client_url),
            _files: Some(folder),
        }
    }

    fn both() -> [Self; 2] {
        [Self::plain(), Self::tls()]
    }
}

fn v2ctl_certificate() -> Value {
    let output = Command::new("v2ctl")
        .args(["cert", "-json", "-domain=server.test"])
        .output()
        .unwrap_or_else(|error| panic!("{MISSING} ({error})"));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// An end is passed on soon.
fn config(inbound: Value, outbound: Value) -> Value {
    json!({
        "log": { "access": "none", "loglevel": "warning" },
        "policy": { "levels": { "0": { "uplinkOnly": 1, "downlinkOnly": 1 } } },
        "inbounds": [inbound],
        "outbounds": [outbound],
    })
}

/// Takes TCP connections, and passes them on over mKCP.
fn client(link: &Link, door: u16, server: SocketAddr) -> Value {
    config(
        json!({
            "protocol": "dokodemo-door", "listen": LOOPBACK, "port": door,
            "settings": { "address": LOOPBACK, "port": server.port(), "network": "tcp" },
        }),
        json!({
            "protocol": "freedom",
            "settings": { "redirect": server.to_string() },
            "streamSettings": link.client,
        }),
    )
}

/// Takes connections over mKCP, and passes them on to a TCP server.
fn server(link: &Link, port: u16, target: SocketAddr) -> Value {
    config(
        json!({
            "protocol": "dokodemo-door", "listen": LOOPBACK, "port": port,
            "settings": { "address": LOOPBACK, "port": target.port(), "network": "tcp" },
            "streamSettings": link.server,
        }),
        json!({ "protocol": "freedom", "settings": {} }),
    )
}

fn free_tcp_port() -> u16 {
    let listener = TcpListener::bind((LOOPBACK, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

fn free_udp_port() -> u16 {
    let socket = UdpSocket::bind((LOOPBACK, 0)).unwrap();
    socket.local_addr().unwrap().port()
}

fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect((LOOPBACK, port)).unwrap();
    with_deadline(&stream);
    stream
}

/// v2ray as client in front of our forwarder, and its TCP port.
fn v2ray_client(link: &Link, forwarder: &Server) -> (V2ray, u16) {
    let server = forwarder.socket_addr();
    V2ray::start(|| {
        let door = free_tcp_port();
        (client(link, door, server), door)
    })
}

/// v2ray as server behind our forwarder, and its mKCP address.
fn v2ray_server(link: &Link, target: SocketAddr) -> (V2ray, SocketAddr) {
    V2ray::start(|| {
        let port = free_udp_port();
        (
            server(link, port, target),
            SocketAddr::from(([127, 0, 0, 1], port)),
        )
    })
}

#[test]
fn v2ray_connects_to_us_as_an_address_describes_it() {
    for link in Link::both() {
        let to = format!("tcp://{}", service::echo());
        let listen = format!("mkcp://127.0.0.1:0?{}", link.server_url);
        let forwarder = Server::between(&listen, &to, &[]);
        let (_v2ray, door) = v2ray_client(&link, &forwarder);
        drop(exchange_through_v2ray(
            &forwarder,
            || connect(door),
            &PAYLOAD,
        ));
        let line = forwarder.wait_for_log(" closed after 5000000 bytes in, 5000000 out");
        println!("{}: {line}", link.name);
    }
}

#[test]
fn we_connect_to_v2ray_as_an_address_describes_it() {
    for link in Link::both() {
        let (_v2ray, address) = v2ray_server(&link, service::echo());
        let to = format!("mkcp://{address}?{}", link.client_url);
        let forwarder = Server::between("tcp://127.0.0.1:0", &to, &[]);
        drop(exchange_through_v2ray(
            &forwarder,
            || forwarder.connect(),
            &PAYLOAD,
        ));
        let line = forwarder.wait_for_log(" 5000000 bytes in, 5000000 out");
        assert!(!line.contains(" failed "), "{line}");
        println!("{}: {line}", link.name);
    }
}

/// Answers, and closes.
fn answer(mut stream: TcpStream) -> io::Result<()> {
    stream.read_exact(&mut [0])?;
    stream.write_all(&PAYLOAD)
}

#[test]
fn the_end_of_an_answer_goes_through_v2ray() {
    for link in Link::both() {
        let (target, _) = service::serve(answer);
        let listen = format!("mkcp://127.0.0.1:0?{}", link.server_url);
        let forwarder = Server::between(&listen, &format!("tcp://{target}"), &[]);
        let (_client, door) = v2ray_client(&link, &forwarder);
        let stream = connect(door);
        (&stream).write_all(b"?").unwrap();
        expect_all(&stream, &PAYLOAD);

        let (_server, address) = v2ray_server(&link, target);
        let to = format!("mkcp://{address}?{}", link.client_url);
        let forwarder = Server::between("tcp://127.0.0.1:0", &to, &[]);
        let stream = forwarder.connect();
        (&stream).write_all(b"?").unwrap();
        expect_all(&stream, &PAYLOAD);
    }
}

/// Client and server of v2ray as files, either of which can be ours instead.
struct Files {
    folder: TempDir,
    door: u16,
    port: u16,
}

impl Files {
    fn new(link: &Link, target: SocketAddr) -> Self {
        let files = Self {
            folder: tempfile::tempdir().unwrap(),
            door: free_tcp_port(),
            port: free_udp_port(),
        };
        let address = SocketAddr::from(([127, 0, 0, 1], files.port));
        let client = client(link, files.door, address);
        fs::write(files.client(), client.to_string()).unwrap();
        fs::write(files.server(), server(link, files.port, target).to_string()).unwrap();
        files
    }

    fn client(&self) -> PathBuf {
        self.folder.path().join("client.json")
    }

    fn server(&self) -> PathBuf {
        self.folder.path().join("server.json")
    }
}

/// Sees to it that something starts, with new files if their ports turn out to be taken.
fn with_files<T>(
    link: &Link,
    target: SocketAddr,
    start: impl Fn(&Files) -> Option<T>,
) -> (Files, T) {
    for _ in 0..ATTEMPTS {
        let files = Files::new(link, target);
        if let Some(started) = start(&files) {
            return (files, started);
        }
    }
    panic!("nothing starts");
}

fn we_are_the_client(link: &Link, target: SocketAddr) {
    let (files, _v2ray) = with_files(link, target, |files| V2ray::run(&files.server()));
    let forwarder = our_client(&files);
    exchange_through_v2ray(&forwarder, || forwarder.connect(), &PAYLOAD);
}

fn our_client(files: &Files) -> Server {
    let file = files.client();
    let listen = "tcp://127.0.0.1:0";
    Server::forward(&["--config", file.to_str().unwrap(), "--listen", listen])
}

/// With ours first: it says so if the port is taken.
fn we_are_the_server(link: &Link, target: SocketAddr, ours: impl Fn(&Path) -> Option<Server>) {
    let (files, (server, _v2ray)) = with_files(link, target, |files| {
        let server = ours(&files.server())?;
        assert_eq!(server.address, format!("127.0.0.1:{}", files.port));
        Some((server, V2ray::run(&files.client())?))
    });
    exchange_through_v2ray(&server, || connect(files.door), &PAYLOAD);
}

#[test]
fn the_files_of_v2ray_are_files_of_ours() {
    for link in Link::both() {
        let target = service::echo();
        let to = format!("tcp://{target}");
        let forwarder = |file: &Path| {
            let mut command = example("forward");
            Server::try_start(command.arg("--config").arg(file).args(["--to", &to]))
        };
        let echo_server = |file: &Path| {
            let mut command = example("echo_server");
            Server::try_start(command.arg("--config").arg(file))
        };

        println!("{}: we are the client", link.name);
        we_are_the_client(&link, target);
        println!("{}: we are the server", link.name);
        we_are_the_server(&link, target, forwarder);
        println!("{}: our echo server is the server", link.name);
        we_are_the_server(&link, target, echo_server);
        println!("{}: we are both", link.name);
        let (files, _server) = with_files(&link, target, |files| forwarder(&files.server()));
        exchange(&our_client(&files).connect(), &PAYLOAD);
    }
}
