//! `corpus/*.json`: each file says in comments at its top what is to be made of it.
//!
//! ```text
//! //? tag: proxy               what to ask for: dialect, side, tag, port
//! //? gives: xray outbound ..  the settings, as `summary` shows them
//! //? warns: a.b.c             a warning about this path, one line each, in order
//! //? error: a.b.c is ..       instead of the two above: why it is refused
//! ```

use std::{collections::BTreeSet, fs, path::Path};

use mkcp::{
    Config, Security,
    v2ray::{self, Dialect, ReadOptions, Reading, Side, StreamSettings, TlsSettings, TlsVersion},
};
use serde_json::{Value, json};

pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) options: ReadOptions,
    gives: Option<String>,
    warns: Vec<String>,
    error: Option<String>,
}

pub(crate) fn all() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/v2ray_config/corpus");
    let mut cases: Vec<Case> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            Case::new(name, fs::read_to_string(path).unwrap())
        })
        .collect();
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    cases
}

impl Case {
    fn new(name: String, text: String) -> Self {
        let mut case = Self {
            name,
            options: ReadOptions::new(),
            gives: None,
            warns: Vec::new(),
            error: None,
            text,
        };
        for line in case.text.lines() {
            let Some(line) = line.strip_prefix("//? ") else {
                continue;
            };
            let (key, value) = line.split_once(": ").unwrap();
            let options = case.options.clone();
            match key {
                "dialect" => case.options = options.dialect(value.parse().unwrap()),
                "tag" => case.options = options.tag(value),
                "port" => case.options = options.port(value.parse().unwrap()),
                "side" if value == "inbound" => case.options = options.side(Side::Inbound),
                "side" if value == "outbound" => case.options = options.side(Side::Outbound),
                "gives" => case.gives = Some(value.to_owned()),
                "warns" => case.warns.push(value.to_owned()),
                "error" => case.error = Some(value.to_owned()),
                _ => panic!("{}: {line}", case.name),
            }
        }
        case
    }

    pub(crate) fn read(&self) -> Result<Reading, v2ray::Error> {
        v2ray::read(&self.text, &self.options)
    }
}

/// Everything that was read, in one line.
pub(crate) fn summary(reading: &Reading) -> String {
    let side = match reading.side() {
        Some(Side::Inbound) => "inbound",
        Some(Side::Outbound) => "outbound",
        _ => "bare",
    };
    let config = reading.settings().config();
    let security = match config.security() {
        Security::Aes128Gcm(seed) => format!("seed:{}", String::from_utf8_lossy(seed.as_bytes())),
        other => other.to_string(),
    };
    let mut line = format!("{} {side}", reading.dialect());
    if let Some(tag) = reading.tag() {
        line += &format!(" {tag}");
    }
    if reading.address().is_some() || reading.port().is_some() {
        let port = reading
            .port()
            .map_or_else(|| "-".to_owned(), |port| port.to_string());
        line += &format!(" at {}:{port}", reading.address().unwrap_or("*"));
    }
    line += &format!(
        ", {} {security}, mtu {} tti {} up {} down {} write {} {}",
        config.header(),
        config.mtu(),
        config.tti().as_millis(),
        config.uplink() >> 20,
        config.downlink() >> 20,
        config.write_buffer(),
        config.congestion(),
    );
    if let Some(tls) = reading.settings().tls() {
        line += &format!(", tls{}", tls_summary(tls));
    }
    line
}

fn tls_summary(tls: &TlsSettings) -> String {
    let mut line = String::new();
    if let Some(name) = tls.configured_server_name() {
        line += &format!(" {name}");
    }
    if tls.alpn() != TlsSettings::new().alpn() {
        line += &format!(" alpn {}", tls.alpn().join("/"));
    }
    if tls.allow_insecure() {
        line += " insecure";
    }
    if !tls.system_roots() {
        line += " own-roots";
    }
    if tls.versions() != TlsSettings::new().versions() {
        line += match tls.versions() {
            (TlsVersion::Tls13, _) => " 1.3",
            _ => " 1.2",
        };
    }
    for certificate in tls.certificates() {
        line += if certificate.is_root() {
            " root"
        } else {
            " certificate"
        };
    }
    line
}

