//! Threads that wait for many states at once.

use std::{
    collections::VecDeque,
    sync::{Arc, Weak, atomic::Ordering},
    time::Duration,
};

use super::{AtomicU8, Monitor, Patience, Wake, gather};

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

/// What has been told and not been taken yet: each watch at most once.
#[derive(Debug, Default)]
pub(crate) struct Events {
    list: Monitor<List>,
}

#[derive(Debug, Default)]
struct List {
    told: VecDeque<Arc<Watch>>,
    /// Beyond so many, those that were cancelled leave: who watches under ever new keys may never
    /// wait.
    many: usize,
    /// How many waits are to return although nothing has happened.
    notified: u32,
}

/// Whom a monitor tells of a change.
#[derive(Debug)]
pub(super) struct Watch {
    /// Which may hold this.
    events: Weak<Events>,
    event: Event,
    state: AtomicU8,
}

const IDLE: u8 = 0;
/// On the list.
const TOLD: u8 = 1;
/// Whatever is told of it is not to be taken.
const CANCELLED: u8 = 2;

impl Events {
    /// Taken at a time, so that several threads share many.
    const MOST: usize = 256;

    /// Has one wait return, a later one if there is none.
    pub(crate) fn notify(&self) {
        self.list.update(|list| {
            list.notified = list.notified.saturating_add(1);
            ((), Wake::One)
        });
    }

    /// Wakes a thread if there is something to take.
    pub(super) fn wake(&self) {
        self.list.update(|list| ((), list.wake_next()));
    }

    /// Moves events to the end of `taken`, waiting until there are some or the time is over.
    pub(crate) fn take(&self, limit: Option<Duration>, taken: &mut Vec<Event>) {
        let patience = limit.map_or(Patience::AsSet, Patience::For);
        // Time that is over brings no events.
        let _ = self.list.wait(patience, |list| {
            if let Some(others) = list.notified.checked_sub(1) {
                list.notified = others;
                return Some(((), list.wake_next()));
            }
            let events = std::iter::from_fn(|| list.told.pop_front());
            taken.extend(events.filter_map(|watch| watch.take()).take(Self::MOST));
            if list.told.is_empty() {
                list.many = 0;
            }
            (!taken.is_empty()).then(|| ((), list.wake_next()))
        });
    }
}

#[cfg(test)]
#[cfg(not(loom))]
impl Events {
    /// How many threads are in `take`.
    pub(super) fn waiting(&self) -> u32 {
        super::primitives::lock(&self.list.inner).waiting
    }

    /// How many watches are on the list, cancelled or not.
    pub(super) fn kept(&self) -> usize {
        self.list.read(|list| list.told.len())
    }
}

impl List {
    /// Fewer are never too many.
    const FEW: usize = 256;

    /// Adds a watch that was told.
    fn add(&mut self, watch: Arc<Watch>) {
        if self.told.len() >= self.many.max(Self::FEW) {
            self.told.retain(|watch| !watch.is_cancelled());
            self.many = 2 * self.told.len();
        }
        self.told.push_back(watch);
    }

    /// One wait is woken for each event, so the one that leaves some behind passes it on.
    fn wake_next(&self) -> Wake {
        match self.told.is_empty() && self.notified == 0 {
            true => Wake::Nobody,
            false => Wake::One,
        }
    }
}

impl Watch {
    pub(super) fn new(events: &Arc<Events>, event: Event) -> Self {
        Self {
            events: Arc::downgrade(events),
            event,
            state: AtomicU8::new(IDLE),
        }
    }

    pub(super) fn is_of(&self, events: &Arc<Events>) -> bool {
        self.events.as_ptr() == Arc::as_ptr(events)
    }

    /// Whether this one does for another.
    pub(super) fn is(&self, events: &Arc<Events>, event: Event) -> bool {
        self.is_of(events) && self.event == event
    }

    /// Puts it on the list, unless it is there. Not while the lock of a monitor is held.
    pub(super) fn tell(self: Arc<Self>) {
        if let Some(events) = self.events.upgrade()
            && self.change(IDLE, TOLD)
        {
            let wake = match gather::defers(&events) {
                true => Wake::Nobody,
                false => Wake::One,
            };
            events.list.update(|list| {
                list.add(self);
                ((), wake)
            });
        }
    }

    /// Nothing is taken of it any more, told or not.
    pub(super) fn cancel(&self) {
        self.state.store(CANCELLED, Ordering::SeqCst);
    }

    fn is_cancelled(&self) -> bool {
        self.state.load(Ordering::SeqCst) == CANCELLED
    }

    fn take(&self) -> Option<Event> {
        self.change(TOLD, IDLE).then_some(self.event)
    }

    fn change(&self, from: u8, to: u8) -> bool {
        self.state
            .compare_exchange(from, to, Ordering::SeqCst, Ordering::SeqCst)
            .is_ok()
    }
}
