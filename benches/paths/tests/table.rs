//! The program as its users run it, for a moment.

// A test fails by panicking, its helpers too.
#![allow(clippy::unwrap_used)]

use std::{
    env, fs,
    path::PathBuf,
    process::{Command, Output},
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
