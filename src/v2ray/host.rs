//! `host:port`.

/// The host, which may be empty and loses its brackets, and the port if there is one. More than
/// one colon without brackets makes an IPv6 address.
pub(super) fn split_host_port(text: &str) -> (&str, Option<&str>) {
    let bracketed = text.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    if let Some((host, rest)) = bracketed {
        return (host, rest.strip_prefix(':'));
    }
    match text.split_once(':') {
        Some((host, port)) if !port.contains(':') => (host, Some(port)),
        _ => (text, None),
    }
}

#[cfg(test)]
mod tests {
    use super::split_host_port as split;

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
    }
}
