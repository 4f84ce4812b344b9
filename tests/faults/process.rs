//! Tests that change their whole process run in one of their own.

use std::{
    env,
    process::{Command, Stdio},
};

/// Set in such a process.
const ALONE: &str = "MKCP_TEST_ALONE";
/// In seconds. The tests inside have deadlines of their own.
const LONGEST: &str = "100";

/// Runs `body` in a new process: this program, asked for the one test that is named, and started
/// through `wrapper`, if that is not empty.
pub(crate) fn alone(test: &str, wrapper: &[&str], body: impl FnOnce()) {
    if env::var_os(ALONE).is_some() {
        return body();
    }
    let mut command = Command::new("timeout");
    command
        .arg(LONGEST)
        .args(wrapper)
        .arg(env::current_exe().unwrap())
        .args([test, "--exact", "--include-ignored", "--nocapture"])
        .env(ALONE, "1")
        .stdin(Stdio::null());
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{command:?}: {}\n{said}{complained}",
        output.status
    );
}
