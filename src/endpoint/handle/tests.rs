//! What a session's handle promises, with a doorbell that only counts.

use std::{
    io::ErrorKind,
    sync::{
        atomic::AtomicUsize,
        mpsc::{self, Receiver, Sender},
    },
    thread,
    time::Instant,
};

use super::*;

const DEADLINE: Duration = Duration::from_secs(10);
const SHORT: Duration = Duration::from_millis(20);

#[derive(Debug, Default)]
struct Bell {
    rings: AtomicUsize,
}

impl Doorbell for Bell {
    fn ring(&self, _slot: Slot) {
        self.rings.fetch_add(1, Ordering::SeqCst);
    }
}

impl Bell {
    fn take(&self) -> usize {
        self.rings.swap(0, Ordering::SeqCst)
    }
}

fn handle_with(doorbell: Arc<dyn Doorbell>) -> Arc<SessionHandle> {
    let local = "127.0.0.1:1".parse().unwrap();
    let peer = "127.0.0.1:2".parse().unwrap();
    let addresses = Addresses { local, peer };
    let memory = Memory::new(usize::MAX);
    let handle = SessionHandle::new(5, addresses, &Config::default(), &memory, doorbell);
    handle.set_place(Slot::new(3, 4));
    handle
}

fn handle() -> (Arc<SessionHandle>, Arc<Bell>) {
    let bell = Arc::<Bell>::default();
    (handle_with(bell.clone()), bell)
}

fn write(handle: &SessionHandle, data: &[u8]) -> io::Result<usize> {
    handle.write(&[IoSlice::new(data)])
}

fn read(handle: &SessionHandle) -> io::Result<Vec<u8>> {
    let mut buffer = [0; 100];
    let count = handle.read(&mut [IoSliceMut::new(&mut buffer)])?;
    Ok(buffer[..count].to_vec())
}

fn inner(error: &io::Error) -> Option<ConnectionError> {
    error.get_ref()?.downcast_ref().copied()
}

#[test]
fn the_bell_rings_once_until_the_worker_has_looked() {
    let (handle, bell) = handle();
    write(&handle, b"a").unwrap();
    write(&handle, b"b").unwrap();
    handle.set_nodelay(true);
    assert_eq!(bell.take(), 1);

    assert!(handle.take_wishes().nodelay);
    write(&handle, b"c").unwrap();
    assert_eq!(bell.take(), 1);
    write(&handle, b"").unwrap();
    handle.receive_pipe().push(b"x");
    read(&handle).unwrap();
    assert_eq!(bell.take(), 0, "nothing of interest to the worker happened");
}

#[test]
fn wishes_stay_once_they_are_made() {
    let (handle, _) = handle();
    let before = handle.take_wishes();
    assert_eq!(before.linger.get(), Config::default().linger());
    handle.shutdown(Shutdown::Read);
    assert!(handle.take_wishes().shutdown_read);
    handle.shutdown(Shutdown::Write);
    handle.set_linger(Some(SHORT));
    let wishes = handle.take_wishes();
    assert!(wishes.shutdown_read && wishes.shutdown_write);
    assert!(!wishes.released && !wishes.reset);
    assert_eq!(wishes.linger.get(), SHORT);
    assert_eq!(handle.linger(), Some(SHORT));
    handle.set_linger(None);
    assert_eq!(handle.take_wishes().linger, before.linger);
    assert_eq!(handle.linger(), None);
}

#[test]
fn shutdown_ends_what_it_names() {
    let (handle, _) = handle();
    handle.receive_pipe().push(b"received");
    handle.shutdown(Shutdown::Write);
    assert_eq!(
        write(&handle, b"x").unwrap_err().kind(),
        ErrorKind::BrokenPipe
    );
    handle.shutdown(Shutdown::Read);
    assert_eq!(read(&handle).unwrap(), b"received");
    assert_eq!(read(&handle).unwrap(), b"");
}

#[test]
fn released_sessions_still_deliver_but_hold_nothing_for_readers() {
    let (handle, bell) = handle();
    handle.receive_pipe().push(b"unread");
    write(&handle, b"last").unwrap();
    handle.take_wishes();
    bell.take();
    handle.release();
    assert!(handle.take_wishes().released);
    assert_eq!(bell.take(), 1);
    assert_eq!(handle.receive_pipe().len(), 0);
    assert_eq!(handle.send_pipe().len(), 4);
    assert!(!handle.send_pipe().is_finished());
}

#[test]
fn failure_reaches_everybody_and_carries_its_cause() {
    let (handle, _) = handle();
    handle.receive_pipe().push(b"tail");
    handle.fail(ConnectionError::EndpointClosed);
    assert_eq!(read(&handle).unwrap(), b"tail");
    for error in [
        read(&handle).unwrap_err(),
        write(&handle, b"x").unwrap_err(),
        handle.wait_closed().unwrap_err(),
        handle.wait_established(DEADLINE).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::ConnectionAborted);
        assert_eq!(inner(&error), Some(ConnectionError::EndpointClosed));
    }
}

