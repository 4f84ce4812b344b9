//! Few threads for all sessions, each of which a selector tells what to do.

use std::{
    io::{self, ErrorKind, Read, Write},
    mem,
    sync::{
        Arc,
        mpsc::{self, Sender},
    },
    thread,
    time::Duration,
};

use mkcp::{Event, Listener, Readiness, Selector, v2ray::MaybeTlsStream};
use parking_lot::Mutex;
use slab::Slab;

use super::{
    Mode, Wrap,
    sessions::{Moved, Outcome},
};
use crate::payload;

const BUFFER: usize = 64 * 1024;
/// Reads of one session before others have their turn.
const TURN: usize = 16;
/// By which the listener is watched; the keys of sessions are their places.
const LISTENER: usize = usize::MAX;

/// A thread as seen by the one that accepts.
#[derive(Default)]
struct Desk {
    selector: Selector,
    arrivals: Mutex<Arrivals>,
}

#[derive(Default)]
struct Arrivals {
    streams: Vec<MaybeTlsStream>,
    /// No more will come.
    is_over: bool,
}

impl Desk {
    fn bring(&self, change: impl FnOnce(&mut Arrivals)) {
        change(&mut self.arrivals.lock());
        self.selector.notify();
    }
}

/// All desks, which close when this goes, whatever the reason.
struct Desks(Vec<Arc<Desk>>);

impl Drop for Desks {
    fn drop(&mut self) {
        for desk in &self.0 {
            desk.bring(|arrivals| arrivals.is_over = true);
        }
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
    let desks = Desks((0..threads).map(|_| Arc::default()).collect());
    for desk in &desks.0[1..] {
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
    let panicked = |_| Err(io::Error::other("the thread that accepts panicked"));
    closed.recv().unwrap_or_else(panicked)
}

/// The thread that accepts, and serves a share of the sessions as well.
struct Porter {
    listener: Listener,
    wrap: Wrap,
    clerk: Clerk,
    /// The first is its own.
    desks: Desks,
    next: usize,
}

impl Porter {
    fn work(mut self, closed: &Sender<io::Result<()>>) {
        let desk = Arc::clone(&self.desks.0[0]);
        desk.selector.watch_listener(&self.listener, LISTENER);
        let result = loop {
            if !self.clerk.serve_ready(&desk.selector) {
                continue;
            }
            match self.accept() {
                Err(error) if error.kind() == ErrorKind::NotConnected => break Ok(()),
                Err(error) if error.kind() != ErrorKind::WouldBlock => break Err(error),
                _ => desk.selector.watch_listener(&self.listener, LISTENER),
            }
        };
        drop(self.desks);
        let _ = closed.send(result);
        self.clerk.work(&desk);
    }

    /// Takes in who is there, until there is an error.
    fn accept(&mut self) -> io::Result<()> {
        loop {
            let (stream, _) = self.listener.accept()?;
            let stream = self.wrap.wrap(stream)?;
            stream.get_ref().set_nonblocking(true)?;
            let desk = &self.desks.0[self.next];
            if self.next == 0 {
                self.clerk.take_in(stream, &desk.selector);
            } else {
                desk.bring(|arrivals| arrivals.streams.push(stream));
            }
            self.next = (self.next + 1) % self.desks.0.len();
        }
    }
}

/// Who serves the sessions of a desk.
struct Clerk {
    mode: Mode,
    sessions: Slab<Session>,
    /// Sessions that have had their turn, and more to do.
    again: Vec<usize>,
    events: Vec<Event>,
    buffer: Vec<u8>,
    outcomes: Sender<Outcome>,
}

/// A session and what of its answers the stream has not taken.
struct Session {
    stream: MaybeTlsStream,
    moved: Moved,
    unsent: Vec<u8>,
}

/// How a session goes on.
enum Next {
    When(Readiness),
    /// After the others.
    Again,
    /// The peer has ended.
    Never,
}

impl Clerk {
    fn new(mode: Mode, outcomes: Sender<Outcome>) -> Self {
        Self {
            mode,
            sessions: Slab::new(),
            again: Vec::new(),
            events: Vec::new(),
            buffer: vec![0; BUFFER],
            outcomes,
        }
    }

    /// Serves the sessions of a desk that come, until all have ended and no more will come.
    fn work(mut self, desk: &Desk) {
        loop {
            let (streams, is_over) = {
                let mut arrivals = desk.arrivals.lock();
                (mem::take(&mut arrivals.streams), arrivals.is_over)
            };
            for stream in streams {
                self.take_in(stream, &desk.selector);
            }
            if is_over && self.sessions.is_empty() {
                return;
            }
            self.serve_ready(&desk.selector);
        }
    }

    /// Waits for something to do, and does it. Returns whether somebody is to be accepted.
    fn serve_ready(&mut self, selector: &Selector) -> bool {
        let (again, mut events) = (mem::take(&mut self.again), mem::take(&mut self.events));
        selector.wait(&mut events, (!again.is_empty()).then_some(Duration::ZERO));
        let keys = again
            .into_iter()
            .chain(events.iter().map(|event| event.key));
        let mut somebody_comes = false;
        for key in keys {
            match key {
                LISTENER => somebody_comes = true,
                key => self.serve(key, selector),
            }
        }
        self.events = events;
        somebody_comes
    }

    fn take_in(&mut self, stream: MaybeTlsStream, selector: &Selector) {
        let key = self.sessions.insert(Session {
            stream,
            moved: Moved::default(),
            unsent: Vec::new(),
        });
        self.serve(key, selector);
    }

    /// Does what can be done for a session, and has the selector tell when there is more.
    fn serve(&mut self, key: usize, selector: &Selector) {
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        let next = session.advance(self.mode, &mut self.buffer);
        let stream = session.stream.get_ref();
        let result = match next {
            Ok(Next::When(Readiness::Writable)) => return selector.watch_writable(stream, key),
            Ok(Next::When(_)) => return selector.watch_readable(stream, key),
            Ok(Next::Again) => return self.again.push(key),
            Ok(Next::Never) => Ok(()),
            Err(error) => Err(error),
        };
        if let Some(session) = self.sessions.try_remove(key) {
            let stats = session.stream.get_ref().stats();
            let outcome = Outcome::new(session.moved, result, stats);
            let _ = self.outcomes.send(outcome);
        }
    }
}

impl Session {
    /// Reads and answers, for a turn.
    fn advance(&mut self, mode: Mode, buffer: &mut [u8]) -> io::Result<Next> {
        // Under TLS a write cannot say so: it may wait for the peer's part of the handshake.
        if let MaybeTlsStream::Tls(stream) = &self.stream
            && !is_done(stream.handshake())?
        {
            return Ok(Next::When(Readiness::Readable));
        }
        let mut stream = &self.stream;
        for _ in 0..TURN {
            if !self.unsent.is_empty() {
                let sent = write(stream, &self.unsent)?;
                self.unsent.drain(..sent);
            }
            if !self.unsent.is_empty() {
                return Ok(Next::When(Readiness::Writable));
            }
            let count = match stream.read(buffer) {
                Ok(0) => return Ok(Next::Never),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    return Ok(Next::When(Readiness::Readable));
                }
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
            // Under TLS more may lie behind it, of which the selector does not know.
            let is_all = count < buffer.len() && matches!(stream, MaybeTlsStream::Plain(_));
            if is_all && self.unsent.is_empty() {
                return Ok(Next::When(Readiness::Readable));
            }
        }
        Ok(Next::Again)
    }
}

/// Whether it need not be waited for.
fn is_done(result: io::Result<()>) -> io::Result<bool> {
    match result {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
        result => result.map(|()| true),
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
