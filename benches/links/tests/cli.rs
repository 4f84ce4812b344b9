//! The program as its users run it, short of a link.

// A test fails by panicking, its helpers too.
#![allow(clippy::unwrap_used)]

use std::process::{Command, Output};

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

#[test]
fn tcp_ends_agree_on_what_was_sent() {
    let listen = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listen.local_addr().unwrap().to_string();
    drop(listen);
    let mut sink = Command::new(env!("CARGO_BIN_EXE_links"));
    sink.args(["tcp-sink", "--listen", &address, "--seconds", "0.5"]);
    let sink = sink.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let send = ["tcp-send", "--connect", &address, "--seconds", "0.5"];
    let output = links(&[&send[..], &["--opening", "5"]].concat());
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{output:?}"
    );
    let output = sink.wait_with_output().unwrap();
    let object: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(object["bytes"].as_u64() > Some(0), "{object}");
    assert!(object["goodput_mb_s"].as_f64() > Some(0.0), "{object}");
}

#[test]
fn quic_ends_work_together() {
    let folder = tempfile::tempdir().unwrap();
    let certificate = folder.path().join("quic.der");
    let file = certificate.to_str().unwrap();
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap().to_string();
    drop(socket);
    let mut sink = Command::new(env!("CARGO_BIN_EXE_links"));
    sink.args(["quic-sink", "--listen", &address, "--certificate", file]);
    sink.args(["--seconds", "0.5"]);
    let sink = sink.stdout(std::process::Stdio::piped()).spawn().unwrap();
    while !certificate.exists() {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    std::thread::sleep(std::time::Duration::from_millis(300));
    let send = ["quic-send", "--connect", &address, "--certificate", file];
    let output = links(&[&send[..], &["--congestion", "bbr", "--seconds", "0.5"]].concat());
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{output:?}"
    );
    let output = sink.wait_with_output().unwrap();
    let object: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(object["bytes"].as_u64() > Some(0), "{object}");
}
