//! What clients do with the transports that run on tokio.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    sync::Notify,
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{
    Bulk, Connect, PATIENCE, PIECE, Ping,
    meter::Meter,
    report::{self, Rounds},
    session::{Dialer, Reader, Session, Writer},
};

/// One of the streams that send.
#[derive(Clone)]
struct Lane {
    number: usize,
    meter: Arc<Meter>,
    /// The sink has told something.
    told: Arc<Notify>,
}

/// Counts until the time has come; the end of the process ends the streams.
pub(super) async fn bulk(options: &Bulk) -> io::Result<()> {
    let session = Dialer::new(&options.target)?.session().await?;
    let meter = Arc::new(Meter::new(options.streams));
    for number in 0..options.streams {
        let (reader, writer) = session.open().await?;
        let lane = Lane {
            number,
            meter: Arc::clone(&meter),
            told: Arc::default(),
        };
        tokio::spawn(lane.clone().run(count(reader, lane.clone())));
        tokio::spawn(lane.clone().run(write(writer, lane)));
    }
    sleep(Duration::from_secs_f64(options.skip)).await;
    let from = meter.mark();
    sleep(Duration::from_secs_f64(
        options.target.seconds - options.skip,
    ))
    .await;
    report::print(meter.to_json(from, meter.mark()))?;
    session.close();
    Ok(())
}

impl Lane {
    async fn run(self, half: impl Future<Output = io::Result<()>>) {
        if let Err(error) = half.await {
            self.meter.fail(&error);
        }
    }
}

async fn write(mut writer: Writer, lane: Lane) -> io::Result<()> {
    let (piece, limit) = (vec![0x5a; PIECE], writer.limit().unwrap_or(u64::MAX));
    let mut sent = 0;
    loop {
        while sent - lane.meter.get(lane.number) > limit {
            lane.told.notified().await;
        }
        writer.write_all(&piece).await?;
        sent += PIECE as u64;
    }
}

async fn count(mut reader: Reader, lane: Lane) -> io::Result<()> {
    let mut total = [0; 8];
    loop {
        reader.read_exact(&mut total).await?;
        lane.meter.set(lane.number, u64::from_be_bytes(total));
        lane.told.notify_one();
    }
}

pub(super) async fn ping(options: &Ping) -> io::Result<()> {
    let (started, mut tasks) = (Instant::now(), JoinSet::new());
    let session = Arc::new(Dialer::new(&options.target)?.session().await?);
    for _ in 0..options.streams {
        let (session, options) = (Arc::clone(&session), options.clone());
        tasks.spawn(async move {
            let mut rounds = Rounds::default();
            if let Err(error) = ping_one(&session, &options, &mut rounds).await {
                rounds.fail(&error);
            }
            rounds
        });
    }
    print(tasks, started).await?;
    session.close();
    Ok(())
}

async fn ping_one(session: &Session, options: &Ping, rounds: &mut Rounds) -> io::Result<()> {
    let (mut reader, mut writer) = session.open().await?;
    let mut message = [0; 64];
    round(&mut reader, &mut writer, &mut message).await?;
    let started = Instant::now();
    for _ in 0..options.rounds {
        let sent = Instant::now();
        if sent - started > options.target.time() {
            break;
        }
        round(&mut reader, &mut writer, &mut message).await?;
        rounds.add(sent.elapsed());
    }
    Ok(())
}

pub(super) async fn connect(options: &Connect) -> io::Result<()> {
    let (begun, mut tasks) = (Arc::new(AtomicU64::new(0)), JoinSet::new());
    let dialer = Arc::new(Dialer::new(&options.target)?);
    let first = Instant::now();
    for _ in 0..options.parallel {
        let (dialer, begun) = (Arc::clone(&dialer), Arc::clone(&begun));
        let options = options.clone();
        tasks.spawn(async move {
            let mut rounds = Rounds::default();
            while begun.fetch_add(1, Ordering::Relaxed) < options.rounds {
                let started = Instant::now();
                if started - first > options.target.time() {
                    break;
                }
                match connect_once(&dialer).await {
                    Ok(()) => rounds.add(started.elapsed()),
                    Err(error) => rounds.fail(&error),
                }
            }
            rounds
        });
    }
    print(tasks, first).await
}

async fn connect_once(dialer: &Dialer) -> io::Result<()> {
    let session = dialer.session().await?;
    let (mut reader, mut writer) = session.open().await?;
    round(&mut reader, &mut writer, &mut [0]).await?;
    session.close();
    Ok(())
}

async fn round(reader: &mut Reader, writer: &mut Writer, message: &mut [u8]) -> io::Result<()> {
    writer.write_all(message).await?;
    timeout(PATIENCE, reader.read_exact(message)).await?
}

async fn print(mut tasks: JoinSet<Rounds>, started: Instant) -> io::Result<()> {
    let mut all = Rounds::default();
    while let Some(joined) = tasks.join_next().await {
        match joined {
            Ok(rounds) => all.absorb(rounds),
            Err(error) => all.fail(&io::Error::other(error)),
        }
    }
    report::print(all.to_json(started))
}
