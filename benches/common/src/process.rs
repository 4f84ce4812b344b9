//! Ends of a transport as processes. None outlives the value that stands for it.

use std::{
    env,
    fs::{self, File},
    io::{self, BufRead as _, BufReader, Read as _, Seek as _},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::interrupt;

/// How often to look whether a process has ended.
const LOOK: Duration = Duration::from_millis(5);
/// How long a server may take to be ready, and to end when it is told to.
const PATIENCE: Duration = Duration::from_secs(10);

/// A process that is waited for or killed.
#[derive(Debug)]
pub struct Guard(Child);

impl Guard {
    /// Starts it; an error tells which program it is.
    pub fn spawn(command: &mut Command) -> io::Result<Self> {
        let child = command.spawn().map_err(|error| {
            let text = format!("{}: {error}", command.get_program().display());
            io::Error::new(error.kind(), text)
        });
        child.map(Self)
    }

    /// The process itself.
    pub fn child(&mut self) -> &mut Child {
        &mut self.0
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // Either fails only if it has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A server that has said {"ready": "ADDR"}.
#[derive(Debug)]
pub struct Server {
    guard: Guard,
    /// Lines that it prints, read by a thread.
    lines: mpsc::Receiver<String>,
    messages: Messages,
    /// Where it listens.
    pub address: String,
}

/// The program of this name, if there is one.
pub fn in_path(name: &str) -> Option<PathBuf> {
    let folders = env::var_os("PATH")?;
    let mut paths = env::split_paths(&folders).map(|folder| folder.join(name));
    paths.find(|path| path.is_file())
}

/// Waits for a process. Passes an interrupt on; gives nothing if there was one.
pub fn wait(child: &mut Child, deadline: Option<Instant>) -> io::Result<Option<ExitStatus>> {
    let mut interrupted = false;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status).filter(|_| !interrupted && !interrupt::is_set()));
        }
        if interrupt::is_set() && !interrupted {
            interrupted = true;
            kill_process(Pid::from_child(child), Signal::INT)?;
        }
        if deadline.is_some_and(|deadline| Instant::now() > deadline) {
            return Err(io::Error::from(io::ErrorKind::TimedOut));
        }
        thread::sleep(LOOK);
    }
}

impl Server {
    /// Starts it; its files go to the folder.
    pub fn start(mut command: Command, folder: &Path) -> io::Result<Self> {
        let messages = Messages::new(folder.join("server.txt"));
        prepare(&mut command, &messages)?;
        let mut guard = Guard::spawn(&mut command)?;
        let (sender, lines) = mpsc::channel();
        if let Some(output) = guard.0.stdout.take() {
            thread::spawn(move || pass_on(output, &sender));
        }
        let ready = lines.recv_timeout(PATIENCE).unwrap_or_default();
        let ready: Value = serde_json::from_str(&ready).unwrap_or_default();
        let address = ready["ready"].as_str().map(str::to_owned);
        match address {
            Some(address) => Ok(Self {
                guard,
                lines,
                messages,
                address,
            }),
            None => Err(messages.blame("the server is not ready")),
        }
    }

    /// Tells it to end, and gives what it says about itself.
    pub fn stop(mut self) -> io::Result<Value> {
        let child = &mut self.guard.0;
        kill_process(Pid::from_child(child), Signal::TERM)?;
        let deadline = Instant::now() + PATIENCE;
        while child.try_wait()?.is_none() {
            if Instant::now() > deadline {
                return Err(self.messages.blame("the server does not end"));
            }
            thread::sleep(LOOK);
        }
        let last = self.lines.iter().last().unwrap_or_default();
        serde_json::from_str(&last).map_err(|_| self.messages.blame("the server fails"))
    }
}

/// Runs a client to its end, and gives the object that it prints. Nothing if it was interrupted.
///
/// A client that ends badly but prints its object has counted its errors.
pub fn run(mut command: Command, folder: &Path, limit: Duration) -> io::Result<Option<Value>> {
    let messages = Messages::new(folder.join("client.txt"));
    prepare(&mut command, &messages)?;
    let mut output = tempfile::tempfile()?;
    command.stdout(output.try_clone()?);
    let mut guard = Guard::spawn(&mut command)?;
    let ended = wait(&mut guard.0, Some(Instant::now() + limit));
    match ended.map_err(|_| messages.blame("the client does not end"))? {
        None => return Ok(None),
        Some(_) => output.rewind()?,
    }
    let mut text = String::new();
    output.read_to_string(&mut text)?;
    let value = serde_json::from_str(text.lines().last().unwrap_or_default());
    value
        .map(Some)
        .map_err(|_| messages.blame("the client fails"))
}

/// In a group of its own, so that a Ctrl-C of the terminal is passed on by us, once.
fn prepare(command: &mut Command, messages: &Messages) -> io::Result<()> {
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    command.stderr(File::create(&messages.0)?).process_group(0);
    Ok(())
}

fn pass_on(output: ChildStdout, lines: &mpsc::Sender<String>) {
    for line in BufReader::new(output).lines().map_while(Result::ok) {
        let _ = lines.send(line);
    }
}

/// What a process tells people.
#[derive(Debug)]
struct Messages(PathBuf);

impl Messages {
    fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// An error with its last words.
    fn blame(&self, what: &str) -> io::Error {
        let text = fs::read_to_string(&self.0).unwrap_or_default();
        let last = text.lines().last().unwrap_or("without a word");
        io::Error::other(format!("{what}: {last}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_server_is_ready_and_ends_with_its_object() {
        let folder = tempfile::tempdir().unwrap();
        let script = r#"trap 'echo {\"cpu_s\": 1}; exit' TERM; echo '{"ready": "x:1"}'
            while :; do sleep 0.01; done"#;
        let server = Server::start(shell(script), folder.path()).unwrap();
        assert_eq!(server.address, "x:1");
        assert_eq!(server.stop().unwrap()["cpu_s"], 1);
    }

    #[test]
    fn last_words_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let error = Server::start(shell("echo no room >&2"), folder.path()).unwrap_err();
        assert_eq!(error.to_string(), "the server is not ready: no room");
        let limit = Duration::from_millis(50);
        let error = run(shell("echo slow >&2; sleep 9"), folder.path(), limit).unwrap_err();
        assert_eq!(error.to_string(), "the client does not end: slow");
    }
}
