//! Ports in every form that files have.

use std::ops::RangeInclusive;

use super::{
    cursor::{Cursor, quote},
    error::Warning,
};

/// In the order in which they are named.
pub(super) type Ports = Vec<RangeInclusive<u16>>;

/// A number, or a text such as `443`, `1000-2000` or `443,8443`. What is no port, such as the name
/// of an environment variable, is told and passed over.
pub(super) fn read(cursor: &Cursor<'_>, warnings: &mut Vec<Warning>) -> Ports {
    if let Ok(text) = cursor.string() {
        return parse(text, cursor.path(), warnings);
    }
    let number = cursor.number().ok();
    let port = number.and_then(|number| u16::try_from(number).ok());
    if port.is_none() {
        warnings.push(no_port(cursor.path(), &cursor.shown()));
    }
    port.into_iter().map(|port| port..=port).collect()
}

/// Ports that stand as a text at this path.
pub(super) fn parse(text: &str, path: &str, warnings: &mut Vec<Warning>) -> Ports {
    let mut ports = Ports::new();
    for part in text.split(',').filter(|part| !part.trim().is_empty()) {
        match range(part) {
            Some(range) => ports.push(range),
            None => warnings.push(no_port(path, &quote(part))),
        }
    }
    ports
}

fn no_port(path: &str, shown: &str) -> Warning {
    let message = format!("names {shown}, which is no port from 0 to 65535 and has no effect");
    Warning::new(path, message)
}

fn range(text: &str) -> Option<RangeInclusive<u16>> {
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    let range = single(from.trim())?..=single(to.trim())?;
    (!range.is_empty()).then_some(range)
}

/// Digits only: Rust would take a plus before them.
fn single(text: &str) -> Option<u16> {
    let port = text.parse().ok();
    port.filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
}

pub(super) fn first(ports: &Ports) -> Option<u16> {
    ports.first().map(|range| *range.start())
}

pub(super) fn several(ports: &Ports) -> bool {
    ports.iter().any(|range| range.start() < range.end()) || ports.len() > 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_come_in_every_form() {
        let read = |value: serde_json::Value| {
            let mut warnings = Vec::new();
            let ports = read(&Cursor::root(&value), &mut warnings);
            assert_eq!(ports.is_empty(), !warnings.is_empty(), "{value}");
            ports
        };
        assert_eq!(read(443.into()), [443..=443]);
        assert_eq!(read("443".into()), [443..=443]);
        let list = read("1000-2000, 3000".into());
        assert_eq!(list, [1000..=2000, 3000..=3000]);
        assert_eq!(first(&list), Some(1000));
        assert!(several(&list) && several(&read("1-2".into())) && !several(&read(1.into())));
        assert_eq!(read("env:PORT".into()), []);
        assert_eq!(read("2000-1000".into()), []);
        assert_eq!(read(65536.into()), []);
        assert_eq!(read("+443".into()), []);
        assert_eq!(read(true.into()), []);
    }

    #[test]
    fn each_part_that_is_no_port_is_named() {
        let mut warnings = Vec::new();
        let ports = parse("443,70000,", "port", &mut warnings);
        assert_eq!(ports, [443..=443]);
        let [warning] = &warnings[..] else {
            panic!("{warnings:?}");
        };
        let text = "port names \"70000\", which is no port from 0 to 65535 and has no effect";
        assert_eq!(warning.to_string(), text);
    }
}
