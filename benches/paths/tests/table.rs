//! The program as its users run it, for a moment.

// A test fails by panicking, its helpers too.
#![allow(clippy::unwrap_used)]

use std::{
    env, fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use bench_common::{perf, plot::is_well_formed};
use serde_json::Value;

fn paths(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_paths"));
    command.args(arguments).output().unwrap()
}

/// Cargo builds it along with the tests of the whole workspace; else it is built now.
fn perf() -> PathBuf {
    let tests = env::current_exe().unwrap();
    let beside = tests.parent().unwrap().join("../examples/perf");
    match beside.is_file() {
        true => beside,
        false => perf::build(perf::Profile::Debug).unwrap(),
    }
}

#[test]
fn a_small_table_is_measured_and_drawn_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (json, svg, text) = (file("a.json"), file("a.svg"), file("a.md"));
    let perf = perf();
    let measured = ["table", "--perf", perf.to_str().unwrap(), "--runs", "2"];
    let chosen = ["--transport", "mkcp,tcp,raw", "--only", "bulk,echo,connect"];
    let written = ["--json", &json, "--svg", &svg, "--markdown", &text];
    let output = paths(&[&measured[..], &["--seconds", "0.2"], &chosen, &written].concat());
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{error}");
    assert!(error.contains("bulk raw run 2: goodput_mb_s"), "{error}");

    let value: Value = serde_json::from_str(&fs::read_to_string(&json).unwrap()).unwrap();
    let runs = value["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 2 * (3 + 2 + 2));
    for run in runs {
        let figures = &run["figures"];
        let name = match run["task"].as_str() {
            Some("bulk") => "cpu_s_per_gib",
            _ => "rate_per_s",
        };
        assert!(figures[name].as_f64() > Some(0.0), "{run}");
        assert_eq!(figures["errors"], 0.0, "{run}");
    }
    let spread = value["spreads"].as_array().unwrap().iter();
    let mut spread = spread.filter(|spread| spread["figure"] == "goodput_mb_s");
    let spread = spread.next().unwrap();
    assert!(spread["min"].as_f64() <= spread["max"].as_f64(), "{spread}");
    let text = fs::read_to_string(text).unwrap();
    assert!(text.contains("|  | raw | tcp | mkcp |\n"), "{text}");
    assert!(text.contains("\n| one stream, MB/s | "), "{text}");
    assert!(text.contains("| mkcp | ≤ 1.8 × raw | "), "{text}");
    assert!(is_well_formed(&fs::read_to_string(svg).unwrap()));

    let again = paths(&["table", "--from", &json]);
    assert_eq!(String::from_utf8(again.stdout).unwrap(), text);
}

#[test]
fn v2ray_is_measured_with_what_it_costs() {
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("a.json").to_str().unwrap().to_owned();
    let perf = perf();
    let measured = ["table", "--perf", perf.to_str().unwrap(), "--json", &json];
    let chosen = ["--transport", "v2ray", "--only", "bulk,echo", "--runs", "1"];
    let output = paths(&[&measured[..], &chosen, &["--seconds", "0.5"]].concat());
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{error}");

    let value: Value = serde_json::from_str(&fs::read_to_string(&json).unwrap()).unwrap();
    let [bulk, echo] = [0, 1].map(|number| &value["runs"][number]);
    assert!(
        bulk["figures"]["goodput_mb_s"].as_f64() > Some(0.0),
        "{bulk}"
    );
    assert!(echo["figures"]["p50_us"].as_f64() > Some(0.0), "{echo}");
    for run in [bulk, echo] {
        assert_eq!(run["figures"]["errors"], 0.0, "{run}");
        // A V2Ray takes more than that to start, the end beside it less.
        for end in ["client", "server"] {
            assert!(run[end]["cpu_s"].as_f64() > Some(0.01), "{run}");
        }
    }
}

#[test]
fn v2ray_ends_with_its_end_even_if_that_is_killed() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_paths"));
    command.args(["serve", "v2ray", "--mode", "sink", "--window", "1"]);
    let mut server = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    let mut output = BufReader::new(server.stdout.take().unwrap());
    output.read_line(&mut line).unwrap();
    let id = server.id();
    let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
    server.kill().unwrap();
    server.wait().unwrap();
    assert!(line.contains("ready"), "{line}");
    let started = Instant::now();
    let v2ray = Path::new("/proc").join(children.trim()).join("exe");
    while fs::read_link(&v2ray).is_ok() {
        assert!(started.elapsed() < Duration::from_secs(10), "{children}");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn without_v2ray_its_column_is_left_out_unless_it_is_asked_for() {
    let perf = perf();
    let mut command = Command::new(env!("CARGO_BIN_EXE_paths"));
    command.args(["table", "--perf", perf.to_str().unwrap(), "--runs", "1"]);
    command.args(["--only", "echo", "--seconds", "0.1"]);
    let output = command.env("PATH", "/nowhere").output().unwrap();
    let [text, error] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    assert!(output.status.success(), "{error}");
    assert!(error.starts_with("v2ray is not installed"), "{error}");
    assert!(text.contains("| kcp-io |\n"), "{text}");
    assert!(text.contains("not installed: v2ray\n"), "{text}");

    let output = command.args(["--transport", "tcp,v2ray"]).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.starts_with("error: v2ray is missing"), "{error}");
}

#[test]
fn bad_usage_is_one_line_and_exit_code_2() {
    let cases = [
        &["table", "--from", "/nowhere/a.json"][..],
        &["table", "--perf", "/nowhere/perf"],
    ];
    for arguments in cases {
        let output = paths(arguments);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(
            text.starts_with("error: ") && text.contains("/nowhere"),
            "{text}"
        );
        assert_eq!(text.lines().count(), 1, "{text}");
    }
    for arguments in [["--only", "moon"], ["--runs", "0"], ["--seconds", "soon"]] {
        let output = paths(&[&["table"], &arguments[..]].concat());
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn help_hides_the_ends() {
    let output = paths(&["--help"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("table") && !text.contains("serve"), "{text}");
}
