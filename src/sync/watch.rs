//! One thread that waits for many states.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use super::{Monitor, Patience, Wake};

/// What a [`Selector`](crate::Selector) tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Event {
    /// By which the program knows what it watches.
    pub key: usize,
    /// What can be done with it.
    pub readiness: Readiness,
}

/// What can be done without waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Readiness {
    /// To read, or to accept: there is something, or the end, or an error.
    Readable,
    /// To write: a quarter of the buffer is free, or there is an error.
    Writable,
}

impl Event {
    pub(crate) fn new(key: usize, readiness: Readiness) -> Self {
        Self { key, readiness }
    }
}

/// What has been told and not been taken yet. Each watch adds to it once, until it is set again.
#[derive(Debug, Default)]
pub(crate) struct Events {
    list: Monitor<List>,
}

#[derive(Debug, Default)]
struct List {
    events: VecDeque<Event>,
    /// Whether a wait is to return although nothing has happened.
    notified: bool,
}

/// Whom a monitor tells of its next change.
#[derive(Debug)]
pub(super) struct Watch {
    events: Arc<Events>,
    event: Event,
}

impl Events {
    /// Taken at a time, so that several threads share many.
    const MOST: usize = 256;

    fn tell(&self, event: Event) {
        self.list.update(|list| {
            list.events.push_back(event);
            ((), Wake::One)
        });
    }

    /// Has one wait return, the next one if there is none.
    pub(crate) fn notify(&self) {
        self.list.update(|list| {
            list.notified = true;
            ((), Wake::One)
        });
    }

    /// Moves events to the end of `taken`, waiting until there are some or the time is over.
    pub(crate) fn take(&self, limit: Option<Duration>, taken: &mut Vec<Event>) {
        let patience = limit.map_or(Patience::AsSet, Patience::For);
        // Time that is over brings no events.
        let _ = self.list.wait(patience, |list| {
            let notified = std::mem::take(&mut list.notified);
            if list.events.is_empty() && !notified {
                return None;
            }
            let count = list.events.len().min(Self::MOST);
            taken.extend(list.events.drain(..count));
            let are_left = !list.events.is_empty();
            Some(((), if are_left { Wake::One } else { Wake::Nobody }))
        });
    }
}

impl Watch {
    pub(super) fn new(events: &Arc<Events>, event: Event) -> Self {
        Self {
            events: Arc::clone(events),
            event,
        }
    }

    /// Whether this one does for another.
    pub(super) fn is(&self, events: &Arc<Events>, event: Event) -> bool {
        Arc::ptr_eq(&self.events, events) && self.event == event
    }

    /// What is to be told, for when the monitor's lock is free.
    pub(super) fn news(&self) -> News {
        News(Arc::clone(&self.events), self.event)
    }
}

/// What is still to be told.
pub(super) struct News(Arc<Events>, Event);

impl News {
    pub(super) fn tell(news: Option<Self>) {
        if let Some(Self(events, event)) = news {
            events.tell(event);
        }
    }
}
