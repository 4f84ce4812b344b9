//! The two servers under comparison, each with an application that only takes notes.

use std::{
    io::{self, Read},
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex},
    thread,
};

use mkcp::Listener;

use super::outcome::{Came, End};
use crate::link::Link;

/// What an application has read from each session so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Notes(Arc<Mutex<Vec<Came>>>);

impl Notes {
    /// A copy, in the order of the bytes.
    pub(super) fn sorted(&self) -> Vec<Came> {
        let mut notes = self.0.lock().unwrap().clone();
        notes.sort();
        notes
    }

    /// Reads a stream to its end, and closes it then.
    fn take<S: Read>(&self, mut stream: S) {
        let index = {
            let mut notes = self.0.lock().unwrap();
            notes.push(Came::default());
            notes.len() - 1
        };
        let mut buffer = [0; 4096];
        let end = loop {
            match stream.read(&mut buffer) {
                Ok(0) => break End::Ended,
                Ok(count) => {
                    let mut notes = self.0.lock().unwrap();
                    notes[index].bytes.extend(&buffer[..count]);
                }
                Err(_) => break End::Failed,
            }
        };
        self.0.lock().unwrap()[index].end = end;
    }

    fn take_all<S: Read + Send + 'static>(&self, streams: impl Iterator<Item = io::Result<S>>) {
        for stream in streams.map_while(Result::ok) {
            let notes = self.clone();
            thread::spawn(move || notes.take(stream));
        }
    }
}

/// A TCP server for v2ray to pass its streams on to, which lasts as long as the process.
pub(super) fn over_tcp() -> (SocketAddr, Notes) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let notes = Notes::default();
    let taken = notes.clone();
    thread::spawn(move || taken.take_all(listener.incoming()));
    (address, notes)
}

/// A server of ours.
pub(super) fn over_mkcp(link: &Link) -> (Listener, Notes) {
    let listener = Listener::bind_with("127.0.0.1:0", &link.config()).unwrap();
    let accepting = listener.try_clone().unwrap();
    let notes = Notes::default();
    let taken = notes.clone();
    thread::spawn(move || taken.take_all(accepting.incoming()));
    (listener, notes)
}
