//! This library as client, the real v2ray as server.

use std::{io, net::SocketAddr, thread};

use mkcp::Stream;

use crate::{
    exchange::{self, Service},
    link::Link,
    payload::PAYLOAD,
    v2ray::V2ray,
};

/// A v2ray server with a TCP server behind it.
fn setup(links: Vec<Link>, service: Service) -> (V2ray, Vec<(Link, SocketAddr)>) {
    let server = service.over_tcp();
    let links: Vec<_> = links.into_iter().map(|link| (link, server)).collect();
    let (v2ray, addresses) = V2ray::server(&links);
    let links = links.into_iter().map(|(link, _)| link);
    (v2ray, links.zip(addresses).collect())
}

fn on_each_link(
    links: Vec<Link>,
    service: Service,
    transfer: fn(&Stream, &[u8]) -> io::Result<()>,
) {
    let (_v2ray, entries) = setup(links, service);
    exchange::in_two_lanes(&entries, |(link, address)| {
        exchange::run(&format!("we to v2ray, {link}"), || {
            let stream = Stream::connect_with(address, &link.config())?;
            transfer(&stream, &PAYLOAD)
        });
    });
}

#[test]
fn we_get_our_bytes_back_with_every_header_and_seed() {
    on_each_link(Link::all(), Service::Echo, exchange::echo);
}

#[test]
fn we_upload() {
    on_each_link(Link::two(), Service::Sink, exchange::upload);
}

#[test]
fn we_download() {
    on_each_link(Link::two(), Service::Source, exchange::download);
}

#[test]
fn we_open_ten_connections_at_once() {
    let (_v2ray, entries) = setup(Link::two(), Service::Echo);
    for (link, address) in &entries {
        thread::scope(|scope| {
            for number in 0..10 {
                let payload = &PAYLOAD[number * 100_000..][..1 << 20];
                let name = format!("we to v2ray, {link}, connection {number}");
                scope.spawn(move || {
                    exchange::run(&name, || {
                        let stream = Stream::connect_with(address, &link.config())?;
                        exchange::echo(&stream, payload)
                    });
                });
            }
        });
    }
}
