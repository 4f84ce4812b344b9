//! Virtual time and the heap of what is to happen.

use std::{cmp::Reverse, collections::BinaryHeap, time::Duration};

/// Time since the world began.
pub type Time = Duration;

/// Events in order of time; those of one time in the order they were put in.
#[derive(Debug)]
pub struct EventHeap<E> {
    heap: BinaryHeap<Reverse<Entry<E>>>,
    inserted: u64,
}

#[derive(Debug)]
struct Entry<E> {
    key: (Time, u64),
    event: E,
}

impl<E> EventHeap<E> {
    pub fn new() -> Self {
        Self {
            heap: BinaryHeap::new(),
            inserted: 0,
        }
    }

    pub fn insert(&mut self, at: Time, event: E) {
        let key = (at, self.inserted);
        self.inserted += 1;
        self.heap.push(Reverse(Entry { key, event }));
    }

    pub fn next_time(&self) -> Option<Time> {
        self.heap.peek().map(|Reverse(entry)| entry.key.0)
    }

    pub fn pop(&mut self) -> Option<(Time, E)> {
        let Reverse(entry) = self.heap.pop()?;
        Some((entry.key.0, entry.event))
    }
}

impl<E> PartialEq for Entry<E> {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl<E> Eq for Entry<E> {}

impl<E> PartialOrd for Entry<E> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> Ord for Entry<E> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key.cmp(&other.key)
    }
}
