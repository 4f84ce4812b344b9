//! The example programs as their users run them: command lines, output, exit codes, signals.

// A test fails by panicking, its helpers too.
#![allow(clippy::unwrap_used)]
#![cfg(unix)]

mod echo;
#[path = "../common/example.rs"]
mod example;
mod perf;
mod soak;

use std::{
    env, fs,
    io::{self, BufRead, BufReader, Read, Write},
    process::{Child, ChildStdout, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use mkcp::{ConnectionStats, Stream, WakeStats};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use example::example;

/// Far more than a round trip on this machine, and far less than any limit of an idle connection.
const PATIENCE: Duration = Duration::from_secs(5);

fn run(name: &str, arguments: &[&str]) -> Output {
    example(name)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// A server, until it is stopped.
struct Server {
    child: Child,
    stdout: BufReader<ChildStdout>,
    address: String,
}

impl Server {
    /// `perf serve`, which tells its address as JSON.
    fn perf(arguments: &[&str]) -> Self {
        let all = [&["serve", "--listen", "127.0.0.1:0", "--json"], arguments].concat();
        Self::start("perf", &all, |line| {
            let ready: Value = serde_json::from_str(line).unwrap();
            ready["ready"].as_str().unwrap().to_owned()
        })
    }

    fn echo(arguments: &[&str]) -> Self {
        Self::echo_at("127.0.0.1:0", arguments)
    }

    fn echo_at(address: &str, arguments: &[&str]) -> Self {
        let all = [&["--listen", address], arguments].concat();
        Self::start("echo_server", &all, |line| {
            line.trim()
                .strip_prefix("listening on ")
                .unwrap()
                .to_owned()
        })
    }

    fn start(name: &str, arguments: &[&str], address: fn(&str) -> String) -> Self {
        let mut command = example(name);
        command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let mut child = command.stderr(Stdio::null()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        Self {
            child,
            stdout,
            address: address(&line),
        }
    }

    /// Asks it to end; gives its exit code and what it then printed.
    fn stop(mut self, signal: Signal) -> (Option<i32>, String) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).unwrap();
        (self.child.wait().unwrap().code(), rest)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a perf command against a server; it must succeed and print one object.
fn measure(server: &Server, arguments: &[&str]) -> Value {
    let (command, options) = arguments.split_first().unwrap();
    let all = [&[command, "--connect", &server.address, "--json"], options].concat();
    let output = run("perf", &all);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "perf {all:?}: {error}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn assert_keys(object: &Value, keys: &[&str]) {
    for key in keys {
        assert!(
            object.get(key).is_some_and(|value| !value.is_null()),
            "{key} in {object}"
        );
    }
}

#[test]
fn bad_options_are_answered_by_one_line_and_exit_code_2() {
    let cases = [
        ("echo_server --bogus", "unexpected argument '--bogus'"),
        ("echo_server --mtu 20", "mtu is 20, must be 27 to 65507"),
        ("echo_server --mtu many", "invalid value 'many' for '--mtu"),
        ("echo_server --tti 5", "tti is 5ms, must be 10ms to 1s"),
        (
            "echo_server --uplink 99999999999",
            "99999999999 is not in 0..=1048576",
        ),
        (
            "echo_server --header smtp",
            "unknown header \"smtp\", must be none, srtp",
        ),
        (
            "echo_server --header dns:a..b --mtu 9",
            "mtu is 9, must be ",
        ),
        ("echo_server --security rot13", "none, simple, aes-128-gcm"),
        ("echo_server --security aes-128-gcm", "which needs a seed"),
        (
            "echo_server --security simple --seed x",
            "must be aes-128-gcm if there is a seed",
        ),
        (
            "echo_server --congestion cubic",
            "must be bbr, fixed or loss-rate",
        ),
        ("echo_server --listen here", "invalid socket address"),
        ("echo_server --listen 127.0.0.1:port", "invalid port value"),
        ("echo_server --workers 0", "0 is not in 1.."),
        (
            "echo_client --connect nowhere.invalid:1",
            "'nowhere.invalid:1'",
        ),
        ("echo_client --stdin --bytes 1", "cannot be used with"),
        ("perf", "requires a subcommand"),
        ("perf fly", "unrecognized subcommand 'fly'"),
        ("perf bulk", "arguments were not provided: --connect <ADDR>"),
        (
            "perf serve --listen 127.0.0.1:0 --mode shout",
            "echo, sink, source, xor",
        ),
        (
            "perf bulk --connect 127.0.0.1:1 --bytes 1 --seconds 1",
            "'--bytes <N>' cannot be used with '--seconds <S>'",
        ),
        (
            "perf bulk --connect 127.0.0.1:1 --skip -1",
            "unexpected argument '-1'",
        ),
        (
            "perf bulk --connect 127.0.0.1:1 --seconds soon",
            "not a number",
        ),
        (
            "perf bulk --connect 127.0.0.1:1 --cancel-after 1",
            "not provided: --reverse",
        ),
        (
            "perf ping --connect 127.0.0.1:1 --rate 0",
            "must be from 0.001 to 1000000",
        ),
        (
            "perf ping --connect 127.0.0.1:1 --threads 0",
            "0 is not in 1..=1024",
        ),
        (
            "perf serve --listen 127.0.0.1:0 --mode hold --threads 2",
            "--threads does not go with the modes source and hold",
        ),
        (
            "perf idle --connect 127.0.0.1:1 --streams 65537",
            "streams is 65537, must be at most 65536 with --sockets 1",
        ),
        (
            "perf serve --listen 127.0.0.1:0 --poll-threads 65",
            "65 is not in 1..=64",
        ),
        ("echo_server --read-buffer 4096", "4096 is not in 1..=1024"),
        ("echo_server --write-buffer 0", "0 is not in 1..=1024"),
    ];
    for (command, expected) in cases {
        let words: Vec<_> = command.split(' ').collect();
        let output = run(words[0], &words[1..]);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{command}: {text}");
        assert_eq!(text.lines().count(), 1, "{command}: {text}");
        assert!(
            text.starts_with("error: ") && text.contains(expected),
            "{command}: {text}"
        );
        assert!(output.stdout.is_empty(), "{command}");
    }
}

#[test]
fn help_shows_the_options_and_their_defaults() {
    for name in ["echo_server", "echo_client", "perf"] {
        assert!(run(name, &["--help"]).status.success());
    }
    let output = run("echo_server", &["--help"]);
    let text = String::from_utf8(output.stdout).unwrap();
    for option in [
        "--seed",
        "--security",
        "--header",
        "--uplink",
        "--downlink",
        "--stats",
    ] {
        assert!(text.contains(option), "{option} in {text}");
    }
    for default in [
        "[default: 127.0.0.1:20001]",
        "[default: 1350]",
        "[default: bbr]",
    ] {
        assert!(text.contains(default), "{default} in {text}");
    }
}

#[test]
fn output_that_nobody_takes_is_one_line_and_exit_code_1() {
    let server = Server::echo(&[]);
    let client = ["--connect", &*server.address, "--bytes", "1000"];
    let perf = ["ping", "--connect", &*server.address, "--rounds", "3"];
    let serve = ["serve", "--listen", "127.0.0.1:0"];
    for (name, arguments) in [
        ("echo_client", &client[..]),
        ("perf", &perf),
        ("perf", &serve),
    ] {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let mut command = example(name);
        command.args(arguments).stdin(Stdio::null()).stdout(writer);
        let output = command.output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {text}");
        assert_eq!(text.lines().count(), 1, "{arguments:?}: {text}");
        assert!(text.starts_with("error: standard output: "), "{text}");
    }
}

#[test]
fn a_port_in_use_is_one_line_and_exit_code_1() {
    let server = Server::echo(&[]);
    for (name, command) in [("echo_server", &[][..]), ("perf", &["serve"])] {
        let output = run(name, &[command, &["--listen", &server.address]].concat());
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.contains(&server.address), "{text}");
    }
}
