//! The transports that can be measured: how to start their ends, and where their figures are.

mod mkcp;
mod quinn;
mod tcp;
mod v2ray;

use std::{fs, io, path::Path};

use clap::ValueEnum;
use serde_json::Value;

use crate::{
    figures::Figures,
    netlab::Report,
    rows::{Row, Task},
};

/// A transport with its settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Transport {
    /// mkcp with its defaults
    Mkcp,
    /// mkcp at a fixed rate, that of the link
    MkcpFixed,
    /// mkcp with the rate control of V2Ray, told the rate of the link
    MkcpLossRate,
    /// The kernel's TCP with BBR
    TcpBbr,
    /// The kernel's TCP with CUBIC
    TcpCubic,
    /// QUIC by quinn with BBR
    QuinnBbr,
    /// QUIC by quinn with CUBIC
    QuinnCubic,
    /// V2Ray at both ends with its defaults, TCP outside
    V2ray,
    /// The same, with a tti of 20 ms and the capacity of the link
    V2rayFast,
    /// From V2Ray with its defaults to mkcp
    V2rayToMkcp,
    /// From V2Ray with the capacity of the link to mkcp
    V2rayFastToMkcp,
    /// From mkcp to V2Ray with its defaults
    MkcpToV2ray,
    /// From mkcp to V2Ray with the capacity of the link
    MkcpToV2rayFast,
}

/// One run: who sends what, and with which programs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run<'a> {
    pub(crate) row: &'a Row,
    pub(crate) transport: Transport,
    pub(crate) seed: u64,
    /// How long the client sends.
    pub(crate) seconds: f64,
    /// How much of that, at the beginning, does not count.
    pub(crate) skip: f64,
    /// The example `perf` of mkcp.
    pub(crate) perf: &'a Path,
    /// This program, which has the ends of the other transports.
    pub(crate) links: &'a Path,
    /// Where files of this run may be left.
    pub(crate) folder: &'a Path,
}

/// Shell commands for netlab. Output that is read later goes to files in the folder of the run.
#[derive(Clone, Debug)]
pub(crate) struct Commands {
    pub(crate) server: String,
    pub(crate) client: String,
    /// Congestion control of the kernel's TCP.
    pub(crate) tcp: Option<&'static str>,
}

/// Lets a shell live until its commands have ended, which netlab's SIGTERM tells to end too.
const OUTLIVE: &str = "trap : TERM";

/// What the ends printed.
#[derive(Clone, Debug)]
pub(crate) struct Output {
    pub(crate) client: Value,
    pub(crate) server: Value,
    /// Of a TCP connection beside.
    pub(crate) beside: Value,
}

impl Output {
    /// The last JSON object in each file; null if there is none.
    pub(crate) fn read(folder: &Path) -> Self {
        let last = |name: &str| {
            let text = fs::read_to_string(folder.join(name)).unwrap_or_default();
            let line = text.lines().rev().find(|line| line.starts_with('{'));
            let value = line.and_then(|line| serde_json::from_str(line).ok());
            value.unwrap_or_default()
        };
        Self {
            client: last("client.json"),
            server: last("server.json"),
            beside: last("beside.json"),
        }
    }
}

impl Transport {
    /// The name on the command line and in the tables.
    pub(crate) fn name(self) -> String {
        let value = self.to_possible_value();
        value.map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// Whether it can be made to do this.
    pub(crate) fn can(self, task: Task) -> bool {
        match self {
            Self::Mkcp | Self::MkcpFixed | Self::MkcpLossRate => true,
            _ => task == Task::Bulk { streams: 1 },
        }
    }

    /// How to start both ends. May write files.
    pub(crate) fn commands(self, run: &Run<'_>) -> io::Result<Commands> {
        match self {
            Self::Mkcp | Self::MkcpFixed | Self::MkcpLossRate => Ok(mkcp::commands(run)),
            Self::TcpBbr => Ok(tcp::commands(run, "bbr")),
            Self::TcpCubic => Ok(tcp::commands(run, "cubic")),
            Self::QuinnBbr => Ok(quinn::commands(run, "bbr")),
            Self::QuinnCubic => Ok(quinn::commands(run, "cubic")),
            Self::V2ray | Self::V2rayFast => v2ray::both(run),
            Self::V2rayToMkcp | Self::V2rayFastToMkcp => v2ray::client(run),
            Self::MkcpToV2ray | Self::MkcpToV2rayFast => v2ray::server(run),
        }
    }

    /// What the ends and netlab say about a run.
    pub(crate) fn figures(self, run: &Run<'_>, output: &Output, report: &Report) -> Figures {
        match self {
            Self::Mkcp | Self::MkcpFixed | Self::MkcpLossRate => mkcp::figures(run, output, report),
            Self::MkcpToV2ray | Self::MkcpToV2rayFast => mkcp::figures(run, output, report),
            Self::V2rayToMkcp | Self::V2rayFastToMkcp => v2ray::client_figures(output, report),
            _ => tcp::figures(output, report),
        }
    }

    /// Whether a V2Ray takes part.
    pub(crate) fn needs_v2ray(self) -> bool {
        match self {
            Self::Mkcp | Self::MkcpFixed | Self::MkcpLossRate => false,
            Self::TcpBbr | Self::TcpCubic | Self::QuinnBbr | Self::QuinnCubic => false,
            Self::V2ray | Self::V2rayFast | Self::V2rayToMkcp | Self::V2rayFastToMkcp => true,
            Self::MkcpToV2ray | Self::MkcpToV2rayFast => true,
        }
    }

    /// Whether a V2Ray takes part that is told the capacity of the link.
    fn is_fast(self) -> bool {
        matches!(
            self,
            Self::V2rayFast | Self::V2rayFastToMkcp | Self::MkcpToV2rayFast
        )
    }
}

/// A path as one word of a shell command.
fn word(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_command_line() {
        assert_eq!(Transport::MkcpLossRate.name(), "mkcp-loss-rate");
        let names = Transport::value_variants().iter().map(|value| value.name());
        assert!(names.into_iter().all(|name| !name.is_empty()));
    }

    #[test]
    fn only_mkcp_does_more_than_bulk() {
        let ping = Task::Ping {
            rounds: 1,
            streams: 1,
        };
        assert!(Transport::Mkcp.can(ping) && !Transport::TcpBbr.can(ping));
        assert!(Transport::TcpBbr.can(Task::Bulk { streams: 1 }));
    }

    #[test]
    fn paths_are_words_whatever_they_hold() {
        assert_eq!(word(Path::new("/a b/it's")), r"'/a b/it'\''s'");
    }

    #[test]
    fn the_last_object_counts() {
        let folder = tempfile::tempdir().unwrap();
        let lines = "{\"ready\": \"x\"}\n{\"bytes\": 3}\n";
        fs::write(folder.path().join("server.json"), lines).unwrap();
        let output = Output::read(folder.path());
        assert_eq!(output.server["bytes"], 3);
        assert_eq!(output.client, Value::Null);
    }
}
