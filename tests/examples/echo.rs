//! `echo_server` and `echo_client`.

use super::*;

#[test]
fn echo_client_gets_its_bytes_back_from_echo_server() {
    let transport = ["--seed", "", "--header", "utp"];
    let server = Server::echo(&[&transport[..], &["--workers", "2", "--stats", "1"]].concat());
    let with = |source: &[&str]| {
        let all = [&["--connect", &server.address], &transport[..], source].concat();
        let output = run("echo_client", &all);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{source:?}: {error}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(with(&["--bytes", "1000000"]).starts_with("1000000 bytes there and back in "));
    assert!(with(&["--bytes", "0"]).starts_with("0 bytes there and back in "));
    let file = env::current_exe().unwrap();
    let length = fs::metadata(&file).unwrap().len();
    let summary = with(&["--file", file.to_str().unwrap()]);
    assert!(
        summary.starts_with(&format!("{length} bytes ")),
        "{summary}"
    );

    let (code, _) = server.stop(Signal::TERM);
    assert_eq!(code, Some(0));
}

#[test]
fn echo_server_goes_on_when_nobody_reads_its_lines() {
    let mut command = example("echo_server");
    command.args(["--listen", "127.0.0.1:0", "--stats", "1"]);
    command.stdin(Stdio::null()).stderr(Stdio::null());
    let mut server = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    let stdout = server.stdout.take().unwrap();
    BufReader::new(stdout).read_line(&mut line).unwrap(); // and closes it
    let address = line.trim().strip_prefix("listening on ").unwrap();
    thread::sleep(Duration::from_millis(2500));
    let output = run("echo_client", &["--connect", address, "--bytes", "1000"]);
    let ended = server.try_wait().unwrap();
    server.kill().unwrap();
    server.wait().unwrap();
    assert!(ended.is_none() && output.status.success(), "{ended:?}");
}

/// Killed, so that it says nothing to its peers, and started again at the same address.
#[test]
fn a_client_learns_that_its_server_was_killed_when_it_writes() {
    let server = Server::echo(&[]);
    let address = server.address.clone();
    let stream = Stream::connect(&*address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    (&stream).write_all(b"hello").unwrap();
    (&stream).read_exact(&mut [0; 5]).unwrap();
    assert_eq!(server.stop(Signal::KILL).0, None);
    let _server = Server::echo_at(&address, &[]);
    let wrote = Instant::now();
    (&stream).write_all(b"is anybody there?").unwrap();
    let error = (&stream).read(&mut [0; 20]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    assert!(wrote.elapsed() < PATIENCE, "after {:?}", wrote.elapsed());
}

#[test]
fn echo_client_sends_its_standard_input() {
    let server = Server::echo(&[]);
    let mut command = example("echo_client");
    command.args(["--connect", &server.address, "--stdin"]);
    let mut client = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    client.stdin.take().unwrap().write_all(b"hello").unwrap();
    let output = client.wait_with_output().unwrap();
    assert!(output.status.success());
    assert!(output.stdout.starts_with(b"5 bytes there and back in "));
}

#[test]
fn echo_client_names_the_file_that_it_cannot_read() {
    let server = Server::echo(&[]);
    let folder = env::temp_dir();
    let folder = folder.to_str().unwrap();
    let output = run(
        "echo_client",
        &["--connect", &server.address, "--file", folder],
    );
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.starts_with(&format!("error: {folder}: ")), "{text}");
}

#[test]
fn echo_client_fails_where_nothing_is_echoed() {
    let server = Server::perf(&["--mode", "xor"]);
    let output = run(
        "echo_client",
        &["--connect", &server.address, "--bytes", "10000"],
    );
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("byte 0 came back changed"), "{text}");
}
