//! Datagrams on their way, by their time of arrival.

use std::{cmp::Reverse, collections::BinaryHeap, time::Instant};

use super::Place;

/// Those that arrive at the same time keep their order.
#[derive(Default)]
pub(super) struct Schedule {
    heap: BinaryHeap<Reverse<Arrival>>,
    count: u64,
}

/// Ordered by its time, then by its number, of which there are no two.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Arrival {
    at: Instant,
    number: u64,
    from: Place,
    datagram: Box<[u8]>,
}

impl Schedule {
    pub(super) fn add(&mut self, at: Instant, from: Place, datagram: &[u8]) {
        self.count += 1;
        self.heap.push(Reverse(Arrival {
            at,
            number: self.count,
            from,
            datagram: datagram.into(),
        }));
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse(first)| first.at)
    }

    /// What should have arrived by now.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<(Place, Box<[u8]>)> {
        if self.next()? > now {
            return None;
        }
        let Reverse(first) = self.heap.pop()?;
        Some((first.from, first.datagram))
    }
}
