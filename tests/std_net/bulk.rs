//! Much, and many at once.

use std::{
    io::{self, Read, Write},
    net::Shutdown,
    thread,
};

use crate::{
    pattern::pattern,
    transport::{Listener, Stream, Transport},
};

pub fn two_threads_share_a_stream<T: Transport>() {
    let (client, server) = T::pair();
    let echo = server.try_clone().unwrap();
    let sent = pattern(500_000, 4);
    thread::scope(|scope| {
        scope.spawn(|| {
            let copied = io::copy(&mut server.shared(), &mut echo.shared());
            assert_eq!(copied.unwrap(), 500_000);
        });
        let writer = scope.spawn(|| client.shared().write_all(&sent));
        let mut received = vec![0; sent.len()];
        client.shared().read_exact(&mut received).unwrap();
        writer.join().unwrap().unwrap();
        assert!(received == sent, "the bytes differ");
        client.shutdown(Shutdown::Both).unwrap();
    });
}

pub fn long_transfers_in_both_directions_at_once<T: Transport>() {
    const LENGTH: usize = 8 * 1024 * 1024;
    let (client, server) = T::pair();
    let (up, down) = (pattern(LENGTH, 5), pattern(LENGTH, 6));
    thread::scope(|scope| {
        scope.spawn(|| client.shared().write_all(&up).unwrap());
        scope.spawn(|| server.shared().write_all(&down).unwrap());
        let (up, server) = (&up, &server);
        scope.spawn(move || {
            let mut received = vec![0; LENGTH];
            server.shared().read_exact(&mut received).unwrap();
            assert!(received == *up, "the bytes differ");
        });
        let mut received = vec![0; LENGTH];
        client.shared().read_exact(&mut received).unwrap();
        assert!(received == down, "the bytes differ");
    });
}

pub fn many_streams_at_once<T: Transport>() {
    const STREAMS: u64 = 40;
    let listener = T::bind().unwrap();
    let address = listener.local_addr().unwrap();
    thread::scope(|scope| {
        for salt in 0..STREAMS {
            scope.spawn(move || {
                let mut client = T::connect(address).unwrap();
                let sent = pattern(20_000, salt);
                client.write_all(&sent).unwrap();
                let mut received = vec![0; sent.len()];
                client.read_exact(&mut received).unwrap();
                assert!(received == sent, "the bytes differ");
            });
        }
        for server in listener.incoming().take(STREAMS as usize) {
            let server = server.unwrap();
            scope.spawn(move || io::copy(&mut server.shared(), &mut server.shared()).unwrap());
        }
    });
}
