use super::*;
use crate::connection::congestion::rate::RateSample;

const RTT: Duration = Duration::from_millis(50);
const RATE: u64 = 1_000_000;
const PAYLOAD: u64 = 1000;

/// A path with a bottleneck and an endless queue, asked four times in a round trip.
struct Pipe {
    bbr: Bbr,
    now: Moment,
    rate: u64,
    rtt: Duration,
    delivered: u64,
    /// Bytes that stand in the queue.
    queue: u64,
    /// Bytes that left the queue in the last quarter of a round trip.
    passed: u64,
    /// One segment of so many is lost.
    loss: Option<u64>,
    /// The program sends no more than this.
    app_limited: bool,
}

impl Pipe {
    fn new() -> Self {
        Self {
            bbr: Bbr::new(PAYLOAD as u32, 1),
            now: Moment::START + Duration::from_secs(1),
            rate: RATE,
            rtt: RTT,
            delivered: 0,
            queue: 0,
            passed: 0,
            loss: None,
            app_limited: false,
        }
    }

    fn run(&mut self, round_trips: u32) {
        for _ in 0..4 * round_trips {
            self.step();
        }
    }

    /// A quarter of a round trip in which this side sends as much as it may.
    fn step(&mut self) {
        let quarter = self.rtt / 4;
        self.now += quarter;
        let in_time = |rate: u64| rate * quarter.as_micros() as u64 / 1_000_000;
        let in_flight = self.queue + 3 * self.passed;
        let allowed = self.bbr.window().saturating_sub(in_flight);
        let paced = in_time(self.bbr.pacing_rate().unwrap());
        let sent = paced.min(allowed);
        let passed = (self.queue + sent).min(in_time(self.rate));
        self.queue = self.queue + sent - passed;
        self.passed = passed;
        let segments = passed / PAYLOAD;
        let lost = self.loss.map_or(0, |every| segments / every);
        let acked = passed - lost * PAYLOAD;
        let prior_delivered = self.delivered.saturating_sub(3 * acked);
        self.delivered += acked;
        let waiting = Duration::from_micros(self.queue * 1_000_000 / self.rate);
        self.bbr.on_ack(&AckEvent {
            now: self.now,
            acked,
            acked_segments: acked / PAYLOAD,
            delivered: self.delivered,
            in_flight: self.queue + 3 * passed,
            rtt: Some(self.rtt + waiting),
            tick: Duration::ZERO,
            rate: Some(RateSample {
                bytes_per_second: acked * 1_000_000 / quarter.as_micros() as u64,
                app_limited: self.app_limited,
                prior_delivered,
            }),
        });
        if lost > 0 {
            let sent_at = self.now.checked_sub(self.rtt + waiting).unwrap();
            self.bbr.on_loss(&LossEvent {
                segments: lost,
                sent_at,
            });
        }
    }

    fn waiting(&self) -> Duration {
        Duration::from_micros(self.queue * 1_000_000 / self.rate)
    }
}

#[test]
fn it_finds_the_bandwidth_and_keeps_the_queue_short() {
    let mut pipe = Pipe::new();
    pipe.run(40);
    assert!((RATE * 95 / 100..=RATE).contains(&pipe.bbr.path.bandwidth()));
    let mut longest = Duration::ZERO;
    let before = pipe.delivered;
    for _ in 0..400 {
        pipe.step();
        longest = longest.max(pipe.waiting());
    }
    assert!(longest < RTT / 2, "{longest:?}");
    let share = (pipe.delivered - before) * 100 / (RATE * 5);
    assert!(share >= 95, "{share} %");
}

#[test]
fn a_path_that_becomes_faster_is_used_soon() {
    let mut pipe = Pipe::new();
    pipe.run(40);
    pipe.rate = 10 * RATE;
    pipe.run(60);
    assert!(pipe.bbr.path.bandwidth() > 8 * RATE);
}

#[test]
fn a_path_that_becomes_slower_is_noticed() {
    let mut pipe = Pipe::new();
    pipe.rate = 10 * RATE;
    pipe.run(60);
    pipe.rate = RATE;
    pipe.run(60);
    assert!(pipe.bbr.path.bandwidth() < 2 * RATE);
    assert!(pipe.waiting() < RTT, "{:?}", pipe.waiting());
}

#[test]
fn what_is_lost_at_random_is_sent_in_addition() {
    let mut pipe = Pipe::new();
    pipe.loss = Some(5);
    pipe.run(200);
    let rate = pipe.bbr.path.sending_rate();
    assert!(
        (RATE * 92 / 100..=RATE * 108 / 100).contains(&rate),
        "{rate}"
    );
    assert!(pipe.waiting() < RTT / 2, "{:?}", pipe.waiting());
}

#[test]
fn a_longer_path_is_believed_after_a_while() {
    let mut pipe = Pipe::new();
    pipe.run(40);
    pipe.rtt = 3 * RTT;
    pipe.run(100);
    assert_eq!(pipe.bbr.path.min_rtt(), 3 * RTT);
}

