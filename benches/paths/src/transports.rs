//! The transports that can be measured, and how to start their ends.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use bench_common::{perf, process, v2ray};
use clap::ValueEnum;

use crate::tasks::{Kind, Task};

/// In the order of the table's columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Transport {
    /// Batches of sealed datagrams without a protocol
    Raw,
    /// Two blocking UDP sockets
    Udp,
    /// The kernel's TCP, with blocking threads
    Tcp,
    /// mkcp with a seed (AES-128-GCM); several streams over one endpoint, as quinn has them, and
    /// small messages on many by one thread at each end, which a `Selector` tells of them
    Mkcp,
    /// The same with a thread for each stream
    MkcpThreads,
    /// The same with a thread and a socket for each stream, as `Stream::connect` opens them and
    /// both crates of KCP do
    MkcpSockets,
    /// As `mkcp`, without a seed
    MkcpSimple,
    /// As `mkcp`, with TLS inside, if `perf` can do that
    MkcpTls,
    /// QUIC by quinn
    Quinn,
    /// KCP by `tokio_kcp`
    TokioKcp,
    /// KCP by `kcp-io`
    KcpIo,
    /// mKCP by V2Ray, at both ends, with TCP outside; ticks of 10 ms and capacities of 1000
    V2ray,
}

/// The programs that have the ends.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    /// The example of mkcp.
    perf: PathBuf,
    /// This program.
    paths: PathBuf,
    perf_has_tls: bool,
    has_v2ray: bool,
}

/// How long a client may take beyond its time: mkcp has rounds but no time for some tasks.
const PATIENCE: Duration = Duration::from_secs(60);

impl Programs {
    pub(crate) fn find(perf: Option<&Path>, paths: PathBuf) -> Result<Self, String> {
        let perf = perf::locate(perf)?;
        let mut help = Command::new(&perf);
        help.args(["bulk", "--help"]).stdin(Stdio::null());
        let help = help.output();
        let help = help.map_err(|error| format!("perf at {}: {error}", perf.display()))?;
        Ok(Self {
            perf_has_tls: String::from_utf8_lossy(&help.stdout).contains("--tls"),
            has_v2ray: process::in_path(v2ray::PROGRAM).is_some(),
            perf,
            paths,
        })
    }
}

impl Transport {
    /// The name on the command line and in the tables.
    pub(crate) fn name(self) -> String {
        let value = self.to_possible_value();
        value.map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// Whether it can be made to do this.
    pub(crate) fn can(self, task: Task, programs: &Programs) -> bool {
        match self {
            Self::Raw => task == Task::Bulk,
            Self::Udp => task == Task::Echo,
            Self::MkcpTls => programs.perf_has_tls,
            Self::V2ray => programs.has_v2ray,
            Self::MkcpSockets => task.depends_on_sockets(),
            Self::MkcpThreads => task.suits_few_threads(),
            _ => true,
        }
    }

    /// Whether it needs a program that is not installed.
    pub(crate) fn is_missing(self, programs: &Programs) -> bool {
        self == Self::V2ray && !programs.has_v2ray
    }

    /// Whether a thread has many streams, where that is of use.
    fn has_few_threads(self) -> bool {
        !matches!(self, Self::MkcpThreads | Self::MkcpSockets)
    }

    pub(crate) fn is_mkcp(self) -> bool {
        self.mkcp_options().is_some()
    }

    /// What `perf` is to be told, at both ends, in the folder of the run.
    fn mkcp_options(self) -> Option<&'static [&'static str]> {
        match self {
            Self::Mkcp | Self::MkcpThreads | Self::MkcpSockets => Some(&["--seed", "paths"]),
            Self::MkcpSimple => Some(&[]),
            Self::MkcpTls => Some(&["--tls", "tls.pem"]),
            _ => None,
        }
    }

    /// A server for the task, which says {"ready": "ADDR"}.
    pub(crate) fn server(self, task: Task, programs: &Programs, folder: &Path) -> Command {
        let mode = match task.kind() {
            Kind::Bulk => "sink",
            Kind::Ping | Kind::Connect => "echo",
        };
        let mut command;
        if let Some(options) = self.mkcp_options() {
            command = Command::new(&programs.perf);
            command.args(["serve", "--json", "--listen", "127.0.0.1:0"]);
            command.args(options).current_dir(folder);
            if task.suits_few_threads() && self.has_few_threads() {
                command.args(["--threads", "1"]);
            }
        } else {
            command = Command::new(&programs.paths);
            command.args(["serve", &self.name()]);
            settings(&mut command, task, folder);
        }
        command.args(["--mode", mode]);
        command
    }

    /// A client, which prints an object in the end.
    pub(crate) fn client(
        self,
        task: Task,
        programs: &Programs,
        (server, folder): (&str, &Path),
        seconds: f64,
    ) -> Command {
        let name = match task.kind() {
            Kind::Bulk => "bulk",
            Kind::Ping => "ping",
            Kind::Connect => "connect",
        };
        let mut command;
        let is_timed = match self.mkcp_options() {
            Some(options) => {
                command = Command::new(&programs.perf);
                command.args([name, "--json"]).args(options);
                command.current_dir(folder);
                if task.depends_on_sockets() && self != Self::MkcpSockets {
                    command.args(["--sockets", "1"]);
                }
                if task == Task::Echo64 && self.has_few_threads() {
                    command.args(["--threads", "1"]);
                }
                task.kind() == Kind::Bulk
            }
            None => {
                command = Command::new(&programs.paths);
                command.args([name, &self.name()]);
                settings(&mut command, task, folder);
                true
            }
        };
        command.args(["--connect", server]);
        if is_timed {
            command.args(["--seconds", &seconds.to_string()]);
        }
        match task.kind() {
            Kind::Bulk => command.args(["--skip", &(seconds / 5.0).to_string()]),
            _ => command.args(["--rounds", &task.rounds(seconds).to_string()]),
        };
        let streams = match task.kind() {
            Kind::Connect => "--parallel",
            _ => "--streams",
        };
        command.args([streams, &task.streams().to_string()]);
        command
    }

    /// When a client that has not ended is given up.
    pub(crate) fn limit(self, seconds: f64) -> Duration {
        PATIENCE + Duration::from_secs_f64(4.0 * seconds)
    }
}

/// What only some of the ends need: those of QUIC a certificate, those of KCP a window.
fn settings(command: &mut Command, task: Task, folder: &Path) {
    command.arg("--certificate").arg(folder.join("quic.der"));
    command.args(["--window", &task.kcp_window().to_string()]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_ends() {
        assert_eq!(Transport::TokioKcp.name(), "tokio-kcp");
        let own = Transport::value_variants().iter();
        for transport in own.filter(|transport| !transport.is_mkcp()) {
            let peer = crate::ends::Peer::from_str(&transport.name(), false);
            assert!(peer.is_ok(), "{transport:?}");
        }
    }
}
