//! Messages one after the other: a client asks, its server answers. What ends the conversation is
//! a message too.

use std::{
    collections::BTreeMap,
    io::{BufReader, BufWriter, Read, Write},
    thread,
};

use capnp::{
    data_list,
    message::{Builder, HeapAllocator, Reader, ReaderOptions},
    serialize::OwnedSegments,
};
use mkcp_ecosystem::Duplex;
use serde::{Deserialize, Serialize};

use crate::{pattern::pattern, transport::Transport};

const LENGTHS: [usize; 6] = [0, 1, 1_000, 1_400, 70_000, 1_000_000];

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Question {
    Sum(Vec<i64>),
    Reverse { text: String, times: u32 },
    Count(BTreeMap<String, f64>),
    Nothing,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Answer {
    Number(i64),
    Text(String),
    Goodbye,
}

impl Question {
    fn answer(self) -> Answer {
        match self {
            Self::Sum(numbers) => Answer::Number(numbers.iter().sum()),
            Self::Reverse { text, times: 0 } => Answer::Text(text),
            Self::Reverse { text, times } => {
                let text = text.chars().rev().collect();
                let times = times - 1;
                Self::Reverse { text, times }.answer()
            }
            Self::Count(map) => Answer::Number(map.len() as i64),
            Self::Nothing => Answer::Goodbye,
        }
    }
}

fn questions() -> Vec<Question> {
    let text = "[{\"\\ grüße }]\u{0}\n".repeat(3_000);
    let map = (0..5_000).map(|number| (number.to_string(), f64::from(number) / 7.0));
    let mut questions = vec![
        Question::Sum(vec![]),
        Question::Sum((0..100_000).collect()),
        Question::Reverse { text, times: 3 },
        Question::Count(map.collect()),
    ];
    questions.extend((0..500).map(|number| Question::Sum(vec![number, -1])));
    questions.push(Question::Nothing);
    questions
}

pub fn serde_json_streams_messages<T: Transport>() {
    let (client, server) = T::pair();
    thread::scope(|scope| {
        scope.spawn(|| {
            let reader = BufReader::new(server.shared());
            let mut writer = BufWriter::new(server.shared());
            // A message ends where its bracket closes: nothing is waited for after it.
            for question in serde_json::Deserializer::from_reader(reader).into_iter() {
                let answer = Question::answer(question.unwrap());
                serde_json::to_writer(&mut writer, &answer).unwrap();
                writer.flush().unwrap();
                if answer == Answer::Goodbye {
                    break;
                }
            }
        });
        let mut writer = BufWriter::new(client.shared());
        let reader = BufReader::new(client.shared());
        let mut answers = serde_json::Deserializer::from_reader(reader).into_iter::<Answer>();
        for question in questions() {
            serde_json::to_writer(&mut writer, &question).unwrap();
            // A bare word, as `Nothing` is one, ends only with what follows it.
            writer.write_all(b"\n").unwrap();
            writer.flush().unwrap();
            assert_eq!(answers.next().unwrap().unwrap(), question.answer());
        }
    });
}

pub fn rmp_serde_exchanges_messages<T: Transport>() {
    let (client, server) = T::pair();
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut reader = BufReader::new(server.shared());
            loop {
                let question: Question = rmp_serde::from_read(&mut reader).unwrap();
                let answer = question.answer();
                rmp_serde::encode::write(&mut server.shared(), &answer).unwrap();
                if answer == Answer::Goodbye {
                    break;
                }
            }
        });
        let mut writer = BufWriter::new(client.shared());
        let mut reader = BufReader::new(client.shared());
        for question in questions() {
            rmp_serde::encode::write(&mut writer, &question).unwrap();
            writer.flush().unwrap();
            let answer: Answer = rmp_serde::from_read(&mut reader).unwrap();
            assert_eq!(answer, question.answer());
        }
    });
}

pub fn capnp_exchanges_messages<T: Transport>() {
    capnp_loop::<T>(
        |reader| capnp::serialize::read_message(reader, ReaderOptions::new()),
        |writer, message| capnp::serialize::write_message(writer, message),
    );
}

pub fn capnp_exchanges_packed_messages<T: Transport>() {
    capnp_loop::<T>(
        |reader| capnp::serialize_packed::read_message(reader, ReaderOptions::new()),
        |writer, message| capnp::serialize_packed::write_message(writer, message),
    );
}

/// A message is a list of two: a word for what it is, and bytes.
type Message = Builder<HeapAllocator>;
type ReadMessage = fn(&mut BufReader<&mut dyn Read>) -> capnp::Result<Reader<OwnedSegments>>;
type WriteMessage = fn(&mut dyn Write, &Message) -> capnp::Result<()>;

fn capnp_loop<T: Transport>(read: ReadMessage, write: WriteMessage) {
    let (client, server) = T::pair();
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut shared = server.shared();
            let mut reader = BufReader::new(&mut shared as &mut dyn Read);
            loop {
                let message = read(&mut reader).unwrap();
                let (word, bytes) = parts(&message);
                write(&mut server.shared(), &message_of(word, bytes)).unwrap();
                if word == b"bye" {
                    break;
                }
            }
        });
        let mut shared = client.shared();
        let mut reader = BufReader::new(&mut shared as &mut dyn Read);
        let mut ask = |word: &[u8], bytes: &[u8]| {
            let mut writer = BufWriter::new(client.shared());
            write(&mut writer, &message_of(word, bytes)).unwrap();
            writer.flush().unwrap();
            let answer = read(&mut reader).unwrap();
            assert!(
                parts(&answer) == (word, bytes),
                "{} came back changed",
                bytes.len()
            );
        };
        for length in LENGTHS {
            ask(b"random", &pattern(length, length as u64));
            ask(b"zeros", &vec![0; length]); // which is what packing shortens
        }
        ask(b"bye", b"");
    });
}

fn message_of(word: &[u8], bytes: &[u8]) -> Message {
    let mut message = Builder::new_default();
    let mut list = message.initn_root::<data_list::Builder<'_>>(2);
    list.set(0, word);
    list.set(1, bytes);
    message
}

fn parts(message: &Reader<OwnedSegments>) -> (&[u8], &[u8]) {
    let list = message.get_root::<data_list::Reader<'_>>().unwrap();
    (list.get(0).unwrap(), list.get(1).unwrap())
}
