//! V2Ray as a transport: a process of it at each end, with an end of TCP beside that.
//!
//! A client writes to its V2Ray, which takes more than it has passed on. What counts is what the
//! sink behind the other V2Ray says that it has.

use std::{
    env,
    io::{self, BufRead as _, BufReader, Write as _},
    net::{SocketAddr, TcpListener, UdpSocket},
    os::unix::process::CommandExt as _,
    process::{self, ChildStdout, Command, Stdio},
    sync::mpsc,
    thread,
};

use bench_common::{
    process::Guard,
    v2ray::{PROGRAM, Pipe},
};
use clap::Args;
use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};
use serde_json::{Value, json};

use super::{Mode, PATIENCE, Target, local, report, tcp};

/// Somebody else may take a port before V2Ray does.
const ATTEMPTS: usize = 3;

/// What its users set on a fast path: ticks as short as can be, and capacities that are not in
/// the way. With buffers of 4 MiB a stream moves most: 2 MiB, as there are by default, move a
/// fifth less, and what more hold at once is too much for the buffers of its sockets, which are
/// those of the system.
fn settings() -> Value {
    json!({
        "seed": "paths",
        "tti": 10,
        "uplinkCapacity": 1000,
        "downlinkCapacity": 1000,
        "readBufferSize": 4,
        "writeBufferSize": 4,
    })
}

/// An end is passed on at once: connections that linger slow down those that come after them.
fn pipe(listen: SocketAddr, target: SocketAddr, settings: &Value) -> Pipe<'_> {
    Pipe {
        listen,
        target,
        settings,
        linger: 0,
    }
}

pub(super) fn serve(mode: Mode) -> io::Result<()> {
    let listener = TcpListener::bind(local())?;
    let target = listener.local_addr()?;
    let (v2ray, address) = V2ray::start(|| {
        let address = UdpSocket::bind(local())?.local_addr()?;
        Ok((pipe(address, target, &settings()).server(), address))
    })?;
    report::ready_beside(address, || v2ray.stop())?;
    tcp::accept(&listener, mode)
}

/// Has a client of TCP talk to a V2Ray that passes on what it says, and prints its object.
pub(super) fn through(
    target: &Target,
    client: impl FnOnce(Target) -> io::Result<Value>,
) -> io::Result<()> {
    let (v2ray, connect) = V2ray::start(|| {
        let address = TcpListener::bind(local())?.local_addr()?;
        let config = pipe(address, target.connect, &settings()).client();
        Ok((config, address))
    })?;
    let object = client(Target {
        connect,
        ..target.clone()
    })?;
    v2ray.stop()?;
    report::print(object)
}

/// A V2Ray that runs, and is killed with this.
struct V2ray(Guard);

impl V2ray {
    /// Starts one with a configuration for a port that is free, and gives its address.
    fn start(
        configure: impl Fn() -> io::Result<(Value, SocketAddr)>,
    ) -> io::Result<(Self, SocketAddr)> {
        let mut attempts = 1;
        loop {
            let (config, address) = configure()?;
            match Self::spawn(&config) {
                Err(error) if attempts < ATTEMPTS => eprintln!("{error}, once more"),
                result => return Ok((result?, address)),
            }
            attempts += 1;
        }
    }

    /// Waits until it says that its ports are open.
    fn spawn(config: &Value) -> io::Result<Self> {
        let mut command = Command::new(env::current_exe()?);
        command.args(["v2ray", "--parent", &process::id().to_string()]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut guard = Guard::spawn(&mut command)?;
        if let Some(mut input) = guard.child().stdin.take() {
            input.write_all(config.to_string().as_bytes())?;
        }
        let (sender, started) = mpsc::channel();
        if let Some(output) = guard.child().stdout.take() {
            thread::spawn(move || read_log(output, &sender));
        }
        let started = started.recv_timeout(PATIENCE);
        started.map_err(|_| io::Error::other("V2Ray does not start"))?;
        Ok(Self(guard))
    }

    /// Ends it, so that its processor time counts. It fails if V2Ray has ended before.
    fn stop(mut self) -> io::Result<()> {
        match self.0.child().try_wait()? {
            Some(status) => Err(io::Error::other(format!("V2Ray has ended: {status}"))),
            None => Ok(()),
        }
    }
}

/// Notes that it has started; all else that it says is for people.
fn read_log(output: ChildStdout, started: &mpsc::Sender<()>) {
    for line in BufReader::new(output).lines().map_while(Result::ok) {
        if says_started(&line) {
            let _ = started.send(());
        } else {
            eprintln!("{line}");
        }
    }
}

fn says_started(line: &str) -> bool {
    line.contains("V2Ray") && line.ends_with(" started")
}

/// Becomes V2Ray, which is killed when the process ends that has started it
///
/// The configuration comes from the standard input.
#[derive(Args, Debug)]
pub(crate) struct Become {
    /// The process that has started it
    #[arg(long)]
    parent: i32,
}

/// Returns only if it fails.
pub(crate) fn become_v2ray(options: &Become) -> io::Error {
    if let Err(error) = set_parent_process_death_signal(Some(Signal::KILL)) {
        return error.into();
    }
    // One that has ended already sends no signal.
    if Pid::as_raw(getppid()) != options.parent {
        return io::Error::other("the parent has ended");
    }
    let mut command = Command::new(PROGRAM);
    let error = command.args(["-config", "stdin:"]).exec();
    io::Error::new(error.kind(), format!("{PROGRAM}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_v2ray_tells_that_it_has_started() {
        let started = "2020/12/06 10:00:00 [Warning] v2ray.com/core: V2Ray 4.34.0 started";
        assert!(says_started(started));
        assert!(!says_started(
            "V2Ray 4.34.0 (V2Fly, a community-driven edition)"
        ));
        assert!(!says_started("[Warning] failed to handler mux client"));
    }
}
