//! The example programs, for tests that run them.

use std::{env, path::PathBuf, process::Command};

/// Cargo builds the examples along with the tests, beside them.
pub(crate) fn example(name: &str) -> Command {
    let tests = env::current_exe().unwrap();
    let path: PathBuf = tests.parent().unwrap().join("../examples").join(name);
    assert!(
        path.is_file(),
        "{} is missing: cargo build --examples",
        path.display()
    );
    Command::new(path)
}
