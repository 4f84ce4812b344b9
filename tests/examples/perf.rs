//! `perf`: every command against a server of its own.

use super::*;

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

    let server = Server::perf(&[&tls[..], &["--threads", "1"]].concat());
    for options in [
        &["--streams", "9", "--threads", "2"][..],
        &["--size", "300000"],
    ] {
        let ping = ["ping", "--rounds", "20"];
        let object = measure(&server, &[&ping[..], options, &tls].concat());
        assert_eq!(object["errors"], 0, "{object}");
    }

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
fn perf_serves_many_sessions_by_few_threads() {
    for threads in ["1", "3"] {
        let server = Server::perf(&["--mode", "xor", "--threads", threads]);
        let streams = ["ping", "--streams", "20", "--sockets", "1"];
        for options in [
            &["--rounds", "50"][..],
            &["--rounds", "50", "--threads", "1"],
            &["--rounds", "50", "--threads", "3", "--size", "300000"],
        ] {
            let object = measure(&server, &[&streams[..], options].concat());
            assert_eq!(object["messages"], 1000, "{object}");
            assert_eq!(object["errors"], 0, "{object}");
        }
        let connect = ["connect", "--rounds", "40", "--parallel", "4"];
        assert_eq!(measure(&server, &connect)["errors"], 0);
        let (code, rest) = server.stop(Signal::TERM);
        assert_eq!(code, Some(0));
        let object: Value = serde_json::from_str(&rest).unwrap();
        assert_eq!(object["sessions"], 100, "{object}");
        assert_eq!(object["errors"], 0, "{object}");
        assert_keys(
            &object,
            &["per_session", "endpoint", "disconnects", "threads"],
        );
    }
}

#[test]
fn perf_plays_forgers_and_hostile_peers() {
    let server = Server::perf(&["--mode", "echo", "--limits", "--memory-limit", "64"]);
    let flood = ["flood", "--datagrams", "200", "--seconds", "0.5"];
    let object = measure(
        &server,
        &[&flood[..], &["--watch", "0", "--fresh", "8"]].concat(),
    );
    assert_eq!(object["datagrams_forged"], 200, "{object}");
    assert_eq!(object["fresh"], 4, "{object}");
    assert_eq!(object["errors"], 0, "{object}");
    assert_keys(&object, &["fresh_p50_us", "amplification"]);
    let kinds = [
        "good", "unread", "unacked", "repeats", "gap", "small", "pings", "acks", "extremes",
        "jumps",
    ];
    thread::scope(|scope| {
        for kind in kinds {
            let server = &server;
            scope.spawn(move || assert_plays(server, kind));
        }
    });
}

/// For seconds, in which a busy machine, too, has the time for what sessions say to each other.
fn assert_plays(server: &Server, kind: &str) {
    let hostile = ["hostile", "--kind", kind, "--sessions", "5"];
    let time = ["--rate", "4", "--seconds", "5"];
    let object = measure(server, &[&hostile[..], &time].concat());
    assert_eq!(object["datagrams"], 100, "{kind}: {object}");
    assert_eq!(object["errors"], 0, "{kind}: {object}");
    assert_eq!(object["sessions_heard"], 5, "{kind}: {object}");
    // One that is over shows nothing of what such a peer costs.
    let ended = if kind == "jumps" { 5 } else { 0 };
    assert_eq!(object["sessions_ended"], ended, "{kind}: {object}");
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
