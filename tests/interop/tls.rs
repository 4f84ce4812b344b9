//! TLS inside streams, against the real v2ray in both roles.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::LazyLock,
    thread,
    time::{Duration, Instant},
};

use mkcp::{
    Header, Listener, Stream,
    tls::{
        self, TlsListener, TlsStream,
        rustls::{ProtocolVersion, RootCertStore},
    },
};
use serde_json::{Value, json};

use crate::{
    exchange::{self, Service},
    identity::Identity,
    link::Link,
    payload::{PAYLOAD, expect},
    v2ray::V2ray,
};

const NAME: &str = "server.test";
const PATIENCE: Duration = Duration::from_secs(20);
/// An answer of a v2ray that need not wait for a timer of its own.
const PROMPT: Duration = Duration::from_secs(2);
/// v2ray's word that it closes rides on a timer of 5 s, whatever we do.
const V2RAY_CLOSE: Duration = Duration::from_secs(7);

/// For whichever end is the server.
static IDENTITY: LazyLock<Identity> = LazyLock::new(|| Identity::new(&[NAME]));

/// For a v2ray server.
fn v2ray_server() -> Value {
    let certificate = lines(&IDENTITY.certificate.pem());
    let key = lines(&IDENTITY.key.serialize_pem());
    json!({ "certificates": [{ "certificate": certificate, "key": key }] })
}

/// For a v2ray client that checks whom it speaks to.
fn v2ray_client() -> Value {
    let certificate = lines(&IDENTITY.certificate.pem());
    let trusted = json!({ "usage": "verify", "certificate": certificate });
    json!({ "serverName": NAME, "disableSystemRoot": true, "certificates": [trusted] })
}

fn lines(pem: &str) -> Value {
    pem.lines().collect()
}

/// Three headers, with and without a seed.
fn links(settings: &Value) -> Vec<Link> {
    let headers = [Header::None, Header::Srtp, Header::WechatVideo];
    let seeds = [None, Some("correct horse")];
    let with_seeds =
        |header: &Header| seeds.map(|seed| Link::new(header.clone(), seed).with_tls(settings));
    headers.iter().flat_map(with_seeds).collect()
}

fn connect(address: SocketAddr, link: &Link) -> TlsStream {
    let stream = Stream::connect_with(address, &link.config()).unwrap();
    tls::connect(stream, IDENTITY.client(), NAME.try_into().unwrap()).unwrap()
}

fn listen(link: &Link) -> TlsListener {
    let listener = Listener::bind_with("127.0.0.1:0", &link.config()).unwrap();
    TlsListener::new(listener, IDENTITY.server())
}

/// Serves in the background for as long as the listener lives.
fn serve(listener: &TlsListener, service: Service) {
    let acceptor = listener.try_clone().unwrap();
    thread::spawn(move || {
        for stream in acceptor.incoming().map_while(Result::ok) {
            thread::spawn(move || service.serve(&stream));
        }
    });
}

fn v2ray_to_us(service: Service, transfer: fn(&TcpStream, &[u8]) -> io::Result<()>) {
    let links = links(&v2ray_client());
    let listeners: Vec<_> = links.iter().map(listen).collect();
    listeners
        .iter()
        .for_each(|listener| serve(listener, service));
    let address = |listener: &TlsListener| listener.local_addr().unwrap();
    let servers: Vec<_> = links
        .into_iter()
        .zip(listeners.iter().map(address))
        .collect();
    let (_v2ray, entries) = V2ray::client(&servers);
    let tasks: Vec<_> = servers.iter().map(|(link, _)| link).zip(entries).collect();
    exchange::in_two_lanes(&tasks, |(link, address)| {
        exchange::run(&format!("v2ray to us, TLS, {link}"), || {
            transfer(&TcpStream::connect(address)?, &PAYLOAD)
        });
    });
    for listener in &listeners {
        assert!(listener.tls_stats().handshakes_completed > 0);
        listener.close();
    }
}

