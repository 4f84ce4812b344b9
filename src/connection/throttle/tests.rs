//! Peers that flood, or seem to, over paths of many kinds.

use super::*;
use crate::wire::{Options, Timestamp};

const MS: Duration = Duration::from_millis(1);

/// A throttle, and a peer that sends so many times its window at every tick, over a path.
struct Lab {
    throttle: Throttle,
    now: Moment,
    clock: u32,
    factor: u32,
    /// Numbers before this have been sent.
    sent: u32,
    /// What the path carries in a tick, and what fits into its queue.
    capacity: u32,
    queue: u32,
    /// All of a burst are found at once.
    in_batches: bool,
}

impl Lab {
    fn new(factor: u32, capacity: u32) -> Self {
        Self {
            throttle: Throttle::new(),
            now: Moment::START,
            clock: 1,
            factor,
            sent: 0,
            capacity,
            queue: u32::MAX,
            in_batches: false,
        }
    }

    fn window(&self) -> u32 {
        self.throttle.window().unwrap_or(194)
    }

    fn receive(&mut self, now: Moment, number: u32, first: u32, window: u32) {
        let data = Data {
            conversation: 1,
            options: Options::default(),
            timestamp: Timestamp::new(self.clock),
            number: SeqNum::new(number),
            sending_next: SeqNum::new(first),
            payload: &[],
        };
        let limit = SeqNum::new(first.wrapping_add(window));
        self.throttle.on_data(now, &data, limit);
    }

    /// Gives what the peer sent.
    fn tick(&mut self, most: u32) -> u32 {
        let (first, window) = (self.sent, self.window());
        let count = most.min(self.factor * window);
        for index in 0..count.min(self.queue) {
            let wait = if self.in_batches { 0 } else { index };
            let at = self.now + 50 * MS * wait / self.capacity;
            self.receive(at, first + index, first, window);
        }
        self.sent += count;
        self.pause(50);
        count
    }

    fn ticks(&mut self, count: u32) -> u32 {
        (0..count).fold(0, |_, _| self.tick(1553))
    }

    fn pause(&mut self, ms: u32) {
        self.clock = self.clock.wrapping_add(ms);
        self.now += ms * MS;
    }
}

#[test]
fn a_flood_is_slowed_to_what_the_path_carries() {
    for capacity in [60, 450, 1200] {
        let mut lab = Lab::new(20, capacity);
        let sent = lab.ticks(40);
        assert!(lab.throttle.is_flooding());
        let expected = capacity / 2..=capacity;
        assert!(expected.contains(&sent), "{sent} of {capacity}");
    }
}

#[test]
fn a_peer_that_keeps_to_its_window_is_not_slowed() {
    let mut lab = Lab::new(1, 450);
    assert_eq!(lab.throttle.window(), Some(FIRST_WINDOW));
    lab.ticks(6);
    assert_eq!(lab.throttle.window(), None);
    let mut lab = Lab::new(20, 450);
    lab.throttle.trust();
    lab.ticks(6);
    assert_eq!(lab.throttle.window(), None);
}

#[test]
fn a_pause_or_a_jump_of_the_clock_is_no_capacity() {
    for pause in [1000, 5000, u32::MAX - 5000] {
        let mut lab = Lab::new(20, 450);
        lab.ticks(40);
        if pause > 5000 {
            lab.clock = lab.clock.wrapping_add(pause);
            lab.now += 1000 * MS;
        } else {
            lab.pause(pause);
        }
        let most = (0..20).map(|_| lab.tick(1553)).max();
        assert!(most.is_some_and(|most| most < 600), "{most:?}");
    }
}

#[test]
fn one_forged_number_is_no_flood_and_its_timestamp_freezes_nothing() {
    let mut lab = Lab::new(1, 450);
    lab.tick(20);
    for number in [lab.sent + 500, 1 << 30, u32::MAX] {
        lab.receive(lab.now, number, lab.sent, 32);
    }
    let clock = lab.clock;
    lab.clock += 1 << 30;
    lab.receive(lab.now, lab.sent + 500, u32::MAX, 32);
    lab.clock = clock;
    assert!(!lab.throttle.is_flooding());
    lab.pause(600);
    lab.ticks(30);
    assert_eq!(lab.throttle.window(), None);
}

#[test]
fn a_peer_that_does_not_multiply_is_released() {
    let mut lab = Lab::new(1, 450);
    lab.throttle.peer = Peer::Flooding(Box::new(Flood::START));
    lab.ticks(40);
    assert_eq!(lab.throttle.window(), None);
}

#[test]
fn a_shallow_queue_does_not_hide_a_flood() {
    for queue in [6, 12, 30] {
        let mut lab = Lab::new(20, 25);
        lab.queue = queue;
        let sent = lab.ticks(60);
        assert!(lab.throttle.is_flooding());
        assert!(sent <= 25, "{sent}");
    }
}

#[test]
fn little_traffic_proves_nothing() {
    let mut lab = Lab::new(20, 450);
    for _ in 0..100 {
        lab.tick(3);
    }
    assert_eq!(lab.throttle.window(), Some(FIRST_WINDOW));
    assert!(lab.ticks(40) <= 450);
    assert!(lab.throttle.is_flooding());
    let before = lab.window();
    for _ in 0..100 {
        lab.tick(3);
    }
    assert_eq!(lab.window(), before);
}

#[test]
fn what_a_busy_receiver_finds_at_once_is_not_taken_for_a_fast_path() {
    let mut lab = Lab::new(20, 450);
    lab.ticks(2);
    lab.in_batches = true;
    lab.ticks(1);
    let before = lab.window();
    lab.ticks(3);
    assert!(lab.window() <= before * 3 / 2);
    // But in the long run it is.
    lab.ticks(60);
    assert!(lab.window() > 60, "{}", lab.window());
}

#[test]
fn whatever_comes_the_window_stays_in_bounds() {
    let extremes = [
        0,
        1,
        40,
        1 << 13,
        0x7fff_ffff,
        1 << 31,
        u32::MAX - 40,
        u32::MAX,
    ];
    let mut lab = Lab::new(20, 450);
    for round in 0..20_000_usize {
        let pick = |step: usize| extremes[round / step % extremes.len()];
        lab.clock = pick(64).wrapping_add(pick(8));
        lab.now += (round as u32 % 3) * MS;
        lab.receive(lab.now, pick(1), pick(512), pick(3));
        assert!(lab.window() >= 1 && lab.window() < FULL_WINDOW);
    }
}
