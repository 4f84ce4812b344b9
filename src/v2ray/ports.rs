//! Ports in every form that files have.

use std::ops::RangeInclusive;

use super::cursor::Cursor;

/// In the order in which they are named.
pub(super) type Ports = Vec<RangeInclusive<u16>>;

/// A number, or a text such as `443`, `1000-2000` or `443,8443`.
pub(super) fn read(cursor: &Cursor<'_>) -> Ports {
    if let Ok(number) = cursor.number() {
        let port = u16::try_from(number);
        return port.into_iter().map(|port| port..=port).collect();
    }
    cursor.string().map(parse).unwrap_or_default()
}

/// What is no port, such as the name of an environment variable, is passed over.
pub(super) fn parse(text: &str) -> Ports {
    text.split(',').filter_map(range).collect()
}

fn range(text: &str) -> Option<RangeInclusive<u16>> {
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    let range = from.trim().parse().ok()?..=to.trim().parse().ok()?;
    (!range.is_empty()).then_some(range)
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
        let read = |value: serde_json::Value| read(&Cursor::root(&value));
        assert_eq!(read(443.into()), [443..=443]);
        assert_eq!(read("443".into()), [443..=443]);
        let list = read("1000-2000, 3000".into());
        assert_eq!(list, [1000..=2000, 3000..=3000]);
        assert_eq!(first(&list), Some(1000));
        assert!(several(&list) && several(&read("1-2".into())) && !several(&read(1.into())));
        assert_eq!(read("env:PORT".into()), []);
        assert_eq!(read("2000-1000".into()), []);
        assert_eq!(read(65536.into()), []);
    }
}
