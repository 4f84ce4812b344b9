//! Two forwarders: what connects to the first comes out of the second.

use std::{net::SocketAddr, process::Command};

use crate::process::{Server, example};

const TRANSPORT: &str = "seed=ecosystem&header=srtp";

/// TCP at this end, mKCP in between, at the other end whatever the service listens on.
pub(crate) struct Tunnel {
    /// Where it begins.
    pub(crate) address: SocketAddr,
    _entry: Server,
    _exit: Server,
}

impl Tunnel {
    /// `service` is `tcp://HOST:PORT` or `unix:///PATH`.
    pub(crate) fn to(service: &str) -> Self {
        let (exit, middle) = forward(&format!("mkcp://127.0.0.1:0?{TRANSPORT}"), service);
        let middle = format!("mkcp://{middle}?{TRANSPORT}");
        let (entry, address) = forward("tcp://127.0.0.1:0", &middle);
        Self {
            address,
            _entry: entry,
            _exit: exit,
        }
    }
}

fn forward(listen: &str, to: &str) -> (Server, SocketAddr) {
    let mut command: Command = example("forward");
    command.args(["--listen", listen, "--to", to]);
    Server::start(command, |line| {
        let address = line.strip_prefix("listening on ")?;
        let (_, port) = address.rsplit_once(':')?;
        Some(([127, 0, 0, 1], port.parse().ok()?).into())
    })
}
