//! The real V2Ray, at one end or at both, with TCP outside.

use std::{
    fs, io,
    net::{Ipv4Addr, SocketAddr},
};

use bench_common::v2ray::{PROGRAM, Pipe};
use serde_json::{Value, json};

use super::{Commands, OUTLIVE, Output, Run, Transport, mkcp, tcp, word};
use crate::{
    figures::{Figures, Measure},
    netlab::Report,
};

/// netlab's address of the server.
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 2);
/// How long a sender waits for V2Ray's door to open, and at the end for what is on its way.
const OPENING: u64 = 10;

/// V2Ray at both ends.
pub(super) fn both(run: &Run<'_>) -> io::Result<Commands> {
    Ok(Commands {
        server: behind(run)?,
        client: before(run, 15)?,
        tcp: None,
    })
}

/// From V2Ray to mkcp, which does not say how much it has got.
pub(super) fn client(run: &Run<'_>) -> io::Result<Commands> {
    Ok(Commands {
        server: format!("exec {}", mkcp::serve(run, "sink")),
        client: before(run, 3)?,
        tcp: None,
    })
}

/// From mkcp to V2Ray.
pub(super) fn server(run: &Run<'_>) -> io::Result<Commands> {
    Ok(Commands {
        server: behind(run)?,
        client: mkcp::bulk(run),
        tcp: None,
    })
}

/// A V2Ray server with a sink behind it.
fn behind(run: &Run<'_>) -> io::Result<String> {
    let target = (Ipv4Addr::LOCALHOST, tcp::PORT).into();
    let config = pipe(mkcp::PORT, target, &settings(run)).server();
    let v2ray = start(run, "v2ray-server", &config)?;
    let sink = tcp::sink(run, "server.json");
    Ok(format!("{OUTLIVE}; {v2ray} & {sink}"))
}

/// A V2Ray client with a sender before it, which waits for so many seconds in the end.
fn before(run: &Run<'_>, settle: u64) -> io::Result<String> {
    let target = (SERVER, mkcp::PORT).into();
    let config = pipe(tcp::PORT, target, &settings(run)).client();
    let v2ray = start(run, "v2ray-client", &config)?;
    Ok(format!(
        "{v2ray} & {} --opening {OPENING} --settle {settle}; code=$?; kill $!; exit $code",
        tcp::send(run, "127.0.0.1")
    ))
}

/// Writes a configuration, and gives the command that runs it.
fn start(run: &Run<'_>, name: &str, config: &Value) -> io::Result<String> {
    let path = run.folder.join(name).with_extension("json");
    fs::write(&path, config.to_string())?;
    Ok(format!(
        "{PROGRAM} -config {} > {name}.txt 2>&1",
        word(&path)
    ))
}

/// From a port of all addresses.
fn pipe(port: u16, target: SocketAddr, settings: &Value) -> Pipe<'_> {
    Pipe {
        listen: (Ipv4Addr::UNSPECIFIED, port).into(),
        target,
        settings,
        linger: 5,
    }
}

/// V2Ray's defaults, or what its users set for a link like this.
fn settings(run: &Run<'_>) -> Value {
    let mut settings = json!({ "seed": mkcp::SEED });
    if run.transport.is_fast() {
        let capacity = run.row.link.capacity_mib().unwrap_or(12);
        settings["uplinkCapacity"] = json!(capacity);
        settings["downlinkCapacity"] = json!(capacity);
    }
    if run.transport == Transport::V2rayFast {
        settings["tti"] = json!(20);
    }
    settings
}

/// What our server says about the session of a V2Ray client: from the first byte to the last,
/// for V2Ray goes on after the sender has stopped.
pub(super) fn client_figures(output: &Output, report: &Report) -> Figures {
    let mut figures = Figures::default();
    let session = &output.server["per_session"][0];
    let number = |name: &str| session[name].as_f64();
    let times = number("first_byte_s").zip(number("last_byte_s"));
    let seconds = times.map(|(first, last)| last - first);
    let goodput = number("bytes").zip(seconds).filter(|(_, time)| *time > 0.0);
    figures.set_some(
        Measure::Goodput,
        goodput.map(|(bytes, time)| bytes / 1e6 / time),
    );
    report.tell(number("bytes"), &mut figures);
    figures
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_measured_from_its_first_byte_to_its_last() {
        let report = Report::parse(r#"{"up":{"offered":{"bytes":33000000}}}"#).unwrap();
        let session = json!({ "bytes": 30_000_000, "first_byte_s": 1.0, "last_byte_s": 11.0 });
        let output = Output {
            client: Value::Null,
            server: json!({ "per_session": [session] }),
            beside: Value::Null,
        };
        let figures = client_figures(&output, &report);
        assert_eq!(figures.get(Measure::Goodput), Some(3.0));
        assert_eq!(figures.get(Measure::Wire), Some(1.1));
    }
}
