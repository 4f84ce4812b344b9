//! The Go peers' sending half: a queue that is walked at every tick, without back-off.

use std::collections::VecDeque;

use super::{config::GoConfig, round_trip::RoundTrip};

/// The remote limit before the first ACK has told it.
const INITIAL_REMOTE_LIMIT: u32 = 32;

/// A segment of the queue.
#[derive(Clone, Debug)]
pub struct Queued {
    pub number: u32,
    pub timeout: u32,
    pub transmit: u32,
    pub timestamp: u32,
    pub payload: Vec<u8>,
}

/// What one walk over the queue did.
#[derive(Debug, Default)]
pub struct Walk {
    /// Copies of what is to be sent.
    pub sent: Vec<Queued>,
    /// Repetitions in percent of what is in flight, if anything was sent.
    pub loss_rate: Option<u32>,
}

/// The unacknowledged segments, oldest first. Numbers are compared plainly.
#[derive(Debug, Default)]
pub struct SendingWindow {
    pub queue: VecDeque<Queued>,
    pub in_flight: u32,
}

impl SendingWindow {
    pub fn push(&mut self, number: u32, payload: Vec<u8>) {
        self.queue.push_back(Queued {
            number,
            timeout: 0,
            transmit: 0,
            timestamp: 0,
            payload,
        });
    }

    /// Cumulative acknowledgement. It does not lower the in-flight count.
    pub fn clear(&mut self, una: u32) {
        while self.queue.front().is_some_and(|head| head.number < una) {
            self.queue.pop_front();
        }
    }

    pub fn remove(&mut self, number: u32) -> bool {
        let Some(index) = self.queue.iter().position(|s| s.number >= number) else {
            return false;
        };
        if self.queue[index].number != number {
            return false;
        }
        self.in_flight = self.in_flight.saturating_sub(1);
        self.queue.remove(index);
        true
    }

    /// Brings what was sent before `number` a third of an RTO nearer to its repetition.
    pub fn fast_ack(&mut self, number: u32, rto: u32) {
        let third = rto / 3;
        for segment in &mut self.queue {
            if !precedes(segment.number, number) {
                break;
            }
            if segment.transmit > 0 && segment.timeout > third {
                segment.timeout -= third;
            }
        }
    }

    /// Sends what is due, up to `limit` segments but at least one.
    pub fn flush(&mut self, now: u32, rto: u32, limit: u32) -> Walk {
        let mut walk = Walk::default();
        let mut lost = 0;
        for segment in &mut self.queue {
            if now.wrapping_sub(segment.timeout) >= 0x7fff_ffff {
                continue;
            }
            if segment.transmit == 0 {
                self.in_flight += 1;
            } else {
                lost += 1;
            }
            segment.timeout = now.wrapping_add(rto);
            segment.timestamp = now;
            segment.transmit += 1;
            walk.sent.push(segment.clone());
            if walk.sent.len() as u32 >= limit {
                break;
            }
        }
        if !walk.sent.is_empty() && self.in_flight > 0 {
            walk.loss_rate = Some(lost * 100 / self.in_flight);
        }
        walk
    }
}

/// The window with its limits, as a connection has it.
#[derive(Debug)]
pub struct SendingWorker {
    window: SendingWindow,
    config: GoConfig,
    pub first_unacknowledged: u32,
    first_unacknowledged_changed: bool,
    pub next_number: u32,
    remote_limit: u32,
    control_window: u32,
}

/// What a flush of the worker wants to be sent.
pub enum Flush {
    Nothing,
    Ping,
    Data(Vec<Queued>),
}

impl SendingWorker {
    pub fn new(config: &GoConfig) -> Self {
        Self {
            window: SendingWindow::default(),
            config: config.clone(),
            first_unacknowledged: 0,
            first_unacknowledged_changed: false,
            next_number: 0,
            remote_limit: INITIAL_REMOTE_LIMIT,
            control_window: config.send_in_flight,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.window.queue.is_empty()
    }

    pub fn is_full(&self) -> bool {
        self.window.queue.len() as u32 > self.config.send_queue_limit
    }

    /// Queues one chunk of at most an MSS.
    pub fn push(&mut self, payload: &[u8]) {
        self.window.push(self.next_number, payload.to_vec());
        self.next_number = self.next_number.wrapping_add(1);
    }

    /// Throws away what is not acknowledged; `first_unacknowledged` notices at the next ACK only.
    pub fn discard(&mut self) {
        self.window.queue.clear();
    }

    pub fn on_una(&mut self, una: u32) {
        self.window.clear(una);
        self.find_first_unacknowledged();
    }

    pub fn on_ack(&mut self, now: u32, ack: &ReceivedAck, rtt: &mut RoundTrip) {
        if self.remote_limit < ack.receiving_window {
            self.remote_limit = ack.receiving_window;
        }
        self.on_una(ack.receiving_next);
        let mut largest = 0;
        let mut largest_removed = false;
        for &number in &ack.numbers {
            let removed = self.remove(number);
            // Number 0 can never become the largest.
            if largest < number {
                largest = number;
                largest_removed = removed;
            }
        }
        if largest_removed {
            self.window.fast_ack(largest, rtt.rto);
            let sample = now.wrapping_sub(ack.timestamp);
            if sample < 10_000 {
                rtt.sample(sample, now);
            }
        }
    }

    fn remove(&mut self, number: u32) -> bool {
        let in_range =
            !precedes(number, self.first_unacknowledged) && precedes(number, self.next_number);
        let removed = in_range && self.window.remove(number);
        if removed {
            self.find_first_unacknowledged();
        }
        removed
    }

    fn find_first_unacknowledged(&mut self) {
        let head = self.window.queue.front();
        let first = head.map_or(self.next_number, |head| head.number);
        self.first_unacknowledged_changed |= first != self.first_unacknowledged;
        self.first_unacknowledged = first;
    }

    pub fn flush(&mut self, now: u32, rto: u32) -> Flush {
        let changed = std::mem::take(&mut self.first_unacknowledged_changed);
        if self.is_empty() {
            return if changed { Flush::Ping } else { Flush::Nothing };
        }
        let walk = self.window.flush(now, rto, self.count_limit());
        if let Some(rate) = walk.loss_rate
            && rto != 0
            && self.config.congestion
        {
            self.adjust(rate);
        }
        Flush::Data(walk.sent)
    }

    /// How many segments one flush may send. Counts per flush, not in flight.
    fn count_limit(&self) -> u32 {
        let mut limit = self.config.send_in_flight;
        limit = limit.min(self.remote_limit.wrapping_sub(self.first_unacknowledged));
        if self.config.congestion {
            limit = limit.min(self.control_window);
        }
        limit.saturating_mul(self.config.window_factor)
    }

    fn adjust(&mut self, loss_rate: u32) {
        if loss_rate >= 15 {
            self.control_window = 3 * self.control_window / 4;
        } else if loss_rate <= 5 {
            self.control_window = 5 * self.control_window / 4;
        }
        let most = self.config.control_window_limit;
        self.control_window = self.control_window.max(16).min(most);
    }
}

/// The fields of an ACK that a sender looks at.
#[derive(Debug)]
pub struct ReceivedAck {
    pub receiving_window: u32,
    pub receiving_next: u32,
    pub timestamp: u32,
    pub numbers: Vec<u32>,
}

fn precedes(a: u32, b: u32) -> bool {
    a.wrapping_sub(b) > 0x7fff_ffff
}
