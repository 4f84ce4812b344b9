//! The program as its users run it, short of a link.

// A test fails by panicking, its helpers too.
#![allow(clippy::unwrap_used)]

use std::{
    fs,
    net::{TcpListener, UdpSocket},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Child, Command, Output, Stdio},
    thread,
    time::Duration,
};

use serde_json::Value;

fn links(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_links"));
    command.env_remove("NETLAB").env("PATH", "/nowhere");
    command.args(arguments).output().unwrap()
}

#[test]
fn help_shows_the_command_and_hides_the_ends() {
    let output = links(&["--help"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success());
    assert!(text.contains("table"), "{text}");
    assert!(
        !text.contains("tcp-sink") && !text.contains("quic-send"),
        "{text}"
    );

    let output = links(&["table", "--help"]);
    let text = String::from_utf8(output.stdout).unwrap();
    for word in ["--netlab", "--seeds", "--svg", "loss-20", "mkcp-loss-rate"] {
        assert!(text.contains(word), "{word} in {text}");
    }
}

#[test]
fn a_missing_emulator_is_one_line_and_exit_code_2() {
    for arguments in [&["table"][..], &["table", "--netlab", "/nowhere/netlab"]] {
        let output = links(arguments);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.starts_with("error: no netlab at "), "{text}");
        assert!(text.contains("link emulator"), "{text}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn bad_options_have_exit_code_2() {
    let cases = [
        &["table", "--only", "moon"][..],
        &["table", "--seeds", "0"],
        &["table", "--seconds", "soon"],
        &["table", "--transport", "pigeon"],
    ];
    for arguments in cases {
        assert_eq!(links(arguments).status.code(), Some(2), "{arguments:?}");
    }
}

/// An emulator that does as this shell script says.
fn emulator(folder: &Path, script: &str) -> String {
    let path = folder.join("netlab");
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Prints what an emulator and the ends of mkcp print, without any of them.
const PRETEND: &str = r#"
for argument; do case "$argument" in --json=*) report="${argument#--json=}";; esac; done
echo '{"exit_code":0,"up":{"offered":{"packets":9,"bytes":106000000}}}' > "$report"
echo '{"goodput_mb_s":11.5,"bytes_written":100000000,"send_queue":0}' > client.json
"#;

#[test]
fn results_are_written_in_all_forms() {
    let folder = tempfile::tempdir().unwrap();
    let netlab = emulator(folder.path(), PRETEND);
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (json, svg, text) = (file("a.json"), file("a.svg"), file("a.md"));
    let chosen = ["table", "--netlab", &netlab, "--perf", "/bin/sh"];
    let chosen = [&chosen[..], &["--transport", "mkcp", "--seeds", "2"]].concat();
    let written = ["--json", &json, "--svg", &svg, "--markdown", &text];
    let output = links(&[&chosen[..], &["--only", "loss-0,loss-1"], &written].concat());
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(
        output.status.success() && output.stdout.is_empty(),
        "{error}"
    );
    assert!(
        error.contains("loss-1 mkcp seed 2: goodput_mb_s 11.5"),
        "{error}"
    );

    let text = fs::read_to_string(text).unwrap();
    assert!(text.contains("| 11.50 | 97.2 % | 1.060 |"), "{text}");
    assert!(
        text.contains("| mkcp | 11.50 · 1.060 | 11.50 · 1.060 | – |"),
        "{text}"
    );
    assert!(fs::read_to_string(svg).unwrap().trim().ends_with("</svg>"));
    let runs: Value = serde_json::from_str(&fs::read_to_string(json).unwrap()).unwrap();
    assert_eq!(runs.as_array().unwrap().len(), 4);
}

#[test]
fn what_the_emulator_says_against_it_is_passed_on() {
    let folder = tempfile::tempdir().unwrap();
    let netlab = emulator(folder.path(), "echo 'needs root' >&2; exit 125");
    let chosen = ["--perf", "/bin/sh", "--transport", "mkcp"];
    let output = links(&[&["table", "--netlab", &netlab], &chosen[..]].concat());
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert_eq!(text, "error: netlab failed: needs root\n");
}

#[test]
fn a_missing_v2ray_is_one_line_and_exit_code_2() {
    let folder = tempfile::tempdir().unwrap();
    let netlab = emulator(folder.path(), PRETEND);
    let output = links(&["table", "--netlab", &netlab, "--transport", "v2ray"]);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.starts_with("error: v2ray is missing"), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
}

/// What a sink says that has got something, from a sender that has nothing to complain about.
fn both_end_well(sender: &Output, sink: Child) -> Value {
    assert!(
        sender.status.success() && sender.stderr.is_empty(),
        "{sender:?}"
    );
    let output = sink.wait_with_output().unwrap();
    let object: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(object["bytes"].as_u64() > Some(0), "{object}");
    object
}

#[test]
fn tcp_ends_agree_on_what_was_sent() {
    let listen = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listen.local_addr().unwrap().to_string();
    drop(listen);
    let mut sink = Command::new(env!("CARGO_BIN_EXE_links"));
    sink.args(["tcp-sink", "--listen", &address, "--seconds", "0.5"]);
    let sink = sink.stdout(Stdio::piped()).spawn().unwrap();
    let send = ["tcp-send", "--connect", &address, "--seconds", "0.5"];
    let output = links(&[&send[..], &["--opening", "5"]].concat());
    let object = both_end_well(&output, sink);
    assert!(object["goodput_mb_s"].as_f64() > Some(0.0), "{object}");
}

#[test]
fn quic_ends_work_together() {
    let folder = tempfile::tempdir().unwrap();
    let certificate = folder.path().join("quic.der");
    let file = certificate.to_str().unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap().to_string();
    drop(socket);
    let mut sink = Command::new(env!("CARGO_BIN_EXE_links"));
    sink.args(["quic-sink", "--listen", &address, "--certificate", file]);
    sink.args(["--seconds", "0.5"]);
    let sink = sink.stdout(Stdio::piped()).spawn().unwrap();
    while !certificate.exists() {
        thread::sleep(Duration::from_millis(10));
    }
    thread::sleep(Duration::from_millis(300));
    let send = ["quic-send", "--connect", &address, "--certificate", file];
    let output = links(&[&send[..], &["--congestion", "bbr", "--seconds", "0.5"]].concat());
    both_end_well(&output, sink);
}
