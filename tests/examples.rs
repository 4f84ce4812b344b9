//! The example programs as their users run them: command lines, output, exit codes, signals.

// A test fails by panicking, its helpers too.
#![allow(clippy::unwrap_used)]
#![cfg(unix)]

#[path = "examples/soak.rs"]
mod soak;

use std::{
    env, fs,
    io::{self, BufRead, BufReader, Read, Write},
    path::PathBuf,
    process::{Child, ChildStdout, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use mkcp::{ConnectionStats, Stream, WakeStats};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Far more than a round trip on this machine, and far less than any limit of an idle connection.
const PATIENCE: Duration = Duration::from_secs(5);

/// Cargo builds the examples along with the tests, beside them.
fn example(name: &str) -> Command {
    let tests = env::current_exe().unwrap();
    let path: PathBuf = tests.parent().unwrap().join("../examples").join(name);
    assert!(
        path.exists(),
        "{} is missing: cargo build --examples",
        path.display()
    );
    Command::new(path)
}

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
        ("echo_server --uplink 99999999999", "uplink is "),
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
            "perf ping --connect 127.0.0.1:1 --threads 2",
            "not provided: --rate",
        ),
        (
            "perf idle --connect 127.0.0.1:1 --streams 65537",
            "streams is 65537, must be at most 65536 with --sockets 1",
        ),
        (
            "perf serve --listen 127.0.0.1:0 --poll-threads 65",
            "65 is not in 1..=64",
        ),
        (
            "echo_server --read-buffer 4096",
            "read_buffer is 4294967296, must be 65536 to",
        ),
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
fn a_port_in_use_is_one_line_and_exit_code_1() {
    let server = Server::echo(&[]);
    let output = run("echo_server", &["--listen", &server.address]);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
}

#[test]
fn echo_client_gets_its_bytes_back_from_echo_server() {
    let transport = ["--seed", "", "--header", "utp"];
    let server = Server::echo(&[&transport[..], &["--workers", "2", "--stats", "1"]].concat());
    let with = |source: &[&str]| {
        let all = [&["--connect", &server.address], &transport[..], source].concat();
        let output = run("echo_client", &all);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{source:?}: {error}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(with(&["--bytes", "1000000"]).starts_with("1000000 bytes there and back in "));
    assert!(with(&["--bytes", "0"]).starts_with("0 bytes there and back in "));
    let file = env::current_exe().unwrap();
    let length = fs::metadata(&file).unwrap().len();
    let summary = with(&["--file", file.to_str().unwrap()]);
    assert!(
        summary.starts_with(&format!("{length} bytes ")),
        "{summary}"
    );

    let (code, _) = server.stop(Signal::TERM);
    assert_eq!(code, Some(0));
}

#[test]
fn echo_server_goes_on_when_nobody_reads_its_lines() {
    let mut command = example("echo_server");
    command.args(["--listen", "127.0.0.1:0", "--stats", "1"]);
    command.stdin(Stdio::null()).stderr(Stdio::null());
    let mut server = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    let stdout = server.stdout.take().unwrap();
    BufReader::new(stdout).read_line(&mut line).unwrap(); // and closes it
    let address = line.trim().strip_prefix("listening on ").unwrap();
    thread::sleep(Duration::from_millis(2500));
    let output = run("echo_client", &["--connect", address, "--bytes", "1000"]);
    let ended = server.try_wait().unwrap();
    server.kill().unwrap();
    server.wait().unwrap();
    assert!(ended.is_none() && output.status.success(), "{ended:?}");
}

/// Killed, so that it says nothing to its peers, and started again at the same address.
#[test]
fn a_client_learns_that_its_server_was_killed_when_it_writes() {
    let server = Server::echo(&[]);
    let address = server.address.clone();
    let stream = Stream::connect(&*address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    (&stream).write_all(b"hello").unwrap();
    (&stream).read_exact(&mut [0; 5]).unwrap();
    assert_eq!(server.stop(Signal::KILL).0, None);
    let _server = Server::echo_at(&address, &[]);
    let wrote = Instant::now();
    (&stream).write_all(b"is anybody there?").unwrap();
    let error = (&stream).read(&mut [0; 20]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    assert!(wrote.elapsed() < PATIENCE, "after {:?}", wrote.elapsed());
}

#[test]
fn echo_client_sends_its_standard_input() {
    let server = Server::echo(&[]);
    let mut command = example("echo_client");
    command.args(["--connect", &server.address, "--stdin"]);
    let mut client = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    client.stdin.take().unwrap().write_all(b"hello").unwrap();
    let output = client.wait_with_output().unwrap();
    assert!(output.status.success());
    assert!(output.stdout.starts_with(b"5 bytes there and back in "));
}

#[test]
fn echo_client_fails_where_nothing_is_echoed() {
    let server = Server::perf(&["--mode", "xor"]);
    let output = run(
        "echo_client",
        &["--connect", &server.address, "--bytes", "10000"],
    );
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("byte 0 came back changed"), "{text}");
}

#[test]
fn perf_bulk_moves_all_bytes_with_every_kind_of_server() {
    for mode in ["echo", "xor", "sink"] {
        let server = Server::perf(&["--mode", mode]);
        for bytes in [1, 3_000_001] {
            let arguments = ["bulk", "--bytes", &bytes.to_string(), "--streams", "3"];
            let object = measure(&server, &arguments);
            assert_keys(
                &object,
                &["seconds", "goodput_mb_s", "cpu_s", "max_rss_kib", "jain"],
            );
            assert_eq!(object["per_stream"].as_array().map(Vec::len), Some(3));
            assert_eq!(object["bytes"], bytes, "{mode}: {object}");
            assert_eq!(object["errors"], 0, "{mode}: {object}");
            let returned = if mode == "sink" { 0 } else { bytes };
            assert_eq!(object["bytes_read"], returned, "{mode}: {object}");
        }
    }
    let server = Server::perf(&["--mode", "source"]);
    let object = measure(
        &server,
        &["bulk", "--bytes", "3000000", "--streams", "2", "--reverse"],
    );
    assert_eq!(
        (&object["bytes"], &object["errors"]),
        (&3_000_000.into(), &0.into())
    );
}

#[test]
fn perf_bulk_moves_what_it_can_in_a_time() {
    let timed = ["bulk", "--seconds", "1.2", "--skip", "0.6"];
    let timed = [&timed[..], &["--interval", "100", "--streams", "2"]].concat();
    for (mode, reverse) in [("sink", false), ("echo", false), ("source", true)] {
        let server = Server::perf(&["--mode", mode]);
        let reverse = if reverse { &["--reverse"][..] } else { &[] };
        let object = measure(&server, &[&timed[..], reverse].concat());
        let number = |name: &str| object[name].as_f64().unwrap();
        let seconds = number("seconds");
        assert!((1.2..2.5).contains(&seconds), "{mode}: {object}");
        let all = number("bytes") / 1e6;
        let late = number("goodput_mb_s") * (seconds - 0.6);
        assert!(late > 0.0 && late < all, "{mode}: {object}");

        let rows = object["timeline"].as_array().unwrap();
        assert!((2..=12).contains(&rows.len()), "{mode}: {object}");
        for row in rows {
            assert_eq!(row.as_array().map(Vec::len), Some(5), "{mode}: {object}");
        }
        let shares = object["per_stream"].as_array().unwrap();
        let sum: u64 = shares.iter().filter_map(Value::as_u64).sum();
        assert_eq!(object["bytes"], sum, "{mode}: {object}");
        let jain = number("jain");
        assert!((0.5..=1.0).contains(&jain), "{mode}: {object}");
    }
}

#[test]
fn perf_bulk_tells_what_still_comes_after_a_cancel() {
    let server = Server::perf(&["--mode", "source"]);
    let object = measure(&server, &["bulk", "--reverse", "--cancel-after", "0.3"]);
    assert!(object["bytes"].as_u64() > Some(0), "{object}");
    assert!(object["datagrams_after_cancel"].is_u64(), "{object}");
}

#[test]
fn perf_bulk_tells_people_every_second_how_it_goes() {
    let server = Server::perf(&["--mode", "sink"]);
    let output = run(
        "perf",
        &["bulk", "--connect", &server.address, "--seconds", "2.5"],
    );
    let lines = String::from_utf8(output.stderr).unwrap();
    assert!(lines.lines().count() >= 2, "{lines}");
    assert!(lines.starts_with("1 s: "), "{lines}");
}

#[test]
fn perf_shows_the_sums_of_all_connection_statistics() {
    let server = Server::perf(&[]);
    let object = measure(&server, &["bulk", "--bytes", "100000", "--streams", "2"]);
    assert_eq!(object["bytes_written"], 100_000);
    let stats = format!("{:?}", ConnectionStats::default());
    let wakes = format!("{:?}", WakeStats::default());
    for name in field_names(&stats.replace(&wakes, "0")) {
        let duration = format!("{name}_us");
        assert!(
            object.get(name).or_else(|| object.get(duration)).is_some(),
            "{name} in {object}"
        );
    }
    for name in field_names(&wakes) {
        assert!(object["wakes"][name].is_u64(), "{name} in {object}");
    }
}

/// The names in what `Debug` makes of a struct.
fn field_names(debug: &str) -> impl Iterator<Item = &str> {
    let (_, fields) = debug.split_once('{').unwrap();
    fields
        .split(',')
        .map(|field| field.split_once(':').unwrap().0.trim())
}

#[test]
fn perf_ping_connect_and_idle_measure() {
    let server = Server::perf(&["--seed", "s"]);
    let seed = ["--seed", "s"];
    let latency = ["p50_us", "p99_us", "min_us", "max_us"];

    let ping = ["ping", "--rounds", "20", "--size", "3000", "--streams", "2"];
    let ping = measure(&server, &[&ping[..], &seed].concat());
    assert_keys(&ping, &latency);
    assert_eq!(
        (&ping["bytes"], &ping["errors"]),
        (&120_000.into(), &0.into())
    );

    let connect = ["connect", "--rounds", "20", "--parallel", "4"];
    let connect = measure(&server, &[&connect[..], &seed].concat());
    assert_keys(&connect, &latency);
    assert_keys(&connect, &["close_p50_us", "close_p99_us"]);
    assert_eq!(
        (&connect["bytes"], &connect["errors"]),
        (&20.into(), &0.into())
    );

    let idle = ["idle", "--streams", "100", "--hold", "1"];
    let idle = measure(&server, &[&idle[..], &seed].concat());
    assert_keys(&idle, &["hold_cpu_s", "rss_kib", "cpu_s", "max_rss_kib"]);
    assert_eq!(
        (&idle["streams"], &idle["errors"]),
        (&100.into(), &0.into())
    );
}

#[test]
fn perf_shows_processor_time_by_thread() {
    let server = Server::perf(&["--workers", "2"]);
    let object = measure(
        &server,
        &[
            "bulk",
            "--bytes",
            "300000",
            "--sockets",
            "1",
            "--workers",
            "2",
        ],
    );
    let (_, rest) = server.stop(Signal::TERM);
    let served: Value = serde_json::from_str(&rest).unwrap();
    for object in [&object, &served] {
        if cfg!(target_os = "linux") {
            let expected = [
                "mkcp-poll-0",
                "mkcp-worker-0",
                "mkcp-worker-1",
                "application",
            ];
            assert_eq!(thread_names(object), expected, "{object}");
        }
    }
    let server = Server::perf(&[]);
    let output = run("perf", &["ping", "--connect", &server.address]);
    let text = String::from_utf8(output.stdout).unwrap();
    let told = text.contains("cpu by thread: mkcp-poll-0 ");
    assert!(told || !cfg!(target_os = "linux"), "{text}");
}

fn thread_names(object: &Value) -> Vec<&str> {
    let threads = object["threads"].as_array().unwrap();
    threads
        .iter()
        .map(|thread| {
            assert!(thread["cpu_s"].as_f64() >= Some(0.0), "{object}");
            thread["name"].as_str().unwrap()
        })
        .collect()
}

#[test]
fn perf_takes_threads_and_socket_buffers() {
    let machinery = ["--workers", "2", "--poll-threads", "2"];
    let buffers = ["--recv-buffer", "65536", "--send-buffer", "65536"];
    let options = [&machinery[..], &buffers].concat();
    let server = Server::perf(&options);
    for command in [
        &["bulk", "--bytes", "300000", "--streams", "2"][..],
        &["ping", "--rounds", "5", "--streams", "2"],
        &["connect", "--rounds", "5"],
        &["idle", "--streams", "5", "--hold", "0"],
    ] {
        let object = measure(&server, &[command, &options].concat());
        assert_eq!(object["errors"], 0, "{object}");
    }
    let (_, rest) = server.stop(Signal::TERM);
    let object: Value = serde_json::from_str(&rest).unwrap();
    assert_eq!(object["endpoint"]["recv_buffer_size"], 65536, "{object}");
    assert_eq!(object["endpoint"]["send_buffer_size"], 65536, "{object}");
}

#[test]
fn perf_puts_tls_into_streams() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("certificate.pem");
    let tls = ["--tls", file.to_str().unwrap()];
    let server = Server::perf(&tls);
    for command in [
        &["bulk", "--bytes", "300000", "--streams", "2"][..],
        &["bulk", "--seconds", "0.2"],
        &["ping", "--rounds", "5"],
        &[
            "ping",
            "--seconds",
            "0.2",
            "--rate",
            "100",
            "--streams",
            "3",
        ],
        &["connect", "--rounds", "5"],
    ] {
        let object = measure(&server, &[command, &tls].concat());
        assert_eq!(object["errors"], 0, "{object}");
    }
    let plain = run(
        "perf",
        &["ping", "--connect", &server.address, "--rounds", "1"],
    );
    assert_eq!(plain.status.code(), Some(1), "without TLS");

    let server = Server::perf(&[&tls[..], &["--mode", "source"]].concat());
    let download = ["bulk", "--reverse", "--bytes", "300000"];
    let object = measure(&server, &[&download[..], &tls].concat());
    assert_eq!(
        (&object["bytes"], &object["errors"]),
        (&300_000.into(), &0.into())
    );

    fs::write(&file, "no certificate").unwrap();
    let output = run(
        "perf",
        &["ping", "--connect", "127.0.0.1:9", tls[0], tls[1]],
    );
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("no certificate in PEM form"), "{text}");
}

#[test]
fn perf_holds_sessions_without_threads() {
    let server = Server::perf(&["--mode", "hold"]);
    let idle = ["idle", "--streams", "100", "--sockets", "3", "--hold", "2"];
    let object = measure(&server, &idle);
    let expected = (&100.into(), &0.into(), &0.into());
    let found = (
        &object["streams"],
        &object["errors"],
        &object["disconnects"],
    );
    assert_eq!(found, expected, "{object}");
    assert_keys(&object["hold"], &["seconds", "cpu_s", "rss_kib", "wakes"]);
    assert!(object["hold"]["wakes"]["keepalive"].is_u64(), "{object}");

    let (code, rest) = server.stop(Signal::TERM);
    let object: Value = serde_json::from_str(&rest).unwrap();
    assert_eq!(
        (code, &object["sessions"]),
        (Some(0), &100.into()),
        "{object}"
    );
    assert_keys(&object, &["rss_kib", "threads", "disconnects"]);
    let hold = &object["hold"];
    assert_keys(
        hold,
        &["seconds", "cpu_s", "rss_kib", "wakes", "kib_per_session"],
    );
    assert_eq!(hold["sessions"], 100, "{object}");
}

#[test]
fn perf_pings_by_the_clock() {
    let server = Server::perf(&["--mode", "xor"]);
    let clock = ["ping", "--streams", "40", "--rate", "20", "--size", "100"];
    for options in [
        &["--seconds", "0.5", "--sockets", "2", "--threads", "3"][..],
        &["--rounds", "10"],
    ] {
        let object = measure(&server, &[&clock[..], options].concat());
        assert_eq!(object["messages"], 400, "{object}");
        let none = (&0.into(), &0.into());
        assert_eq!(
            (&object["errors"], &object["disconnects"]),
            none,
            "{object}"
        );
        let keys = [
            "p50_us",
            "p99_us",
            "late_us",
            "rounds_per_s",
            "cpu_us_per_message",
        ];
        assert_keys(&object, &keys);
    }
    let closed = measure(&server, &["ping", "--seconds", "0.2", "--streams", "2"]);
    assert!(closed["rounds_per_s"].as_f64() > Some(0.0), "{closed}");
}

#[test]
fn perf_serve_prints_a_final_object_on_either_signal() {
    for signal in [Signal::INT, Signal::TERM] {
        let server = Server::perf(&["--mode", "sink"]);
        measure(&server, &["bulk", "--bytes", "200000"]);
        let (code, rest) = server.stop(signal);
        assert_eq!((code, rest.lines().count()), (Some(0), 1), "{rest}");
        let object: Value = serde_json::from_str(&rest).unwrap();
        assert_keys(
            &object,
            &[
                "seconds",
                "goodput_mb_s",
                "cpu_s",
                "max_rss_kib",
                "endpoint",
            ],
        );
        assert_eq!(
            (&object["bytes"], &object["errors"]),
            (&200_000.into(), &0.into())
        );
        assert_eq!(object["sessions"], 1);
        let session = &object["per_session"][0];
        let keys = ["first_byte_s", "last_byte_s", "rtt_us", "spurious"];
        assert_keys(session, &keys);
        assert_eq!(session["bytes"], 200_000);
    }
}

#[test]
fn perf_fails_where_nobody_listens() {
    let output = run(
        "perf",
        &[
            "connect",
            "--connect",
            "127.0.0.1:9",
            "--rounds",
            "1",
            "--json",
        ],
    );
    assert_eq!(output.status.code(), Some(1));
    let object: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(object["errors"], 1);
}
