//! Two forwarders: what connects to the first comes out of the second.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
};

use tempfile::{TempDir, tempdir};

use crate::{example::example, process::Server};

const TRANSPORT: &str = "seed=ecosystem&header=srtp";
const HOST: &str = "localhost";

/// What the forwarders have between them.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Link {
    Plain,
    Tls,
}

/// TCP at this end, a link in between, at the other end whatever the service listens on.
pub(crate) struct Tunnel {
    /// Where it begins.
    pub(crate) address: SocketAddr,
    _entry: Server,
    _exit: Server,
}

impl Tunnel {
    /// `service` is `tcp://HOST:PORT` or `unix:///PATH`.
    pub(crate) fn to(service: &str, link: Link) -> Self {
        // Read by the forwarders before they say that they are ready.
        let folder = tempdir().unwrap();
        let (server, client) = match link {
            Link::Plain => (TRANSPORT.to_owned(), TRANSPORT.to_owned()),
            Link::Tls => tls(&folder),
        };
        let (exit, port) = forward(&format!("mkcp://127.0.0.1:0?{server}"), service);
        let middle = format!("mkcp://127.0.0.1:{port}?{client}");
        let (entry, port) = forward("tcp://127.0.0.1:0", &middle);
        Self {
            address: (Ipv4Addr::LOCALHOST, port).into(),
            _entry: entry,
            _exit: exit,
        }
    }
}

/// The parameters of both ends, with a certificate that vouches for itself.
fn tls(folder: &TempDir) -> (String, String) {
    let identity = rcgen::generate_simple_self_signed([HOST.to_owned()]).unwrap();
    let (cert, key) = (folder.path().join("cert"), folder.path().join("key"));
    fs::write(&cert, identity.cert.pem()).unwrap();
    fs::write(&key, identity.signing_key.serialize_pem()).unwrap();
    let (cert, key) = (cert.display(), key.display());
    (
        format!("{TRANSPORT}&tls=1&cert={cert}&key={key}"),
        format!("{TRANSPORT}&tls=1&ca={cert}&sni={HOST}"),
    )
}

/// Gives the port where it listens.
fn forward(listen: &str, to: &str) -> (Server, u16) {
    let mut command = example("forward");
    command.args(["--listen", listen, "--to", to]);
    command.env("RUST_LOG", "warn"); // not every connection
    Server::start(command, |line| {
        let (_, port) = line.strip_prefix("listening on ")?.rsplit_once(':')?;
        port.parse().ok()
    })
}
