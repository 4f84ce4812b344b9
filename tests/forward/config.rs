//! Configuration files, whichever end they describe.

use std::{fs, path::PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    process::{Server, example, run, run_to_its_end},
    service::{self, exchange},
};

/// Two inbounds and two outbounds over kcp, and others.
fn document() -> Value {
    let stream = |header: &str, seed: &str| {
        json!({
            "network": "kcp",
            "kcpSettings": { "header": { "type": header }, "seed": seed, "readBufferSize": 2 },
        })
    };
    let out = |tag: &str, header: &str, port: u16| {
        json!({
            "tag": tag, "protocol": "freedom",
            "settings": { "redirect": format!("127.0.0.1:{port}") },
            "streamSettings": stream(header, "open sesame"),
        })
    };
    json!({
        "inbounds": [
            { "tag": "socks", "port": 1080, "protocol": "socks" },
            { "tag": "in-utp", "listen": "127.0.0.1", "port": 20101, "protocol": "dokodemo-door",
              "streamSettings": stream("utp", "open sesame") },
            { "tag": "in-srtp", "listen": "127.0.0.1", "port": 20102, "protocol": "dokodemo-door",
              "streamSettings": stream("srtp", "open sesame") },
        ],
        "outbounds": [
            { "tag": "direct", "protocol": "freedom" },
            out("out-utp", "utp", 20101),
            out("out-srtp", "srtp", 20102),
        ],
    })
}

struct File {
    _folder: TempDir,
    path: PathBuf,
}

impl File {
    fn new(content: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        fs::write(&path, content).unwrap();
        Self {
            _folder: folder,
            path,
        }
    }

    fn name(&self) -> &str {
        self.path.to_str().unwrap()
    }
}

#[test]
fn an_inbound_and_an_outbound_are_found_by_tag_or_port() {
    let file = File::new(&document().to_string());
    let target = format!("tcp://{}", service::echo());
    let (listen, config) = ("mkcp://127.0.0.1:0", ["--config", file.name()]);
    let exit = [
        &config,
        &["--tag", "in-utp", "--to", &target, "--listen", listen][..],
    ]
    .concat();
    let exit = Server::forward(&exit);
    exit.wait_for_log("kcpSettings.readBufferSize"); // has no effect

    let to = format!("mkcp://{}", exit.address);
    let listen = "tcp://127.0.0.1:0";
    for choice in [["--tag", "out-utp"], ["--port", "20101"]] {
        let entry = [&config, &choice, &["--to", &to, "--listen", listen][..]].concat();
        exchange(&Server::forward(&entry).connect(), b"hello");
    }
    let mut echo = example("echo_server");
    let echo =
        Server::start(
            echo.args(config)
                .args(["--port", "20102", "--listen", "127.0.0.1:0"]),
        );
    let to = format!("mkcp://{}?seed=open%20sesame&header=srtp", echo.address);
    exchange(&Server::between(listen, &to, &[]).connect(), b"hello");
}

#[test]
fn settings_that_stand_alone_serve_either_end() {
    let stream = document()["inbounds"][1]["streamSettings"].to_string();
    let file = File::new(&format!("// {stream}\n{stream}"));
    let target = format!("tcp://{}", service::echo());
    let config = ["--config", file.name()];
    let exit = [
        &config,
        &["--to", &target, "--listen", "mkcp://127.0.0.1:0"][..],
    ]
    .concat();
    let exit = Server::forward(&exit);
    let to = format!("mkcp://{}", exit.address);
    let entry = [&config, &["--to", &to, "--listen", "tcp://127.0.0.1:0"][..]].concat();
    exchange(&Server::forward(&entry).connect(), b"hello");
}

#[test]
fn bad_files_are_answered_by_one_line_and_exit_code_2() {
    let mut document = document();
    let file = File::new(&document.to_string());
    document["inbounds"][1]["streamSettings"]["kcpSettings"]["tti"] = json!(5);
    let tti = File::new(&document.to_string());
    let no_json = File::new("{");
    let stream = File::new(r#"{"network": "kcp", "kcpSettings": {"seed": "x"}}"#);
    let no_tls =
        File::new(r#"{"network": "kcp", "security": "tls", "kcpSettings": {"seed": "x"}}"#);

    let (to, listen) = ("--to tcp://127.0.0.1:9", "--listen tcp://127.0.0.1:0");
    let cases = [
        ("/nothing", to.to_owned(), "--config /nothing: No such file"),
        (no_json.name(), to.to_owned(), "not JSON"),
        (file.name(), to.to_owned(), "several kcp networks"),
        (
            file.name(),
            format!("{to} --tag socks"),
            "inbounds[0].streamSettings is absent",
        ),
        (file.name(), format!("{to} --tag none"), "the tag \"none\""),
        (
            file.name(),
            format!("{to} --tag a --port 1"),
            "cannot be used with",
        ),
        (
            file.name(),
            format!("{to} {listen}"),
            "--config describes one end",
        ),
        (file.name(), String::new(), "--config describes one end"),
        (
            file.name(),
            format!("{to} --listen mkcp://127.0.0.1:0?seed=x"),
            "--config describes one end",
        ),
        (
            tti.name(),
            format!("{to} --tag in-utp"),
            "inbounds[1].streamSettings.kcpSettings.tti is 5, must be 10 to 100",
        ),
        (
            stream.name(),
            to.to_owned(),
            "there must be --listen mkcp://HOST:PORT",
        ),
        (
            stream.name(),
            listen.to_owned(),
            "there must be --to mkcp://HOST:PORT",
        ),
        (
            no_tls.name(),
            format!("{to} --listen mkcp://127.0.0.1:0"),
            "a server needs one",
        ),
    ];
    for (file, options, expected) in cases {
        let arguments: Vec<_> = ["--config", file]
            .into_iter()
            .chain(options.split_whitespace())
            .collect();
        let output = run(&arguments);
        let text = String::from_utf8(output.stderr).unwrap();
        let last = text.lines().last().unwrap_or_default();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
        assert!(
            last.starts_with("error: ") && last.contains(expected),
            "{arguments:?}: {text}"
        );
    }

    let mut echo = example("echo_server");
    let output = run_to_its_end(echo.args(["--config", tti.name(), "--tag", "in-utp"]));
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(
        text.contains("kcpSettings.tti is 5, must be 10 to 100"),
        "{text}"
    );
    let mut echo = example("echo_server");
    let output = run_to_its_end(echo.args(["--config", file.name(), "--mtu", "1300"]));
    assert_eq!(output.status.code(), Some(2));
}
