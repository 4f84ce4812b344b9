//! Few threads for many streams, for which `std` has no counterpart.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::Shutdown,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Instant,
};

use mkcp::{Config, Event, Listener, Readiness, Selector, Stream};

use crate::{
    pattern::pattern,
    support::{DEADLINE, SHORT, blocked, eventually, kind, within_deadline},
    transport::Mkcp,
    writing::fill,
};

/// Two ends that do not wait.
fn pair() -> (Stream, Stream) {
    let (one, other) = Stream::pair(&Config::default()).unwrap();
    one.set_nonblocking(true).unwrap();
    other.set_nonblocking(true).unwrap();
    (one, other)
}

/// What is told within the deadline, as keys and what they are ready for.
fn told(selector: &Selector) -> Vec<(usize, Readiness)> {
    let mut events = Vec::new();
    selector.wait(&mut events, Some(DEADLINE));
    events
        .iter()
        .map(|event| (event.key, event.readiness))
        .collect()
}

fn is_silent(selector: &Selector) -> bool {
    let mut events = Vec::new();
    let started = Instant::now();
    selector.wait(&mut events, Some(SHORT));
    assert!(!events.is_empty() || started.elapsed() >= SHORT);
    events.is_empty()
}

#[test]
fn what_can_be_read_is_told_once() {
    within_deadline(|| {
        let (selector, (mut one, mut other)) = (Selector::new(), pair());
        selector.watch_readable(&one, 7);
        assert!(is_silent(&selector));
        other.write_all(b"a").unwrap();
        assert_eq!(told(&selector), [(7, Readiness::Readable)]);
        other.write_all(b"b").unwrap();
        assert!(is_silent(&selector), "told twice");
        selector.watch_readable(&one, 8);
        assert_eq!(
            told(&selector),
            [(8, Readiness::Readable)],
            "not told of what is there"
        );
        eventually(|| (one.peek(&mut [0; 2]).unwrap() == 2).then_some(()));
        one.read_exact(&mut [0; 2]).unwrap();
        selector.watch_readable(&one, 9);
        assert!(is_silent(&selector));
    });
}

#[test]
fn what_can_be_written_is_told_once_there_is_room() {
    within_deadline(|| {
        let (selector, (mut one, mut other)) = (Selector::new(), pair());
        selector.watch_writable(&one, 1);
        assert_eq!(told(&selector), [(1, Readiness::Writable)]);
        one.set_nonblocking(false).unwrap();
        fill::<Mkcp>(&one);
        one.set_nonblocking(true).unwrap();
        loop {
            selector.watch_writable(&one, 2);
            if is_silent(&selector) {
                break;
            }
            // Threads that stood still have gone on.
            while one.write(&[0; 1000]).is_ok() {}
        }
        let written = one.stats().bytes_written as usize;
        other.set_nonblocking(false).unwrap();
        other.read_exact(&mut vec![0; written]).unwrap();
        assert_eq!(told(&selector), [(2, Readiness::Writable)]);
        assert!(one.write(b"more").unwrap() > 0);
    });
}

/// Ends a stream, or what is its peer's; gives the peer if it is still there.
type End = fn(&Stream, Stream) -> Option<Stream>;

#[test]
fn ends_and_errors_are_told_in_both_directions() {
    within_deadline(|| {
        let selector = Selector::new();
        let ends: [(End, Option<ErrorKind>); 4] = [
            (|_, peer| peer.close().err().and(None), None),
            (
                |_, peer| {
                    peer.reset();
                    Some(peer)
                },
                Some(ErrorKind::ConnectionReset),
            ),
            (
                |ours, peer| ours.shutdown(Shutdown::Both).map(|()| peer).ok(),
                None,
            ),
            (
                |ours, peer| {
                    ours.reset();
                    Some(peer)
                },
                Some(ErrorKind::BrokenPipe),
            ),
        ];
        for (key, (end, expected)) in ends.into_iter().enumerate() {
            let (ours, peer) = pair();
            selector.watch_readable(&ours, key);
            assert!(is_silent(&selector));
            let peer = end(&ours, peer);
            assert_eq!(told(&selector), [(key, Readiness::Readable)]);
            let result = (&ours).read(&mut [0]);
            match expected {
                None => assert_eq!(result.unwrap(), 0),
                Some(expected) => assert_eq!(kind(result), expected, "{key}"),
            }
            selector.watch_writable(&ours, key);
            assert_eq!(told(&selector), [(key, Readiness::Writable)]);
            drop(peer);
        }
    });
}

#[test]
fn what_is_not_watched_any_more_is_not_told() {
    within_deadline(|| {
        let (selector, (one, mut other)) = (Selector::new(), pair());
        selector.watch_readable(&one, 1);
        selector.unwatch(&one);
        other.write_all(b"a").unwrap();
        eventually(|| one.peek(&mut [0]).ok());
        assert!(is_silent(&selector));
        selector.watch_readable(&one, 2);
        selector.unwatch(&one);
        assert!(
            is_silent(&selector),
            "told of what was put on the list before"
        );
        Selector::new().unwatch(&one);
        selector.watch_readable(&one, 3);
        Selector::new().unwatch(&one);
        assert_eq!(told(&selector), [(3, Readiness::Readable)], "another's");

        selector.watch_readable(&one, 4);
        selector.watch_writable(&one, 5);
        drop(one);
        assert!(is_silent(&selector), "told of a stream that is gone");

        let listener = Listener::bind("127.0.0.1:0").unwrap();
        selector.watch_listener(&listener, 6);
        selector.unwatch_listener(&listener);
        let _client = Stream::connect(listener.local_addr().unwrap()).unwrap();
        (&_client).write_all(b"a").unwrap();
        assert!(is_silent(&selector));
        selector.watch_listener(&listener, 7);
        drop(listener);
        assert!(is_silent(&selector), "told of a listener that is gone");
    });
}

