//! ureq 3 through the connector of this crate, against a small HTTP server.

use std::{
    collections::HashMap,
    error,
    io::{self, BufRead, BufReader, BufWriter, ErrorKind, Read, Write},
    net::UdpSocket,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use mkcp::Listener;
use mkcp_ecosystem::{DEADLINE, Duplex, MkcpConnector};
use ureq::{
    Agent, Error, Timeout,
    config::{Config, ConfigBuilder},
    typestate::AgentScope,
    unversioned::resolver::DefaultResolver,
};

use crate::{
    deadline,
    pattern::pattern,
    transport::{Transport, config, tls_client},
};

const MIB: usize = 1024 * 1024;
/// Long enough to be measured, short enough to wait for.
const SHORT: Duration = Duration::from_millis(200);

pub fn ureq_gets_and_posts<T: Transport>() {
    let server = Server::start::<T>();
    let agent = agent(|config| config.http_status_as_error(false));

    let mut hello = agent.get(server.uri("/hello")).call().unwrap();
    assert_eq!(hello.status(), 200);
    assert_eq!(hello.headers()["content-type"], "text/plain");
    assert_eq!(hello.body_mut().read_to_string().unwrap(), "hello");

    let mut chunked = agent.get(server.uri("/chunked")).call().unwrap();
    assert!(
        chunked.body_mut().read_to_vec().unwrap() == pattern(MIB, 1),
        "the bytes differ"
    );

    for length in [0, 1, 10_000, 3 * MIB] {
        let sent = pattern(length, 2);
        let mut echo = agent.post(server.uri("/echo")).send(&sent).unwrap();
        assert_eq!(echo.headers()["content-length"], length.to_string());
        assert!(
            echo.body_mut().read_to_vec().unwrap() == sent,
            "{length}: the bytes differ"
        );
    }

    // A body of unknown length goes out in chunks.
    let sent = pattern(MIB, 3);
    let reader = ureq::SendBody::from_owned_reader(io::Cursor::new(sent.clone()));
    let mut echo = agent.post(server.uri("/echo")).send(reader).unwrap();
    assert!(
        echo.body_mut().read_to_vec().unwrap() == sent,
        "the bytes differ"
    );

    assert_eq!(
        agent.get(server.uri("/nowhere")).call().unwrap().status(),
        404
    );
}

pub fn ureq_uses_an_idle_connection_again<T: Transport>() {
    let server = Server::start::<T>();
    let agent = agent(|config| config);
    for _ in 0..50 {
        assert_eq!(fetch(&agent, &server.uri("/hello")).unwrap(), "hello");
    }
    assert_eq!(server.connections(), 1);
}

pub fn ureq_does_not_use_a_connection_that_has_ended<T: Transport>() {
    let server = Server::start::<T>();
    let agent = agent(|config| config);
    for expected in 1..=3 {
        assert_eq!(fetch(&agent, &server.uri("/leave")).unwrap(), "goodbye");
        assert_eq!(server.connections(), expected);
        server.wait_until_idle();
    }
}

pub fn ureq_times_out_where_nothing_is_answered<T: Transport>() {
    let server = Server::start::<T>();
    let patient = agent(|config| config);
    let cases: [(&str, Timeout, Change); 4] = [
        ("/silent", Timeout::RecvResponse, |config| {
            config.timeout_recv_response(Some(SHORT))
        }),
        ("/silent", Timeout::PerRead, |config| {
            config.timeout_per_read(Some(SHORT))
        }),
        ("/silent", Timeout::Global, |config| {
            config.timeout_global(Some(SHORT))
        }),
        ("/half", Timeout::RecvBody, |config| {
            config.timeout_recv_body(Some(SHORT))
        }),
    ];
    for (path, expected, change) in cases {
        let agent = agent(change);
        let started = Instant::now();
        match fetch(&agent, &server.uri(path)) {
            Err(Error::Timeout(reason)) => assert_eq!(reason, expected, "{path}"),
            other => panic!("{path}, {expected}: {other:?}"),
        }
        assert!(started.elapsed() >= SHORT, "{path}, {expected}");
    }
    // The server is as good as before.
    assert_eq!(fetch(&patient, &server.uri("/hello")).unwrap(), "hello");
}

pub fn ureq_times_out_where_nobody_answers<T: Transport>() {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    assert_no_connection(&format!("{}://{address}/", T::SCHEME));
}

#[test]
fn ureq_times_out_where_no_handshake_is_answered() {
    deadline::within(DEADLINE, || {
        let listener = Listener::bind_with("127.0.0.1:0", &config()).unwrap();
        let address = listener.local_addr().unwrap();
        assert_no_connection(&format!("https://{address}/"));
    });
}

fn assert_no_connection(uri: &str) {
    let agent = agent(|config| config.timeout_connect(Some(SHORT)));
    let started = Instant::now();
    match fetch(&agent, uri) {
        Err(Error::Timeout(reason)) => assert_eq!(reason, Timeout::Connect),
        other => panic!("{other:?}"),
    }
    assert!(started.elapsed() >= SHORT);
}

pub fn ureq_says_that_nobody_listens<T: Transport>() {
    // A socket that has a peer takes nothing from others, and nobody else can have its port.
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect("127.0.0.1:9").unwrap();
    let uri = format!("{}://{}/", T::SCHEME, socket.local_addr().unwrap());
    match fetch(&agent(|config| config), &uri) {
        Err(Error::Io(error)) => assert_eq!(error.kind(), ErrorKind::ConnectionRefused),
        other => panic!("{other:?}"),
    }
}

pub fn ureq_can_be_shut_down_while_it_waits<T: Transport>() {
    let server = Server::start::<T>();
    let agent = agent(|config| config);
    let waiting = agent.clone();
    let uri = server.uri("/silent");
    let call = thread::spawn(move || fetch(&waiting, &uri));
    server.wait_until_asked();
    agent.shutdown();
    let error = call.join().unwrap().unwrap_err();
    assert!(!matches!(error, Error::Timeout(_)), "{error}");
}

type Change = fn(ConfigBuilder<AgentScope>) -> ConfigBuilder<AgentScope>;

fn agent(change: Change) -> Agent {
    let connector = MkcpConnector::with_tls(config(), tls_client());
    // Against hanging; a test that is about a timeout sets its own.
    let builder = Config::builder().proxy(None).timeout_global(Some(DEADLINE));
    Agent::with_parts(
        change(builder).build(),
        connector,
        DefaultResolver::default(),
    )
}

fn fetch(agent: &Agent, uri: &str) -> Result<String, Error> {
    agent.get(uri).call()?.body_mut().read_to_string()
}

/// An HTTP/1.1 server with a thread for each connection.
struct Server {
    listener: Listener,
    scheme: &'static str,
    connections: Arc<AtomicUsize>,
    asked: mpsc::Receiver<()>,
}

impl Server {
    fn start<T: Transport>() -> Self {
        let listener = Listener::bind_with("127.0.0.1:0", &config()).unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let (ask, asked) = mpsc::channel();
        let server = Self {
            listener: listener.try_clone().unwrap(),
            scheme: T::SCHEME,
            connections: Arc::clone(&connections),
            asked,
        };
        thread::spawn(move || {
            for stream in listener.incoming() {
                connections.fetch_add(1, Ordering::SeqCst);
                let (stream, ask) = (stream.unwrap(), ask.clone());
                thread::spawn(move || serve(&T::server(stream), &ask));
            }
        });
        server
    }

    fn uri(&self, path: &str) -> String {
        format!(
            "{}://{}{path}",
            self.scheme,
            self.listener.local_addr().unwrap()
        )
    }

    /// How many there have been.
    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Until all clients know that their connections have ended.
    fn wait_until_idle(&self) {
        let started = Instant::now();
        while self.listener.active_connections() > 0 {
            assert!(started.elapsed() < DEADLINE, "a connection does not end");
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Until a request is there that gets no answer.
    fn wait_until_asked(&self) {
        self.asked.recv_timeout(DEADLINE).unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.listener.close();
    }
}

/// Answers requests until the client or a request ends the connection.
fn serve<S: Duplex>(stream: &S, ask: &mpsc::Sender<()>) {
    let mut reader = BufReader::new(stream.shared());
    let mut writer = BufWriter::new(stream.shared());
    while let Ok(Some(request)) = Request::read(&mut reader) {
        let answered = match (&*request.method, &*request.path) {
            ("GET", "/hello") => respond(&mut writer, "200 OK", b"hello"),
            ("GET", "/chunked") => respond_in_chunks(&mut writer, &pattern(MIB, 1)),
            ("POST", "/echo") => respond(&mut writer, "200 OK", &request.body),
            ("GET", "/leave") => {
                let _ = respond(&mut writer, "200 OK", b"goodbye");
                return;
            }
            ("GET", "/silent") => {
                let _ = ask.send(());
                Ok(())
            }
            ("GET", "/half") => write!(writer, "HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nhalf"),
            _ => respond(&mut writer, "404 Not Found", b""),
        };
        if answered.and_then(|()| writer.flush()).is_err() {
            return; // the client has gone
        }
    }
}

fn respond(writer: &mut impl Write, status: &str, body: &[u8]) -> io::Result<()> {
    let length = body.len();
    write!(
        writer,
        "HTTP/1.1 {status}\r\ncontent-type: text/plain\r\ncontent-length: {length}\r\n\r\n"
    )?;
    writer.write_all(body)?;
    writer.flush()
}

fn respond_in_chunks(writer: &mut impl Write, body: &[u8]) -> io::Result<()> {
    write!(
        writer,
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    )?;
    for chunk in body.chunks(10_007) {
        write!(writer, "{:x}\r\n", chunk.len())?;
        writer.write_all(chunk)?;
        writer.write_all(b"\r\n")?;
    }
    writer.write_all(b"0\r\n\r\n")
}

struct Request {
    method: String,
    path: String,
    body: Vec<u8>,
}

impl Request {
    /// `None` at the end of the connection.
    fn read(reader: &mut impl BufRead) -> io::Result<Option<Self>> {
        let first = read_line(reader)?;
        let mut words = first.split(' ').map(str::to_owned);
        let (Some(method), Some(path)) = (words.next(), words.next()) else {
            return Ok(None);
        };
        let headers = read_headers(reader)?;
        let body = match headers.get("content-length") {
            Some(length) => take(reader, length.parse().map_err(invalid)?)?,
            None if headers.contains_key("transfer-encoding") => read_chunks(reader)?,
            None => Vec::new(),
        };
        Ok(Some(Self { method, path, body }))
    }
}

fn read_headers(reader: &mut impl BufRead) -> io::Result<HashMap<String, String>> {
    let mut headers = HashMap::new();
    loop {
        let line = read_line(reader)?;
        let Some((name, value)) = line.split_once(':') else {
            return Ok(headers);
        };
        headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
}

fn read_chunks(reader: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let length = usize::from_str_radix(&read_line(reader)?, 16).map_err(invalid)?;
        body.extend(take(reader, length)?);
        read_line(reader)?;
        if length == 0 {
            return Ok(body);
        }
    }
}

fn read_line(reader: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    Ok(line.trim_end().to_owned())
}

fn take(reader: &mut impl Read, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    reader.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn invalid(error: impl error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, error)
}
