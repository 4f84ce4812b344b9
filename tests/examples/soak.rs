//! `soak`, for a few seconds.

use serde_json::Value;

use super::{assert_keys, run};

#[test]
fn soak_finds_nothing_wrong() {
    let few = ["--minutes", "0.05", "--sessions", "20", "--rate", "2"];
    let often = ["--reorder", "10", "--alter", "5"];
    let rest = ["--seed", "7", "--json"];
    let output = run("soak", &[&few[..], &often, &rest].concat());
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    assert!(error.starts_with("seed 7\n"), "{error}");

    let object: Value = serde_json::from_slice(&output.stdout).unwrap();
    let number = |value: &Value| value.as_u64().unwrap();
    assert_eq!(
        (&object["ok"], &object["wrong"], &object["seed"]),
        (&true.into(), &0.into(), &7.into()),
        "{object}"
    );
    let (opened, finished) = (&object["sessions_opened"], &object["sessions_finished"]);
    assert!(number(opened) >= 20, "{object}");
    assert!(
        (10..=number(opened)).contains(&number(finished)),
        "{object}"
    );
    let by_kind = object["finished"].as_object().unwrap();
    assert_eq!(by_kind.values().map(number).sum::<u64>(), number(finished));
    for fault in ["lost", "held_back", "duplicated", "altered"] {
        assert!(number(&object["path"][fault]) > 0, "{fault}: {object}");
    }
    for kept in ["bytes_up", "bytes_down", "rss_kib", "threads"] {
        assert!(number(&object[kept]) > 0, "{kept}: {object}");
    }
    for left in ["sessions_left", "threads_left", "descriptors_left"] {
        assert_eq!(object[left], 0, "{object}");
    }
    assert_keys(&object, &["ended_by_forgery", "drops", "heap_judged"]);
}

#[test]
fn soak_answers_a_bad_share_by_one_line() {
    let output = run("soak", &["--loss", "100"]);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("must be from 0 to 90"), "{text}");
}
