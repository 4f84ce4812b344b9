//! What is written for V2Ray 4 is accepted by the real program. Without `v2ray` this fails.

use std::{
    fs,
    io::{self, Read, Write},
    net::{Ipv4Addr, TcpListener, UdpSocket},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use mkcp::{
    Config, Congestion, Header,
    v2ray::{self, Dialect, ReadOptions, StreamSettings, TlsSettings},
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
        let read = v2ray::read(&stream.to_string(), &ReadOptions::new());
        assert!(read.is_err() && test(&stream).is_err(), "{stream}");
    }
}

/// A v2ray that is stopped when the test is over.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn one_file_serves_the_real_server_and_connects_to_it() {
    for security in ["none", "tls"] {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (cert, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let config = Config::builder()
            .header(Header::Dtls)
            .seed("both ends")
            .build();
        let mut settings = StreamSettings::new(config.unwrap());
        if security == "tls" {
            settings = settings.with_tls(TlsSettings::server(&cert, &key).with_root(&cert));
        }
        let written = v2ray::write(&settings, Dialect::V2ray4).unwrap();
        let port = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let file = json!({
            "inbounds": [{
                "tag": "in", "listen": "127.0.0.1", "port": port, "protocol": "dokodemo-door",
                "settings": {"address": "127.0.0.1", "port": tcp_echo(), "network": "tcp"},
                "streamSettings": written.value(),
            }],
            "outbounds": [{"protocol": "freedom", "settings": {}}],
        })
        .to_string();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        fs::write(&path, &file).unwrap();
        let child = Command::new("v2ray")
            .arg("-config")
            .arg(&path)
            .stdout(Stdio::null())
            .spawn();
        let _running = Running(child.expect("v2ray is needed: apt-get install v2ray"));

        let reading = v2ray::read(&file, &ReadOptions::new().tag("in")).unwrap();
        let address = format!("localhost:{}", reading.port().unwrap());
        let started = Instant::now();
        // Until v2ray is up, the port is closed.
        while let Err(error) = echoed(reading.settings(), &address) {
            assert!(
                started.elapsed() < Duration::from_secs(40),
                "{security}: {error}"
            );
            thread::sleep(Duration::from_millis(200));
        }
    }
}

fn echoed(settings: &StreamSettings, address: &str) -> io::Result<()> {
    let mut stream = settings.connect(address)?;
    stream
        .get_ref()
        .set_read_timeout(Some(Duration::from_secs(10)))?;
    let sent: Vec<u8> = (0..50_000_u32).flat_map(u32::to_be_bytes).collect();
    stream.write_all(&sent)?;
    let mut received = vec![0; sent.len()];
    stream.read_exact(&mut received)?;
    assert_eq!(received, sent);
    assert_eq!(stream.tls_info().is_some(), settings.tls().is_some());
    Ok(())
}

/// The port of a TCP echo server.
fn tcp_echo() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || io::copy(&mut &stream, &mut &stream));
        }
    });
    port
}
