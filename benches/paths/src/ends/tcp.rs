//! The kernel's TCP, with blocking threads.

use std::{
    io::{self, Read, Write},
    net::{TcpListener, TcpStream},
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{
    Bulk, Connect, Mode, PATIENCE, PIECE, Ping, READ, Target, local,
    meter::{Meter, Tally},
    report::{self, Rounds},
};

pub(super) fn serve(mode: Mode) -> io::Result<()> {
    let listener = TcpListener::bind(local())?;
    report::ready(listener.local_addr()?)?;
    accept(&listener, mode)
}

/// Serves all who come, until the process ends.
pub(super) fn accept(listener: &TcpListener, mode: Mode) -> io::Result<()> {
    for stream in listener.incoming() {
        let stream = stream?;
        stream.set_nodelay(true)?;
        thread::spawn(move || match mode {
            Mode::Sink => sink(&stream),
            Mode::Echo => echo(&stream),
        });
    }
    Ok(())
}

fn sink(mut stream: &TcpStream) -> io::Result<()> {
    let (mut buffer, mut tally) = (vec![0; READ], Tally::new());
    loop {
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            count => {
                if let Some(total) = tally.add(count) {
                    stream.write_all(&total)?;
                }
            }
        }
    }
}

fn echo(mut stream: &TcpStream) -> io::Result<()> {
    let mut buffer = vec![0; PIECE];
    loop {
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            count => stream.write_all(&buffer[..count])?,
        }
    }
}

fn open(target: &Target) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&target.connect, PATIENCE)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Counts until the time has come; the end of the process ends the streams.
pub(super) fn bulk(options: &Bulk) -> io::Result<Value> {
    let meter: &'static Meter = Box::leak(Box::new(Meter::new(options.streams)));
    for number in 0..options.streams {
        let stream = open(&options.target)?;
        let reader = stream.try_clone()?;
        thread::spawn(move || {
            if let Err(error) = write(&stream) {
                meter.fail(&error);
            }
        });
        thread::spawn(move || {
            if let Err(error) = count(&reader, number, meter) {
                meter.fail(&error);
            }
        });
    }
    thread::sleep(Duration::from_secs_f64(options.skip));
    let from = meter.mark();
    thread::sleep(Duration::from_secs_f64(
        options.target.seconds - options.skip,
    ));
    Ok(meter.to_json(from, meter.mark()))
}

fn write(mut stream: &TcpStream) -> io::Result<()> {
    let piece = vec![0x5a; PIECE];
    loop {
        stream.write_all(&piece)?;
    }
}

fn count(mut stream: &TcpStream, number: usize, meter: &Meter) -> io::Result<()> {
    let mut total = [0; 8];
    loop {
        stream.read_exact(&mut total)?;
        meter.set(number, u64::from_be_bytes(total));
    }
}

pub(super) fn ping(options: &Ping) -> Value {
    in_lanes(options.streams, |rounds| {
        let stream = open(&options.target)?;
        let mut message = [0; 64];
        round(&stream, &mut message)?;
        let started = Instant::now();
        for _ in 0..options.rounds {
            let sent = Instant::now();
            if sent - started > options.target.time() {
                break;
            }
            round(&stream, &mut message)?;
            rounds.add(sent.elapsed());
        }
        Ok(())
    })
}

pub(super) fn connect(options: &Connect) -> Value {
    let (begun, first) = (AtomicU64::new(0), Instant::now());
    in_lanes(options.parallel, |rounds| {
        while begun.fetch_add(1, Ordering::Relaxed) < options.rounds {
            let started = Instant::now();
            if started - first > options.target.time() {
                break;
            }
            match open(&options.target).and_then(|stream| round(&stream, &mut [0])) {
                Ok(()) => rounds.add(started.elapsed()),
                Err(error) => rounds.fail(&error),
            }
        }
        Ok(())
    })
}

/// Does it in so many threads, and gives what all have done.
fn in_lanes(lanes: usize, run: impl Fn(&mut Rounds) -> io::Result<()> + Sync) -> Value {
    let (started, mut all) = (Instant::now(), Rounds::default());
    thread::scope(|scope| {
        let lane = || {
            let mut rounds = Rounds::default();
            if let Err(error) = run(&mut rounds) {
                rounds.fail(&error);
            }
            rounds
        };
        let lanes: Vec<_> = (0..lanes).map(|_| scope.spawn(lane)).collect();
        for lane in lanes {
            match lane.join() {
                Ok(rounds) => all.absorb(rounds),
                Err(_) => all.fail(&io::Error::other("a thread panicked")),
            }
        }
    });
    all.to_json(started)
}

fn round(mut stream: &TcpStream, message: &mut [u8]) -> io::Result<()> {
    stream.write_all(message)?;
    stream.read_exact(message)
}
