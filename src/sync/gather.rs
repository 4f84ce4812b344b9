//! Wake-ups that wait for each other.
//!
//! Whoever brings something to many streams, of which one thread waits for news, would wake it for
//! the first; it looks, finds no more, and falls asleep again. On a busy machine it does so in the
//! place of the one who brings, again and again.

use std::{cell::RefCell, marker::PhantomData, sync::Arc};

use super::watch::Events;

/// So many lists are looked through for each event.
const MOST_LISTS: usize = 8;

thread_local! {
    static OWED: RefCell<Owed> = const {
        RefCell::new(Owed { gathers: false, lists: Vec::new() })
    };
}

/// The wake-ups that this thread owes.
#[derive(Debug)]
struct Owed {
    gathers: bool,
    /// Those that got events meanwhile.
    lists: Vec<Arc<Events>>,
}

/// As long as this is there, its thread wakes nobody who waits for a list of events; when it is
/// dropped, it wakes those who missed some. A thread has one at a time, and not for long.
#[derive(Debug)]
pub(crate) struct Gathering {
    of_this_thread: PhantomData<*const ()>,
}

impl Gathering {
    pub(crate) fn begin() -> Self {
        with_owed(|owed| owed.gathers = true);
        Self {
            of_this_thread: PhantomData,
        }
    }
}

impl Drop for Gathering {
    fn drop(&mut self) {
        with_owed(|owed| {
            owed.gathers = false;
            owed.lists.drain(..).for_each(|events| events.wake());
        });
    }
}

/// Whether the wake-up for an event that is about to be added may wait.
pub(super) fn defers(events: &Arc<Events>) -> bool {
    with_owed(|owed| owed.gathers && owed.defers(events)) == Some(true)
}

/// A thread that is ending, and whose own values are being dropped, owes nothing any more.
fn with_owed<T>(look: impl FnOnce(&mut Owed) -> T) -> Option<T> {
    OWED.try_with(|owed| look(&mut owed.borrow_mut())).ok()
}

impl Owed {
    fn defers(&mut self, events: &Arc<Events>) -> bool {
        if self.lists.iter().any(|list| Arc::ptr_eq(list, events)) {
            return true;
        }
        let has_room = self.lists.len() < MOST_LISTS;
        if has_room {
            self.lists.push(events.clone());
        }
        has_room
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use std::{
        ops::Range,
        panic::{self, AssertUnwindSafe},
        sync::mpsc,
        thread,
        time::{Duration, Instant},
    };

    use super::*;
    use crate::sync::{Event, Monitor, Readiness, Wake};

    /// States that one list watches, and how many events each wait of its thread gets.
    struct Crowd {
        events: Arc<Events>,
        states: Vec<Monitor<()>>,
        taken: mpsc::Receiver<usize>,
    }

    impl Crowd {
        fn new(count: usize) -> Self {
            let events = Arc::new(Events::default());
            let states: Vec<_> = (0..count).map(|_| Monitor::new(())).collect();
            for (key, state) in states.iter().enumerate() {
                let event = Event::new(key, Readiness::Readable);
                state.watch(&events, event, |()| false);
            }
            let (sender, taken) = mpsc::channel();
            let list = events.clone();
            thread::spawn(move || {
                let mut left = count;
                while left > 0 {
                    let mut taken = Vec::new();
                    list.take(None, &mut taken);
                    left -= taken.len();
                    sender.send(taken.len()).unwrap();
                }
            });
            Self {
                events,
                states,
                taken,
            }
        }

        /// Once the thread waits.
        fn change(&self, keys: Range<usize>) {
            let deadline = Instant::now() + Duration::from_secs(10);
            while self.events.waiting() == 0 {
                assert!(Instant::now() < deadline);
                thread::yield_now();
            }
            self.states[keys].iter().for_each(|state| {
                state.update(|()| ((), Wake::One));
            });
        }

        fn next(&self) -> usize {
            self.taken.recv_timeout(Duration::from_secs(10)).unwrap()
        }
    }

    #[test]
    fn events_are_told_together_in_the_end() {
        let crowd = Crowd::new(5);
        let gathering = Gathering::begin();
        crowd.change(0..5);
        assert!(crowd.taken.recv_timeout(Duration::from_millis(50)).is_err());
        drop(gathering);
        assert_eq!(crowd.next(), 5);
    }

    #[test]
    fn each_of_several_lists_is_told() {
        let crowds: Vec<_> = (0..2 * MOST_LISTS).map(|_| Crowd::new(1)).collect();
        let gathering = Gathering::begin();
        crowds.iter().for_each(|crowd| crowd.change(0..1));
        drop(gathering);
        assert!(crowds.iter().all(|crowd| crowd.next() == 1));
    }

    /// What a thread keeps for itself is dropped when it ends, after what is kept here.
    #[test]
    fn a_thread_that_is_ending_wakes_others_too() {
        struct Last(Crowd, mpsc::Sender<usize>);
        impl Drop for Last {
            fn drop(&mut self) {
                self.0.change(0..1);
                let _ = self.1.send(self.0.next());
            }
        }
        thread_local! {
            static LAST: RefCell<Option<Last>> = const { RefCell::new(None) };
        }
        let (sender, told) = mpsc::channel();
        let last = Last(Crowd::new(1), sender);
        thread::spawn(move || {
            LAST.set(Some(last));
            drop(Gathering::begin());
        });
        assert_eq!(told.recv_timeout(Duration::from_secs(20)), Ok(1));
    }

    #[test]
    fn a_panic_in_between_leaves_nobody_asleep() {
        let crowd = Crowd::new(1);
        let result = panic::catch_unwind(AssertUnwindSafe(|| {
            let _gathering = Gathering::begin();
            crowd.change(0..1);
            panic!("as it should");
        }));
        assert!(result.is_err());
        assert_eq!(crowd.next(), 1);
    }
}
