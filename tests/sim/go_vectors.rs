//! The parts of the Go model against traces of the real Go package.

use std::path::PathBuf;

use serde_json::Value;

use crate::go_peer::{
    ack_list::{AckContents, AckList},
    round_trip::RoundTrip,
    sending::SendingWindow,
};

/// The traces of a file; `MKCP_VECTORS_DIR` names another directory to take it from.
fn traces(file: &str) -> Vec<Value> {
    let directory = std::env::var_os("MKCP_VECTORS_DIR")
        .map_or_else(|| PathBuf::from("tests/data/vectors"), PathBuf::from);
    let path = directory.join(file);
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{} cannot be read: {error}", path.display()));
    let mut document: Value = serde_json::from_str(&text).expect("vectors are JSON");
    match document["traces"].take() {
        Value::Array(traces) if !traces.is_empty() => traces,
        _ => panic!("{} holds no traces", path.display()),
    }
}

/// Calls `step` for every step of every trace, each trace with a model of its own.
fn replay<M>(file: &str, new: impl Fn(&Value) -> M, step: impl Fn(&mut M, &Value, &str)) {
    for trace in traces(file) {
        let mut model = new(&trace);
        for (index, entry) in trace["steps"].as_array().expect("steps").iter().enumerate() {
            step(
                &mut model,
                entry,
                &format!("{}, step {index}", trace["name"]),
            );
        }
    }
}

fn number(value: &Value) -> u32 {
    let number = value.as_u64().expect("a number");
    u32::try_from(number).expect("a 32-bit number")
}

fn numbers(value: &Value) -> Vec<u32> {
    list(value, number)
}

fn list<T>(value: &Value, item: impl Fn(&Value) -> T) -> Vec<T> {
    value.as_array().expect("a list").iter().map(item).collect()
}

#[test]
fn the_round_trip_estimate_is_that_of_the_go_package() {
    let new =
        |trace: &Value| RoundTrip::new(number(&trace["initial_rto"]), number(&trace["min_rtt"]));
    replay("rtt.json", new, |rtt, step, at| {
        let (value, current) = (number(&step["value"]), number(&step["current"]));
        match step["op"].as_str() {
            Some("update") => rtt.sample(value, current),
            Some("update_peer_rto") => rtt.on_peer_rto(value, current),
            other => panic!("unknown step {other:?}"),
        }
        let expected = ["srtt", "variation", "rto", "updated_timestamp"].map(|f| number(&step[f]));
        assert_eq!(
            [rtt.srtt, rtt.variation, rtt.rto, rtt.updated],
            expected,
            "{at}"
        );
    });
}

#[test]
fn the_ack_list_is_that_of_the_go_package() {
    let new = |_: &Value| AckList::default();
    replay("acklist.json", new, |acks, step, at| {
        match step["op"].as_str() {
            Some("add") => acks.add(number(&step["number"]), number(&step["timestamp"])),
            Some("clear") => acks.clear(number(&step["una"])),
            Some("flush") => {
                let expected = list(&step["emitted"], |ack| AckContents {
                    numbers: numbers(&ack["numbers"]),
                    timestamp: number(&ack["timestamp"]),
                });
                let emitted = acks.flush(number(&step["current"]), number(&step["rto"]));
                assert_eq!(emitted, expected, "{at}");
            }
            other => panic!("unknown step {other:?}"),
        }
    });
}

#[test]
fn the_sending_window_is_that_of_the_go_package() {
    let new = |_: &Value| SendingWindow::default();
    replay("sending_window.json", new, |window, step, at| {
        sending_window_step(window, step, at);
        let queue = window
            .queue
            .iter()
            .map(|s| [s.number, s.timeout, s.transmit]);
        let expected = list(&step["window"], |s| {
            ["number", "timeout", "transmit"].map(|field| number(&s[field]))
        });
        assert_eq!(queue.collect::<Vec<_>>(), expected, "{at}");
        assert_eq!(window.in_flight, number(&step["total_in_flight"]), "{at}");
    });
}

fn sending_window_step(window: &mut SendingWindow, step: &Value, at: &str) {
    match step["op"].as_str() {
        Some("push") => window.push(number(&step["number"]), Vec::new()),
        Some("clear") => window.clear(number(&step["una"])),
        Some("fast_ack") => window.fast_ack(number(&step["number"]), number(&step["rto"])),
        Some("remove") => {
            let removed = window.remove(number(&step["number"]));
            assert_eq!(Some(removed), step["removed"].as_bool(), "{at}");
        }
        Some("flush") => {
            let [current, rto, limit] =
                ["current", "rto", "max_in_flight"].map(|field| number(&step[field]));
            let walk = window.flush(current, rto, limit);
            let sent: Vec<_> = walk.sent.iter().map(|s| (s.number, s.timestamp)).collect();
            let expected = list(&step["emitted"], |s| {
                (number(&s["number"]), number(&s["timestamp"]))
            });
            assert_eq!(sent, expected, "{at}");
            let reported = numbers(&step["loss_rate_reported"]);
            assert_eq!(
                walk.loss_rate.into_iter().collect::<Vec<_>>(),
                reported,
                "{at}"
            );
        }
        other => panic!("unknown step {other:?}"),
    }
}
