//! What those who wait for the runs see.

use std::fmt;

use indicatif::{ProgressBar, ProgressStyle};

/// How many runs are done, and which one runs.
pub struct Progress(ProgressBar);

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Progress").field(&self.0.position()).finish()
    }
}

impl Progress {
    /// Nothing of so many is done.
    pub fn new(length: usize) -> Self {
        let template = "{pos}/{len} [{elapsed}, {eta} to go] {wide_msg}";
        let style = ProgressStyle::with_template(template);
        let bar = ProgressBar::new(length as u64);
        Self(bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())))
    }

    /// This one runs now.
    pub fn begin(&self, name: &str) {
        self.0.set_message(name.to_owned());
    }

    /// One is done, with a line that stays, above the bar if there is one.
    pub fn done(&self, line: &str) {
        match self.0.is_hidden() {
            true => eprintln!("{line}"),
            false => self.0.println(line),
        }
        self.0.inc(1);
    }

    /// Nothing runs any more.
    pub fn finish(&self) {
        self.0.finish_and_clear();
    }
}
