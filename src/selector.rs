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
/// [`watch_writable`](Self::watch_writable) a stream under a key of its own, and is told by
/// [`wait`](Self::wait) when it can go on. It is told once: then it reads or writes until that
/// gives [`WouldBlock`](std::io::ErrorKind::WouldBlock), and watches again. Streams are to be
/// [non-blocking](Stream::set_nonblocking), for what is told is a hint: another thread may have
/// been quicker.
///
/// Clones share what is watched. Of several threads that wait, each event goes to one, so that no
/// two work on the same stream unless both directions are watched.
///
/// ```
/// use std::{collections::HashMap, io::{self, ErrorKind, Read, Write}, time::Duration};
/// use mkcp::{Event, Listener, Selector, Stream};
///
/// const LISTENER: usize = 0;
///
/// /// An echo server with one thread.
/// fn serve(listener: &Listener, selector: &Selector) -> io::Result<()> {
///     let (mut streams, mut events) = (HashMap::new(), Vec::new());
///     let mut last_key = LISTENER;
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
///                             streams.insert(last_key, stream);
///                         }
///                         Err(error) if error.kind() == ErrorKind::WouldBlock => break,
///                         Err(error) if error.kind() == ErrorKind::NotConnected => return Ok(()),
///                         Err(error) => return Err(error),
///                     }
///                 }
///                 selector.watch_listener(listener, LISTENER);
///             } else if let Some(stream) = streams.get(&event.key) {
///                 match echo(stream) {
///                     Ok(()) => selector.watch_readable(stream, event.key),
///                     Err(_) => drop(streams.remove(&event.key)),
///                 }
///             }
///         }
///     }
/// }
///
/// /// Answers what is there. An error if that is all.
/// fn echo(mut stream: &Stream) -> io::Result<()> {
///     let mut buffer = [0; 4096];
///     loop {
///         match stream.read(&mut buffer) {
///             Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
///             Ok(count) => stream.write_all(&buffer[..count])?,
///             Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
///             Err(error) => return Err(error),
///         }
///     }
/// }
/// # let listener = Listener::bind("127.0.0.1:0")?;
/// # let address = listener.local_addr()?;
/// # let stopper = listener.try_clone()?;
/// # let server = std::thread::spawn(move || serve(&listener, &Selector::new()));
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
/// A `TlsStream` is watched by the stream inside it. What it holds already
/// decrypted is not told of, so read until it gives `WouldBlock` before watching it again.
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
    /// is so already.
    ///
    /// All clones of a stream are the same stream, and one selector at a time watches its reading:
    /// the one that was asked last. A stream that is closed or reset is told of as well.
    pub fn watch_readable(&self, stream: &Stream, key: usize) {
        let event = Event::new(key, Readiness::Readable);
        stream.session().receive_pipe().watch(&self.events, event);
    }

    /// The same for writing: told is when a quarter of the write buffer is free.
    pub fn watch_writable(&self, stream: &Stream, key: usize) {
        let event = Event::new(key, Readiness::Writable);
        stream.session().send_pipe().watch(&self.events, event);
    }

    /// The same for accepting, which is told as [`Readiness::Readable`].
    pub fn watch_listener(&self, listener: &Listener, key: usize) {
        let event = Event::new(key, Readiness::Readable);
        listener.queue().watch(&self.events, event);
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

    /// Has one thread return from [`wait`](Self::wait) although nothing has happened; if none
    /// waits, the next one that does.
    pub fn notify(&self) {
        self.events.notify();
    }
}