#[test]
fn every_file_gives_what_it_says() {
    let mut failures = Vec::new();
    for case in all() {
        let (gives, warns, error) = match case.read() {
            Ok(reading) => {
                let warnings = reading.warnings().iter();
                let paths = warnings.map(|warning| warning.path().to_owned());
                (Some(summary(&reading)), paths.collect(), None)
            }
            Err(error) => (None, Vec::new(), Some(error.to_string())),
        };
        if (&gives, &warns, &error) != (&case.gives, &case.warns, &case.error) {
            let mut lines = format!("{}:\n", case.name);
            gives
                .iter()
                .for_each(|line| lines += &format!("//? gives: {line}\n"));
            warns
                .iter()
                .for_each(|line| lines += &format!("//? warns: {line}\n"));
            error
                .iter()
                .for_each(|line| lines += &format!("//? error: {line}\n"));
            failures.push(lines);
        }
    }
    assert!(
        failures.is_empty(),
        "{} differ:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

#[test]
fn errors_are_in_lower_case_and_have_a_place() {
    for case in all() {
        if let Err(error) = case.read() {
            let text = error.to_string();
            assert!(!text.ends_with('.'), "{}: {text}", case.name);
            assert!(!error.expected().is_empty() && !error.value().is_empty());
        }
    }
}

#[test]
fn the_corpus_is_large_and_covers_every_dialect() {
    let cases = all();
    let readings: Vec<Reading> = cases.iter().filter_map(|case| case.read().ok()).collect();
    let refused = cases.len() - readings.len();
    assert!(cases.len() >= 45, "{} files", cases.len());
    assert!(refused >= 12, "{refused} refused");
    let dialects: BTreeSet<String> = readings.iter().map(|r| r.dialect().to_string()).collect();
    assert_eq!(dialects.len(), Dialect::ALL.len());
}

#[test]
fn comments_make_no_difference() {
    for case in all() {
        let lines = case.text.lines().filter(|line| !line.starts_with("//? "));
        let bare: Vec<&str> = lines.collect();
        let without = v2ray::read(&bare.join("\n"), &case.options);
        let noisy = case.text.replacen('{', "/* { */ { # a \"comment\"\n", 1);
        let with = v2ray::read(&noisy, &case.options);
        // A broken document is told with its line, which moves.
        if with.as_ref().is_err_and(|error| error.path().is_empty()) {
            assert!(without.is_err(), "{}", case.name);
            continue;
        }
        assert_eq!(with, without, "{}", case.name);
        assert_eq!(with, case.read(), "{}", case.name);
    }
}

#[test]
fn nothing_shows_a_seed() {
    for case in all() {
        let Ok(reading) = case.read() else {
            continue;
        };
        let Security::Aes128Gcm(seed) = reading.settings().config().security() else {
            continue;
        };
        let seed = String::from_utf8(seed.as_bytes().to_vec()).unwrap();
        if seed.len() > 3 {
            assert!(!format!("{reading:?}").contains(&seed), "{}", case.name);
        }
    }
}

/// Secrets where something else belongs.
#[test]
fn no_error_shows_a_misplaced_secret() {
    let key = "-----BEGIN PRIVATE KEY-----";
    let stream = |key: &str, value: Value| json!({"network": "kcp", "security": "tls", key: value});
    let mask = |mask: Value| stream("finalmask", json!({"udp": [mask]}));
    let tls = |value: Value| stream("tlsSettings", value);
    for document in [
        json!({"transport": "kcp", "transportSettings": {"seed": "swordfish"}}),
        json!({"transport": "kcp", "transportSettings": "swordfish"}),
        mask(json!({"type": "mkcp-legacy", "settings": "swordfish"})),
        mask("swordfish".into()),
        stream("kcpSettings", "swordfish".into()),
        tls(key.into()),
        tls(json!({"certificates": key})),
        tls(json!({"certificates": [key]})),
        tls(json!({"certificates": [{"certificate": key}]})),
        json!({
            "transport": "kcp", "security": "tls",
            "securitySettings": {"certificate": key},
        }),
    ] {
        let error = v2ray::read(&document.to_string(), &ReadOptions::new()).unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("swordfish"), "{shown}");
        assert!(!shown.contains("BEGIN"), "{shown}");
    }
}

#[test]
fn debug_of_what_was_written_shows_no_secret() {
    let config = Config::builder().seed("swordfish").build().unwrap();
    let tls = TlsSettings::server("certificate", "private key");
    let settings = StreamSettings::new(config).with_tls(tls);
    for &dialect in Dialect::ALL {
        let written = v2ray::write(&settings, dialect).unwrap();
        let shown = format!("{written:?}");
        assert!(!shown.contains("swordfish"), "{shown}");
        assert!(!shown.contains("private key"), "{shown}");
        assert!(written.to_string().contains("swordfish"));
    }
}
