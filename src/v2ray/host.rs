//! `host:port`.

use std::net::Ipv6Addr;

use super::error::Warning;

/// Warns of an IPv6 address without brackets, of which nobody can tell where a port begins.
pub(super) fn check_brackets(text: &str, path: &str, warnings: &mut Vec<Warning>) {
    if !text.starts_with('[') && text.matches(':').count() > 1 {
        let message = "has no brackets around its IPv6 address, so all of it is taken for the \
                       address, and no port";
        warnings.push(Warning::new(path, message));
    }
}

/// Whether this may be a name or an address: without brackets, and decoded.
pub(super) fn is_host(text: &str) -> bool {
    if text.contains(':') {
        // Behind a percent sign it may say by which interface.
        let address = text.split_once('%').map_or(text, |(address, _)| address);
        return address.parse::<Ipv6Addr>().is_ok();
    }
    let foreign =
        |c: char| c.is_whitespace() || c.is_control() || "%/?#@[]".contains(c) || c == '\u{fffd}';
    !text.is_empty() && !text.contains(foreign)
}

/// The host, which may be empty and loses its brackets, and the port if there is one. More than
/// one colon without brackets makes an IPv6 address.
pub(super) fn split_host_port(text: &str) -> (&str, Option<&str>) {
    let bracketed = text.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    if let Some((host, rest)) = bracketed {
        let port = rest.strip_prefix(':').unwrap_or(rest);
        // Digits that no colon separates are no port.
        let port = match port.len() < rest.len() {
            true => Some(port),
            false => (!rest.is_empty()).then(|| &text[host.len() + 1..]),
        };
        return (host, port);
    }
    match text.split_once(':') {
        Some((host, port)) if !port.contains(':') => (host, Some(port)),
        _ => (text, None),
    }
}

#[cfg(test)]
mod tests {
    use super::{is_host, split_host_port as split};

    #[test]
    fn hosts_and_ports_are_split() {
        assert_eq!(split("a.org:80"), ("a.org", Some("80")));
        assert_eq!(split("192.0.2.1:443"), ("192.0.2.1", Some("443")));
        assert_eq!(split(":80"), ("", Some("80")));
        assert_eq!(split("a.org"), ("a.org", None));
        assert_eq!(split("[::1]:80"), ("::1", Some("80")));
        assert_eq!(split("[2001:db8::1]"), ("2001:db8::1", None));
        assert_eq!(split("2001:db8::1"), ("2001:db8::1", None));
        assert_eq!(split("[::1"), ("[::1", None));
        assert_eq!(split("[::1]443"), ("::1", Some("]443")));
        assert_eq!(split("[::1]:"), ("::1", Some("")));
    }

    #[test]
    fn hosts_are_names_and_addresses() {
        for host in [
            "a.org",
            "bücher.example",
            "192.0.2.1",
            "::1",
            "fe80::1%eth0",
        ] {
            assert!(is_host(host), "{host}");
        }
        for other in [
            "",
            "a b",
            "a%zz",
            "a:b:c",
            "[::1",
            "::1:2:3:4:5:6:7:8:9",
            "\u{fffd}",
        ] {
            assert!(!is_host(other), "{other}");
        }
    }
}
