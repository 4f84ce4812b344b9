//! Sends random bytes, a file or its standard input to an echo server, and checks what comes back.

mod transport;

use std::{
    fs::File,
    io::{self, Read, Write},
    net::SocketAddr,
    path::PathBuf,
    process::ExitCode,
    sync::mpsc::{self, Receiver, SyncSender},
    thread,
    time::{Duration, Instant},
};

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use mkcp::{ConnectionStats, Stream};
use rand::{RngCore, SeedableRng, rngs::SmallRng};
use transport::Transport;

const CHUNK: usize = 64 * 1024;
/// Chunks that may be under way: more than both ends can hold in their buffers.
const UNDER_WAY: usize = 512;
/// For how long nothing may come back while something is owed.
const PATIENCE: Duration = Duration::from_secs(30);

/// Sends bytes to an mKCP echo server and checks what comes back.
#[derive(Parser)]
struct Options {
    /// UDP address of the server
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:20001", value_parser = transport::address)]
    connect: SocketAddr,

    #[command(flatten)]
    source: SourceOptions,

    #[command(flatten)]
    transport: Transport,
}

#[derive(clap::Args)]
#[group(multiple = false)]
struct SourceOptions {
    /// Send this many random bytes
    #[arg(long, value_name = "N", default_value_t = 10_000_000)]
    bytes: u64,

    /// Send a file
    #[arg(long, value_name = "PATH")]
    file: Option<PathBuf>,

    /// Send the standard input
    #[arg(long)]
    stdin: bool,
}

/// Where the bytes come from, and how many there are if that is known.
struct Source {
    reader: Box<dyn Read + Send>,
    name: String,
    length: Option<u64>,
}

fn main() -> ExitCode {
    let options: Options = transport::parse();
    env_logger::init_from_env(env_logger::Env::default().default_filter_or("warn"));
    match run(&options).and_then(transport::print) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// One thread writes, this one reads and compares. The end is known by counting: the server need
/// not close for it.
fn run(options: &Options) -> io::Result<String> {
    let config = options.transport.config();
    let source = options.source.open()?;
    let bar = progress_bar(source.length);
    let started = Instant::now();
    let stream =
        Stream::connect_with(options.connect, &config).map_err(transport::at(options.connect))?;
    stream.set_read_timeout(Some(PATIENCE))?;

    let (sent, owed) = mpsc::sync_channel(UNDER_WAY);
    let writer_stream = stream.try_clone()?;
    let writer = thread::spawn(move || send(source, &writer_stream, &sent));
    let verified = verify(&stream, &owed, &bar);
    // A writer that waits for its source cannot be woken: after a failure the process just ends.
    let total = verified?;
    writer
        .join()
        .map_err(|_| io::Error::other("the writer panicked"))??;
    let elapsed = started.elapsed();

    bar.finish_and_clear();
    let stats = stream.stats();
    stream.close()?;
    Ok(summary(total, elapsed, &stats))
}

impl SourceOptions {
    fn open(&self) -> io::Result<Source> {
        if self.stdin {
            return Ok(Source {
                reader: Box::new(io::stdin()),
                name: "standard input".to_owned(),
                length: None,
            });
        }
        let Some(path) = &self.file else {
            let random = Random(SmallRng::from_os_rng());
            return Ok(Source {
                reader: Box::new(random.take(self.bytes)),
                name: "random bytes".to_owned(),
                length: Some(self.bytes),
            });
        };
        let name = path.display().to_string();
        let named = |error| of(&name, &error);
        let file = File::open(path).map_err(named)?;
        let metadata = file.metadata().map_err(named)?;
        Ok(Source {
            reader: Box::new(file),
            length: metadata.is_file().then_some(metadata.len()),
            name,
        })
    }
}

/// An error about what has this name.
fn of(name: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{name}: {error}"))
}

struct Random(SmallRng);

impl Read for Random {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.fill_bytes(buffer);
        Ok(buffer.len())
    }
}

/// Writes the source to the stream, and every chunk also to the thread that compares.
fn send(mut source: Source, mut stream: &Stream, sent: &SyncSender<Vec<u8>>) -> io::Result<()> {
    loop {
        let mut chunk = vec![0; CHUNK];
        let count = source.reader.read(&mut chunk);
        let count = count.map_err(|error| of(&source.name, &error))?;
        if count == 0 {
            return Ok(());
        }
        chunk.truncate(count);
        stream.write_all(&chunk)?;
        if sent.send(chunk).is_err() {
            return Ok(()); // The comparing thread failed and has the reason.
        }
    }
}

/// Reads what is owed for every chunk and compares it; gives the number of bytes.
fn verify(mut stream: &Stream, owed: &Receiver<Vec<u8>>, bar: &ProgressBar) -> io::Result<u64> {
    let mut total = 0;
    let mut echo = Vec::new();
    for chunk in owed {
        echo.resize(chunk.len(), 0);
        stream.read_exact(&mut echo)?;
        if let Some(at) = echo
            .iter()
            .zip(&chunk)
            .position(|(echo, sent)| echo != sent)
        {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("byte {} came back changed", total + at as u64),
            ));
        }
        total += chunk.len() as u64;
        bar.set_position(total);
    }
    Ok(total)
}

/// Shown on a terminal only.
fn progress_bar(length: Option<u64>) -> ProgressBar {
    let template = match length {
        Some(_) => "{bar:40} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {eta}",
        None => "{spinner} {binary_bytes} {binary_bytes_per_sec}",
    };
    let style = ProgressStyle::with_template(template);
    let bar = length.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

fn summary(total: u64, elapsed: Duration, stats: &ConnectionStats) -> String {
    let seconds = elapsed.as_secs_f64();
    format!(
        "{total} bytes there and back in {seconds:.3} s, {:.2} MB/s each way, rtt {:.1} ms, \
         {} of {} segments retransmitted, overhead {:.3}\n",
        total as f64 / 1e6 / seconds,
        stats.rtt.as_secs_f64() * 1e3,
        stats.segments_retransmitted,
        stats.segments_sent,
        stats.overhead(),
    )
}