fn us_to_v2ray(service: Service, transfer: fn(&TlsStream, &[u8]) -> io::Result<()>) {
    let behind = service.over_tcp();
    let links = links(&v2ray_server());
    let servers: Vec<_> = links.into_iter().map(|link| (link, behind)).collect();
    let (_v2ray, addresses) = V2ray::server(&servers);
    let tasks: Vec<_> = servers
        .iter()
        .map(|(link, _)| link)
        .zip(addresses)
        .collect();
    exchange::in_two_lanes(&tasks, |(link, address)| {
        exchange::run(&format!("we to v2ray, TLS, {link}"), || {
            transfer(&connect(*address, link), &PAYLOAD)
        });
    });
}

#[test]
fn v2ray_gets_its_bytes_back_over_tls() {
    v2ray_to_us(Service::Echo, exchange::echo);
}

#[test]
fn v2ray_downloads_over_tls() {
    v2ray_to_us(Service::Source, exchange::download);
}

#[test]
fn we_get_our_bytes_back_over_tls() {
    us_to_v2ray(Service::Echo, exchange::echo);
}

#[test]
fn we_upload_over_tls() {
    us_to_v2ray(Service::Sink, exchange::upload);
}

#[test]
fn v2ray_and_we_agree_on_tls_1_3_and_a_protocol() {
    let link = Link::new(Header::None, None).with_tls(&v2ray_server());
    let (_v2ray, addresses) = V2ray::server(&[(link.clone(), Service::Echo.over_tcp())]);
    let mut stream = connect(addresses[0], &link);
    stream.get_ref().set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"hello").unwrap();
    stream.read_exact(&mut [0; 5]).unwrap();
    let info = stream.tls_info().unwrap();
    println!("{info:?}");
    assert_eq!(info.version, ProtocolVersion::TLSv1_3);
    assert_eq!(info.alpn_protocol.as_deref(), Some(&b"h2"[..]));
    assert_eq!(
        info.peer_certificates,
        std::slice::from_ref(IDENTITY.certificate.der())
    );
}

/// Both roles: however v2ray ends a connection, it is an end and no truncation.
#[test]
fn ends_are_told_in_both_directions() {
    let plain = Link::new(Header::None, None);
    let (as_client, as_server) = (
        plain.clone().with_tls(&v2ray_client()),
        plain.with_tls(&v2ray_server()),
    );
    let listener = listen(&as_client);
    let (_client, entries) = V2ray::client(&[(as_client, listener.local_addr().unwrap())]);
    let behind = TcpListener::bind("127.0.0.1:0").unwrap();
    let behind_address = behind.local_addr().unwrap();
    let (_server, addresses) = V2ray::server(&[(as_server.clone(), behind_address)]);
    let through_client = || {
        let tcp = TcpStream::connect(entries[0]).unwrap();
        (&tcp).write_all(b"hello").unwrap();
        let (ours, _) = listener.accept_timeout(PATIENCE).unwrap();
        expect(&ours, b"hello").unwrap();
        (tcp, ours)
    };
    let through_server = || {
        let ours = connect(addresses[0], &as_server);
        (&ours).write_all(b"hello").unwrap();
        let (tcp, _) = behind.accept().unwrap();
        expect(&tcp, b"hello").unwrap();
        (tcp, ours)
    };
    for (tcp, ours) in [through_client(), through_server()] {
        ours.get_ref().set_read_timeout(Some(PATIENCE)).unwrap();
        // v2ray loses bytes that it has just read when their connection ends: let it pass them on.
        (&tcp).write_all(b"bye").unwrap();
        expect(&ours, b"bye").unwrap();
        drop(tcp);
        assert_eq!((&ours).read(&mut [0; 1]).unwrap(), 0);
    }
    for (tcp, ours) in [through_client(), through_server()] {
        tcp.set_read_timeout(Some(PATIENCE)).unwrap();
        (&ours).write_all(b"bye").unwrap();
        expect(&tcp, b"bye").unwrap();
        let started = Instant::now();
        ours.shutdown(Shutdown::Both).unwrap();
        assert_eq!((&tcp).read(&mut [0; 1]).unwrap(), 0);
        assert!(started.elapsed() < PROMPT, "{:?}", started.elapsed());
        // A v2ray that closes in answer acknowledges the last bytes only with its Terminate.
        ours.close().unwrap();
        assert!(started.elapsed() < V2RAY_CLOSE, "{:?}", started.elapsed());
    }
}

