//! QUIC by quinn, by commands of this program.

use super::{Commands, Run, tcp, word};

const PORT: u16 = 9002;

pub(super) fn commands(run: &Run<'_>, congestion: &str) -> Commands {
    let links = word(run.links);
    Commands {
        server: format!(
            "exec {links} quic-sink --listen 0.0.0.0:{PORT} --certificate quic.der{} > server.json",
            tcp::window(run)
        ),
        client: format!(
            "exec {links} quic-send --connect \"$NETLAB_SERVER\":{PORT} --certificate quic.der \
             --congestion {congestion} --seconds {}",
            run.seconds
        ),
        tcp: None,
    }
}
