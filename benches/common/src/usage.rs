//! What command lines have in common.

use std::{error::Error, fmt, fs, io, ops::RangeInclusive, path::Path, process::ExitCode};

/// Something is missing, or was asked for and makes no sense.
#[derive(Debug)]
#[allow(clippy::exhaustive_structs)]
pub struct BadUsage(pub String);

impl fmt::Display for BadUsage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for BadUsage {}

/// How the program ends: an error is one line, and bad usage has exit code 2.
pub fn exit(result: Result<(), Box<dyn Error>>) -> ExitCode {
    let Err(error) = result else {
        return ExitCode::SUCCESS;
    };
    eprintln!("error: {error}");
    match error.downcast_ref::<BadUsage>() {
        Some(_) => ExitCode::from(2),
        None => ExitCode::FAILURE,
    }
}

/// Reads a number of seconds in a command line.
pub fn seconds(text: &str, allowed: RangeInclusive<f64>) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    match allowed.contains(&number) {
        true => Ok(number),
        false => Err(format!(
            "must be from {} to {}",
            allowed.start(),
            allowed.end()
        )),
    }
}

/// Writes a file; an error tells which.
pub fn save(path: &Path, text: &str) -> io::Result<()> {
    let told = |error: io::Error| {
        let text = format!("{}: {error}", path.display());
        io::Error::new(error.kind(), text)
    };
    fs::write(path, text).map_err(told)
}
