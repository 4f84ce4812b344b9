//! Throughput of one direction.

use std::{
    io::{self, Read},
    net::SocketAddr,
    sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender},
    thread,
    time::{Duration, Instant},
};

use mkcp::{Config, Stream};

use crate::{
    PATIENCE,
    payload::{self, Answer},
    report::Report,
    transport::{self, Transport},
};

const READ: usize = 256 * 1024;
/// How often the end of an upload is looked for: nothing tells it, short of closing the stream.
const LOOK: Duration = Duration::from_millis(1);
/// How long after the last acknowledgement an answer may begin.
const HESITATION: Duration = Duration::from_millis(200);

/// Throughput: writes bytes, or reads them with --reverse
///
/// The time is that from the first connect until the last byte is acknowledged or, from a server
/// that sends back what it gets, until the last byte is back. What comes back is compared with
/// what was sent, or with its xor 0x63, whichever it begins with.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// UDP address of the server
    #[arg(long, value_name = "ADDR", value_parser = transport::address)]
    connect: SocketAddr,

    /// Bytes in all, shared by the streams
    #[arg(long, value_name = "N", default_value_t = 100_000_000)]
    bytes: u64,

    /// Streams at the same time
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    streams: u32,

    /// Read from a server in mode source; the streams send one byte each to open
    #[arg(long)]
    reverse: bool,

    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    transport: Transport,
}

pub(crate) fn run(options: &Options) -> io::Result<Report> {
    let config = options.transport.config();
    payload::prepare();
    let started = Instant::now();
    let mut report = Report::default();
    let mut finished = started;
    thread::scope(|scope| {
        let config = &config;
        let run = |share| move || one_stream(options, config, share);
        let streams: Vec<_> = shares(options)
            .map(|share| scope.spawn(run(share)))
            .collect();
        for stream in streams {
            match stream.join() {
                Ok((part, at)) => {
                    report.absorb(part);
                    finished = finished.max(at);
                }
                Err(_) => report.add_error(&io::Error::other("a thread panicked")),
            }
        }
    });
    report.set_elapsed(finished - started);
    report.insert("streams", options.streams);
    Ok(report)
}

/// What each stream moves: the same, but for a byte.
fn shares(options: &Options) -> impl Iterator<Item = u64> {
    let (bytes, streams) = (options.bytes, u64::from(options.streams));
    (0..streams).map(move |number| bytes / streams + u64::from(number < bytes % streams))
}

/// Moves a share, and tells when that was done.
fn one_stream(options: &Options, config: &Config, share: u64) -> (Report, Instant) {
    let mut report = Report::default();
    let result = connect(options, config).and_then(|stream| {
        let finished = match options.reverse {
            true => download(&stream, share, &mut report),
            false => upload(&stream, share, &mut report),
        };
        report.add_statistics(&stream.stats());
        finished
    });
    let finished = result.unwrap_or_else(|error| {
        report.add_error(&error);
        Instant::now()
    });
    (report, finished)
}

fn connect(options: &Options, config: &Config) -> io::Result<Stream> {
    let stream = Stream::connect_with(options.connect, config)?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Reads a share of what the server sends without end.
fn download(mut stream: &Stream, share: u64, report: &mut Report) -> io::Result<Instant> {
    stream.set_read_timeout(Some(PATIENCE))?;
    payload::write(stream, 0, 1)?;
    let mut buffer = vec![0; READ];
    let mut missing = share;
    while missing > 0 {
        let most = buffer
            .len()
            .min(usize::try_from(missing).unwrap_or(usize::MAX));
        let count = stream.read(&mut buffer[..most])?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        report.add_bytes(count as u64);
        missing -= count as u64;
    }
    let finished = Instant::now();
    // The server is still sending; that it is cut off here is no failure.
    if let Err(error) = stream.try_clone()?.close() {
        log::debug!("close after download: {error}");
    }
    Ok(finished)
}

/// Writes a share while another thread reads what may come back.
fn upload(stream: &Stream, share: u64, report: &mut Report) -> io::Result<Instant> {
    let (recognised, answer) = mpsc::sync_channel(1);
    let finished = thread::scope(|scope| {
        let reader = scope.spawn(move || read_answer(stream, share, &recognised));
        let answered = || match reader.join() {
            Ok(result) => result,
            Err(_) => Err(io::Error::other("the reader panicked")),
        };
        match payload::write(stream, 0, share).and_then(|()| settle(stream, &answer)) {
            Ok(Settled::Acknowledged(at)) => stream.try_clone()?.close().map(|()| at),
            Ok(Settled::Answered) => answered().and_then(|at| {
                stream.try_clone()?.close()?;
                Ok(at)
            }),
            Err(error) => {
                stream.reset(); // Wakes the reader, unless it was the reader that gave up.
                match answered() {
                    Err(reason) if reason.kind() == io::ErrorKind::InvalidData => Err(reason),
                    _ => Err(error),
                }
            }
        }
    })?;
    report.add_bytes(share);
    Ok(finished)
}

/// How an upload ends.
enum Settled {
    /// The peer had all at this time, and sends nothing back.
    Acknowledged(Instant),
    /// The server sends back what it gets, or the reader failed: the reader knows the rest.
    Answered,
}

/// Waits until all is acknowledged or an answer has begun.
fn settle(stream: &Stream, answer: &Receiver<()>) -> io::Result<Settled> {
    let (mut queued, mut moved) = (u64::MAX, Instant::now());
    while queued > 0 {
        match answer.recv_timeout(LOOK) {
            Ok(()) | Err(RecvTimeoutError::Disconnected) => return Ok(Settled::Answered),
            Err(RecvTimeoutError::Timeout) if moved.elapsed() > PATIENCE => {
                return Err(io::ErrorKind::TimedOut.into());
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
        let now = stream.stats().send_queue;
        if now != queued {
            (queued, moved) = (now, Instant::now());
        }
    }
    match answer.recv_timeout(HESITATION) {
        Err(RecvTimeoutError::Timeout) => Ok(Settled::Acknowledged(moved)),
        Ok(()) | Err(RecvTimeoutError::Disconnected) => Ok(Settled::Answered),
    }
}

/// Reads until all of an echo is back, or until the stream is closed if there is none.
fn read_answer(
    mut stream: &Stream,
    share: u64,
    recognised: &SyncSender<()>,
) -> io::Result<Instant> {
    let mut buffer = vec![0; READ];
    let mut answer = None;
    let mut at = 0;
    while at < share || answer == Some(Answer::Other) {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let bytes = &buffer[..count];
        let answer = *answer.get_or_insert_with(|| Answer::recognise(bytes));
        if !answer.is_right(at, bytes) {
            stream.reset(); // Wakes the writer.
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("the answer is wrong after byte {at}"),
            ));
        }
        if at == 0 && answer != Answer::Other {
            stream.set_read_timeout(Some(PATIENCE))?;
            let _ = recognised.try_send(());
        }
        at += count as u64;
    }
    Ok(Instant::now())
}