#[test]
fn silence_stops_it_and_the_first_answer_sets_it_going() {
    let mut pipe = Pipe::new();
    pipe.run(40);
    let before = pipe.bbr.window();
    pipe.bbr.on_timeout();
    assert_eq!(pipe.bbr.window(), SILENT_SEGMENTS * PAYLOAD);
    pipe.step();
    assert!(pipe.bbr.window() >= before * 9 / 10);
}

/// A program that always waits for an answer, before which it sends more than the path takes.
#[test]
fn a_queue_that_overflows_ends_the_search_though_the_program_is_the_limit() {
    for (lost, ends) in [(0, false), (4, false), (12, true)] {
        let mut pipe = Pipe::new();
        for round in 0..20 {
            let rtt = if round == 0 { RTT } else { RTT * 3 / 2 };
            pipe.now += rtt;
            let prior_delivered = pipe.delivered;
            for _ in lost..32 {
                pipe.delivered += PAYLOAD;
                pipe.bbr.on_ack(&AckEvent {
                    now: pipe.now,
                    acked: PAYLOAD,
                    acked_segments: 1,
                    delivered: pipe.delivered,
                    in_flight: 0,
                    rtt: Some(rtt),
                    tick: Duration::ZERO,
                    rate: Some(RateSample {
                        bytes_per_second: RATE,
                        app_limited: true,
                        prior_delivered,
                    }),
                });
            }
            if lost > 0 {
                pipe.bbr.on_loss(&LossEvent {
                    segments: lost,
                    sent_at: pipe.now,
                });
            }
        }
        assert!(pipe.bbr.path.has_queue());
        assert_eq!(pipe.bbr.was_full, ends, "{lost} of 32 lost");
    }
}

/// What is lost does not delay, and a queue this short is not seen.
#[test]
fn on_a_short_path_an_overflow_ends_the_search_and_shrinks_bursts() {
    let mut pipe = Pipe::new();
    pipe.rtt = Duration::from_micros(500);
    pipe.loss = Some(3);
    pipe.rate = 100 * RATE;
    pipe.run(20);
    assert!(pipe.bbr.was_full);
    let shrunk = pipe.bbr.burst_share;
    assert!(shrunk < WHOLE, "{shrunk}");

    // It grows again when that is over, though the path has become longer.
    (pipe.loss, pipe.rtt) = (None, RTT);
    pipe.run(200);
    assert_eq!(pipe.bbr.burst_share, WHOLE);
}

#[test]
fn on_a_long_path_losses_shrink_only_what_late_threads_send_at_once() {
    let mut pipe = Pipe::new();
    pipe.run(20);
    pipe.loss = Some(3);
    let late = (0..100).map(|_| {
        pipe.step();
        pipe.bbr.bursts().late
    });
    assert!(late.min().unwrap() < WHOLE);
    assert_eq!(pipe.bbr.burst_share, WHOLE);
    pipe.loss = None;
    pipe.run(500);
    assert_eq!(pipe.bbr.bursts().late, WHOLE);
}

/// On a path of 4 ms that has been filled.
fn short_pipe() -> Pipe {
    let mut pipe = Pipe::new();
    pipe.rtt = Duration::from_millis(4);
    pipe.run(100);
    pipe
}

#[test]
fn what_others_know_counts_on_a_short_path_until_there_is_less_to_send() {
    let common = |least_rtt| {
        let rate = RATE / 4;
        Some(Common { rate, least_rtt })
    };
    let mut pipe = short_pipe();
    pipe.bbr.set_common(common(Duration::from_millis(5)));
    assert!(pipe.bbr.path.bandwidth() > RATE / 2, "the path is long");
    pipe.bbr.set_common(common(Duration::from_millis(1)));
    assert_eq!(pipe.bbr.path.bandwidth(), RATE / 4);
    assert_eq!(pipe.bbr.path.min_rtt(), Duration::from_millis(1));
    pipe.run(10);
    assert_eq!(pipe.bbr.path.bandwidth(), RATE / 4);
    pipe.app_limited = true;
    pipe.run(1);
    assert!(pipe.bbr.path.bandwidth() > RATE / 4);
    assert_eq!(pipe.bbr.path.min_rtt(), pipe.rtt);
}

#[test]
fn who_has_not_found_its_share_is_not_compared() {
    let mut pipe = Pipe::new();
    pipe.run(1);
    assert_eq!(pipe.bbr.own_least_rtt(), None, "it is starting");
    pipe = short_pipe();
    assert_eq!(pipe.bbr.own_least_rtt(), Some(pipe.rtt));
    let (until, pause) = (pipe.now + RTT, true);
    pipe.bbr.mode = Mode::ProbeRtt { until, pause };
    assert_eq!(pipe.bbr.own_least_rtt(), None, "it sends little");
}