#[test]
fn each_watch_is_told_of_once_and_a_few_hundred_at_a_time() {
    const STREAMS: usize = 300;
    within_deadline(|| {
        let selector = Selector::new();
        let pairs: Vec<_> = (0..STREAMS).map(|_| pair()).collect();
        for _ in 0..3 {
            for (key, (stream, _)) in pairs.iter().enumerate() {
                selector.watch_writable(stream, key);
            }
        }
        let (mut keys, mut batches) = (Vec::new(), 0);
        while keys.len() < STREAMS {
            let some = told(&selector);
            assert!(!some.is_empty());
            keys.extend(some.iter().map(|(key, _)| *key));
            batches += 1;
        }
        assert!(batches > 1, "one thread would get all");
        assert!(keys.into_iter().eq(0..STREAMS), "the oldest first");
        assert!(is_silent(&selector));
    });
}

#[test]
fn a_listener_is_told_of_like_a_stream() {
    within_deadline(|| {
        let selector = Selector::new();
        let listener = Listener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        selector.watch_listener(&listener, 5);
        assert!(is_silent(&selector));
        let _client = Stream::connect(listener.local_addr().unwrap()).unwrap();
        assert_eq!(told(&selector), [(5, Readiness::Readable)]);
        listener.accept().unwrap();
        assert_eq!(kind(listener.accept()), ErrorKind::WouldBlock);
        selector.watch_listener(&listener, 6);
        assert!(is_silent(&selector));
        listener.close();
        assert_eq!(told(&selector), [(6, Readiness::Readable)]);
        assert_eq!(kind(listener.accept()), ErrorKind::NotConnected);
    });
}

#[test]
fn the_selector_that_was_asked_last_is_told() {
    within_deadline(|| {
        let (first, second, (one, mut other)) = (Selector::new(), Selector::new(), pair());
        first.watch_readable(&one, 1);
        second.watch_readable(&one, 2);
        other.write_all(b"a").unwrap();
        assert_eq!(told(&second), [(2, Readiness::Readable)]);
        assert!(is_silent(&first));
    });
}

#[test]
fn as_many_waits_end_as_are_told_to() {
    within_deadline(|| {
        let (selector, (one, _other)) = (Selector::new(), pair());
        let wait = || told(&selector);
        assert_eq!(blocked(wait, || selector.notify()), []);
        selector.notify();
        selector.watch_writable(&one, 1);
        assert_eq!(told(&selector), [], "whatever there is to tell");
        assert_eq!(told(&selector), [(1, Readiness::Writable)]);
        assert!(is_silent(&selector));
        thread::scope(|scope| {
            let threads: Vec<_> = (0..3).map(|_| scope.spawn(wait)).collect();
            (0..3).for_each(|_| selector.notify());
            for thread in threads {
                assert_eq!(thread.join().unwrap(), []);
            }
        });
    });
}

#[test]
fn a_blocked_reader_and_a_selector_are_both_woken() {
    within_deadline(|| {
        let (selector, (one, mut other)) = (Selector::new(), pair());
        one.set_nonblocking(false).unwrap();
        selector.watch_readable(&one, 1);
        let read = || (&one).read(&mut [0]);
        assert_eq!(blocked(read, || other.write_all(b"a").unwrap()).unwrap(), 1);
        assert_eq!(told(&selector), [(1, Readiness::Readable)]);
    });
}

/// Answers what is there.
fn echo(mut stream: &Stream) -> io::Result<()> {
    let mut buffer = [0; 1000];
    loop {
        match stream.read(&mut buffer) {
            // Little enough to be taken whole.
            Ok(count) => stream.write_all(&buffer[..count])?,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

/// Each of the threads answers whoever is ready, and none is forgotten.
#[test]
fn two_threads_serve_a_hundred_streams() {
    const STREAMS: usize = 100;
    const ROUNDS: usize = 20;
    within_deadline(|| {
        let (selector, is_over) = (Selector::new(), AtomicBool::new(false));
        let (ours, mut theirs): (Vec<_>, Vec<_>) = (0..STREAMS).map(|_| pair()).unzip();
        for (key, stream) in ours.iter().enumerate() {
            selector.watch_readable(stream, key);
        }
        let serve = || -> io::Result<()> {
            let mut events = Vec::new();
            while !is_over.load(Ordering::SeqCst) {
                selector.wait(&mut events, Some(DEADLINE));
                for &Event { key, .. } in &events {
                    echo(&ours[key])?;
                    selector.watch_readable(&ours[key], key);
                }
            }
            Ok(())
        };
        thread::scope(|scope| {
            let threads = [scope.spawn(serve), scope.spawn(serve)];
            for stream in &theirs {
                stream.set_nonblocking(false).unwrap();
            }
            for round in 0..ROUNDS {
                let sent = pattern(500, round as u64);
                for stream in &mut theirs {
                    stream.write_all(&sent).unwrap();
                }
                for stream in &mut theirs {
                    let mut received = [0; 500];
                    stream.read_exact(&mut received).unwrap();
                    assert_eq!(received[..], sent);
                }
            }
            is_over.store(true, Ordering::SeqCst);
            threads.iter().for_each(|_| selector.notify());
            for thread in threads {
                thread.join().unwrap().unwrap();
            }
        });
    });
}

/// A selector can be shared by threads, and sent to them.
#[test]
fn selectors_belong_to_no_thread() {
    fn is_shared<T: Send + Sync + Clone>() {}
    is_shared::<Selector>();
}
