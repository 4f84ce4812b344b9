//! Numbers that are worth listing again.
//!
//! A number beyond a gap is not covered by any ReceivingNext, and if the ACK that lists it gets
//! lost, its sender repeats the segment for nothing. ACKs get lost in bursts, so it is listed
//! again after one more ACK, two more, four and so on: few listings bridge a long burst.

use std::collections::VecDeque;

use super::{ack::Entry, queue::shrink};
use crate::wire::SeqNum;

/// Listings after the first; the last one comes 63 ACKs after it.
const LISTINGS: usize = 6;
/// Numbers that wait for one listing, at most.
const MOST_WAITING: usize = 8192;

#[derive(Debug, Default)]
pub(super) struct Relist {
    /// ACKs so far.
    acks: u64,
    /// Once there was a gap.
    waiting: Option<Box<Waiting>>,
}

/// By how often they have been listed again: when they are due, and what; oldest first.
type Waiting = [VecDeque<(u64, Entry)>; LISTINGS];

impl Relist {
    /// Notes a number that has just been listed for the first time.
    #[inline]
    pub(super) fn add(&mut self, entry: Entry) {
        let waiting = self.waiting.get_or_insert_default();
        wait(waiting, self.acks, 0, entry);
    }

    /// How many `take` gives at most.
    pub(super) fn due(&self) -> usize {
        let acks = self.acks + 1;
        let due =
            |waiting: &VecDeque<(u64, Entry)>| waiting.partition_point(|&(due, _)| due <= acks);
        let all = self.waiting.iter().flat_map(|waiting| waiting.iter());
        all.map(due).sum()
    }

    /// For the next ACK, which has room for so many: those due that lie at or beyond `next`.
    #[inline]
    pub(super) fn take(&mut self, room: usize, next: SeqNum, mut list: impl FnMut(Entry)) {
        self.acks += 1;
        let Some(waiting) = self.waiting.as_deref_mut() else {
            return;
        };
        let mut left = room;
        for listing in 0..LISTINGS {
            while left > 0
                && let Some(&(due, entry)) = waiting[listing].front()
                && due <= self.acks
            {
                waiting[listing].pop_front();
                if !entry.number.precedes(next) {
                    list(entry);
                    left -= 1;
                    wait(waiting, self.acks, listing + 1, entry);
                }
            }
        }
    }

    /// Bytes of what waits.
    pub(super) fn bookkeeping(&self) -> usize {
        let waiting = self.waiting.iter().flat_map(|waiting| waiting.iter());
        waiting.map(VecDeque::len).sum::<usize>() * size_of::<(u64, Entry)>()
    }

    /// Gives back memory that holds nothing.
    pub(super) fn release_memory(&mut self) {
        let waiting = self.waiting.iter_mut();
        waiting
            .flat_map(|waiting| waiting.iter_mut())
            .for_each(shrink);
    }

    /// Forgets all that waits, and gives its memory back.
    pub(super) fn clear(&mut self) {
        self.waiting = None;
    }

    /// Whether nothing at or beyond `next` waits.
    pub(super) fn is_done(&self, next: SeqNum) -> bool {
        let mut waiting = self
            .waiting
            .iter()
            .flat_map(|waiting| waiting.iter().flatten());
        waiting.all(|(_, entry)| entry.number.precedes(next))
    }
}

/// Lets a number that has been listed again so often wait for the next time, if there is one.
#[inline]
fn wait(waiting: &mut Waiting, acks: u64, listing: usize, entry: Entry) {
    let due = acks + (1 << listing);
    if let Some(waiting) = waiting.get_mut(listing)
        && waiting.len() < MOST_WAITING
    {
        waiting.push_back((due, entry));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Timestamp;

    fn entry(number: u32) -> Entry {
        Entry {
            number: SeqNum::new(number),
            timestamp: Timestamp::new(1),
            is_new: true,
        }
    }

    fn taken(relist: &mut Relist, room: usize, next: u32) -> Vec<u32> {
        let mut numbers = Vec::new();
        let most = relist.due().min(room);
        relist.take(room, SeqNum::new(next), |entry| {
            numbers.push(entry.number.get())
        });
        assert!(numbers.len() <= most);
        numbers
    }

    #[test]
    fn a_number_is_listed_again_after_ever_more_acks() {
        let mut relist = Relist::default();
        relist.add(entry(7));
        let listed = |_: &u32| !taken(&mut relist, 10, 0).is_empty();
        let at: Vec<u32> = (1..200).filter(listed).collect();
        assert_eq!(at, [1, 3, 7, 15, 31, 63]);
    }

    #[test]
    fn what_was_received_in_order_meanwhile_is_not_listed() {
        let mut relist = Relist::default();
        relist.add(entry(7));
        relist.add(entry(9));
        assert_eq!(taken(&mut relist, 10, 8), [9]);
        for _ in 0..2 {
            taken(&mut relist, 10, 8);
        }
        assert!(taken(&mut relist, 10, 10).is_empty());
    }

    #[test]
    fn what_finds_no_room_waits_for_the_next_ack() {
        let mut relist = Relist::default();
        for number in 0..5 {
            relist.add(entry(number));
        }
        assert_eq!(relist.due(), 5);
        assert_eq!(taken(&mut relist, 3, 0), [0, 1, 2]);
        assert_eq!(taken(&mut relist, 3, 0), [3, 4]);
    }
}
