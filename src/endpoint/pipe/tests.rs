//! What pipes promise: the right bytes, bounds, and that nobody waits in vain.

use std::{
    io::{self, IoSlice, IoSliceMut},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use super::{LONGEST_COPY, ReceivePipe, SendPipe};
use crate::{
    endpoint::memory::{Holding, LEAST, Memory},
    error::ConnectionError,
    sync::Patience,
};

/// Long enough for any thread to get its turn; reached only when a test fails.
const DEADLINE: Duration = Duration::from_secs(10);
/// Long enough to be measured, short enough to wait for.
const SHORT: Duration = Duration::from_millis(20);

fn send_pipe(capacity: usize) -> SendPipe {
    SendPipe::new(capacity, Memory::new(usize::MAX))
}

fn receive_pipe(capacity: usize) -> ReceivePipe {
    ReceivePipe::new(capacity, Memory::new(usize::MAX))
}

fn write(pipe: &SendPipe, data: &[u8]) -> io::Result<usize> {
    pipe.write(&[IoSlice::new(data)])
}

fn read(pipe: &ReceivePipe, limit: usize) -> io::Result<Vec<u8>> {
    let mut buffer = vec![0; limit];
    let count = pipe
        .read(Patience::AsSet, &mut [IoSliceMut::new(&mut buffer)])?
        .count;
    buffer.truncate(count);
    Ok(buffer)
}

fn pull_all(pipe: &SendPipe) -> Vec<u8> {
    pull(pipe, usize::MAX)
}

fn pull(pipe: &SendPipe, most: usize) -> Vec<u8> {
    let mut pulled = Vec::new();
    pipe.pull(|queue| {
        pulled = vec![0; queue.len().min(most)];
        queue.copy_to(&mut [IoSliceMut::new(&mut pulled)], most);
        queue.consume(most);
        pulled.len()
    });
    pulled
}

fn kind<T: std::fmt::Debug>(result: io::Result<T>) -> io::ErrorKind {
    result.unwrap_err().kind()
}

/// Runs `call` on a thread, lets it block, applies `change`, and returns what the call gave.
fn blocked<T: Send>(call: impl FnOnce() -> T + Send, change: impl FnOnce()) -> T {
    let (sender, receiver) = mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(move || sender.send(call()));
        assert!(receiver.recv_timeout(SHORT).is_err(), "did not block");
        change();
        receiver.recv_timeout(DEADLINE).expect("was not woken")
    })
}

#[test]
fn bytes_pass_in_order_and_in_pieces() {
    let pipe = send_pipe(100);
    let count = pipe.write(&[
        IoSlice::new(b"abc"),
        IoSlice::new(b""),
        IoSlice::new(b"def"),
    ]);
    assert_eq!(count.unwrap(), 6);

    assert_eq!(pull(&pipe, 4), b"abcd");
    assert_eq!((pipe.len(), pipe.written()), (2, 6));
    assert_eq!(pull_all(&pipe), b"ef");

    let pipe = receive_pipe(100);
    assert_eq!(pipe.push(b"abcdef"), 6);
    let (mut first, mut second) = ([0; 2], [0; 10]);
    let mut buffers = [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)];
    assert_eq!(pipe.read(Patience::AsSet, &mut buffers).unwrap().count, 6);
    assert_eq!((&first, &second[..4]), (b"ab", &b"cdef"[..]));
    assert_eq!(pipe.bytes_read(), 6);
}

#[test]
fn peeked_bytes_stay() {
    let pipe = receive_pipe(100);
    pipe.push(b"abc");
    let mut buffer = [0; 2];
    assert_eq!(pipe.peek(&mut buffer).unwrap(), 2);
    assert_eq!(&buffer, b"ab");
    assert_eq!(pipe.bytes_read(), 0);
    assert_eq!(read(&pipe, 10).unwrap(), b"abc");
}

#[test]
fn a_full_pipe_takes_no_more() {
    let pipe = send_pipe(4);
    pipe.set_nonblocking(true);
    assert_eq!(write(&pipe, b"abcdef").unwrap(), 4);
    assert_eq!(kind(write(&pipe, b"g")), io::ErrorKind::WouldBlock);
    assert_eq!(write(&pipe, b"").unwrap(), 0);

    let pipe = receive_pipe(4);
    assert_eq!(pipe.push(b"abcdef"), 4);
    assert_eq!(pipe.push(b"ef"), 0);
    assert_eq!(pipe.len(), 4);
}

#[test]
fn a_narrow_pipe_grows_with_what_its_reader_takes() {
    let pipe = receive_pipe(100);
    pipe.limit_to(10);
    assert_eq!(pipe.push(&[7; 100]), 10);
    read(&pipe, 5).unwrap();
    assert_eq!(pipe.push(&[7; 100]), 35, "40, of which 5 wait");
    read(&pipe, 40).unwrap();
    assert_eq!(pipe.push(&[7; 200]), 100);

    let pipe = send_pipe(100);
    pipe.limit_to(10);
    assert_eq!(write(&pipe, &[7; 100]).unwrap(), 10);
    pipe.limit_to(usize::MAX);
    assert_eq!(write(&pipe, &[7; 100]).unwrap(), 90);
}

