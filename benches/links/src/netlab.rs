//! Running netlab, and what it reports.

use std::{
    fs::{self, File},
    io,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use bench_common::process;
use serde_json::Value;

use crate::{
    figures::{Figures, Measure},
    transports::{Commands, Run},
};

/// What a run may take beyond the time that the client sends.
const PATIENCE: u64 = 60;
/// netlab's exit code if the fault is its own.
const FAILED: i32 = 125;

/// The program, as it was found.
#[derive(Clone, Debug)]
pub(crate) struct Netlab(PathBuf);

/// What it says about a run.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    pub(crate) value: Value,
    /// What it and the commands printed for people.
    messages: String,
}

impl Netlab {
    /// The program at this path, or else in the `PATH`.
    pub(crate) fn find(path: Option<&Path>) -> Result<Self, String> {
        let found = match path {
            Some(path) => Some(path.to_owned()).filter(|path| path.is_file()),
            None => process::in_path("netlab"),
        };
        let place = match path {
            Some(path) => path.display().to_string(),
            None => "any place in PATH".to_owned(),
        };
        found.map(Self).ok_or_else(|| {
            format!(
                "no netlab at {place}: the link emulator is wanted, a program that runs two \
                 commands with a lossy link between them; give its path by --netlab or NETLAB"
            )
        })
    }

    /// Runs the commands over the link of a run, in its folder. None if it was interrupted.
    pub(crate) fn run(&self, run: &Run<'_>, commands: &Commands) -> io::Result<Option<Report>> {
        let (json, messages) = (
            run.folder.join("netlab.json"),
            run.folder.join("netlab.txt"),
        );
        let (seed, timeout) = (run.seed, run.seconds.ceil() as u64 + PATIENCE);
        let mut command = Command::new(&self.0);
        command.arg("run").args(run.row.link.options());
        command.arg(format!("--json={}", json.display()));
        command.args([format!("--seed={seed}"), format!("--timeout={timeout}s")]);
        if let Some(name) = commands.tcp {
            command.args(["--tcp", name]);
        }
        command.args(["--server", &commands.server, "--client", &commands.client]);
        command.current_dir(run.folder).process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let mut child = command.stderr(File::create(&messages)?).spawn()?;
        let Some(status) = process::wait(&mut child, None)? else {
            return Ok(None);
        };
        let messages = fs::read_to_string(&messages)?;
        if status.code() == Some(FAILED) || !json.exists() {
            let text = format!("netlab failed: {}", messages.trim());
            return Err(io::Error::other(text));
        }
        let mut report = Report::parse(&fs::read_to_string(&json)?)?;
        report.messages = messages;
        Ok(Some(report))
    }
}

impl Report {
    /// Reads netlab's line of JSON.
    pub(crate) fn parse(text: &str) -> io::Result<Self> {
        let report = Self {
            value: serde_json::from_str(text)?,
            messages: String::new(),
        };
        match report.offered() {
            Some(_) => Ok(report),
            None => Err(io::Error::other("netlab's report has no up.offered.bytes")),
        }
    }

    /// Bytes that the client's host put on the link, IP headers included.
    pub(crate) fn offered(&self) -> Option<f64> {
        self.value["up"]["offered"]["bytes"].as_f64()
    }

    /// Whether the client ended well.
    pub(crate) fn succeeded(&self) -> bool {
        self.value["exit_code"] == 0
    }

    /// The last line that was printed.
    pub(crate) fn last_words(&self) -> &str {
        self.messages.lines().last().unwrap_or("without a word")
    }

    /// The waste, for so many bytes of payload, and what casts doubt on the other figures.
    pub(crate) fn tell(&self, payload: Option<f64>, figures: &mut Figures) {
        let payload = payload.filter(|&bytes| bytes > 0.0);
        let ratio = self.offered().zip(payload).map(|(all, bytes)| all / bytes);
        figures.set_some(Measure::Wire, ratio);
        let lateness = |direction: &str| self.value[direction]["mean_lateness_us"].as_f64();
        let lateness = ["up", "down"].into_iter().filter_map(lateness);
        figures.set(Measure::Lateness, lateness.fold(0.0, f64::max) / 1e3);
        let both = |name: &str| {
            let hosts = ["client", "server"].map(|host| self.value[host][name].as_f64());
            hosts.into_iter().flatten().sum()
        };
        figures.set(Measure::Overruns, both("overruns"));
        figures.set(Measure::BufferDrops, both("udp_receive_buffer_errors"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"exit_code":0,"elapsed_s":10.2,"up":{"offered":{"packets":100,
        "bytes":137800},"mean_lateness_us":90.0},"down":{"offered":{"packets":50,
        "bytes":2600},"mean_lateness_us":2500.0},
        "client":{"overruns":1,"udp_receive_buffer_errors":0},
        "server":{"overruns":0,"udp_receive_buffer_errors":7}}"#;

    #[test]
    fn waste_is_what_was_offered_for_the_payload() {
        let report = Report::parse(LINE).unwrap();
        assert!(report.succeeded());
        let mut figures = Figures::default();
        report.tell(Some(130_000.0), &mut figures);
        assert_eq!(figures.get(Measure::Wire), Some(1.06));
        assert_eq!(figures.get(Measure::Lateness), Some(2.5));
        assert_eq!(figures.get(Measure::Overruns), Some(1.0));
        assert_eq!(figures.get(Measure::BufferDrops), Some(7.0));
    }

    #[test]
    fn nothing_delivered_has_no_waste() {
        let report = Report::parse(LINE).unwrap();
        let mut figures = Figures::default();
        report.tell(Some(0.0), &mut figures);
        assert_eq!(figures.get(Measure::Wire), None);
    }

    #[test]
    fn other_json_is_refused() {
        assert!(Report::parse("{}").is_err());
        assert!(Report::parse("netlab: no such device").is_err());
    }

    #[test]
    fn a_missing_program_is_told_with_what_to_do() {
        let error = Netlab::find(Some(Path::new("/nowhere/netlab"))).unwrap_err();
        assert!(error.contains("/nowhere/netlab") && error.contains("--netlab"));
        assert_eq!(error.lines().count(), 1);
    }
}
