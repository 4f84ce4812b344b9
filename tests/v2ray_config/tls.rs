//! `tlsSettings`: what is refused, what is only told.

use mkcp::{
    tls::rustls::ClientConnection,
    v2ray::{self, ReadOptions, Reading, TlsSettings, TlsVersion},
};
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
fn xtls_settings_do_not_weaken_tls() {
    let stream = json!({
        "network": "kcp", "kcpSettings": {"seed": "s"}, "security": "tls",
        "xtlsSettings": {"allowInsecure": true},
    });
    let reading = v2ray::read(&stream.to_string(), &ReadOptions::new()).unwrap();
    assert!(!reading.settings().tls().unwrap().allow_insecure());
    let paths: Vec<&str> = reading.warnings().iter().map(|w| w.path()).collect();
    assert_eq!(paths, ["xtlsSettings"]);
}

/// Go takes the last of them, but the order is lost.
#[test]
fn keys_that_differ_only_in_case_are_refused() {
    let cases = [
        (r#""security": "none", "Security": "tls""#, "security"),
        (
            r#""security": "tls", "tlsSettings": {"allowInsecure": true, "AllowInsecure": false}"#,
            "tlsSettings.allowInsecure",
        ),
        (
            r#""security": "tls", "tlsSettings": {"certificates": [{"usage": "verify", "USAGE": ""}]}"#,
            "tlsSettings.certificates[0].usage",
        ),
    ];
    for (keys, path) in cases {
        let stream = format!(r#"{{"network": "kcp", "kcpSettings": {{"seed": "s"}}, {keys}}}"#);
        for document in [
            stream.clone(),
            format!(r#"{{"protocol": "vless", "streamSettings": {stream}}}"#),
            format!(r#"{{"inbounds": [{{"streamSettings": {stream}}}]}}"#),
        ] {
            let error = v2ray::read(&document, &ReadOptions::new()).unwrap_err();
            assert!(error.path().ends_with(path), "{error}");
            assert_eq!(error.value(), "given twice");
        }
    }
    let v5 =
        r#"{"transport": "kcp", "transportSettings": {"writeBuffer": {}, "write_buffer": {}}}"#;
    let error = v2ray::read(v5, &ReadOptions::new()).unwrap_err();
    assert_eq!(error.value(), "given twice");
}

/// Panels write every field that they know.
#[test]
fn what_is_empty_is_as_good_as_absent() {
    let reading = try_read(&json!({
        "allowInsecure": true, "pinnedPeerCertificateChainSha256": [], "verifyPeerCertByName": "",
        "pinnedPeerCertSha256": null, "fingerprint": "", "curvePreferences": [],
    }));
    let reading = reading.unwrap();
    assert!(reading.settings().tls().unwrap().allow_insecure());
    assert_eq!(reading.warnings(), []);
    let pinned = json!({"allowInsecure": true, "verifyPeerCertByName": "a.org"});
    assert!(try_read(&pinned).is_err());
}

#[test]
fn protocols_are_those_that_a_handshake_can_name() {
    let alpn = |alpn: Value| {
        let reading = try_read(&json!({ "alpn": alpn }))?;
        let warnings: Vec<String> = reading
            .warnings()
            .iter()
            .map(|w| w.path().to_owned())
            .collect();
        Ok::<_, v2ray::Error>((reading.settings().tls().unwrap().alpn().to_vec(), warnings))
    };
    let passed_over = (vec!["h2".to_owned()], vec!["tlsSettings.alpn".to_owned()]);
    assert_eq!(alpn(json!(["", "h2"])).unwrap(), passed_over);
    assert_eq!(alpn(json!("h2,")).unwrap(), passed_over);
    assert_eq!(alpn(json!("")).unwrap().0, ["h2", "http/1.1"]);
    assert!(alpn(json!(["x".repeat(255)])).is_ok());
    let error = alpn(json!(["h2", "x".repeat(256)])).unwrap_err();
    let text =
        "tlsSettings.alpn is a list with a name of 256 bytes, must be names of 1 to 255 bytes";
    assert_eq!(error.to_string(), text);
    let error = alpn(vec!["x".repeat(255); 300].into()).unwrap_err();
    assert_eq!(error.value(), "a list of 76800 bytes");
    let v5 = json!({
        "transport": "kcp", "security": "tls",
        "securitySettings": {"nextProtocol": ["x".repeat(256)]},
    });
    let error = v2ray::read(&v5.to_string(), &ReadOptions::new()).unwrap_err();
    assert_eq!(error.path(), "securitySettings.nextProtocol");
}

#[test]
fn protocols_are_checked_again_when_they_were_given_by_a_program() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (cert, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let (empty, long) = (vec![String::new()], vec!["x".repeat(256)]);
    let many = vec!["x".repeat(255); 300];
    for alpn in [empty, long, many] {
        let tls = TlsSettings::server(&cert, &key)
            .with_system_roots(false)
            .with_alpn(alpn);
        let error = tls.client_config().unwrap_err().to_string();
        assert!(error.starts_with("alpn is a list"), "{error}");
        assert!(tls.server_config().is_err());
    }
    let most = TlsSettings::client("a.org")
        .with_system_roots(false)
        .with_alpn(vec!["x".repeat(255); 128]);
    let name = most.server_name("").unwrap();
    let mut client = ClientConnection::new(most.client_config().unwrap(), name).unwrap();
    assert!(client.write_tls(&mut Vec::new()).unwrap() > 128 * 256);
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
