//! Sessions that peers have opened and nobody has accepted yet.

use std::{collections::VecDeque, io, sync::Arc, time::Duration};

use super::{
    handle::SessionHandle,
    sync::{Monitor, Stalled, Wake},
};
use crate::error::ConnectionError;

/// A bounded queue from the workers to `accept`, which can be closed from any thread.
#[derive(Debug)]
pub(crate) struct AcceptQueue {
    queue: Monitor<Queue>,
}

#[derive(Debug)]
struct Queue {
    sessions: VecDeque<Arc<SessionHandle>>,
    backlog: usize,
    /// Set once nothing more is accepted.
    end: Option<AcceptError>,
}

/// Why `accept` gave no session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AcceptError {
    /// None came within the time that the call may wait.
    Stalled(Stalled),
    /// The listener was closed.
    Closed,
    /// The endpoint cannot accept any more.
    Failed(ConnectionError),
}

impl From<AcceptError> for io::Error {
    fn from(error: AcceptError) -> Self {
        match error {
            AcceptError::Stalled(stalled) => stalled.into(),
            AcceptError::Closed => Self::new(io::ErrorKind::NotConnected, "listener closed"),
            AcceptError::Failed(error) => error.into(),
        }
    }
}

// The workers' side, and the endpoint's.
impl AcceptQueue {
    pub(crate) fn new(backlog: usize) -> Self {
        Self {
            queue: Monitor::new(Queue {
                sessions: VecDeque::new(),
                backlog,
                end: None,
            }),
        }
    }

    /// Queues a session; hands it back if the queue is full or closed.
    pub(crate) fn try_push(&self, session: Arc<SessionHandle>) -> Result<(), Arc<SessionHandle>> {
        self.queue.update(|queue| {
            if queue.has_room() {
                queue.sessions.push_back(session);
                (Ok(()), Wake::One)
            } else {
                (Err(session), Wake::Nobody)
            }
        })
    }

    /// Whether `try_push` would take a session now.
    pub(crate) fn has_room(&self) -> bool {
        self.queue.read(Queue::has_room)
    }

    /// Closes the queue and wakes every `accept`. What was queued is handed back, to be reset.
    pub(crate) fn close(&self) -> Vec<Arc<SessionHandle>> {
        self.end(AcceptError::Closed)
    }

    /// As `close`, because the endpoint failed or is shut down: `accept` gives this error.
    pub(crate) fn fail(&self, error: ConnectionError) -> Vec<Arc<SessionHandle>> {
        self.end(AcceptError::Failed(error))
    }

    fn end(&self, error: AcceptError) -> Vec<Arc<SessionHandle>> {
        self.queue.update(|queue| {
            queue.end.get_or_insert(error);
            (queue.sessions.drain(..).collect(), Wake::All)
        })
    }
}

// The listener's side.
impl AcceptQueue {
    /// The next session, waiting for it unless in non-blocking mode.
    pub(crate) fn accept(&self) -> Result<Arc<SessionHandle>, AcceptError> {
        self.queue.wait(Queue::next).unwrap_or_else(stalled)
    }

    /// The next session, waiting at most `limit`, in non-blocking mode too.
    pub(crate) fn accept_timeout(
        &self,
        limit: Duration,
    ) -> Result<Arc<SessionHandle>, AcceptError> {
        self.queue
            .wait_for(limit, Queue::next)
            .unwrap_or_else(stalled)
    }

    pub(crate) fn set_nonblocking(&self, nonblocking: bool) {
        self.queue.set_nonblocking(nonblocking);
    }
}

fn stalled<T>(stalled: Stalled) -> Result<T, AcceptError> {
    Err(AcceptError::Stalled(stalled))
}

impl Queue {
    fn has_room(&self) -> bool {
        self.end.is_none() && self.sessions.len() < self.backlog
    }

    #[allow(clippy::type_complexity)]
    fn next(&mut self) -> Option<(Result<Arc<SessionHandle>, AcceptError>, Wake)> {
        let next = match (self.sessions.pop_front(), self.end) {
            (Some(session), _) => Ok(session),
            (None, Some(error)) => Err(error),
            (None, None) => return None,
        };
        Some((next, Wake::Nobody))
    }
}
