//! The layers import downwards only. Without a test the picture in the documentation would rot.
#![allow(clippy::unwrap_used)]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Each layer, as a file or folder of `src`, with the parts of the crate that it may use. A part
/// may be a single module of a layer: `config::derive`.
const LAYERS: &[(&str, &[&str])] = &[
    ("wire", &[]),
    ("error.rs", &[]),
    ("moment.rs", &[]),
    ("prefetch.rs", &[]),
    ("sync.rs", &["prefetch"]),
    ("sync", &[]),
    ("stats.rs", &["error"]),
    ("config", &["error"]),
    ("packet", &["config", "error"]),
    (
        "connection",
        &["wire", "config", "error", "stats", "moment", "prefetch"],
    ),
    (
        "endpoint",
        &[
            "connection",
            "packet",
            "wire",
            "config",
            "error",
            "stats",
            "moment",
            "prefetch",
            "sync",
        ],
    ),
    (
        "listener.rs",
        &["endpoint", "stream", "config", "error", "stats"],
    ),
    ("stream", &["endpoint", "config", "error", "stats", "sync"]),
    ("selector.rs", &["listener", "stream", "sync"]),
    ("tls", &["stream", "listener", "error", "sync"]),
    (
        "v2ray",
        &["tls", "listener", "stream", "endpoint", "config", "error"],
    ),
];

#[test]
fn every_layer_imports_only_what_lies_below() {
    for &(layer, allowed) in LAYERS {
        let name = layer.trim_end_matches(".rs");
        for file in sources(&source_root().join(layer)) {
            let text = fs::read_to_string(&file).unwrap();
            for used in crate_paths(&text) {
                let fine = used == name || allowed.contains(&used.as_str());
                assert!(fine, "{} uses crate::{used}", file.display());
            }
        }
    }
}

#[test]
fn every_source_belongs_to_a_layer() {
    let entries = fs::read_dir(source_root()).unwrap();
    let found: BTreeSet<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "lib.rs" && name != "manual")
        .collect();
    let known: BTreeSet<String> = LAYERS
        .iter()
        .map(|(layer, _)| (*layer).to_owned())
        .collect();
    assert_eq!(found, known);
}

/// What happens when somebody sets the clock of the system: nothing, for nobody looks at it.
#[test]
fn no_source_reads_the_wall_clock() {
    for file in sources(&source_root()) {
        let text = fs::read_to_string(&file).unwrap();
        for clock in ["SystemTime", "UNIX_EPOCH", "Realtime"] {
            assert!(!text.contains(clock), "{} uses {clock}", file.display());
        }
    }
}

fn source_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn sources(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_owned()];
    }
    let entries = fs::read_dir(path).unwrap();
    entries
        .flat_map(|entry| sources(&entry.unwrap().path()))
        .collect()
}

/// What follows `crate::` in code: one name each, or several from `crate::{a::b, c}`.
fn crate_paths(text: &str) -> Vec<String> {
    let code: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect();
    let code = code.join("\n");
    let uses = code.split("crate::").skip(1);
    uses.flat_map(|rest| match rest.strip_prefix('{') {
        Some(group) => top_level_names(group),
        None => vec![leading_name(rest)],
    })
    .collect()
}

fn top_level_names(group: &str) -> Vec<String> {
    let (mut depth, mut names, mut start) = (0, Vec::new(), true);
    for (at, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => start = true,
            _ if start && !character.is_whitespace() => {
                names.push(leading_name(&group[at..]));
                start = false;
            }
            _ => {}
        }
    }
    names
}

fn leading_name(path: &str) -> String {
    path.chars()
        .take_while(|character| character.is_alphanumeric() || *character == '_')
        .collect()
}

#[test]
fn imports_are_read_in_every_form() {
    let text = "use crate::{\n    error::{A, B},\n    wire::C,\n};\nuse crate::stats::D;\n// crate::no\nlet x = crate::config::derive::f();";
    assert_eq!(crate_paths(text), ["error", "wire", "stats", "config"]);
}
