//! Sessions that peers have opened and nobody has accepted yet.

use std::{collections::VecDeque, io, sync::Arc, time::Duration};

use super::handle::SessionHandle;
use crate::{
    error::ConnectionError,
    sync::{Event, Events, Monitor, Patience, Stalled, Wake},
};

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

type Accepted = Result<Arc<SessionHandle>, AcceptError>;

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
                session.set_queued(true);
                queue.sessions.push_back(session);
                (Ok(()), Wake::One)
            } else {
                (Err(session), Wake::Nobody)
            }
        })
    }

    /// How many wait to be accepted.
    pub(crate) fn len(&self) -> usize {
        self.queue.read(|queue| queue.sessions.len())
    }

    /// Takes a session out if nobody has accepted it yet.
    pub(crate) fn remove(&self, session: &Arc<SessionHandle>) {
        if !session.is_queued() {
            return;
        }
        self.queue.update(|queue| {
            session.set_queued(false);
            let is_another = |queued: &Arc<SessionHandle>| !Arc::ptr_eq(queued, session);
            queue.sessions.retain(is_another);
            ((), Wake::Nobody)
        });
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
            let left: Vec<_> = queue.sessions.drain(..).collect();
            left.iter().for_each(|session| session.set_queued(false));
            (left, Wake::All)
        })
    }
}

// The listener's side.
impl AcceptQueue {
    /// The next session, waiting for it unless in non-blocking mode.
    pub(crate) fn accept(&self) -> Accepted {
        self.wait(Patience::AsSet)
    }

    /// The next session, waiting at most `limit`, in non-blocking mode too.
    pub(crate) fn accept_timeout(&self, limit: Duration) -> Accepted {
        self.wait(Patience::For(limit))
    }

    /// Has the list told once when `accept` would not wait.
    pub(crate) fn watch(&self, events: &Arc<Events>, event: Event) {
        self.queue.watch(events, event, |queue| {
            !queue.sessions.is_empty() || queue.end.is_some()
        });
    }

    pub(crate) fn unwatch(&self, events: Option<&Arc<Events>>) {
        self.queue.unwatch(events);
    }

    pub(crate) fn set_nonblocking(&self, nonblocking: bool) {
        self.queue.set_nonblocking(nonblocking);
    }

    fn wait(&self, patience: Patience) -> Accepted {
        let accepted = self.queue.wait(patience, Queue::next);
        accepted.unwrap_or_else(|stalled| Err(AcceptError::Stalled(stalled)))
    }
}

impl Queue {
    fn has_room(&self) -> bool {
        self.end.is_none() && self.sessions.len() < self.backlog
    }

    fn next(&mut self) -> Option<(Accepted, Wake)> {
        let next = match (self.sessions.pop_front(), self.end) {
            (Some(session), _) => {
                session.set_queued(false);
                Ok(session)
            }
            (None, Some(error)) => Err(error),
            (None, None) => return None,
        };
        Some((next, Wake::Nobody))
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use std::{thread, time::Instant};

    use super::*;
    use crate::{
        config::Config,
        endpoint::{
            handle::{Addresses, Doorbell},
            memory::Memory,
            table::Slot,
        },
    };

    const SHORT: Duration = Duration::from_millis(20);

    #[derive(Debug)]
    struct Silent;

    impl Doorbell for Silent {
        fn ring(&self, _slot: Slot) {}
    }

    fn session(conversation: u16) -> Arc<SessionHandle> {
        let addresses = Addresses {
            local: "127.0.0.1:1".parse().unwrap(),
            peer: "127.0.0.1:2".parse().unwrap(),
        };
        let memory = Memory::new(usize::MAX);
        SessionHandle::new(
            conversation,
            addresses,
            &Config::default(),
            &memory,
            Arc::new(Silent),
        )
    }

    fn conversation(accepted: Accepted) -> u16 {
        accepted.unwrap().conversation()
    }

    #[test]
    fn sessions_come_in_order_up_to_the_backlog() {
        let queue = AcceptQueue::new(2);
        queue.try_push(session(1)).unwrap();
        queue.try_push(session(2)).unwrap();
        assert_eq!(queue.len(), 2);
        let refused = queue.try_push(session(3)).unwrap_err();
        assert_eq!(refused.conversation(), 3);
        assert_eq!(conversation(queue.accept()), 1);
        assert_eq!(conversation(queue.accept_timeout(Duration::ZERO)), 2);
    }

    #[test]
    fn a_session_can_be_taken_out() {
        let queue = AcceptQueue::new(2);
        let [first, second] = [session(1), session(2)];
        queue.try_push(first.clone()).unwrap();
        queue.try_push(second).unwrap();
        queue.remove(&first);
        assert_eq!(conversation(queue.accept()), 2);
        queue.remove(&first);
        assert_eq!(queue.len(), 0);
    }

    #[test]
    fn an_empty_queue_is_waited_for_as_long_as_asked() {
        let queue = AcceptQueue::new(2);
        let started = Instant::now();
        let late = queue.accept_timeout(SHORT).unwrap_err();
        assert_eq!(late, AcceptError::Stalled(Stalled::TimedOut));
        assert!(started.elapsed() >= SHORT);
        queue.set_nonblocking(true);
        let none = queue.accept().unwrap_err();
        assert_eq!(none, AcceptError::Stalled(Stalled::WouldBlock));
        let late = queue.accept_timeout(SHORT).unwrap_err();
        assert_eq!(late, AcceptError::Stalled(Stalled::TimedOut));
    }

    #[test]
    fn closing_wakes_everybody_and_hands_the_rest_back() {
        let queue = AcceptQueue::new(2);
        thread::scope(|scope| {
            let waiting: Vec<_> = (0..3).map(|_| scope.spawn(|| queue.accept())).collect();
            thread::yield_now();
            assert!(queue.close().is_empty());
            for accept in waiting {
                assert_eq!(accept.join().unwrap().unwrap_err(), AcceptError::Closed);
            }
        });
        assert!(queue.try_push(session(1)).is_err());
        queue.fail(ConnectionError::Internal);
        assert_eq!(queue.accept().unwrap_err(), AcceptError::Closed);

        let queue = AcceptQueue::new(2);
        queue.try_push(session(1)).unwrap();
        assert_eq!(queue.fail(ConnectionError::Internal).len(), 1);
        let error = AcceptError::Failed(ConnectionError::Internal);
        assert_eq!(queue.accept().unwrap_err(), error);
    }
}
