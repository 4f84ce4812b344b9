//! The Go peers' receiving half. The window moves when the application reads, not before.

use std::collections::HashMap;

use super::ack_list::{AckContents, AckList};

#[derive(Debug)]
pub struct ReceivingWorker {
    window_size: u32,
    /// The number that is handed to the application next.
    pub next: u32,
    stored: HashMap<u32, Vec<u8>>,
    acks: AckList,
}

impl ReceivingWorker {
    pub fn new(window_size: u32) -> Self {
        Self {
            window_size,
            next: 0,
            stored: HashMap::new(),
            acks: AckList::default(),
        }
    }

    /// The first number that would not be accepted.
    pub fn limit(&self) -> u32 {
        self.next.wrapping_add(self.window_size)
    }

    pub fn has_acks(&self) -> bool {
        !self.acks.is_empty()
    }

    /// Whether a read would give something.
    pub fn is_readable(&self) -> bool {
        self.stored.contains_key(&self.next)
    }

    pub fn accept(&mut self, number: u32, timestamp: u32, sending_next: u32, payload: &[u8]) {
        // Old duplicates and far numbers alike get neither an entry nor a look at SendingNext.
        if number.wrapping_sub(self.next) >= self.window_size {
            return;
        }
        self.acks.clear(sending_next);
        self.acks.add(number, timestamp);
        self.stored
            .entry(number)
            .or_insert_with(|| payload.to_vec());
    }

    pub fn on_sending_next(&mut self, sending_next: u32) {
        self.acks.clear(sending_next);
    }

    pub fn flush(&mut self, now: u32, rto: u32) -> Vec<AckContents> {
        self.acks.flush(now, rto)
    }

    /// Hands over all contiguous segments.
    pub fn read(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        while let Some(payload) = self.stored.remove(&self.next) {
            bytes.extend(payload);
            self.next = self.next.wrapping_add(1);
        }
        bytes
    }
}
