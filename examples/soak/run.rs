//! A run from its beginning to its end.

use std::{
    io,
    sync::{Arc, atomic::Ordering::Relaxed},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use mkcp::DropStats;
use rand::{Rng, SeedableRng, rngs::SmallRng};

use crate::{
    Options, alarms,
    crowd::{self, Stage},
    lane::{self, Lane},
    ledger::Ledger,
    relay::Relay,
    report::Report,
    samples::{self, Sample},
    stop::Stop,
    watchdog::Watchdog,
};

/// Between two looks at everything.
const TICK: Duration = Duration::from_secs(1);
/// Between two lines of progress, in ticks.
const PROGRESS: usize = 10;
/// Time in which all clients have begun, at most.
const RAMP: Duration = Duration::from_secs(10);
/// Time that a large session takes, at most, if all are large.
const LARGE: Duration = Duration::from_secs(40);
/// Longer than a Go peer lives without a sign of life.
const LONGEST_PAUSE: Duration = Duration::from_secs(45);
/// How long threads and descriptors may stay after the last session.
const SETTLING: Duration = Duration::from_secs(15);
/// Runs that are shorter say nothing about growth.
const SHORTEST_JUDGED: Duration = Duration::from_secs(240);

pub(crate) fn run(options: &Options) -> io::Result<Report> {
    let stop = Arc::new(Stop::default());
    let signal = Arc::clone(&stop);
    ctrlc::set_handler(move || signal.say()).map_err(io::Error::other)?;
    let seed = options.seed.unwrap_or_else(any_seed);
    eprintln!("seed {seed}");

    let before = Sample::now();
    let started = Instant::now();
    let (stage, relay) = open(options, seed, &stop)?;
    let servers = crowd::start_servers(&stage)?;
    let ramp = RAMP.min(options.minutes / 10);
    let clients = crowd::start_clients(&stage, options.sessions, ramp, seed)?;

    let mut watch = Watch::new(&stage, &relay, started);
    while started.elapsed() < options.minutes && !stop.wait(TICK) {
        watch.look();
    }
    let ran = started.elapsed();
    let samples = std::mem::take(&mut watch.samples);
    stop.say();
    watch.until(u64::MAX, || clients.iter().all(JoinHandle::is_finished));
    watch.until(u64::MAX, || stage.ledger.serving.load(Relaxed) == 0);
    watch.until(options.patience, || sessions_left(&stage.lanes) == 0);

    let slope = samples::slope(&samples, ran / 4, |sample| sample.rss_kib);
    let heap_slope = samples::slope(&samples, ran / 4, |sample| sample.heap_kib);
    let most_threads = samples.iter().map(|sample| sample.threads).max();
    let last = samples.last().copied().unwrap_or(before);
    drop((samples, watch));
    let mut report = Report {
        seed,
        ran,
        sessions_left: sessions_left(&stage.lanes),
        drops: drops(&stage.lanes),
        injected: relay.injected.counts(),
        slope,
        heap_slope,
        max_slope: (ran >= SHORTEST_JUDGED).then_some(options.max_slope),
        last,
        threads_left: 0,
        descriptors_left: 0,
        heap_left_kib: 0,
        most_threads: most_threads.unwrap_or(before.threads),
        ledger: close(stage, servers, relay)?,
        loud_records: 0,
        panics: 0,
    };
    (report.threads_left, report.descriptors_left) = settle(before);
    (report.loud_records, report.panics) = (alarms::loud_records(), alarms::panics());
    join(clients);
    report.heap_left_kib = Sample::now().heap_kib.saturating_sub(before.heap_kib);
    report.judge();
    Ok(report)
}

/// Short, because people will type it.
fn any_seed() -> u64 {
    SmallRng::from_os_rng().random_range(0..1_000_000)
}

/// Everything but the threads of the sessions.
fn open(options: &Options, seed: u64, stop: &Arc<Stop>) -> io::Result<(Arc<Stage>, Relay)> {
    let patience = Duration::from_secs(options.patience);
    let (lanes, relay) =
        lane::open_all(patience, |exits| Relay::start(exits, options.faults, seed))?;
    let bytes_per_second = options.faults.rate * 1_000_000;
    let large = LARGE.min(options.minutes / 2).as_secs_f64();
    let stage = Stage {
        lanes,
        ledger: Ledger::default(),
        dog: Arc::new(Watchdog::new(options.patience)),
        stop: Arc::clone(stop),
        most_bytes: (bytes_per_second as f64 * large / f64::from(options.sessions)) as u64 + 1000,
        longest_rest: options.rest,
        longest_pause: LONGEST_PAUSE.min(patience / 2),
        vain_wait: patience / 2,
    };
    Ok((Arc::new(stage), relay))
}

/// Ends what no session uses any more; gives what is left to tell.
fn close(stage: Arc<Stage>, servers: Vec<JoinHandle<()>>, relay: Relay) -> io::Result<Ledger> {
    for lane in &stage.lanes {
        lane.listener.close();
    }
    join(servers);
    let mut stage = stage;
    let stage = loop {
        match Arc::try_unwrap(stage) {
            Ok(stage) => break stage,
            Err(shared) => stage = shared, // A thread is about to end.
        }
        thread::sleep(Duration::from_millis(1));
    };
    let ledger = stage.ledger;
    for lane in stage.lanes {
        let name = lane.name();
        if lane.stats().any(|stats| stats.threads_lost > 0) {
            ledger.wrong(format!("{name}: a thread of the endpoint died"));
        }
        if let Err(error) = lane.shut_down() {
            ledger.wrong(format!("{name}: shutdown: {error}"));
        }
    }
    relay.stop()?;
    Ok(ledger)
}

/// Threads that panicked have been counted.
fn join(threads: Vec<JoinHandle<()>>) {
    for thread in threads {
        drop(thread.join());
    }
}

fn sessions_left(lanes: &[Lane]) -> u64 {
    lanes.iter().map(Lane::sessions).sum()
}

/// By the names of their reasons.
fn drops(lanes: &[Lane]) -> Vec<(&'static str, u64)> {
    let all: Vec<DropStats> = lanes
        .iter()
        .flat_map(Lane::stats)
        .map(|stats| stats.drops)
        .collect();
    let sum = |&reason| {
        let count = all.iter().map(|drops| drops.get(reason)).sum();
        (mkcp::DropReason::as_str(reason), count)
    };
    mkcp::DropReason::ALL.iter().map(sum).collect()
}

/// Waits until threads and descriptors are as many as before; gives how many more there are.
fn settle(before: Sample) -> (usize, usize) {
    let deadline = Instant::now() + SETTLING;
    loop {
        let now = Sample::now();
        let threads = now.threads.saturating_sub(before.threads);
        let descriptors = now.descriptors.saturating_sub(before.descriptors);
        if (threads, descriptors) == (0, 0) || Instant::now() >= deadline {
            return (threads, descriptors);
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// Looks at everything, once a tick.
struct Watch<'a> {
    stage: &'a Stage,
    relay: &'a Relay,
    started: Instant,
    looks: usize,
    samples: Vec<Sample>,
}

impl<'a> Watch<'a> {
    fn new(stage: &'a Stage, relay: &'a Relay, started: Instant) -> Self {
        Self {
            stage,
            relay,
            started,
            looks: 0,
            samples: Vec::new(),
        }
    }

    fn look(&mut self) {
        self.stage.dog.tick(&self.stage.ledger);
        let sample = Sample::now();
        self.samples.push(sample);
        self.looks += 1;
        if self.looks.is_multiple_of(PROGRESS) {
            self.tell(sample);
        }
    }

    /// Goes on until it is so, or for so many ticks.
    fn until(&mut self, ticks: u64, is_so: impl Fn() -> bool) {
        const GLANCES: u32 = 20;
        for _ in 0..ticks {
            for _ in 0..GLANCES {
                if is_so() {
                    return;
                }
                thread::sleep(TICK / GLANCES);
            }
            self.look();
        }
    }

    fn tell(&self, sample: Sample) {
        let ledger = &self.stage.ledger;
        let mb = |bytes: u64| bytes as f64 / 1e6;
        let [(_, datagrams), .., (_, forged)] = self.relay.injected.counts();
        eprintln!(
            "{:.0} s: {} sessions opened, {} finished, {:.1} MB up, {:.1} MB down, {datagrams} \
             datagrams, {forged} forged; {} KiB, {} of them asked for, {} descriptors, {} threads",
            self.started.elapsed().as_secs_f64(),
            ledger.opened.load(Relaxed),
            ledger.all_finished(),
            mb(ledger.bytes_up.load(Relaxed)),
            mb(ledger.bytes_down.load(Relaxed)),
            sample.rss_kib,
            sample.heap_kib,
            sample.descriptors,
            sample.threads,
        );
    }
}