#[test]
fn the_worker_is_rung_when_half_is_free_and_only_if_it_waits() {
    let fetch = |pipe: &ReceivePipe, count: usize| {
        let mut buffer = vec![0; count];
        let fetched = pipe
            .read(Patience::AsSet, &mut [IoSliceMut::new(&mut buffer)])
            .unwrap();
        fetched.made_room
    };
    let pipe = receive_pipe(8);
    pipe.push(b"12345678");
    assert!(!fetch(&pipe, 8), "everything had fitted");

    pipe.push(b"12345678++");
    assert!(!fetch(&pipe, 3), "less than half is free");
    assert!(fetch(&pipe, 1), "half is free");
    assert!(!fetch(&pipe, 1), "once is enough");
}

#[test]
fn what_was_received_is_read_before_the_end_is_told() {
    let pipe = receive_pipe(100);
    pipe.push(b"tail");
    pipe.finish(Ok(()));
    pipe.finish(Err(ConnectionError::Reset));
    assert_eq!(read(&pipe, 3).unwrap(), b"tai");
    assert_eq!(read(&pipe, 3).unwrap(), b"l");
    for _ in 0..3 {
        assert_eq!(read(&pipe, 3).unwrap(), b"");
    }

    let pipe = receive_pipe(100);
    pipe.push(b"tail");
    pipe.finish(Err(ConnectionError::Reset));
    assert_eq!(pipe.error(), Some(ConnectionError::Reset));
    assert_eq!(read(&pipe, 10).unwrap(), b"tail");
    for _ in 0..3 {
        assert_eq!(kind(read(&pipe, 3)), io::ErrorKind::ConnectionReset);
    }
    assert_eq!(
        read(&pipe, 0).unwrap(),
        b"",
        "an empty read asks for nothing"
    );
}

#[test]
fn after_the_end_bytes_are_taken_and_dropped() {
    let pipe = receive_pipe(4);
    pipe.push(b"ab");
    pipe.abandon();
    assert_eq!(pipe.push(b"0123456789"), 10);
    assert_eq!(pipe.len(), 0);
    assert_eq!(read(&pipe, 4).unwrap(), b"");
}

#[test]
fn ended_writing_still_delivers_and_failed_writing_does_not() {
    let pipe = send_pipe(100);
    write(&pipe, b"last words").unwrap();
    pipe.end(ConnectionError::LocallyClosed);
    assert!(!pipe.is_finished());
    assert_eq!(kind(write(&pipe, b"more")), io::ErrorKind::BrokenPipe);
    assert_eq!(pull_all(&pipe), b"last words");
    assert!(pipe.is_finished());
    assert_eq!(pipe.loss(), None);

    let pipe = send_pipe(100);
    write(&pipe, b"last words").unwrap();
    pipe.fail(ConnectionError::Reset);
    assert_eq!(pipe.len(), 0);
    assert_eq!(kind(write(&pipe, b"more")), io::ErrorKind::ConnectionReset);
    assert_eq!(pipe.loss(), Some(ConnectionError::Reset));
}

#[test]
fn a_deadline_gives_timed_out_not_before_its_time() {
    let started = Instant::now();
    let pipe = receive_pipe(4);
    pipe.set_timeout(Some(SHORT));
    assert_eq!(kind(read(&pipe, 1)), io::ErrorKind::TimedOut);
    let pipe = send_pipe(4);
    pipe.set_timeout(Some(SHORT));
    write(&pipe, b"full").unwrap();
    assert_eq!(kind(write(&pipe, b"more")), io::ErrorKind::TimedOut);
    assert!(started.elapsed() >= 2 * SHORT);
}

#[test]
fn blocked_calls_see_bytes_room_ends_and_options() {
    let pipe = receive_pipe(4);
    let bytes = blocked(|| read(&pipe, 4), || assert_eq!(pipe.push(b"a"), 1));
    assert_eq!(bytes.unwrap(), b"a");
    let late = blocked(|| read(&pipe, 4), || pipe.set_timeout(Some(SHORT)));
    assert_eq!(kind(late), io::ErrorKind::TimedOut);
    pipe.set_timeout(None);
    let refused = blocked(|| read(&pipe, 4), || pipe.set_nonblocking(true));
    assert_eq!(kind(refused), io::ErrorKind::WouldBlock);
    pipe.set_nonblocking(false);
    let end = blocked(|| read(&pipe, 4), || pipe.finish(Ok(())));
    assert_eq!(end.unwrap(), b"");

    let pipe = send_pipe(4);
    write(&pipe, b"full").unwrap();
    let room = blocked(
        || write(&pipe, b"more"),
        || assert_eq!(pull_all(&pipe), b"full"),
    );
    assert_eq!(room.unwrap(), 4);
    let broken = blocked(
        || write(&pipe, b"more"),
        || pipe.end(ConnectionError::LocallyClosed),
    );
    assert_eq!(kind(broken), io::ErrorKind::BrokenPipe);
}

