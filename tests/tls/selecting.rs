//! TLS served by a thread that waits for many streams.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::Shutdown,
    thread,
};

use mkcp::{Readiness, Selector, tls::TlsStream};

use crate::{
    pattern::pattern,
    support::{DEADLINE, SHORT, pair, within_deadline},
};

/// A stream, and what of its echo is still to be written.
struct Session {
    stream: TlsStream,
    unsent: Vec<u8>,
}

impl Session {
    /// Echoes until it would have to wait, and tells for what; nothing at the end.
    fn advance(&mut self) -> io::Result<Option<Readiness>> {
        let mut buffer = [0; 3000];
        if would_block(self.stream.handshake())?.is_none() {
            return Ok(Some(Readiness::Readable));
        }
        loop {
            while !self.unsent.is_empty() {
                let Some(count) = would_block(self.stream.write(&self.unsent))? else {
                    return Ok(Some(Readiness::Writable));
                };
                self.unsent.drain(..count);
            }
            match would_block(self.stream.read(&mut buffer))? {
                Some(0) => return Ok(None),
                Some(count) => self.unsent.extend(&buffer[..count]),
                None => return Ok(Some(Readiness::Readable)),
            }
        }
    }
}

fn would_block<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        result => result.map(Some),
    }
}

/// Serves all until they have ended.
fn serve(sessions: Vec<TlsStream>) -> io::Result<()> {
    let (selector, mut events) = (Selector::new(), Vec::new());
    let session = |stream: TlsStream| {
        stream.get_ref().set_nonblocking(true).map(|()| Session {
            stream,
            unsent: Vec::new(),
        })
    };
    let mut sessions: Vec<_> = sessions
        .into_iter()
        .map(session)
        .collect::<io::Result<_>>()?;
    for (key, session) in sessions.iter().enumerate() {
        selector.watch_readable(session.stream.get_ref(), key);
    }
    let mut left = sessions.len();
    while left > 0 {
        selector.wait(&mut events, Some(DEADLINE));
        assert!(!events.is_empty(), "{left} sessions are stuck");
        for event in &events {
            let session = &mut sessions[event.key];
            let next = session.advance()?;
            let stream = session.stream.get_ref();
            match next {
                Some(Readiness::Writable) => selector.watch_writable(stream, event.key),
                Some(_) => selector.watch_readable(stream, event.key),
                None => left -= 1,
            }
        }
    }
    Ok(())
}

#[test]
fn one_thread_serves_many_streams() {
    within_deadline(|| {
        let (clients, servers): (Vec<_>, Vec<_>) = (0..8).map(|_| pair()).unzip();
        thread::scope(|scope| {
            let server = scope.spawn(|| serve(servers));
            for (salt, client) in clients.iter().enumerate() {
                scope.spawn(move || {
                    let sent = pattern(3_000_000, salt as u64);
                    // More than the buffers hold, before anything is read.
                    thread::scope(|scope| {
                        scope.spawn(|| {
                            for piece in sent.chunks(70_001) {
                                { client }.write_all(piece).unwrap();
                            }
                        });
                        thread::sleep(SHORT);
                        let mut received = vec![0; sent.len()];
                        { client }.read_exact(&mut received).unwrap();
                        assert!(received == sent);
                    });
                    client.shutdown(Shutdown::Write).unwrap();
                });
            }
            server.join().unwrap().unwrap();
        });
    });
}

#[test]
fn a_peer_that_says_nothing_keeps_no_thread_busy() {
    within_deadline(|| {
        let (_client, server) = pair();
        let (selector, mut events) = (Selector::new(), Vec::new());
        server.get_ref().set_nonblocking(true).unwrap();
        assert!(would_block(server.handshake()).unwrap().is_none());
        selector.watch_readable(server.get_ref(), 1);
        selector.wait(&mut events, Some(SHORT));
        assert!(events.is_empty());
    });
}
