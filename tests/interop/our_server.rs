//! The real v2ray as client, this library as server.

use std::{
    io,
    net::{SocketAddr, TcpStream},
    thread,
};

use mkcp::Listener;

use crate::{
    exchange::{self, Service},
    link::Link,
    payload::PAYLOAD,
    v2ray::V2ray,
};

/// A v2ray client in front of one server of ours per link.
struct Setup {
    _v2ray: V2ray,
    listeners: Vec<Listener>,
    entries: Vec<(Link, SocketAddr)>,
}

impl Setup {
    fn new(links: Vec<Link>, service: Service) -> Self {
        let listeners: Vec<_> = links.iter().map(|link| service.over_mkcp(link)).collect();
        let address = |listener: &Listener| listener.local_addr().unwrap();
        let servers: Vec<_> = links
            .into_iter()
            .zip(listeners.iter().map(address))
            .collect();
        let (v2ray, addresses) = V2ray::client(&servers);
        let links = servers.into_iter().map(|(link, _)| link);
        Self {
            _v2ray: v2ray,
            listeners,
            entries: links.zip(addresses).collect(),
        }
    }
}

impl Drop for Setup {
    fn drop(&mut self) {
        self.listeners.iter().for_each(Listener::close);
    }
}

fn on_each_link(
    links: Vec<Link>,
    service: Service,
    transfer: fn(&TcpStream, &[u8]) -> io::Result<()>,
) {
    let setup = Setup::new(links, service);
    exchange::in_two_lanes(&setup.entries, |(link, address)| {
        exchange::run(&format!("v2ray to us, {link}"), || {
            transfer(&TcpStream::connect(address)?, &PAYLOAD)
        });
    });
}

#[test]
fn v2ray_gets_its_bytes_back_with_every_header_and_seed() {
    on_each_link(Link::all(), Service::Echo, exchange::echo);
}

#[test]
fn v2ray_uploads() {
    on_each_link(Link::two(), Service::Sink, exchange::upload);
}

#[test]
fn v2ray_downloads() {
    on_each_link(Link::two(), Service::Source, exchange::download);
}

#[test]
fn v2ray_opens_ten_connections_at_once() {
    let setup = Setup::new(Link::two(), Service::Echo);
    for (link, address) in &setup.entries {
        thread::scope(|scope| {
            for number in 0..10 {
                let payload = &PAYLOAD[number * 100_000..][..1 << 20];
                let name = format!("v2ray to us, {link}, connection {number}");
                scope.spawn(move || {
                    exchange::run(&name, || {
                        exchange::echo(&TcpStream::connect(address)?, payload)
                    });
                });
            }
        });
    }
}