#[test]
fn errors_are_taken_once_and_own_resets_never() {
    let (handle, _) = handle();
    assert_eq!(handle.take_error(), None);
    handle.send_pipe().fail(ConnectionError::PeerClosed);
    assert_eq!(handle.take_error(), None, "that is an orderly end");
    handle.receive_pipe().finish(Err(ConnectionError::Reset));
    assert_eq!(handle.take_error(), Some(ConnectionError::Reset));
    assert_eq!(handle.take_error(), None);
    assert!(read(&handle).is_err(), "readers get it nevertheless");

    let (handle, _) = self::handle();
    handle.receive_pipe().push(b"received before");
    handle.send_pipe().fail(ConnectionError::TimedOut);
    assert_eq!(handle.take_error(), Some(ConnectionError::TimedOut));

    let (handle, _) = self::handle();
    handle.reset();
    assert!(handle.take_wishes().reset);
    handle.set_closed(Err(ConnectionError::LocallyClosed));
    assert_eq!(handle.take_error(), None);
    assert_eq!(
        inner(&read(&handle).unwrap_err()),
        Some(ConnectionError::LocallyClosed)
    );
}

#[test]
fn close_tells_whether_everything_arrived() {
    let (handle, _) = handle();
    handle.set_flushed();
    handle.wait_closed().unwrap();

    let (handle, _) = self::handle();
    handle.set_closed(Ok(()));
    handle.wait_closed().unwrap();

    let (handle, _) = self::handle();
    write(&handle, b"never pulled").unwrap();
    handle.send_pipe().fail(ConnectionError::PeerClosed);
    handle.set_closed(Ok(()));
    let error = handle.wait_closed().unwrap_err();
    assert_eq!(inner(&error), Some(ConnectionError::PeerClosed));
}

#[test]
fn a_refusal_is_told_to_who_waits_for_an_answer() {
    let (handle, _) = handle();
    handle.receive_pipe().finish(Err(ConnectionError::Refused));
    handle.set_closed(Ok(())); // for nothing had been written
    let error = handle.wait_established(DEADLINE).unwrap_err();
    assert_eq!(inner(&error), Some(ConnectionError::Refused));
}

#[test]
fn waits_end_with_progress_or_in_time() {
    let (handle, _) = handle();
    let started = Instant::now();
    assert_eq!(
        handle.wait_established(SHORT).unwrap_err().kind(),
        ErrorKind::TimedOut
    );
    handle.set_linger(Some(SHORT));
    let error = handle.wait_closed().unwrap_err();
    assert_eq!(inner(&error), Some(ConnectionError::TimedOut));
    assert!(started.elapsed() >= 2 * SHORT);

    thread::scope(|scope| {
        let waiting = scope.spawn(|| handle.wait_established(DEADLINE));
        handle.set_established();
        waiting.join().unwrap().unwrap();
        handle.set_linger(None);
        let closing = scope.spawn(|| handle.wait_closed());
        handle.set_closed(Ok(()));
        closing.join().unwrap().unwrap();
    });
}

#[test]
fn statistics_add_what_the_pipes_know() {
    let (handle, _) = handle();
    write(&handle, b"12345").unwrap();
    handle.receive_pipe().push(b"123");
    let counters = Arc::new(Counters::default());
    handle.show(counters.clone());
    counters.set_queues(10, 20);
    counters.mishaps().beyond_window.add(7);
    let stats = handle.stats();
    assert_eq!((stats.bytes_written, stats.bytes_read), (5, 0));
    assert_eq!((stats.send_queue, stats.receive_queue), (15, 23));
    assert_eq!(stats.beyond_window, 7);
    read(&handle).unwrap();
    assert_eq!(handle.stats().bytes_read, 3);
    assert_eq!(handle.stats().receive_queue, 20);
}

/// A doorbell that wakes a worker thread, which echoes what it pulls.
#[derive(Debug)]
struct Post(Sender<Slot>);

impl Doorbell for Post {
    fn ring(&self, slot: Slot) {
        // The worker has gone: so has the session.
        let _ = self.0.send(slot);
    }
}

/// Plays the worker's part of the dirty protocol, and nothing wakes it but the bell.
fn echo(handle: &SessionHandle, bell: &Receiver<Slot>) {
    let mut held: Vec<u8> = Vec::new();
    loop {
        bell.recv_timeout(DEADLINE).expect("the bell was forgotten");
        let wishes = handle.take_wishes();
        handle.send_pipe().pull(|queue| {
            let count = queue.front().len().min(5000 - held.len());
            held.extend_from_slice(&queue.front()[..count]);
            queue.consume(count);
            count
        });
        let moved = handle.receive_pipe().push(&held);
        held.drain(..moved);
        if wishes.shutdown_write && handle.send_pipe().is_finished() && held.is_empty() {
            return handle.set_closed(Ok(()));
        }
        if moved > 0 && handle.send_pipe().len() > 0 {
            handle.ring(); // the session stays touched, as its worker would keep it
        }
    }
}

#[test]
fn no_change_is_overlooked_between_threads() {
    const BYTES: usize = 2_000_000;
    for _ in 0..3 {
        let (sender, bell) = mpsc::channel();
        let handle = handle_with(Arc::new(Post(sender)));
        handle.receive_pipe().set_timeout(Some(DEADLINE));
        handle.send_pipe().set_timeout(Some(DEADLINE));
        thread::scope(|scope| {
            let worker = Arc::clone(&handle);
            scope.spawn(move || echo(&worker, &bell));
            scope.spawn(|| {
                let mut left = BYTES;
                while left > 0 {
                    left -= write(&handle, &vec![1; left.min(1 + left % 3000)]).unwrap();
                }
                handle.shutdown(Shutdown::Write);
            });
            let mut received = 0;
            while received < BYTES {
                received += read(&handle).unwrap().len();
            }
            handle.wait_closed().unwrap();
        });
    }
}
