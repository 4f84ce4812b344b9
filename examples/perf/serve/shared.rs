//! Few threads for all sessions, each of which a selector tells what to do.

use std::{
    collections::HashMap,
    io::{self, ErrorKind, Read, Write},
    mem,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Sender},
    },
    thread,
};

use mkcp::{Event, Listener, Readiness, Selector, v2ray::MaybeTlsStream};
use parking_lot::Mutex;

use super::{
    Mode, Wrap,
    sessions::{Moved, Outcome},
};
use crate::payload;

const BUFFER: usize = 64 * 1024;
/// Reads of one session before others have their turn.
const TURN: usize = 16;

/// By which the listener is watched; sessions have other keys.
const LISTENER: usize = 0;

/// A thread as seen by the one that accepts.
#[derive(Default)]
struct Desk {
    selector: Selector,
    arrivals: Mutex<Vec<MaybeTlsStream>>,
    is_closed: AtomicBool,
}

impl Desk {
    fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        self.selector.notify();
    }
}

/// Serves all sessions by so many threads, the first of which accepts and gives each its share.
/// Returns when the listener is closed; the threads end with their last sessions.
pub(super) fn accept_all(
    listener: &Listener,
    wrap: &Wrap,
    mode: Mode,
    threads: usize,
    outcomes: &Sender<Outcome>,
) -> io::Result<()> {
    let desks: Vec<_> = (0..threads).map(|_| Arc::<Desk>::default()).collect();
    for desk in &desks[1..] {
        let (desk, clerk) = (Arc::clone(desk), Clerk::new(mode, outcomes.clone()));
        thread::Builder::new().spawn(move || clerk.work(&desk))?;
    }
    listener.set_nonblocking(true)?;
    let (say, closed) = mpsc::channel();
    let porter = Porter {
        listener: listener.try_clone()?,
        wrap: wrap.clone(),
        clerk: Clerk::new(mode, outcomes.clone()),
        desks,
        next: 0,
    };
    thread::Builder::new().spawn(move || porter.work(&say))?;
    closed.recv().unwrap_or(Ok(()))
}

/// The thread that accepts, and serves a share of the sessions as well.
struct Porter {
    listener: Listener,
    wrap: Wrap,
    clerk: Clerk,
    /// The first is its own.
    desks: Vec<Arc<Desk>>,
    next: usize,
}

impl Porter {
    fn work(mut self, closed: &Sender<io::Result<()>>) {
        let desk = Arc::clone(&self.desks[0]);
        let mut events = Vec::new();
        desk.selector.watch_listener(&self.listener, LISTENER);
        let result = loop {
            desk.selector.wait(&mut events, None);
            let (arrivals, others): (Vec<_>, Vec<_>) = events
                .drain(..)
                .partition(|event: &Event| event.key == LISTENER);
            for event in others {
                self.clerk.serve(event.key, &desk.selector);
            }
            if arrivals.is_empty() {
                continue;
            }
            match self.accept() {
                Err(error) if error.kind() == ErrorKind::NotConnected => break Ok(()),
                Err(error) if error.kind() != ErrorKind::WouldBlock => break Err(error),
                _ => desk.selector.watch_listener(&self.listener, LISTENER),
            }
        };
        self.desks.iter().for_each(|desk| desk.close());
        let _ = closed.send(result);
        self.clerk.work(&desk);
    }

    /// Takes in who is there, until there is an error.
    fn accept(&mut self) -> io::Result<()> {
        loop {
            let (stream, _) = self.listener.accept()?;
            let stream = self.wrap.wrap(stream)?;
            stream.get_ref().set_nonblocking(true)?;
            let desk = &self.desks[self.next];
            if self.next == 0 {
                self.clerk.take_in(stream, &desk.selector);
            } else {
                desk.arrivals.lock().push(stream);
                desk.selector.notify();
            }
            self.next = (self.next + 1) % self.desks.len();
        }
    }
}

/// Who serves the sessions of a desk.
struct Clerk {
    mode: Mode,
    sessions: HashMap<usize, Session>,
    last_key: usize,
    buffer: Vec<u8>,
    outcomes: Sender<Outcome>,
}

/// A session and what of its answers the stream has not taken.
struct Session {
    stream: MaybeTlsStream,
    moved: Moved,
    unsent: Vec<u8>,
}

impl Clerk {
    fn new(mode: Mode, outcomes: Sender<Outcome>) -> Self {
        Self {
            mode,
            sessions: HashMap::new(),
            last_key: LISTENER,
            buffer: vec![0; BUFFER],
            outcomes,
        }
    }

    /// Serves the sessions of a desk that come, until it is closed and they have ended.
    fn work(mut self, desk: &Desk) {
        let mut events = Vec::new();
        while !(self.sessions.is_empty() && desk.is_closed.load(Ordering::Acquire)) {
            desk.selector.wait(&mut events, None);
            for event in &events {
                self.serve(event.key, &desk.selector);
            }
            for stream in mem::take(&mut *desk.arrivals.lock()) {
                self.take_in(stream, &desk.selector);
            }
        }
    }

    fn take_in(&mut self, stream: MaybeTlsStream, selector: &Selector) {
        self.last_key += 1;
        let session = Session {
            stream,
            moved: Moved::default(),
            unsent: Vec::new(),
        };
        self.sessions.insert(self.last_key, session);
        self.serve(self.last_key, selector);
    }

    /// Does what can be done for a session, and has the selector tell when there is more.
    fn serve(&mut self, key: usize, selector: &Selector) {
        let Some(session) = self.sessions.get_mut(&key) else {
            return;
        };
        let next = session.advance(self.mode, &mut self.buffer);
        let stream = session.stream.get_ref();
        let result = match next {
            Ok(Some(Readiness::Writable)) => return selector.watch_writable(stream, key),
            Ok(Some(_)) => return selector.watch_readable(stream, key),
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        if let Some(session) = self.sessions.remove(&key) {
            let stats = session.stream.get_ref().stats();
            let _ = self
                .outcomes
                .send(Outcome::new(session.moved, result, stats));
        }
    }
}

impl Session {
    /// Reads and answers; says what to wait for, and nothing once the peer has ended.
    fn advance(&mut self, mode: Mode, buffer: &mut [u8]) -> io::Result<Option<Readiness>> {
        let mut stream = &self.stream;
        for _ in 0..TURN {
            if !self.unsent.is_empty() {
                let sent = write(stream, &self.unsent)?;
                self.unsent.drain(..sent);
            }
            if !self.unsent.is_empty() {
                return Ok(Some(Readiness::Writable));
            }
            let count = match stream.read(buffer) {
                Ok(0) => return Ok(None),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            };
            self.moved.add(count as u64);
            let bytes = &mut buffer[..count];
            match mode {
                Mode::Sink => continue,
                Mode::Xor => bytes.iter_mut().for_each(|byte| *byte ^= payload::XOR),
                Mode::Echo | Mode::Source | Mode::Hold => {}
            }
            let sent = write(stream, bytes)?;
            self.unsent.extend(&bytes[sent..]);
        }
        Ok(Some(Readiness::Readable))
    }
}

/// Writes what the stream takes; gives how much that was.
fn write(mut stream: &MaybeTlsStream, bytes: &[u8]) -> io::Result<usize> {
    let mut sent = 0;
    while sent < bytes.len() {
        match stream.write(&bytes[sent..]) {
            Ok(count) => sent += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        }
    }
    Ok(sent)
}
