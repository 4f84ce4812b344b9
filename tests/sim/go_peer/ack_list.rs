//! What a Go peer has to acknowledge. It repeats an entry until the other end's SendingNext has
//! passed it.

/// At most so many numbers stand in one ACK.
const MAX_NUMBERS: usize = 128;

/// The part of an ACK segment that the list decides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AckContents {
    pub numbers: Vec<u32>,
    pub timestamp: u32,
}

impl AckContents {
    fn take(&mut self, entry: &Entry) {
        self.numbers.push(entry.number);
        if entry.timestamp.wrapping_sub(self.timestamp) < 0x7fff_ffff {
            self.timestamp = entry.timestamp;
        }
    }

    fn is_full(&self) -> bool {
        self.numbers.len() == MAX_NUMBERS
    }
}

#[derive(Clone, Debug)]
struct Entry {
    number: u32,
    timestamp: u32,
    next_flush: u32,
}

#[derive(Clone, Debug, Default)]
pub struct AckList {
    entries: Vec<Entry>,
    dirty: bool,
}

impl AckList {
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub fn add(&mut self, number: u32, timestamp: u32) {
        self.entries.push(Entry {
            number,
            timestamp,
            next_flush: 0,
        });
        self.dirty = true;
    }

    /// Drops what lies below `una`, by plain comparison.
    pub fn clear(&mut self, una: u32) {
        let before = self.entries.len();
        self.entries.retain(|entry| entry.number >= una);
        self.dirty |= self.entries.len() < before;
    }

    /// The ACKs to send now: what is due, filled up with what is not.
    pub fn flush(&mut self, now: u32, rto: u32) -> Vec<AckContents> {
        let mut sent = Vec::new();
        let mut ack = AckContents::default();
        let mut fillers = Vec::new();
        for entry in &mut self.entries {
            if entry.next_flush > now {
                if fillers.len() < MAX_NUMBERS {
                    fillers.push(entry.number);
                }
                continue;
            }
            ack.take(entry);
            entry.next_flush = now.wrapping_add((rto / 2).max(20));
            if ack.is_full() {
                sent.push(std::mem::take(&mut ack));
                self.dirty = false;
            }
        }
        if self.dirty || !ack.numbers.is_empty() {
            // Fillers give their numbers only, not their timestamps.
            let room = MAX_NUMBERS - ack.numbers.len();
            ack.numbers.extend(fillers.into_iter().take(room));
            sent.push(ack);
            self.dirty = false;
        }
        sent
    }
}
