//! `tlsSettings`: what is refused, what is only told.

use mkcp::v2ray::{self, ReadOptions, Reading, TlsVersion};
use serde_json::{Value, json};

fn try_read(tls: &Value) -> Result<Reading, v2ray::Error> {
    let stream = json!({
        "network": "kcp", "kcpSettings": {"seed": "s"}, "security": "tls", "tlsSettings": tls,
    });
    v2ray::read(&stream.to_string(), &ReadOptions::new())
}

#[test]
fn security_alone_is_enough_for_tls() {
    for security in ["tls", "TLS", "xtls", "XTLS"] {
        let stream = json!({"network": "kcp", "security": security, "kcpSettings": {"seed": "s"}});
        let reading = v2ray::read(&stream.to_string(), &ReadOptions::new()).unwrap();
        assert!(reading.settings().tls().is_some(), "{security}");
    }
    let v5 = json!({"transport": "kcp", "security": "xtls"});
    let reading = v2ray::read(&v5.to_string(), &ReadOptions::new()).unwrap();
    assert!(reading.settings().tls().is_some());
    assert_eq!(reading.warnings()[0].path(), "security");
}

#[test]
fn the_other_object_is_told_to_be_unused() {
    let stream = json!({
        "network": "kcp", "kcpSettings": {"seed": "s"}, "security": "xtls",
        "tlsSettings": {"serverName": "a.org"}, "xtlsSettings": {"serverName": "b.org"},
    });
    let reading = v2ray::read(&stream.to_string(), &ReadOptions::new()).unwrap();
    let tls = reading.settings().tls().unwrap();
    assert_eq!(tls.configured_server_name(), Some("b.org"));
    let paths: Vec<&str> = reading.warnings().iter().map(|w| w.path()).collect();
    assert_eq!(paths, ["security", "tlsSettings"]);
}

#[test]
fn versions_are_those_of_rustls() {
    let read = |min: &str, max: &str| {
        let reading = try_read(&json!({"minVersion": min, "maxVersion": max}))?;
        let warnings = reading.warnings().len();
        Ok::<_, v2ray::Error>((reading.settings().tls().unwrap().versions(), warnings))
    };
    let (twelve, thirteen) = (TlsVersion::Tls12, TlsVersion::Tls13);
    assert_eq!(read("1.0", "1.3").unwrap(), ((twelve, thirteen), 1));
    assert_eq!(read("1.2", "1.2").unwrap(), ((twelve, twelve), 0));
    assert_eq!(read("1.3", "").unwrap(), ((thirteen, thirteen), 0));
    for (min, max) in [
        ("", "1.0"),
        ("", "1.1"),
        ("1.3", "1.2"),
        ("1.4", ""),
        ("tls1.2", ""),
    ] {
        assert!(read(min, max).is_err(), "{min} {max}");
    }
}

#[test]
fn wrong_types_are_errors_that_show_no_key() {
    for tls in [
        json!([]),
        json!({"serverName": 1}),
        json!({"alpn": 1}),
        json!({"alpn": [1]}),
        json!({"allowInsecure": "true"}),
        json!({"certificates": {}}),
        json!({"certificates": [{}]}),
        json!({"certificates": [{"certificate": ["x"], "key": "private stuff"}]}),
        json!({"certificates": [{"certificate": ["x"], "key": ["private stuff", 5]}]}),
        json!({"certificates": [{"certificate": ["x"], "usage": "verifyclient"}]}),
    ] {
        let error = try_read(&tls).unwrap_err();
        assert!(error.path().starts_with("tlsSettings"), "{error}");
        assert!(!error.to_string().contains("private stuff"), "{error}");
    }
}

#[test]
fn a_name_may_be_an_address_but_not_nonsense() {
    let reading = try_read(&json!({"serverName": ""})).unwrap();
    let tls = reading.settings().tls().unwrap();
    assert!(tls.server_name("example.org").is_ok());
    assert!(tls.server_name("192.0.2.1").is_ok());
    assert!(tls.server_name("2001:db8::1").is_ok());
    assert!(tls.server_name("no host").is_err());
}