#[test]
fn a_v2ray_that_does_not_trust_us_is_an_error_of_that_stream() {
    let settings = json!({ "serverName": NAME }); // nobody vouches for our certificate
    let plain = Link::new(Header::None, None);
    let (doubting, trusting) = (
        plain.clone().with_tls(&settings),
        plain.with_tls(&v2ray_client()),
    );
    let listener = listen(&doubting);
    let address = listener.local_addr().unwrap();
    let (_v2ray, entries) = V2ray::client(&[(doubting, address), (trusting, address)]);

    let mut refusing = TcpStream::connect(entries[0]).unwrap();
    refusing.write_all(b"hello").unwrap();
    let (stream, _) = listener.accept_timeout(PATIENCE).unwrap();
    stream.get_ref().set_read_timeout(Some(PATIENCE)).unwrap();
    let error = (&stream).read(&mut [0; 1]).unwrap_err();
    println!("{error}");
    assert!(
        error
            .to_string()
            .starts_with("TLS handshake failed: received fatal alert: "),
        "{error}"
    );

    serve(&listener, Service::Echo);
    let good = TcpStream::connect(entries[1]).unwrap();
    assert!(exchange::echo(&good, &PAYLOAD[..10_000]).is_ok());
    let stats = listener.tls_stats();
    assert_eq!(
        (stats.handshakes_failed, stats.handshakes_completed),
        (1, 1)
    );
    listener.close();
}

#[test]
fn a_v2ray_that_we_do_not_trust_is_an_error_that_says_so() {
    let link = Link::new(Header::None, None).with_tls(&v2ray_server());
    let (_v2ray, addresses) = V2ray::server(&[(link.clone(), Service::Echo.over_tcp())]);
    let stream = Stream::connect_with(addresses[0], &link.config()).unwrap();
    let config = tls::client_config(RootCertStore::empty()).unwrap();
    let stream = tls::connect(stream, config, NAME.try_into().unwrap()).unwrap();
    let error = (&stream).write(b"hello").unwrap_err();
    println!("{error}");
    let expected = "TLS handshake failed: invalid peer certificate: UnknownIssuer";
    assert!(error.to_string().starts_with(expected), "{error}");

    let good = connect(addresses[0], &link);
    assert!(exchange::echo(&good, &PAYLOAD[..10_000]).is_ok());
}

#[test]
fn a_peer_without_tls_is_an_error_that_says_so() {
    // We speak TLS to a v2ray that does not.
    let link = Link::new(Header::None, None);
    let (_v2ray, addresses) = V2ray::server(&[(link.clone(), Service::Echo.over_tcp())]);
    let stream = connect(addresses[0], &link);
    let error = stream.handshake().unwrap_err();
    println!("{error}");
    assert!(
        error.to_string().starts_with("TLS handshake failed: "),
        "{error}"
    );

    // And it speaks plainly to us.
    let listener = listen(&link);
    let (_v2ray, entries) = V2ray::client(&[(link, listener.local_addr().unwrap())]);
    let mut plain = TcpStream::connect(entries[0]).unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\n").unwrap();
    let (stream, _) = listener.accept_timeout(PATIENCE).unwrap();
    let error = (&stream).read(&mut [0; 1]).unwrap_err();
    println!("{error}");
    assert!(
        error.to_string().starts_with("TLS handshake failed: "),
        "{error}"
    );
    assert_eq!(listener.tls_stats().handshakes_failed, 1);
}
