//! Every interleaving of an application and a worker at one session, explored by loom: no wake-up
//! is lost, nobody is stuck, and the bell is not rung twice for one look.
//!
//! `RUSTFLAGS="--cfg loom" cargo test --lib --release interleavings`

use loom::{
    sync::{Condvar, Mutex as LoomMutex},
    thread,
};

use super::*;
use crate::sync::{Event, Readiness};

/// Stands for the shard's inbox: the worker sleeps on it, and nothing else wakes it.
#[derive(Debug, Default)]
struct Inbox {
    rings: LoomMutex<usize>,
    rung: Condvar,
}

impl Doorbell for Inbox {
    fn ring(&self, _slot: Slot) {
        *self.rings.lock().unwrap() += 1;
        self.rung.notify_one();
    }
}

impl Inbox {
    fn wait(&self) {
        let mut rings = self.rings.lock().unwrap();
        while *rings == 0 {
            rings = self.rung.wait(rings).unwrap();
        }
        assert_eq!(*rings, 1, "rung again before the worker has looked");
        *rings = 0;
    }
}

/// A session whose pipes hold this many bytes in each direction.
fn session(capacity: usize) -> (Arc<SessionHandle>, Arc<Inbox>) {
    let inbox = Arc::<Inbox>::default();
    let addresses = Addresses {
        local: ([127, 0, 0, 1], 1).into(),
        peer: ([127, 0, 0, 1], 2).into(),
    };
    let doorbell: Arc<dyn Doorbell> = inbox.clone();
    let memory = Memory::new(usize::MAX);
    let mut handle = SessionHandle::new(0, addresses, &Config::default(), &memory, doorbell);
    handle.set_place(Slot::new(0, 0));
    let unshared = Arc::get_mut(&mut handle).unwrap();
    unshared.send = SendPipe::new(capacity, memory.clone());
    unshared.receive = ReceivePipe::new(capacity, memory);
    (handle, inbox)
}

fn write(handle: &SessionHandle) {
    assert_eq!(handle.write(&[IoSlice::new(b"x")]).unwrap(), 1);
}

fn read(handle: &SessionHandle) -> usize {
    let mut buffer = [0];
    handle.read(&mut [IoSliceMut::new(&mut buffer)]).unwrap()
}

/// A worker's look at its session after the bell.
fn pull(handle: &SessionHandle, inbox: &Inbox) -> usize {
    inbox.wait();
    look(handle)
}

fn look(handle: &SessionHandle) -> usize {
    handle.take_wishes();
    handle.send_pipe().pull(|queue| {
        let count = queue.len();
        queue.consume(count);
        count
    })
}

#[test]
fn every_write_reaches_the_worker() {
    loom::model(|| {
        let (handle, inbox) = session(8);
        let writers: Vec<_> = (0..2)
            .map(|_| {
                let handle = handle.clone();
                thread::spawn(move || write(&handle))
            })
            .collect();
        let mut pulled = 0;
        while pulled < 2 {
            pulled += pull(&handle, &inbox);
        }
        writers.into_iter().for_each(|it| it.join().unwrap());
    });
}

#[test]
fn a_write_reaches_the_worker_that_takes_the_session_up_meanwhile() {
    loom::model(|| {
        let (handle, inbox) = session(8);
        handle.place.store(NOWHERE, Ordering::Relaxed);
        let writer = {
            let handle = handle.clone();
            thread::spawn(move || write(&handle))
        };
        handle.set_place(Slot::new(0, 0));
        let mut pulled = look(&handle);
        while pulled < 1 {
            pulled += pull(&handle, &inbox);
        }
        writer.join().unwrap();
    });
}

#[test]
fn a_writer_at_a_full_pipe_goes_on() {
    loom::model(|| {
        let (handle, inbox) = session(1);
        let writer = {
            let handle = handle.clone();
            thread::spawn(move || (0..3).for_each(|_| write(&handle)))
        };
        let mut pulled = 0;
        while pulled < 3 {
            pulled += pull(&handle, &inbox);
        }
        writer.join().unwrap();
    });
}

#[test]
fn a_worker_at_a_full_pipe_goes_on() {
    loom::model(|| {
        let (handle, inbox) = session(1);
        let reader = {
            let handle = handle.clone();
            thread::spawn(move || (0..3).for_each(|_| assert_eq!(read(&handle), 1)))
        };
        let mut left: &[u8] = b"xxx";
        loop {
            left = &left[handle.receive_pipe().push(left)..];
            if left.is_empty() {
                break;
            }
            inbox.wait();
            handle.take_wishes();
        }
        reader.join().unwrap();
    });
}

#[test]
fn one_arrival_serves_all_readers_that_it_has_bytes_for() {
    loom::model(|| {
        let (handle, _inbox) = session(8);
        let readers: Vec<_> = (0..2)
            .map(|_| {
                let handle = handle.clone();
                thread::spawn(move || read(&handle))
            })
            .collect();
        handle.receive_pipe().push(b"xx");
        for reader in readers {
            assert_eq!(reader.join().unwrap(), 1);
        }
    });
}

#[test]
fn a_failure_reaches_a_reader_and_a_closer() {
    loom::model(|| {
        let (handle, _inbox) = session(8);
        let (reader, closer) = (handle.clone(), handle.clone());
        let reader = thread::spawn(move || reader.peek(&mut [0]).is_err());
        let closer = thread::spawn(move || closer.wait_closed().is_err());
        handle.fail(ConnectionError::Internal);
        assert!(reader.join().unwrap());
        assert!(closer.join().unwrap());
    });
}

#[test]
fn what_arrives_while_a_selector_is_asked_is_told_once() {
    loom::model(|| {
        let (handle, _inbox) = session(8);
        let worker = {
            let handle = handle.clone();
            thread::spawn(move || handle.receive_pipe().push(b"x"))
        };
        let (events, event) = (Arc::default(), Event::new(1, Readiness::Readable));
        handle.receive_pipe().watch(&events, event);
        let mut taken = Vec::new();
        events.take(None, &mut taken);
        assert_eq!(taken, [event]);
        assert_eq!(read(&handle), 1);
        assert_eq!(worker.join().unwrap(), 1);
    });
}
