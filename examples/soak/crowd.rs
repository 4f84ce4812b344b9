//! The threads at both ends: those that open sessions, and those that serve them.

use std::{
    io::{self, ErrorKind},
    sync::{Arc, atomic::Ordering::Relaxed},
    thread::{self, JoinHandle},
    time::Duration,
};

use mkcp::{Stream, v2ray::MaybeTlsStream};
use rand::{Rng, SeedableRng, rngs::SmallRng};

use crate::{
    STACK,
    client::{self, Pauses},
    content::WrongByte,
    lane::Lane,
    ledger::Ledger,
    line::Line,
    order::Order,
    server,
    stop::Stop,
    watchdog::Watchdog,
};

/// What all threads share.
pub(crate) struct Stage {
    pub(crate) lanes: Vec<Lane>,
    pub(crate) ledger: Ledger,
    pub(crate) dog: Arc<Watchdog>,
    pub(crate) stop: Arc<Stop>,
    /// Bytes that a session moves in one direction, at most.
    pub(crate) most_bytes: u64,
    /// Between two sessions of a client, at most.
    pub(crate) longest_rest: Duration,
    /// How long idle sessions say nothing, at most.
    pub(crate) longest_pause: Duration,
    /// How long a session may wait for what may never come: bytes that a forged length promised, or
    /// a reset of which every word got lost.
    pub(crate) vain_wait: Duration,
}

/// Starts clients that open one session after the other, the last of them after `ramp`.
pub(crate) fn start_clients(
    stage: &Arc<Stage>,
    count: u32,
    ramp: Duration,
    seed: u64,
) -> io::Result<Vec<JoinHandle<()>>> {
    let start = |number: u32| {
        let stage = Arc::clone(stage);
        let rng = SmallRng::seed_from_u64(seed.wrapping_add(number.into()));
        let wait = ramp * number / count;
        thread::Builder::new()
            .name(format!("client-{number}"))
            .stack_size(STACK)
            .spawn(move || stage.visit_again_and_again(wait, rng))
    };
    (0..count).map(start).collect()
}

/// Starts a thread for each lane that accepts sessions until the listener is closed.
pub(crate) fn start_servers(stage: &Arc<Stage>) -> io::Result<Vec<JoinHandle<()>>> {
    let start = |number| {
        let stage = Arc::clone(stage);
        let builder = thread::Builder::new().name(format!("accept-{number}"));
        builder.spawn(move || accept_all(&stage, number))
    };
    (0..stage.lanes.len()).map(start).collect()
}

fn accept_all(stage: &Arc<Stage>, lane: usize) {
    for accepted in stage.lanes[lane].listener.incoming() {
        let served = accepted.and_then(|stream| {
            let stage = Arc::clone(stage);
            let builder = thread::Builder::new().name("serve".to_owned());
            let serve = move || stage.serve(&stage.lanes[lane], stream);
            builder.stack_size(STACK).spawn(serve)
        });
        if let Err(error) = served {
            let name = stage.lanes[lane].name();
            stage.ledger.wrong(format!("{name}: accept: {error}"));
        }
    }
}

impl Stage {
    fn visit_again_and_again(&self, wait: Duration, mut rng: SmallRng) {
        let mut rest = wait;
        while !self.stop.wait(rest) {
            let lane = &self.lanes[rng.random_range(0..self.lanes.len())];
            let order = Order::draw(&mut rng, self.most_bytes);
            self.visit(lane, &order);
            rest = self.longest_rest.mul_f64(rng.random());
        }
    }

    /// One session, the client's side.
    fn visit(&self, lane: &Lane, order: &Order) {
        let name = format!("client of {}, {order:?}", lane.name());
        self.ledger.opened.fetch_add(1, Relaxed);
        let opened = lane.connect();
        let line = opened.and_then(|stream| self.line(stream, lane, name.clone(), Side::Client));
        let line = match line {
            Ok(line) => line,
            Err(error) => return self.ledger.wrong(format!("{name}: {error}")),
        };
        let pauses = Pauses {
            longest: self.longest_pause,
            stop: &self.stop,
        };
        match client::run(&line, order, &pauses, &self.ledger) {
            Ok(()) => self.ledger.finish(order.kind),
            Err(error) => self.fail(&line, lane, &name, &error),
        }
    }

    /// One session, the server's side.
    fn serve(&self, lane: &Lane, stream: Stream) {
        let _serving = self.ledger.serve();
        let mut name = format!("server of {}", lane.name());
        let accepted = lane.accept(stream);
        let line = accepted.and_then(|stream| self.line(stream, lane, name.clone(), Side::Server));
        let line = match line {
            Ok(line) => line,
            Err(error) => return self.ledger.wrong(format!("{name}: {error}")),
        };
        let order = match line.receive_order() {
            Ok(order) => order,
            // A mute, of which a Ping was heard, and perhaps nothing more.
            Err(error)
                if matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::TimedOut)
                    && line.is_unused() =>
            {
                self.ledger.heard_mutes.fetch_add(1, Relaxed);
                return;
            }
            Err(error) => return self.fail(&line, lane, &name, &error),
        };
        name = format!("{name}, {order:?}");
        line.rename(&name);
        if let Err(error) = server::run(&line, &order, self.vain_wait, &self.ledger) {
            self.fail(&line, lane, &name, &error);
        }
    }

    fn line(
        &self,
        stream: MaybeTlsStream,
        lane: &Lane,
        name: String,
        side: Side,
    ) -> io::Result<Line<'_>> {
        let checked = match side {
            Side::Client => &self.ledger.bytes_down,
            Side::Server => &self.ledger.bytes_up,
        };
        let below = stream.get_ref();
        if lane.is_forged() {
            below.set_read_timeout(Some(self.vain_wait))?;
        }
        let watched = self.dog.watch(name, below.try_clone()?);
        Ok(Line::new(stream, watched, checked))
    }

    fn fail(&self, line: &Line<'_>, lane: &Lane, name: &str, error: &io::Error) {
        let is_explained = lane.is_forged() && is_explained_by_forgery(error);
        if is_explained {
            self.ledger.forged(error);
        } else {
            let (step, kind, stats) = (line.step(), error.kind(), line.stats());
            self.ledger
                .wrong(format!("{name}: {step}: {error} ({kind:?}): {stats:?}"));
        }
        // A failure of TLS is told by TLS. Where it has none, the peer must not take a part for
        // the whole.
        if !is_explained || error.kind() == ErrorKind::TimedOut {
            line.reset();
        }
    }
}

enum Side {
    Client,
    Server,
}

/// Whether a changed byte of a TLS record can lead to this: TLS finds it out, or waits for bytes
/// that a changed length promised; or the peer did, and is gone.
fn is_explained_by_forgery(error: &io::Error) -> bool {
    let is_possible = matches!(
        error.kind(),
        ErrorKind::InvalidData
            | ErrorKind::UnexpectedEof
            | ErrorKind::ConnectionReset
            | ErrorKind::BrokenPipe
            | ErrorKind::TimedOut
    );
    is_possible && !WrongByte::is_in(error)
}
