//! `Selector`: a thread that waits for many streams.

use std::{sync::Arc, time::Duration};

use crate::{
    listener::Listener,
    stream::Stream,
    sync::{Event, Events, Readiness},
};

/// Waits for many streams and listeners at once, so that a few threads can serve thousands.
///
/// A program has it [`watch_readable`](Self::watch_readable) or
/// [`watch_writable`](Self::watch_writable) a [non-blocking](Stream::set_nonblocking) stream under a
/// key of its own, and is told by [`wait`](Self::wait) when it can go on. It is told once: then it
/// reads or writes until that gives [`WouldBlock`](std::io::ErrorKind::WouldBlock), and watches
/// again.
///
/// What is told is a hint. Another thread may have been quicker, or a program may be told of a change
/// that is none for it; then it gets `WouldBlock`, and watches again.
///
/// Clones share what is watched. Of several threads that wait, each event goes to one, so that no two
/// work on the same stream unless both directions are watched.
///
/// ```
/// use std::{collections::HashMap, io::{self, ErrorKind, Read, Write}};
/// use mkcp::{Listener, Readiness, Selector, Stream};
///
/// const LISTENER: usize = 0;
///
/// /// A stream, and what of its echo is still to be written.
/// struct Session {
///     stream: Stream,
///     unsent: Vec<u8>,
/// }
///
/// impl Session {
///     /// Echoes until it would have to wait, and tells for what.
///     fn advance(&mut self) -> io::Result<Readiness> {
///         let mut buffer = [0; 4096];
///         loop {
///             while !self.unsent.is_empty() {
///                 match self.stream.write(&self.unsent) {
///                     Ok(count) => drop(self.unsent.drain(..count)),
///                     Err(error) if error.kind() == ErrorKind::WouldBlock => {
///                         return Ok(Readiness::Writable);
///                     }
///                     Err(error) => return Err(error),
///                 }
///             }
///             match self.stream.read(&mut buffer) {
///                 Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
///                 Ok(count) => self.unsent.extend(&buffer[..count]),
///                 Err(error) if error.kind() == ErrorKind::WouldBlock => {
///                     return Ok(Readiness::Readable);
///                 }
///                 Err(error) => return Err(error),
///             }
///         }
///     }
/// }
///
/// /// An echo server with one thread.
/// fn serve(listener: &Listener) -> io::Result<()> {
///     let (selector, mut events) = (Selector::new(), Vec::new());
///     let (mut sessions, mut last_key) = (HashMap::new(), LISTENER);
///     listener.set_nonblocking(true)?;
///     selector.watch_listener(listener, LISTENER);
///     loop {
///         selector.wait(&mut events, None);
///         for event in &events {
///             if event.key == LISTENER {
///                 loop {
///                     match listener.accept() {
///                         Ok((stream, _)) => {
///                             last_key += 1;
///                             stream.set_nonblocking(true)?;
///                             selector.watch_readable(&stream, last_key);
///                             sessions.insert(last_key, Session { stream, unsent: Vec::new() });
///                         }
///                         Err(error) if error.kind() == ErrorKind::WouldBlock => break,
///                         Err(error) if error.kind() == ErrorKind::NotConnected => return Ok(()),
///                         Err(error) => return Err(error),
///                     }
///                 }
///                 selector.watch_listener(listener, LISTENER);
///             } else if let Some(session) = sessions.get_mut(&event.key) {
///                 match session.advance() {
///                     Ok(Readiness::Writable) => selector.watch_writable(&session.stream, event.key),
///                     Ok(_) => selector.watch_readable(&session.stream, event.key),
///                     Err(_) => drop(sessions.remove(&event.key)),
///                 }
///             }
///         }
///     }
/// }
/// # let listener = Listener::bind("127.0.0.1:0")?;
/// # let address = listener.local_addr()?;
/// # let stopper = listener.try_clone()?;
/// # let server = std::thread::spawn(move || serve(&listener));
/// # for _ in 0..3 {
/// #     let mut client = Stream::connect(address)?;
/// #     client.write_all(b"hello")?;
/// #     let mut answer = [0; 5];
/// #     client.read_exact(&mut answer)?;
/// #     assert_eq!(&answer, b"hello");
/// # }
/// # stopper.close();
/// # server.join().unwrap()?;
/// # io::Result::Ok(())
/// ```
///
/// # What waits all the same
///
/// [`Stream::close`], and dropping a stream after [`Stream::set_linger`], wait for the peer whatever
/// the mode. Where one thread serves all, [`shutdown`](Stream::shutdown) and dropping do not.
///
/// # With TLS
///
/// A stream with TLS is watched by the stream inside it, which `get_ref` gives, and so is a listener.
///
/// - Until the handshake is complete a write waits for what the peer says as well: watch it to be
///   readable, whatever is to be done, until `handshake` gives `Ok`.
/// - What has been received already is not told of. Read until `WouldBlock` before watching, the first
///   time as well.
/// - The limit of the handshake's time counts only while somebody calls: a peer that says nothing is
///   found by a timeout of [`wait`](Self::wait), and a call of `handshake` then.
#[derive(Clone, Debug, Default)]
pub struct Selector {
    events: Arc<Events>,
}

impl Selector {
    /// One that watches nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Has it told once, by this key, that reading from the stream would not wait: at once if that
    /// is so already. A stream that has ended is told of as well.
    ///
    /// All clones of a stream are the same stream. Watched under another key, or by another selector,
    /// it is no longer watched as before; once the last clone is dropped, nothing is told of it.
    pub fn watch_readable(&self, stream: &Stream, key: usize) {
        let event = Event::new(key, Readiness::Readable);
        stream.session().watch(&self.events, event);
    }

    /// The same for writing: told is when a quarter of what may wait to be sent is free.
    pub fn watch_writable(&self, stream: &Stream, key: usize) {
        let event = Event::new(key, Readiness::Writable);
        stream.session().watch(&self.events, event);
    }

    /// The same for accepting, which is told as [`Readiness::Readable`].
    pub fn watch_listener(&self, listener: &Listener, key: usize) {
        let event = Event::new(key, Readiness::Readable);
        listener.queue().watch(&self.events, event);
    }

    /// No longer watches the stream. What has been told and not been taken by [`wait`](Self::wait)
    /// yet is not told either.
    pub fn unwatch(&self, stream: &Stream) {
        stream.session().unwatch(Some(&self.events));
    }

    /// No longer watches the listener.
    pub fn unwatch_listener(&self, listener: &Listener) {
        listener.queue().unwatch(Some(&self.events));
    }

    /// Waits until there is something to tell, at most for this time; `None` is for ever.
    ///
    /// `events` is cleared and then has what was told, the oldest first, and no more than a few
    /// hundred at a time, so that several threads share them. It stays empty if the time is over or
    /// somebody has called [`notify`](Self::notify).
    pub fn wait(&self, events: &mut Vec<Event>, timeout: Option<Duration>) {
        events.clear();
        self.events.take(timeout, events);
    }

    /// Has one [`wait`](Self::wait) return without an event, in any of the threads; a later one if
    /// none waits. To end several threads, call it as often.
    pub fn notify(&self) {
        self.events.notify();
    }
}