#[test]
fn a_reader_that_leaves_bytes_behind_wakes_the_next() {
    let pipe = receive_pipe(100);
    let (sender, receiver) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..4 {
            let (pipe, sender) = (&pipe, sender.clone());
            scope.spawn(move || sender.send(read(pipe, 1).unwrap()));
        }
        assert!(receiver.recv_timeout(SHORT).is_err());
        pipe.push(b"1234");
        for _ in 0..4 {
            let one = receiver
                .recv_timeout(DEADLINE)
                .expect("all readers are served");
            assert_eq!(one.len(), 1);
        }
    });
}

#[test]
fn one_call_copies_a_bounded_amount() {
    let pipe = receive_pipe(4 * LONGEST_COPY);
    assert_eq!(pipe.push(&vec![7; 3 * LONGEST_COPY]), 3 * LONGEST_COPY);
    assert_eq!(read(&pipe, 2 * LONGEST_COPY).unwrap().len(), LONGEST_COPY);
    let pipe = send_pipe(4 * LONGEST_COPY);
    let buffer = vec![7; LONGEST_COPY];
    let count = pipe.write(&[IoSlice::new(&buffer[1..]), IoSlice::new(&buffer)]);
    assert_eq!(count.unwrap(), LONGEST_COPY);
}

/// Writers, a worker that moves what they write, and a reader, all against small pipes.
#[test]
fn nothing_is_lost_or_stuck_between_threads() {
    const EACH: usize = 200_000;
    let (send, receive) = (send_pipe(1000), receive_pipe(700));
    let (doorbell, bell) = mpsc::channel();
    thread::scope(|scope| {
        for value in [1, 2] {
            let (send, doorbell) = (&send, doorbell.clone());
            scope.spawn(move || {
                let data = vec![value; 3000];
                let mut left = EACH;
                while left > 0 {
                    left -= write(send, &data[..left.min(data.len())]).unwrap();
                    doorbell.send(()).unwrap();
                }
            });
        }
        let (send, receive) = (&send, &receive);
        scope.spawn(move || {
            let mut moved = 0;
            while moved < 2 * EACH {
                bell.recv_timeout(DEADLINE)
                    .expect("the worker is not forgotten");
                moved += send.pull(|queue| {
                    let before = queue.len();
                    receive.fill(|to, room| {
                        to.append_from(queue, room, room);
                        !queue.is_empty()
                    });
                    before - queue.len()
                });
            }
            receive.finish(Ok(()));
        });
        let mut counts = [0; 3];
        receive.set_timeout(Some(DEADLINE));
        let mut buffer = [0; 999];
        loop {
            let fetched = receive
                .read(Patience::AsSet, &mut [IoSliceMut::new(&mut buffer)])
                .unwrap();
            if fetched.made_room {
                doorbell.send(()).ok();
            }
            if fetched.count == 0 {
                break;
            }
            buffer[..fetched.count]
                .iter()
                .for_each(|&byte| counts[byte as usize] += 1);
        }
        assert_eq!(counts, [0, EACH, EACH]);
    });
}

#[test]
fn of_scarce_memory_a_pipe_takes_its_share_and_always_the_least() {
    let memory = Memory::new(1_000_000);
    let mut others = Holding::new(memory.clone());
    let send = SendPipe::new(200_000, memory.clone());
    let receive = ReceivePipe::new(200_000, memory.clone());
    send.set_nonblocking(true);
    others.set(900_000);
    assert_eq!(write(&send, &[1; 10_000]).unwrap(), 10_000);
    others.set(1_100_000);
    assert_eq!(kind(write(&send, &[1; 10_000])), io::ErrorKind::WouldBlock);
    assert_eq!(receive.push(&[2; 10_000]), LEAST);
    assert_eq!(memory.held(), 1_110_000 + LEAST as u64);

    // Whoever reads has the worker bring more, and whoever is heard writes more.
    let mut buffer = [0; LEAST];
    let fetched = receive.read(Patience::AsSet, &mut [IoSliceMut::new(&mut buffer)]);
    assert!(fetched.unwrap().made_room);
    assert_eq!(pull(&send, 6_000).len(), 6_000);
    assert_eq!(send.room(), 96);
    pull_all(&send);
    assert_eq!(write(&send, &[1; 10_000]).unwrap(), LEAST);
    drop((send, receive, others));
    assert_eq!(memory.held(), 0);
}

#[test]
fn a_peek_leaves_it_to_the_next_read_to_ring_the_worker() {
    let pipe = ReceivePipe::new(100, Memory::new(usize::MAX));
    pipe.limit_to(10);
    assert_eq!(pipe.push(&[7; 20]), 10);
    // As when the peer has proven its address.
    pipe.limit_to(usize::MAX);
    assert_eq!(pipe.peek(&mut [0; 4]).unwrap(), 4);
    let mut buffer = [0; 10];
    let buffers = &mut [IoSliceMut::new(&mut buffer)];
    let fetched = pipe.read(Patience::AsSet, buffers).unwrap();
    assert_eq!((fetched.count, fetched.made_room), (10, true));
}
