//! v2ray as a child process, with any number of links in one configuration.

use std::{
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, UdpSocket},
    process::{Child, ChildStdout, Command, Stdio},
    sync::{Arc, Mutex, mpsc},
    thread,
    time::Duration,
};

use serde_json::{Value, json};

use crate::link::Link;

const MISSING: &str = "v2ray is missing: install it (Debian, Ubuntu: apt-get install v2ray)";
const LOOPBACK: &str = "127.0.0.1";
/// v2ray shares UDP ports without complaint but not TCP ports: another program may be quicker.
const ATTEMPTS: usize = 3;
const START: Duration = Duration::from_secs(20);

/// A v2ray that runs until this is dropped.
pub(crate) struct V2ray {
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
}

impl V2ray {
    /// A v2ray client. Gives one TCP address per link: what connects there comes out, over the
    /// link, at the mKCP server beside it.
    pub(crate) fn client(links: &[(Link, SocketAddr)]) -> (Self, Vec<SocketAddr>) {
        Self::start(|| {
            let addresses = free_tcp_addresses(links.len());
            let entries = links.iter().zip(&addresses).enumerate();
            let (mut inbounds, mut outbounds, mut rules) = (vec![], vec![], vec![]);
            for (number, ((link, server), address)) in entries {
                let (entry, exit) = (format!("in-{number}"), format!("out-{number}"));
                inbounds.push(door(&entry, *address, *server));
                outbounds.push(json!({
                    "tag": exit, "protocol": "freedom",
                    "settings": { "redirect": server.to_string() },
                    "streamSettings": link.stream_settings(),
                }));
                rules.push(json!({ "type": "field", "inboundTag": [entry], "outboundTag": exit }));
            }
            (config(inbounds, outbounds, rules), addresses)
        })
    }

    /// A v2ray server. Gives one UDP address per link: what connects there over mKCP comes out
    /// at the TCP server beside the link.
    pub(crate) fn server(links: &[(Link, SocketAddr)]) -> (Self, Vec<SocketAddr>) {
        Self::start(|| {
            let addresses = free_udp_addresses(links.len());
            let entries = links.iter().zip(&addresses).enumerate();
            let inbound = |(number, ((link, server), address)): (_, (&(Link, _), &_))| {
                let mut inbound = door(&format!("in-{number}"), *address, *server);
                inbound["streamSettings"] = link.stream_settings();
                inbound
            };
            let inbounds = entries.map(inbound).collect();
            let exit = json!({ "protocol": "freedom", "settings": {} });
            (config(inbounds, vec![exit], vec![]), addresses)
        })
    }

    /// What it has printed.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().join("\n")
    }

    fn start(configure: impl Fn() -> (Value, Vec<SocketAddr>)) -> (Self, Vec<SocketAddr>) {
        for attempt in 1.. {
            let (config, addresses) = configure();
            let v2ray = Self::spawn(&config);
            match v2ray {
                Ok(v2ray) => return (v2ray, addresses),
                Err(log) if attempt == ATTEMPTS => panic!("v2ray does not start:\n{log}"),
                Err(log) => println!("v2ray does not start, once more with other ports:\n{log}"),
            }
        }
        unreachable!("the loop ends by itself")
    }

    /// Waits until it says that it has started, or gives what it printed instead.
    fn spawn(config: &Value) -> Result<Self, String> {
        let mut child = Command::new("v2ray")
            .args(["-config", "stdin:"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{MISSING} ({error})"));
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(config.to_string().as_bytes()).unwrap();
        drop(stdin);

        let log = Arc::new(Mutex::new(Vec::new()));
        let (started, start) = mpsc::channel();
        let (stdout, lines) = (child.stdout.take().unwrap(), Arc::clone(&log));
        let v2ray = Self { child, log };
        thread::spawn(move || read_log(stdout, &lines, &started));
        match start.recv_timeout(START) {
            Ok(()) => Ok(v2ray),
            Err(_) => Err(v2ray.log()),
        }
    }
}

impl Drop for V2ray {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read_log(stdout: ChildStdout, lines: &Mutex<Vec<String>>, started: &mpsc::Sender<()>) {
    for line in BufReader::new(stdout).lines().map_while(Result::ok) {
        if line.contains("V2Ray") && line.ends_with("started") {
            let _ = started.send(());
        }
        lines.lock().unwrap().push(line);
    }
}

/// An end is passed on at once (0 seconds) instead of after a silence.
fn config(inbounds: Vec<Value>, outbounds: Vec<Value>, rules: Vec<Value>) -> Value {
    json!({
        "log": { "access": "none", "loglevel": "warning" },
        "policy": { "levels": { "0": { "connIdle": 300, "uplinkOnly": 0, "downlinkOnly": 0 } } },
        "inbounds": inbounds,
        "outbounds": outbounds,
        "routing": { "rules": rules },
    })
}

/// Takes connections at one address and passes them to another.
fn door(tag: &str, address: SocketAddr, target: SocketAddr) -> Value {
    json!({
        "tag": tag, "protocol": "dokodemo-door",
        "listen": LOOPBACK, "port": address.port(),
        "settings": { "address": LOOPBACK, "port": target.port(), "network": "tcp" },
    })
}

/// Ports that are free now: all are taken before the first is given back.
fn free_tcp_addresses(count: usize) -> Vec<SocketAddr> {
    let bind = |_| TcpListener::bind((LOOPBACK, 0)).unwrap();
    let sockets: Vec<_> = (0..count).map(bind).collect();
    sockets
        .iter()
        .map(|socket| socket.local_addr().unwrap())
        .collect()
}

fn free_udp_addresses(count: usize) -> Vec<SocketAddr> {
    let bind = |_| UdpSocket::bind((LOOPBACK, 0)).unwrap();
    let sockets: Vec<_> = (0..count).map(bind).collect();
    sockets
        .iter()
        .map(|socket| socket.local_addr().unwrap())
        .collect()
}
