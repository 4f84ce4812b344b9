//! Where results go.

use std::{error::Error, path::PathBuf};

use serde_json::Value;

use crate::usage::save;

/// Options of a program that has results.
#[derive(clap::Args, Debug)]
pub struct Outputs {
    /// Write all that was measured to a file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Draw the medians to a file
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,

    /// Write what is printed to a file, not to the standard output
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
}

impl Outputs {
    /// Writes the results in the forms that were asked for.
    pub fn write(
        &self,
        raw: impl FnOnce() -> Value,
        plot: impl FnOnce() -> Result<String, Box<dyn Error>>,
        table: impl FnOnce() -> String,
    ) -> Result<(), Box<dyn Error>> {
        if let Some(path) = &self.json {
            save(path, &raw().to_string())?;
        }
        if let Some(path) = &self.svg {
            save(path, &plot()?)?;
        }
        let table = table();
        match &self.markdown {
            Some(path) => save(path, &table)?,
            None => print!("{table}"),
        }
        Ok(())
    }
}
