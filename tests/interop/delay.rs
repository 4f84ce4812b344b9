//! A path on which every datagram takes its time.

use std::{
    collections::HashMap,
    net::{SocketAddr, UdpSocket},
    sync::{
        Arc,
        mpsc::{self, Sender},
    },
    thread,
    time::{Duration, Instant},
};

/// What is sent to `address` arrives at a server half a round trip later, from a port for each
/// client, and answers likewise. Its threads run to the end of the process.
pub(crate) struct DelayedPath {
    pub(crate) address: SocketAddr,
}

impl DelayedPath {
    pub(crate) fn towards(server: SocketAddr, round_trip: Duration) -> Self {
        let delay = round_trip / 2;
        let inside = Arc::new(UdpSocket::bind("127.0.0.1:0").unwrap());
        let address = inside.local_addr().unwrap();
        thread::spawn(move || {
            let mut ways = HashMap::new();
            each_datagram(&inside.clone(), |datagram, client| {
                let way = ways.entry(client).or_insert_with(|| {
                    let outside = Arc::new(UdpSocket::bind("127.0.0.1:0").unwrap());
                    let back = carry(inside.clone(), client, delay);
                    let answers = outside.clone();
                    thread::spawn(move || {
                        each_datagram(&answers, |datagram, _| back(datagram));
                    });
                    carry(outside, server, delay)
                });
                way(datagram);
            });
        });
        Self { address }
    }
}

fn each_datagram(socket: &UdpSocket, mut take: impl FnMut(Vec<u8>, SocketAddr)) {
    let mut buffer = [0; 2048];
    while let Ok((length, from)) = socket.recv_from(&mut buffer) {
        take(buffer[..length].to_vec(), from);
    }
}

/// Sends what it is given from a socket to an address, each datagram after the delay.
fn carry(socket: Arc<UdpSocket>, to: SocketAddr, delay: Duration) -> impl Fn(Vec<u8>) {
    let (sender, datagrams): (Sender<(Instant, Vec<u8>)>, _) = mpsc::channel();
    thread::spawn(move || {
        for (due, datagram) in datagrams {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            let _ = socket.send_to(&datagram, to);
        }
    });
    move |datagram| {
        let _ = sender.send((Instant::now() + delay, datagram));
    }
}
