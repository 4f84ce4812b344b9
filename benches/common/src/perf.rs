//! The example `perf` of mkcp: where it is.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::Value;

/// The path, made absolute; or what cargo builds if there is none.
pub fn locate(path: Option<&Path>) -> Result<PathBuf, String> {
    let path = match path {
        Some(path) => path.to_owned(),
        None => build(Profile::Release)?,
    };
    path.canonicalize()
        .map_err(|error| format!("perf at {}: {error}", path.display()))
}

/// How cargo is to build it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)]
pub enum Profile {
    /// Soon, for tests.
    Debug,
    /// To be measured.
    Release,
}

/// Has cargo build it, and say where it is.
pub fn build(profile: Profile) -> Result<PathBuf, String> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--package", "mkcp", "--example", "perf"]);
    if profile == Profile::Release {
        command.arg("--release");
    }
    command.arg("--message-format=json-render-diagnostics");
    if let Some(folder) = env::var_os("CARGO_MANIFEST_DIR") {
        command.current_dir(folder);
    }
    let output = command.stderr(Stdio::inherit()).output();
    let output = output.map_err(|error| format!("cargo: {error}; give --perf"))?;
    if !output.status.success() {
        return Err("cargo does not build the example perf; give --perf".to_owned());
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    executable(&messages).ok_or_else(|| "cargo does not say where perf is; give --perf".to_owned())
}

/// The program among cargo's messages.
fn executable(messages: &str) -> Option<PathBuf> {
    let messages = messages
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    let mut perf = messages.filter(|message: &Value| message["target"]["name"] == "perf");
    let path = perf.find_map(|message| message["executable"].as_str().map(PathBuf::from))?;
    Some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_says_where_it_has_put_the_program() {
        let messages = concat!(
            r#"{"reason":"compiler-artifact","target":{"name":"mkcp"},"executable":null}"#,
            "\n",
            r#"{"reason":"compiler-artifact","target":{"name":"perf"},"executable":"/t/perf"}"#,
            "\n",
            r#"{"reason":"build-finished","success":true}"#,
        );
        assert_eq!(executable(messages), Some(PathBuf::from("/t/perf")));
        assert_eq!(executable("no json"), None);
    }

    #[test]
    fn a_path_that_is_not_there_is_told() {
        let error = locate(Some(Path::new("/nowhere/perf"))).unwrap_err();
        assert!(error.contains("/nowhere/perf"), "{error}");
    }
}
