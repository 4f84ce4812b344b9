//! What is written for V2Ray 4 is accepted by the real program. Without `v2ray` this fails.

use std::{fs, process::Command};

use mkcp::{
    Config, Congestion, Header,
    v2ray::{self, Dialect, StreamSettings, TlsSettings},
};
use serde_json::{Value, json};

use crate::corpus;

/// The verdict of `v2ray -test`.
fn test(stream: &Value) -> Result<(), String> {
    let file = json!({
        "inbounds": [{
            "listen": "127.0.0.1", "port": 20001, "protocol": "dokodemo-door",
            "settings": {"address": "127.0.0.1", "port": 30001, "network": "tcp"},
            "streamSettings": stream,
        }],
        "outbounds": [{"protocol": "freedom", "settings": {}, "streamSettings": stream}],
    });
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.json");
    fs::write(&path, file.to_string()).unwrap();
    let output = Command::new("v2ray")
        .arg("-test")
        .arg("-config")
        .arg(&path)
        .output();
    let output = output.expect("v2ray is needed: apt-get install v2ray");
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn it_accepts_what_is_written() {
    let headers = ["none", "srtp", "utp", "wechat-video", "dtls", "wireguard"];
    for (index, header) in headers.into_iter().enumerate() {
        let mut builder = Config::builder()
            .header(header.parse::<Header>().unwrap())
            .mtu([576, 1350, 1460][index % 3]);
        if index % 2 == 0 {
            builder = builder.seed("a seed").congestion(Congestion::LossRate);
        }
        let mut settings = StreamSettings::new(builder.build().unwrap());
        if index % 3 == 0 {
            let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
            let (cert, key) = (made.cert.pem(), made.signing_key.serialize_pem());
            settings = settings.with_tls(
                TlsSettings::server(&cert, &key)
                    .with_server_name("localhost")
                    .with_alpn(["h2"])
                    .with_root(&cert),
            );
        }
        let written = v2ray::write(&settings, Dialect::V2ray4).unwrap();
        test(written.value()).unwrap_or_else(|output| panic!("{written}\n{output}"));
    }
}

#[test]
fn it_accepts_the_corpus_converted() {
    for case in corpus::all() {
        let Ok(reading) = case.read() else { continue };
        let files = reading
            .settings()
            .tls()
            .is_some_and(|tls| !tls.certificates().is_empty());
        let Ok(written) = v2ray::write(reading.settings(), Dialect::V2ray4) else {
            continue;
        };
        if !files {
            test(written.value()).unwrap_or_else(|output| panic!("{}: {output}", case.name));
        }
    }
}

#[test]
fn it_refuses_what_is_refused_here() {
    for kcp in [
        json!({"mtu": 575}),
        json!({"mtu": 1461}),
        json!({"tti": 9}),
        json!({"tti": 101}),
        json!({"header": {"type": "wechat"}}),
        json!({"header": {}}),
    ] {
        let stream = json!({"network": "kcp", "kcpSettings": kcp});
        let read = v2ray::read(&stream.to_string(), &v2ray::ReadOptions::new());
        assert!(read.is_err() && test(&stream).is_err(), "{stream}");
    }
}
