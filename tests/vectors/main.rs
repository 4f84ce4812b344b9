//! Bytes that the Go implementation wrote and accepted, and numbers that it computed. What the
//! files hold is told in `tests/data/vectors/README.md`.
//!
//! `MKCP_VECTORS_DIR` names another directory with files of the same form.
#![allow(clippy::unwrap_used)]

mod capture;
mod config;
mod datagrams;
mod seals;
mod segments;

use std::{env, fs, path::PathBuf};

use mkcp::{
    Config,
    internal::wire::{
        Ack, Command, CommandKind, Data, Numbers, Options, Segment, Segments, SeqNum, Timestamp,
    },
};
use serde_json::Value;

fn load(name: &str) -> Value {
    let directory = env::var_os("MKCP_VECTORS_DIR").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/vectors")),
        PathBuf::from,
    );
    let path = directory.join(name);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path:?}: {error}"))
}

/// The elements of an array, which must not be empty: no vectors, no test.
fn each<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    let list = list(value, key);
    assert!(!list.is_empty(), "{key:?} is empty");
    list
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key]
        .as_array()
        .unwrap_or_else(|| panic!("{key:?} is no array: {value}"))
}

fn number<T: TryFrom<u64>>(value: &Value, key: &str) -> T {
    let number = value[key]
        .as_u64()
        .and_then(|number| T::try_from(number).ok());
    number.unwrap_or_else(|| panic!("{key:?} is no number that fits: {value}"))
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key]
        .as_str()
        .unwrap_or_else(|| panic!("{key:?} is no text: {value}"))
}

/// Bytes written in hexadecimal.
fn bytes(value: &Value, key: &str) -> Vec<u8> {
    let digits = text(value, key).as_bytes();
    assert_eq!(digits.len() % 2, 0, "{key:?} has half a byte: {value}");
    let digit = |digit: u8| char::from(digit).to_digit(16).unwrap() as u8;
    digits
        .chunks(2)
        .map(|pair| digit(pair[0]) << 4 | digit(pair[1]))
        .collect()
}

/// The configuration with this header and this seed or, without one, simple security.
fn config(header: &Value, seed: &Value, mtu: u16) -> Config {
    let builder = Config::builder()
        .header(header.as_str().unwrap().parse().unwrap())
        .mtu(mtu);
    match seed.as_str() {
        Some(seed) => builder.seed(seed).build().unwrap(),
        None => builder.build().unwrap(),
    }
}

/// A segment object of the vectors, and what a [`Segment`] borrows from it. Where the object has
/// only the length of a payload, the payload is so many zeros.
struct Expected {
    json: Value,
    payload: Vec<u8>,
    numbers: Vec<SeqNum>,
}

impl Expected {
    fn new(json: &Value) -> Self {
        let payload = match (json.get("payload"), json.get("payload_len")) {
            (Some(_), _) => bytes(json, "payload"),
            (None, Some(_)) => vec![0; number(json, "payload_len")],
            (None, None) => vec![],
        };
        let seq_num = |number: &Value| SeqNum::new(number.as_u64().unwrap().try_into().unwrap());
        let numbers = json.get("numbers").and_then(Value::as_array);
        Self {
            json: json.clone(),
            payload,
            numbers: numbers.into_iter().flatten().map(seq_num).collect(),
        }
    }

    fn segment(&self) -> Segment<'_> {
        let json = &self.json;
        let conversation = number(json, "conv");
        let options = Options::from_bits(number(json, "option"));
        let seq_num = |key| SeqNum::new(number(json, key));
        match text(json, "kind") {
            "data" => Segment::Data(Data {
                conversation,
                options,
                timestamp: Timestamp::new(number(json, "timestamp")),
                number: seq_num("number"),
                sending_next: seq_num("sending_next"),
                payload: &self.payload,
            }),
            "ack" => Segment::Ack(Ack {
                conversation,
                options,
                receiving_window: seq_num("receiving_window"),
                receiving_next: seq_num("receiving_next"),
                timestamp: Timestamp::new(number(json, "timestamp")),
                numbers: Numbers::List(&self.numbers),
            }),
            _ => Segment::Command(Command {
                conversation,
                kind: match number(json, "cmd") {
                    2 => CommandKind::Terminate,
                    3 => CommandKind::Ping,
                    other => CommandKind::Unknown(other),
                },
                options,
                sending_next: seq_num("sending_next"),
                receiving_next: seq_num("receiving_next"),
                peer_rto: number(json, "peer_rto"),
            }),
        }
    }
}

/// Asserts that `plain` reads as these segment objects and no more.
fn assert_reads(plain: &[u8], expected: &[Value], case: &Value) {
    let expected: Vec<Expected> = expected.iter().map(Expected::new).collect();
    let expected: Vec<Segment<'_>> = expected.iter().map(Expected::segment).collect();
    assert_eq!(Segments::new(plain).collect::<Vec<_>>(), expected, "{case}");
}
