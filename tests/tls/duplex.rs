//! Both directions at once.

use std::{
    io::{self, ErrorKind, IoSlice, Read, Write},
    net::Shutdown,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use mkcp::{Config, tls::TlsStream};
use rand::{Rng, SeedableRng, rngs::SmallRng};

use crate::{
    pattern::pattern,
    support::{SHORT, established_pair, pair, pair_with, within_deadline},
};

const MIB: usize = 1024 * 1024;

fn read_all(mut stream: &TlsStream, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    stream.read_exact(&mut bytes).unwrap();
    bytes
}

#[test]
fn one_thread_reads_while_another_writes_on_clones() {
    within_deadline(|| {
        let (client, server) = pair();
        let (up, down) = (pattern(64 * MIB, 1), pattern(64 * MIB, 2));
        thread::scope(|scope| {
            for (stream, sends, gets) in [(&client, &up, &down), (&server, &down, &up)] {
                let writing = stream.try_clone().unwrap();
                scope.spawn(move || (&writing).write_all(sends).unwrap());
                scope.spawn(move || assert!(read_all(stream, gets.len()) == *gets));
            }
        });
    });
}

/// The server says nothing of its own accord: nobody may wait for it once the handshake is over.
#[test]
fn reader_and_writer_may_share_the_handshake() {
    within_deadline(|| {
        for _ in 0..100 {
            let (client, server) = pair();
            thread::scope(|scope| {
                scope.spawn(|| io::copy(&mut &server, &mut &server).unwrap());
                let reader = scope.spawn(|| read_all(&client, 1000));
                (&client).write_all(&[4; 1000]).unwrap();
                assert_eq!(reader.join().unwrap(), [4; 1000]);
                client.shutdown(Shutdown::Write).unwrap();
            });
        }
    });
}

/// Neither reads before it has written everything, as far as the buffers of the ends allow: so
/// they are made to hold it.
#[test]
fn both_write_all_before_either_reads() {
    within_deadline(|| {
        let config = Config::builder().read_buffer(160 * MIB).build().unwrap();
        let (client, server) = pair_with(&config);
        let (up, down) = (pattern(64 * MIB, 3), pattern(64 * MIB, 4));
        thread::scope(|scope| {
            for (mut stream, sends, gets) in [(&client, &up, &down), (&server, &down, &up)] {
                scope.spawn(move || {
                    stream.write_all(sends).unwrap();
                    assert!(read_all(stream, gets.len()) == *gets);
                });
            }
        });
    });
}

#[test]
fn a_writer_that_waits_for_its_peer_does_not_stop_the_reader() {
    within_deadline(|| {
        let (client, server) = established_pair();
        let (full, is_full) = mpsc::channel();
        let writing = client.try_clone().unwrap();
        let writer = thread::spawn(move || {
            writing.get_ref().set_write_timeout(Some(SHORT)).unwrap();
            let chunk = vec![7; MIB];
            while (&writing).write_all(&chunk).is_ok() {}
            full.send(()).unwrap();
            writing.get_ref().set_write_timeout(None).unwrap();
            (&writing).write_all(&chunk).unwrap_err().kind()
        });
        is_full.recv().unwrap();
        for round in 0..100_u8 {
            (&server).write_all(&[round; 1000]).unwrap();
            assert_eq!(read_all(&client, 1000), [round; 1000]);
        }
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(writer.join().unwrap(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn many_readers_and_writers_share_a_stream() {
    within_deadline(|| {
        let (client, server) = pair();
        let total = 8 * 200 * 1000;
        thread::scope(|scope| {
            for mark in 0..8_u8 {
                let mut stream = &client;
                scope.spawn(move || {
                    for _ in 0..200 {
                        stream.write_all(&[mark; 1000]).unwrap();
                    }
                });
            }
            let (count, counted) = mpsc::channel();
            for _ in 0..4 {
                let (mut stream, count) = (&server, count.clone());
                scope.spawn(move || {
                    let mut buffer = [0; 3000];
                    loop {
                        let got = stream.read(&mut buffer).unwrap();
                        count.send(got).unwrap();
                        if got == 0 {
                            return;
                        }
                    }
                });
            }
            drop(count);
            let mut received = 0;
            for got in counted {
                received += got;
                if received == total {
                    client.shutdown(Shutdown::Write).unwrap();
                }
            }
            assert_eq!(received, total);
        });
    });
}

#[test]
fn vectored_writes_take_all_slices() {
    within_deadline(|| {
        let (client, server) = pair();
        let reader = thread::spawn(move || read_all(&server, 6));
        let slices = [
            IoSlice::new(b"abc"),
            IoSlice::new(b""),
            IoSlice::new(b"def"),
        ];
        assert_eq!((&client).write_vectored(&slices).unwrap(), 6);
        assert_eq!(reader.join().unwrap(), b"abcdef");
        assert_eq!((&client).write(&[]).unwrap(), 0);
        assert_eq!((&client).read(&mut []).unwrap(), 0);
    });
}

#[test]
fn deadlines_pass_and_do_no_harm() {
    within_deadline(|| {
        let (client, server) = established_pair();
        client.get_ref().set_read_timeout(Some(SHORT)).unwrap();
        let started = Instant::now();
        let error = (&client).read(&mut [0; 8]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert!(started.elapsed() >= SHORT);
        (&server).write_all(b"late").unwrap();
        assert_eq!(read_all(&client, 4), b"late");

        client.get_ref().set_write_timeout(Some(SHORT)).unwrap();
        let chunk = vec![1; MIB];
        let mut written = 0;
        let error = loop {
            match (&client).write(&chunk) {
                Ok(count) => written += count,
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        client.shutdown(Shutdown::Write).unwrap();
        let mut rest = Vec::new();
        (&server).read_to_end(&mut rest).unwrap();
        assert!(rest.iter().all(|&byte| byte == 1));
        assert_eq!(rest.len(), written);
    });
}

#[test]
fn a_nonblocking_stream_never_waits() {
    within_deadline(|| {
        let (client, server) = pair();
        for stream in [&client, &server] {
            stream.get_ref().set_nonblocking(true).unwrap();
        }
        let would_block = |result: io::Result<usize>| match result {
            Ok(_) => false,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                true
            }
        };
        // Handshake and all, in one thread.
        let mut buffer = [0; 8];
        let mut sent = false;
        let got = loop {
            sent = sent || !would_block((&client).write(b"hello"));
            match (&server).read(&mut buffer) {
                Ok(count) => break count,
                error => assert!(would_block(error)),
            }
            thread::yield_now();
        };
        assert_eq!(&buffer[..got], b"hello");
        assert!(would_block((&server).read(&mut buffer)));
        let chunk = vec![1; MIB];
        while !would_block((&client).write(&chunk)) {}
    });
}

/// Everything at once, by threads that choose at random: nothing hangs and nothing panics.
#[test]
fn clones_may_do_anything_at_any_time() {
    for seed in 0..40 {
        within_deadline(move || {
            println!("seed {seed}");
            let (client, server) = pair();
            thread::scope(|scope| {
                for (side, stream) in [client, server].iter().enumerate() {
                    for number in 0..4 {
                        let clone = stream.try_clone().unwrap();
                        let rng = SmallRng::seed_from_u64(seed << 8 | (side as u64) << 4 | number);
                        scope.spawn(move || do_anything(clone, rng));
                    }
                }
            });
        });
    }
}

fn do_anything(mut stream: TlsStream, mut rng: SmallRng) {
    let mut buffer = vec![0; 70_000];
    let patience = Some(Duration::from_millis(20));
    stream.get_ref().set_read_timeout(patience).unwrap();
    stream.get_ref().set_write_timeout(patience).unwrap();
    for _ in 0..30 {
        let count = rng.random_range(1..buffer.len());
        let some_time = Some(Duration::from_millis(rng.random_range(1..50)));
        // Errors are what most of this gives in the end.
        match rng.random_range(0..100) {
            0..40 => drop(stream.read(&mut buffer[..count])),
            40..80 => drop(stream.write(&buffer[..count])),
            80..84 => drop(stream.peek(&mut buffer[..count])),
            84..90 => drop(stream.refresh_traffic_keys()),
            90..93 => stream.get_ref().set_read_timeout(some_time).unwrap(),
            93..96 => stream.get_ref().set_write_timeout(some_time).unwrap(),
            96 => stream.get_ref().set_nonblocking(rng.random()).unwrap(),
            97 => drop(stream.shutdown(Shutdown::Write)),
            98 => drop(stream.shutdown(Shutdown::Read)),
            _ => drop(stream.tls_info()),
        }
    }
    if rng.random_bool(0.3) {
        stream.get_ref().set_linger(patience).unwrap();
        let _ = stream.close();
    }
}
