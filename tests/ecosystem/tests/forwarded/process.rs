//! Other programs as child processes.

use std::{
    env,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
};

use mkcp_ecosystem::DEADLINE;

/// A program of the system.
pub(crate) fn program(name: &str) -> Command {
    let path = env::var_os("PATH").unwrap_or_default();
    // Servers are where the search path of many people does not lead.
    let folders = env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    let found = folders
        .map(|folder| folder.join(name))
        .find(|path| path.is_file());
    Command::new(found.unwrap_or_else(|| panic!("{name} is missing: run tests/install")))
}

/// A server that runs until this is dropped.
pub(crate) struct Server(Child);

impl Server {
    /// Starts it and waits for the line that `ready` finds something in.
    pub(crate) fn start<T: Send + 'static>(
        mut command: Command,
        ready: impl Fn(&str) -> Option<T> + Send + 'static,
    ) -> (Self, T) {
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let server = Self(child);
        let (found, wait) = mpsc::channel();
        thread::spawn(move || {
            // To its end, or the server would one day wait for somebody to read.
            for line in stdout.lines().map_while(Result::ok) {
                match ready(&line) {
                    Some(value) => drop(found.send(value)),
                    None => println!("{line}"),
                }
            }
        });
        match wait.recv_timeout(DEADLINE) {
            Ok(value) => (server, value),
            Err(error) => panic!("{command:?} does not start: {error}"),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
