//! The command line.

use crate::process::run;

#[test]
fn bad_options_are_answered_by_one_line_and_exit_code_2() {
    let listen = "--listen tcp://127.0.0.1:0 --to";
    let to = "--to tcp://127.0.0.1:9 --listen";
    let cases = [
        ("", "", "--listen <ADDRESS>"),
        (listen, "", "a value is required for '--to"),
        (
            listen,
            "tcp://127.0.0.1:1 --bogus",
            "unexpected argument '--bogus'",
        ),
        (
            listen,
            "localhost:80",
            "--to: must be tcp://HOST:PORT, unix:",
        ),
        (listen, "udp://localhost:80", "must be tcp://HOST:PORT"),
        (listen, "tcp://localhost", "\"localhost\" has no port"),
        (
            listen,
            "tcp://localhost:65536",
            "port is \"65536\", must be 0 to 65535",
        ),
        (listen, "unix://path", "must begin with a slash"),
        (
            listen,
            "mkcp://h:1?color=red",
            "unknown parameter color, must be one of seed, ",
        ),
        (
            listen,
            "mkcp://h:1?mtu=20",
            "--to mkcp://h:1: mtu is 20, must be 27 to 65507",
        ),
        (
            listen,
            "mkcp://h:1?mtu=many",
            "mtu is \"many\", must be a whole number",
        ),
        (listen, "mkcp://h:1?tti=5", "tti is 5ms, must be 10ms to 1s"),
        (listen, "mkcp://h:1?uplink=-1", "uplink is \"-1\", must be"),
        (
            listen,
            "mkcp://h:1?uplink=99999999999",
            "uplink is 99999999999, must be 0 to 1048576 MiB/s",
        ),
        (
            listen,
            "mkcp://h:1?header=smtp",
            "unknown header \"smtp\", must be none, srtp, utp",
        ),
        (
            listen,
            "mkcp://h:1?congestion=cubic",
            "must be bbr, fixed or loss-rate",
        ),
        (
            listen,
            "mkcp://h:1?security=rot13",
            "security is \"rot13\", must be none, simple or aes-128-gcm",
        ),
        (listen, "mkcp://h:1?security=aes-128-gcm", "needs a seed"),
        (
            listen,
            "mkcp://h:1?security=none&seed=x",
            "security is none, must be aes-128-gcm",
        ),
        (
            listen,
            "mkcp://h:1?seed=%zz",
            "two hexadecimal digits must follow a %",
        ),
        (
            listen,
            "mkcp://h:1?seed=a&seed=b",
            "parameter seed is given twice",
        ),
        (
            listen,
            "mkcp://h:1?tls=yes",
            "tls is \"yes\", must be 1 or 0",
        ),
        (
            listen,
            "mkcp://h:1?sni=a",
            "sni is \"a\", must come with tls=1",
        ),
        (
            listen,
            "mkcp://h:1?tls=1&sni=a..b",
            "sni is \"a..b\", must be a host name",
        ),
        (
            listen,
            "mkcp://h:1?tls=1&ca=/nothing",
            "ca is \"/nothing\", must be a PEM file: ",
        ),
        (
            listen,
            "mkcp://h:1?tls=1&ca=/dev/null",
            "ca is \"/dev/null\", must be a PEM file: ",
        ),
        (
            listen,
            "mkcp://h:1?tls=1&cert=/a",
            "unknown parameter cert, must be one",
        ),
        (
            to,
            "mkcp://127.0.0.1:0?tls=1",
            "which needs cert=FILE and key=FILE",
        ),
        (
            to,
            "mkcp://127.0.0.1:0?tls=1&insecure=1",
            "unknown parameter insecure",
        ),
        (listen, "tcp://h:1 --half-close 0", "0 is not in 1.."),
        (
            listen,
            "tcp://h:1 --max-connections 0",
            "must be a number from 1 on",
        ),
        (
            listen,
            "tcp://h:1 --stats often",
            "invalid value 'often' for '--stats",
        ),
    ];
    for (options, value, expected) in cases {
        let arguments: Vec<_> = options
            .split_whitespace()
            .chain(value.split_whitespace())
            .collect();
        let output = run(&arguments);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
        assert_eq!(text.lines().count(), 1, "{arguments:?}: {text}");
        assert!(
            text.starts_with("error: ") && text.contains(expected),
            "{arguments:?}: {text}"
        );
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
}

#[test]
fn a_seed_is_not_shown_whatever_is_wrong() {
    let cases = [
        "--to mkcp://h:1?seed=50%off-s3cret",
        "--to mkcp://h:1?seed=%ff-s3cret",
        "--to mkcp://h:1?sed=s3cret",
        "--to mkcp://h:1?seed=a&seed=s3cret",
        "--to mkcp://h:1?seed=s3cret&mtu=1",
        "--to mkcp://h:1?seed=s3cret&security=none",
        "--to mkcp://h:many?seed=s3cret",
        "--to mkcp://h?seed=s3cret",
        "--to mkcp://h:1&seed=s3cret",
        "--to mkcp:/h:1?seed=s3cret",
        "--to kcp://h:1?seed=s3cret",
        "--to tcp://h:1?seed=s3cret",
        "--to tcp://h:1&seed=s3cret",
        "--to tcp://h:1 mkcp://h:1?seed=s3cret",
    ];
    for case in cases {
        let all = ["--listen", "tcp://127.0.0.1:0"].into_iter();
        let output = run(&all.chain(case.split_whitespace()).collect::<Vec<_>>());
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{case}: {text}");
        assert_eq!(text.lines().count(), 1, "{case}: {text}");
        assert!(!text.contains("s3cret"), "{case}: {text}");
        println!("{text}");
    }
}

#[test]
fn an_address_in_use_is_one_line_and_exit_code_1() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let used = [
        format!("tcp://{}", listener.local_addr().unwrap()),
        format!("mkcp://{}", socket.local_addr().unwrap()),
    ];
    for listen in used {
        let output = run(&["--listen", &listen, "--to", "tcp://127.0.0.1:9"]);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(
            (output.status.code(), text.lines().count()),
            (Some(1), 1),
            "{text}"
        );
        assert!(text.contains(&format!("error: {listen}: ")), "{text}");
    }
}

#[test]
fn help_shows_options_parameters_and_defaults() {
    let output = run(&["--help"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success());
    for word in [
        "--listen",
        "--to",
        "--stats",
        "--half-close",
        "--drain",
        "--max-connections",
        "[default: 10]",
        "[default: 10000]",
        "[default: 1350]",
        "unix:///",
        "seed",
        "insecure",
    ] {
        assert!(text.contains(word), "{word} in {text}");
    }
}
