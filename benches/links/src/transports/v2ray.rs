//! The real V2Ray, at one end or at both, with TCP outside.

use std::{fs, io};

use serde_json::{Value, json};

use super::{Commands, OUTLIVE, Output, Run, Transport, mkcp, tcp, word};
use crate::{
    figures::{Figures, Measure},
    netlab::Report,
};

/// netlab's address of the server.
const SERVER: &str = "10.99.0.2";
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
    let mut inbound = door(mkcp::PORT, "127.0.0.1", tcp::PORT);
    inbound["streamSettings"] = stream_settings(run);
    let outbound = json!({ "protocol": "freedom", "settings": {} });
    let v2ray = start(run, "v2ray-server", inbound, outbound)?;
    let sink = tcp::sink(run, "server.json");
    Ok(format!("{OUTLIVE}; {v2ray} & {sink}"))
}

/// A V2Ray client with a sender before it, which waits for so many seconds in the end.
fn before(run: &Run<'_>, settle: u64) -> io::Result<String> {
    let inbound = door(tcp::PORT, SERVER, mkcp::PORT);
    let outbound = json!({
        "protocol": "freedom",
        "settings": { "redirect": format!("{SERVER}:{}", mkcp::PORT) },
        "streamSettings": stream_settings(run),
    });
    let v2ray = start(run, "v2ray-client", inbound, outbound)?;
    Ok(format!(
        "{v2ray} & {} --opening {OPENING} --settle {settle}; code=$?; kill $!; exit $code",
        tcp::send(run, "127.0.0.1")
    ))
}

/// Writes a configuration, and gives the command that runs it.
fn start(run: &Run<'_>, name: &str, inbound: Value, outbound: Value) -> io::Result<String> {
    let path = run.folder.join(name).with_extension("json");
    let config = json!({
        "log": { "access": "none", "loglevel": "warning" },
        "policy": { "levels": { "0": { "connIdle": 300, "uplinkOnly": 5, "downlinkOnly": 5 } } },
        "inbounds": [inbound],
        "outbounds": [outbound],
    });
    fs::write(&path, config.to_string())?;
    Ok(format!("v2ray -config {} > {name}.txt 2>&1", word(&path)))
}

/// Takes connections at a port and passes them on.
fn door(port: u16, host: &str, target: u16) -> Value {
    json!({
        "protocol": "dokodemo-door",
        "listen": "0.0.0.0", "port": port,
        "settings": { "address": host, "port": target, "network": "tcp" },
    })
}

/// V2Ray's defaults, or what its users set for a link like this.
fn stream_settings(run: &Run<'_>) -> Value {
    let mut settings = json!({ "seed": mkcp::SEED });
    if run.transport.is_fast() {
        let capacity = run.row.link.capacity_mib().unwrap_or(12);
        settings["uplinkCapacity"] = json!(capacity);
        settings["downlinkCapacity"] = json!(capacity);
    }
    if run.transport == Transport::V2rayFast {
        settings["tti"] = json!(20);
    }
    json!({ "network": "kcp", "kcpSettings": settings })
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
