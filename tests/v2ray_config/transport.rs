//! Listening and connecting from configurations, with TLS and without.

use std::{
    io::{self, Read, Write},
    net::SocketAddr,
    thread,
    time::Duration,
};

use mkcp::{
    Config, Endpoint,
    v2ray::{
        self, Certificate, MaybeTlsListener, MaybeTlsStream, ReadOptions, StreamSettings,
        TlsSettings,
    },
};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(20);

struct Made {
    cert: String,
    key: String,
}

fn made(name: &str) -> Made {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    Made {
        cert: made.cert.pem(),
        key: made.signing_key.serialize_pem(),
    }
}

fn lines(pem: &str) -> Value {
    pem.lines().collect()
}

fn read(json: &Value) -> StreamSettings {
    let reading = v2ray::read(&json.to_string(), &ReadOptions::new()).unwrap();
    reading.into_settings()
}

fn echo(listener: MaybeTlsListener) {
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || io::copy(&mut &stream, &mut &stream));
        }
    });
}

fn exchange(stream: &MaybeTlsStream) -> io::Result<()> {
    stream.get_ref().set_read_timeout(Some(LIMIT))?;
    (&mut &*stream).write_all(b"hello")?;
    let mut answer = [0; 5];
    (&mut &*stream).read_exact(&mut answer)?;
    assert_eq!(&answer, b"hello");
    Ok(())
}

