//! The forwarder: an entrance, an exit, and a thread for each connection between them.

use std::{
    io, mem,
    sync::{Arc, mpsc::Sender},
    thread,
    time::Duration,
};

use mkcp::{Endpoint, EndpointStats};
use parking_lot::Mutex;

use crate::{
    Event,
    dial::Exit,
    listen::{Entrance, Refusal},
    relay::{Relay, STACK},
    sessions::{Session, Sessions, Snapshot},
    socket::Socket,
};

/// A system that is out of files is not asked again at once.
const PAUSE: Duration = Duration::from_millis(100);
/// For how long peers are told that it is over, once it is.
const FAREWELL: Duration = Duration::from_secs(2);

pub(crate) struct Forwarder {
    entrance: Entrance,
    exit: Exit,
    sessions: Arc<Sessions>,
    half_close: Duration,
}

impl Forwarder {
    /// Connections that come in at the entrance are to go out at the exit, at most so many at a
    /// time; `half_close` is that of [`Relay::new`].
    pub(crate) fn new(
        entrance: Entrance,
        exit: Exit,
        most: usize,
        half_close: Duration,
        events: Sender<Event>,
    ) -> Arc<Self> {
        Arc::new(Self {
            entrance,
            exit,
            sessions: Sessions::new(most, events),
            half_close,
        })
    }

    /// Where it listens, as text.
    pub(crate) fn local_name(&self) -> io::Result<String> {
        self.entrance.local_name()
    }

    /// Takes in connections, each with threads of its own, until the entrance is closed.
    ///
    /// # Errors
    ///
    /// Why nothing can come in any more.
    pub(crate) fn serve(self: &Arc<Self>) -> io::Result<()> {
        let mut is_news = true;
        while self.sessions.wait_for_room() {
            let (socket, peer) = match self.entrance.accept() {
                Ok(accepted) => {
                    is_news = true;
                    accepted
                }
                Err(Refusal::Closed) => break,
                Err(Refusal::Broken(error)) => return Err(error),
                Err(Refusal::Once(error)) => {
                    if mem::take(&mut is_news) {
                        log::warn!("connections cannot be accepted: {error}");
                    }
                    thread::sleep(PAUSE);
                    continue;
                }
            };
            self.start(socket, peer);
        }
        Ok(())
    }

    /// Gives a connection a thread, and resets it if there is none to be had.
    fn start(self: &Arc<Self>, socket: Socket, peer: String) {
        let (forwarder, session) = (self.clone(), self.sessions.enter());
        let near = Arc::new(Mutex::new(Some(socket)));
        let taken = near.clone();
        let builder = thread::Builder::new().name("forward".to_owned());
        let spawned = builder.stack_size(STACK).spawn(move || {
            let near = taken.lock().take();
            if let Some(near) = near {
                forwarder.forward(near, &peer, &session);
            }
        });
        if let Err(error) = spawned {
            log::warn!("a connection could not be served: {error}");
            if let Some(near) = near.lock().take() {
                near.abort();
            }
        }
    }

    /// One connection from beginning to end. Whatever happens to it, it happens to it alone.
    fn forward(&self, near: Socket, peer: &str, session: &Session) {
        // Before that nobody reaches the target. A failure has told the peer.
        if let Err(error) = near.handshake() {
            log::info!("{peer} failed: {error}");
            return;
        }
        let exit = &self.exit;
        let connected = exit.connect().and_then(|far| {
            far.handshake()?;
            Ok(far)
        });
        let far = match connected {
            Ok(far) => far,
            Err(error) => {
                log::warn!("{peer}: cannot reach {exit}: {error}");
                near.abort();
                return;
            }
        };
        let relay = Relay::new(near, far, self.half_close);
        let (relay, result) = session.run(relay);
        let (bytes_in, bytes_out) = (relay.bytes_in(), relay.bytes_out());
        match result {
            Ok(None) => log::info!("{peer} closed after {bytes_in} bytes in, {bytes_out} out"),
            Ok(Some(silence)) => {
                log::info!("{peer} ended after {silence}, {bytes_in} bytes in, {bytes_out} out");
            }
            Err(error) => {
                log::info!("{peer} failed after {bytes_in} bytes in, {bytes_out} out: {error}");
            }
        }
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        self.sessions.snapshot()
    }

    pub(crate) fn endpoint_stats(&self) -> Vec<EndpointStats> {
        self.endpoints().map(Endpoint::stats).collect()
    }

    /// Takes in nothing more; gives how many connections there are.
    pub(crate) fn stop(&self) -> usize {
        self.entrance.close();
        self.sessions.stop()
    }

    /// Ends everything, and gives peers a moment to hear of it. Gives how many connections had to
    /// be cut off.
    pub(crate) fn shut_down(&self) -> usize {
        let left = self.sessions.cut();
        self.sessions.wait_until_empty(FAREWELL);
        for endpoint in self.endpoints() {
            if let Err(error) = endpoint.clone().shutdown(FAREWELL) {
                // Peers written in Go do not confirm an end.
                log::debug!("{error}");
            }
        }
        left
    }

    fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        let endpoints = [self.entrance.endpoint(), self.exit.endpoint()];
        endpoints.into_iter().flatten()
    }
}
