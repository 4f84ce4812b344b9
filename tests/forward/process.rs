//! Forwarders and other programs as child processes.

use std::{
    io::{BufRead, BufReader, Read},
    net::{SocketAddr, TcpStream},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

/// Long enough for anything on a busy machine; reached only when a test fails.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// An example that says what it does, and is told nothing.
pub(crate) fn example(name: &str) -> Command {
    let mut command = crate::example::example(name);
    command.stdin(Stdio::null()).env("RUST_LOG", "info");
    command
}

/// Runs a forwarder that is expected to end by itself.
pub(crate) fn run(arguments: &[&str]) -> Output {
    run_to_its_end(example("forward").args(arguments))
}

/// Likewise any program.
pub(crate) fn run_to_its_end(command: &mut Command) -> Output {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait(&mut child);
    child.wait_with_output().unwrap() // What it has said fits into the pipes.
}

/// Waits for the end of a process, but not for ever.
fn wait(child: &mut Child) -> ExitStatus {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if started.elapsed() > DEADLINE {
            let _ = child.kill();
            panic!("{child:?} does not end");
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// A program that listens, until it is stopped or dropped.
pub(crate) struct Server {
    child: Child,
    /// Where it listens, as it said.
    pub(crate) address: String,
    output: Receiver<String>,
    log: Receiver<String>,
}

impl Server {
    pub(crate) fn forward(arguments: &[&str]) -> Self {
        Self::start(example("forward").args(arguments))
    }

    /// From this address to that one.
    pub(crate) fn between(listen: &str, to: &str, more: &[&str]) -> Self {
        let all = [&["--listen", listen, "--to", to], more].concat();
        Self::forward(&all)
    }

    /// From TCP to the mKCP of another.
    pub(crate) fn entry(exit: &Self, parameters: &str, more: &[&str]) -> Self {
        let to = format!("mkcp://{}?{parameters}", exit.address);
        Self::between("tcp://127.0.0.1:0", &to, more)
    }

    pub(crate) fn start(command: &mut Command) -> Self {
        Self::try_start(command).unwrap_or_else(|| panic!("{command:?} does not start"))
    }

    /// Nothing if it ends before it listens, as it does if its port is taken.
    pub(crate) fn try_start(command: &mut Command) -> Option<Self> {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output = lines(child.stdout.take().unwrap());
        let log = lines(child.stderr.take().unwrap());
        let mut server = Self {
            child,
            address: String::new(),
            output,
            log,
        };
        let Ok(line) = server.output.recv_timeout(DEADLINE) else {
            println!("{command:?} does not start: {:?}", server.logged());
            return None;
        };
        let address = line.strip_prefix("listening on ");
        server.address = address.unwrap_or_else(|| panic!("{line}")).to_owned();
        Some(server)
    }

    /// A new TCP connection to it.
    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.socket_addr()).unwrap();
        with_deadline(&stream);
        stream
    }

    pub(crate) fn socket_addr(&self) -> SocketAddr {
        self.address.parse().unwrap()
    }

    /// What it prints next.
    pub(crate) fn next_line(&self) -> String {
        let line = self.output.recv_timeout(DEADLINE);
        line.unwrap_or_else(|_| panic!("nothing printed, but logged: {:?}", self.logged()))
    }

    /// Waits until it logs a line with this text in it.
    pub(crate) fn wait_for_log(&self, text: &str) -> String {
        let mut others = Vec::new();
        while let Ok(line) = self.log.recv_timeout(DEADLINE) {
            if line.contains(text) {
                return line;
            }
            others.push(line);
        }
        panic!("{text:?} not logged, but: {others:?}");
    }

    /// What it has logged and logs within this time.
    pub(crate) fn log_of(&self, time: Duration) -> Vec<String> {
        thread::sleep(time);
        self.logged()
    }

    fn logged(&self) -> Vec<String> {
        self.log.try_iter().collect()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Its exit code and what it has printed since, once it has ended.
    pub(crate) fn wait(mut self) -> (Option<i32>, Vec<String>) {
        let code = wait(&mut self.child).code();
        (code, self.output.iter().collect())
    }

    /// Asks it to end, and waits.
    pub(crate) fn stop(self) -> (Option<i32>, Vec<String>) {
        self.signal(Signal::INT);
        self.wait()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn with_deadline(stream: &TcpStream) {
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.set_write_timeout(Some(DEADLINE)).unwrap();
}

fn lines(pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    receiver
}

/// The parameters of the mKCP between two forwarders, where a test asks for none of its own.
pub(crate) const PLAIN: &str = "seed=correct%20horse&header=srtp";

/// Two forwarders: TCP in, mKCP between them, TCP out.
pub(crate) struct Chain {
    pub(crate) entry: Server,
    pub(crate) exit: Server,
}

impl Chain {
    /// The parameters are those of the mKCP addresses at the exit and at the entry.
    pub(crate) fn new(server: &str, client: &str, target: SocketAddr, more: &[&str]) -> Self {
        let listen = format!("mkcp://127.0.0.1:0?{server}");
        let exit = Server::between(&listen, &format!("tcp://{target}"), more);
        let entry = Server::entry(&exit, client, more);
        Self { entry, exit }
    }

    pub(crate) fn plain(target: SocketAddr, more: &[&str]) -> Self {
        Self::new(PLAIN, PLAIN, target, more)
    }
}