fn listening(settings: &StreamSettings) -> (SocketAddr, MaybeTlsListener) {
    let listener = settings.listen("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    echo(listener.try_clone().unwrap());
    (address, listener)
}

#[test]
fn without_tls() {
    let settings = read(&json!({"network": "kcp", "kcpSettings": {"seed": "s"}}));
    let (address, listener) = listening(&settings);
    let stream = settings.connect(address).unwrap();
    assert!(matches!(stream, MaybeTlsStream::Plain(_)));
    exchange(&stream).unwrap();
    assert!(stream.tls_info().is_none());
    exchange(&stream.try_clone().unwrap()).unwrap();
    stream.close().unwrap();
    listener.close();
}

#[test]
fn with_tls_and_with_xtls_as_tls() {
    let made = made("example.org");
    for (security, key) in [("tls", "tlsSettings"), ("xtls", "xtlsSettings")] {
        let server = json!({
            "network": "kcp", "security": security, "kcpSettings": {"seed": "s"},
            key: {"certificates": [{"certificate": lines(&made.cert), "key": lines(&made.key)}]},
        });
        let client = json!({
            "network": "kcp", "security": security, "kcpSettings": {"seed": "s"},
            key: {
                "serverName": "example.org", "disableSystemRoot": true,
                "certificates": [{"usage": "verify", "certificate": lines(&made.cert)}],
            },
        });
        let (address, _listener) = listening(&read(&server));
        let stream = read(&client).connect(address).unwrap();
        assert!(matches!(stream, MaybeTlsStream::Tls(_)));
        exchange(&stream).unwrap();
        assert!(stream.tls_info().is_some());
        stream.close().unwrap();
    }
}

/// As `openssl req -x509` makes them.
fn own_authority(name: &str, from: i32, to: i32) -> Made {
    let mut params = rcgen::CertificateParams::new([name.to_owned()]).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.not_before = rcgen::date_time_ymd(from, 1, 1);
    params.not_after = rcgen::date_time_ymd(to, 1, 1);
    let key = rcgen::KeyPair::generate().unwrap();
    Made {
        cert: params.self_signed(&key).unwrap().pem(),
        key: key.serialize_pem(),
    }
}

#[test]
fn a_server_may_show_the_very_authority_that_is_trusted() {
    let made = own_authority("example.org", 2020, 2090);
    let trusting = |made: &Made, name: &str| {
        let tls = TlsSettings::client(name).with_root(&made.cert);
        StreamSettings::new(Config::default()).with_tls(tls.with_system_roots(false))
    };
    let serve = |made: &Made| {
        let tls = TlsSettings::server(&made.cert, &made.key);
        listening(&StreamSettings::new(Config::default()).with_tls(tls))
    };
    let (address, _listener) = serve(&made);
    let attempt = |settings: StreamSettings| exchange(&settings.connect(address).unwrap());
    attempt(trusting(&made, "example.org")).unwrap();
    assert!(attempt(trusting(&made, "example.com")).is_err());
    let other = own_authority("example.org", 2020, 2090);
    assert!(attempt(trusting(&other, "example.org")).is_err());
    for (from, to) in [(2010, 2020), (2080, 2090)] {
        let untimely = own_authority("example.org", from, to);
        let (address, _listener) = serve(&untimely);
        let stream = trusting(&untimely, "example.org").connect(address);
        assert!(exchange(&stream.unwrap()).is_err());
    }
}

#[test]
fn a_client_trusts_a_certificate_without_a_key_as_v2ray_4_does() {
    let made = made("example.org");
    let server = TlsSettings::server(&made.cert, &made.key);
    let (address, _listener) = listening(&StreamSettings::new(Config::default()).with_tls(server));
    let client = json!({
        "network": "kcp", "security": "tls", "kcpSettings": {"header": {"type": "none"}},
        "tlsSettings": {
            "serverName": "example.org", "disableSystemRoot": true,
            "certificates": [{"certificate": lines(&made.cert)}],
        },
    });
    exchange(&read(&client).connect(address).unwrap()).unwrap();
    // V2Fly 5 does not, and says nothing.
    let v5 = json!({
        "transport": "kcp", "security": "tls",
        "securitySettings": {"certificate": [{"certificateFile": "/a.crt"}]},
    });
    let reading = v2ray::read(&v5.to_string(), &ReadOptions::new()).unwrap();
    assert_eq!(
        reading.warnings()[0].path(),
        "securitySettings.certificate[0]"
    );
    assert!(reading.settings().tls().unwrap().certificates().is_empty());
}

#[test]
fn sessions_are_resumed_by_later_connections_of_the_same_settings() {
    let made = made("example.org");
    let server = TlsSettings::server(&made.cert, &made.key);
    let server = StreamSettings::new(Config::default()).with_tls(server);
    let (address, _listener) = listening(&server);
    let tls = TlsSettings::client("example.org").with_root(&made.cert);
    let client = StreamSettings::new(Config::default()).with_tls(tls.with_system_roots(false));
    let resumed = |settings: &StreamSettings| {
        let stream = settings.connect(address).unwrap();
        exchange(&stream).unwrap();
        let info = stream.tls_info().unwrap();
        stream.close().unwrap();
        info.resumed
    };
    assert!(!resumed(&client));
    assert!(resumed(&client));
    assert!(resumed(&client.clone()));
}

#[test]
fn a_client_can_read_its_certificates_before_it_connects() {
    let made = made("example.org");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("root.crt");
    let tls = TlsSettings::client("example.org").with_root_file(&path);
    let client = StreamSettings::new(Config::default()).with_tls(tls.with_system_roots(false));
    assert!(client.load_client().is_err());
    std::fs::write(&path, &made.cert).unwrap();
    client.load_client().unwrap();
    std::fs::remove_file(&path).unwrap();
    let server = TlsSettings::server(&made.cert, &made.key);
    let server = StreamSettings::new(Config::default()).with_tls(server);
    let (address, _listener) = listening(&server);
    let stream = client.clone().connect(address).unwrap();
    stream.handshake().unwrap();
    assert_eq!(stream.peer_addr().unwrap(), address);
    exchange(&stream).unwrap();
}

#[test]
fn a_client_checks_the_name_that_it_dials() {
    let made = made("localhost");
    let server =
        StreamSettings::new(Config::default()).with_tls(TlsSettings::server(&made.cert, &made.key));
    let (address, _listener) = listening(&server);
    let tls = TlsSettings::new()
        .with_root(&made.cert)
        .with_system_roots(false);
    let client = StreamSettings::new(Config::default()).with_tls(tls);
    exchange(
        &client
            .connect(format!("localhost:{}", address.port()))
            .unwrap(),
    )
    .unwrap();
    // The address is a name as well, but not the one of the certificate.
    assert!(exchange(&client.connect(address).unwrap()).is_err());
    let insecure = TlsSettings::new().with_allow_insecure(true);
    let client = StreamSettings::new(Config::default()).with_tls(insecure);
    exchange(&client.connect(address).unwrap()).unwrap();
}

#[test]
fn a_server_shows_the_certificate_that_is_asked_for() {
    let (first, second) = (made("one.example"), made("two.example"));
    let tls = TlsSettings::server(&first.cert, &first.key)
        .with_certificate(Certificate::pem(&second.cert, &second.key));
    let (address, _listener) = listening(&StreamSettings::new(Config::default()).with_tls(tls));
    for (made, name) in [(&first, "one.example"), (&second, "two.example")] {
        let tls = TlsSettings::client(name)
            .with_root(&made.cert)
            .with_system_roots(false);
        let client = StreamSettings::new(Config::default()).with_tls(tls);
        exchange(&client.connect(address).unwrap()).unwrap();
    }
}

#[test]
fn over_an_endpoint() {
    let settings = read(&json!({"network": "kcp", "kcpSettings": {"seed": "s"}}));
    let endpoint = |config: &Config| {
        Endpoint::builder()
            .config(config.clone())
            .bind("127.0.0.1:0")
            .unwrap()
    };
    let server = endpoint(settings.config());
    let listener = settings.listen_on(&server).unwrap();
    let address = listener.local_addr().unwrap();
    echo(listener.try_clone().unwrap());
    let client = endpoint(settings.config());
    exchange(&settings.connect_over(&client, address).unwrap()).unwrap();
    // The seed would not be used, so it is refused.
    let seedless = endpoint(&Config::default());
    let error = settings.connect_over(&seedless, address).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    assert!(settings.listen_on(&seedless).is_err());
    listener.close();
}

#[test]
fn unusable_certificates_are_told_before_anything_is_opened() {
    let (one, other) = (made("a.example"), made("b.example"));
    let refused = |tls: TlsSettings| {
        let settings = StreamSettings::new(Config::default()).with_tls(tls);
        settings.listen("127.0.0.1:0").unwrap_err().to_string()
    };
    let cases = [
        (TlsSettings::new(), "certificates has none with a key"),
        (
            TlsSettings::server("", &one.key),
            "certificates[0].certificate holds no certificate",
        ),
        (
            TlsSettings::server("-----BEGIN CERTIFICATE-----\n*", &one.key),
            "certificates[0].certificate is not PEM",
        ),
        (
            TlsSettings::server(&one.cert, "x"),
            "certificates[0].key holds no private key",
        ),
        (
            TlsSettings::server(&one.cert, &other.key),
            "certificates[0] (Certificate",
        ),
        (
            TlsSettings::server_files("/no/such.crt", "/no/such.key"),
            "/no/such.crt: ",
        ),
    ];
    for (tls, start) in cases {
        let text = refused(tls);
        assert!(
            text.starts_with(start),
            "{text:?} does not start with {start:?}"
        );
        assert!(!text.contains("BEGIN"), "{text}");
    }
    let server = TlsSettings::server(&one.cert, &one.key);
    assert!(!format!("{server:?}").contains("BEGIN"));
}
