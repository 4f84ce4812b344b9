//! A v2ray client behind a NAT that forgets its mapping in the midst of a download.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    thread,
    time::Duration,
};

use mkcp::{Endpoint, Header, Listener};

use crate::{
    exchange::{self, Service},
    link::Link,
    nat::Nat,
    payload::PAYLOAD,
    v2ray::V2ray,
};

/// After so many bytes of a download.
const FORGETS_AFTER: usize = 2_000_000;
/// For how long nothing comes before a download counts as dead.
const SILENCE: Duration = Duration::from_secs(5);

/// A v2ray client behind a NAT, and our server.
struct Setup {
    _v2ray: V2ray,
    nat: Nat,
    listener: Listener,
    entry: SocketAddr,
}

impl Setup {
    fn new(migration: bool) -> Self {
        let link = Link::new(Header::Srtp, Some("correct horse"));
        let builder = Endpoint::builder().config(link.config());
        let endpoint = builder.migration(migration).bind("127.0.0.1:0").unwrap();
        let listener = endpoint.listen().unwrap();
        let acceptor = listener.try_clone().unwrap();
        thread::spawn(move || {
            for stream in acceptor.incoming().map_while(Result::ok) {
                thread::spawn(move || Service::Source.serve(&stream));
            }
        });
        let nat = Nat::towards(listener.local_addr().unwrap(), FORGETS_AFTER);
        let (v2ray, entries) = V2ray::client(&[(link, nat.address)]);
        Self {
            _v2ray: v2ray,
            nat,
            listener,
            entry: entries[0],
        }
    }
}

impl Drop for Setup {
    fn drop(&mut self) {
        self.listener.close();
    }
}

#[test]
fn v2ray_goes_on_downloading_after_its_mapping_was_forgotten() {
    let setup = Setup::new(true);
    exchange::run("v2ray to us, with a new mapping", || {
        exchange::download(&TcpStream::connect(setup.entry)?, &PAYLOAD)
    });
    let stats = setup.listener.stats();
    assert!(stats.sessions_migrated >= 1);
    println!(
        "the session moved {} times, to {}",
        stats.sessions_migrated,
        setup.nat.outside()
    );
}

/// What the one above would look like without migration.
#[test]
fn without_migration_the_download_comes_to_an_end() {
    let setup = Setup::new(false);
    let mut socket = TcpStream::connect(setup.entry).unwrap();
    socket.set_read_timeout(Some(SILENCE)).unwrap();
    socket.write_all(b"?").unwrap();
    let mut received = 0;
    let mut buffer = vec![0; 64 * 1024];
    let end = loop {
        match socket.read(&mut buffer) {
            Ok(0) => break "closed".to_owned(),
            Ok(count) => received += count,
            Err(error) => break error.kind().to_string(),
        }
    };
    println!("without migration: {received} bytes, then {end}");
    assert!(received < PAYLOAD.len());
    assert_eq!(setup.listener.stats().sessions_migrated, 0);
}
