//! The kernel's TCP, by commands of this program.

use super::{Commands, Output, Run, word};
use crate::{
    figures::{Figures, Measure},
    netlab::Report,
};

/// Where the sink listens.
pub(super) const PORT: u16 = 9001;

pub(super) fn commands(run: &Run<'_>, congestion: &'static str) -> Commands {
    Commands {
        server: format!("exec {}", sink(run, "server.json")),
        client: format!("exec {}", send(run, "\"$NETLAB_SERVER\"")),
        tcp: Some(congestion),
    }
}

/// The receiving end, which counts.
pub(super) fn sink(run: &Run<'_>, file: &str) -> String {
    format!(
        "{} tcp-sink --listen 0.0.0.0:{PORT}{} > {file}",
        word(run.links),
        window(run)
    )
}

/// The sending end.
pub(super) fn send(run: &Run<'_>, host: &str) -> String {
    format!(
        "{} tcp-send --connect {host}:{PORT} --seconds {}",
        word(run.links),
        run.seconds
    )
}

/// Which part of the time counts, for a sink.
pub(super) fn window(run: &Run<'_>) -> String {
    format!(" --seconds {} --skip {}", run.seconds, run.skip)
}

/// What a sink says.
pub(super) fn figures(output: &Output, report: &Report) -> Figures {
    let mut figures = Figures::default();
    let number = |name: &str| output.server[name].as_f64();
    figures.set_some(Measure::Goodput, number("goodput_mb_s"));
    report.tell(number("bytes"), &mut figures);
    figures
}
