//! Turns of a worker without threads: a list plays the socket, the test plays the clock.

use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    net::SocketAddr,
    time::Duration,
};

use parking_lot::Mutex;
use quinn_udp::Transmit;

mod backlog;
mod both_ways;
mod closing;
mod crowd;
mod ensemble;
mod flood;
mod leaving;
mod memory;
mod migrate;
mod peers;
mod reflected;
mod restart;
mod spoofed;
mod talkers;
mod trains;

use super::*;
use crate::{
    config::Config,
    endpoint::{
        admission::{Admission, Limits},
        batch::{Datagram, Origin},
        bell::Bell,
        conversation::Conversations,
        port::Lane,
        shard::WorkerBehind,
        tombstones::Tombstones,
        transmit::SendDatagrams,
    },
    error::DropReason,
    wire::{Data, Options, Segment, Segments, SeqNum, Timestamp},
};

/// A socket that keeps what it is given, or fails as told.
#[derive(Debug, Default)]
struct Outbox {
    /// Where each train went, in the same order.
    destinations: Mutex<Vec<SocketAddr>>,
    trains: Mutex<Vec<Vec<Vec<u8>>>>,
    failures: Mutex<VecDeque<io::Error>>,
    /// Fails from now on, with the system's number of an error.
    broken: Mutex<Option<i32>>,
}

impl SendDatagrams for Outbox {
    fn send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        if let Some(error) = self.failures.lock().pop_front() {
            return Err(error);
        }
        if let Some(number) = *self.broken.lock() {
            return Err(io::Error::from_raw_os_error(number));
        }
        let size = transmit.segment_size.unwrap_or(transmit.contents.len());
        let train = transmit.contents.chunks(size).map(<[u8]>::to_vec);
        self.trains.lock().push(train.collect());
        self.destinations.lock().push(transmit.destination);
        Ok(())
    }

    fn max_segments(&self) -> usize {
        4
    }
}

struct Lab {
    outbox: Arc<Outbox>,
    port: Arc<Port>,
    shard: Arc<Shard>,
    worker: Worker,
    now: Instant,
}

impl Lab {
    fn new() -> Self {
        Self::with(Config::default(), Limits::default())
    }

    fn with(config: Config, limits: Limits) -> Self {
        let outbox = Arc::new(Outbox::default());
        let port = Arc::new(Port::new(
            address(1),
            None,
            Arc::new(config),
            Admission::new(limits, None),
            Conversations::starting_at(7),
            vec![Lane::new(Arc::downgrade(&outbox) as _, None)],
        ));
        let shard = Shard::new(Arc::new(Bell::new(|| {})));
        Self {
            outbox,
            port,
            worker: Worker::new(0, shard.clone()),
            shard,
            now: Instant::now(),
        }
    }

    /// An application opens a session.
    fn open(&self) -> Arc<SessionHandle> {
        if self.port.begins_to_open() {
            self.shard.command(Command::NoteIds(self.port.id)).unwrap();
        }
        let permit = self.port.admit_own(address(2)).unwrap();
        let way = Way::default();
        let handle = new_handle(&self.port, &self.shard, permit.id(), way);
        let opening = Opening {
            handle: handle.clone(),
            permit,
            way,
        };
        self.shard
            .command(Command::Open(Box::new(opening)))
            .unwrap();
        handle
    }

    /// A peer's segment arrives.
    fn receive(&mut self, conversation: u16, segment: Segment<'_>) {
        self.receive_datagram(conversation, segment, false);
    }

    /// A segment arrives in a datagram that has been here before.
    fn receive_copy(&mut self, conversation: u16, segment: Segment<'_>) {
        self.receive_datagram(conversation, segment, true);
    }

    fn receive_datagram(&mut self, conversation: u16, segment: Segment<'_>, replayed: bool) {
        let mut plaintext = Vec::new();
        segment.encode(&mut plaintext);
        self.post_copy(address(2), conversation, &plaintext, replayed);
        self.turn();
    }

    /// A datagram waits for the next turn.
    fn post(&self, remote: SocketAddr, conversation: u16, plaintext: &[u8]) {
        self.post_copy(remote, conversation, plaintext, false);
    }

    fn post_copy(&self, remote: SocketAddr, conversation: u16, plaintext: &[u8], replayed: bool) {
        let mut batch = self.batch(remote, conversation, plaintext, replayed);
        self.shard.post(&mut batch).unwrap();
    }

    fn batch(
        &self,
        remote: SocketAddr,
        conversation: u16,
        plaintext: &[u8],
        replayed: bool,
    ) -> DatagramBatch {
        let mut batch = DatagramBatch::default();
        batch.push(Datagram {
            port: &self.port,
            origin: Origin {
                remote,
                local_ip: None,
                lane: 0,
            },
            conversation,
            replayed,
            plaintext,
        });
        batch
    }

    fn turn(&mut self) {
        self.worker.collect();
        self.worker.turn(self.now);
    }

    /// Turns until nothing is left to do at this moment.
    fn settle(&mut self) {
        self.turn();
        while !self.worker.touched.is_empty() {
            self.turn();
        }
    }

    /// Lets time pass, from one deadline to the next.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(next) = self.worker.next_deadline().filter(|&next| next <= end) {
            self.now = self.now.max(next);
            self.settle();
        }
        self.now = end;
        self.settle();
    }

    fn fail_next(&self, error: io::Error) {
        self.outbox.failures.lock().push_back(error);
    }

    /// How many datagrams each train had that was sent since.
    fn sent(&self) -> Vec<usize> {
        let trains = std::mem::take(&mut *self.outbox.trains.lock());
        trains.iter().map(Vec::len).collect()
    }

    /// What was in the datagrams sent since.
    fn sent_plaintexts(&self) -> Vec<Vec<u8>> {
        let trains = std::mem::take(&mut *self.outbox.trains.lock());
        let open = |mut datagram: Vec<u8>| self.port.codec.open(&mut datagram).unwrap().to_vec();
        trains.into_iter().flatten().map(open).collect()
    }

    /// The numbers of the Data segments sent since.
    fn sent_numbers(&self) -> Vec<u32> {
        let mut numbers = Vec::new();
        for plaintext in self.sent_plaintexts() {
            for segment in Segments::new(&plaintext) {
                if let Segment::Data(data) = segment {
                    numbers.push(data.number.get());
                }
            }
        }
        numbers
    }
}

fn address(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

fn write(handle: &SessionHandle, count: usize) {
    let data = vec![7; count];
    assert_eq!(handle.write(&[IoSlice::new(&data)]).unwrap(), count);
}

fn data(conversation: u16, number: u32) -> Segment<'static> {
    data_of(conversation, number, b"hello")
}

fn data_of(conversation: u16, number: u32, payload: &[u8]) -> Segment<'_> {
    Segment::Data(Data {
        conversation,
        options: Options::NONE,
        timestamp: Timestamp::new(1),
        number: SeqNum::new(number),
        sending_next: SeqNum::ZERO,
        payload,
    })
}

#[test]
fn a_datagram_that_cannot_be_sent_is_lost_and_counted() {
    let mut lab = Lab::new();
    let handle = lab.open();
    write(&handle, 10);
    lab.fail_next(io::Error::other("network unreachable"));
    lab.settle();
    assert_eq!(lab.sent(), [0; 0]);
    assert_eq!(lab.port.counters.send_errors.get(), 1);
}

#[test]
fn an_unreachable_network_ends_a_session_after_the_idle_time() {
    // ENOBUFS, EPERM, ENETUNREACH, EHOSTUNREACH and EMSGSIZE as Linux numbers them.
    for error in [105, 1, 101, 113, 90] {
        let mut lab = Lab::new();
        let handle = lab.open();
        let conversation = handle.conversation();
        write(&handle, 10);
        lab.settle();
        lab.receive(conversation, data(conversation, 0));
        lab.settle();
        lab.sent();
        *lab.outbox.broken.lock() = Some(error);
        write(&handle, 5 * 1326);
        lab.pass(Duration::from_secs(29));
        assert_eq!(handle.take_error(), None);
        assert_eq!(lab.port.sessions(), 1);
        lab.pass(Duration::from_secs(2));
        assert_eq!(handle.take_error(), Some(ConnectionError::TimedOut));
        handle.release();
        lab.pass(Duration::from_secs(20));
        assert_eq!(lab.port.sessions(), 0);
        assert_eq!(lab.sent(), [0; 0]);
        let errors = lab.port.counters.send_errors.get();
        assert!((10..200).contains(&errors), "{error}: {errors} refused");
    }
}

/// The answer to an earlier datagram, which may have been another session's.
#[test]
fn a_refusal_on_a_socket_with_many_peers_ends_no_session() {
    let mut lab = Lab::new();
    let handle = lab.open();
    write(&handle, 10);
    for _ in 0..2 {
        lab.fail_next(io::ErrorKind::ConnectionRefused.into());
    }
    lab.settle();
    assert_eq!(lab.sent(), [0; 0]);
    assert_eq!(lab.port.counters.send_errors.get(), 1);
    lab.pass(Duration::from_secs(2));
    assert!(lab.sent_numbers().contains(&0), "it is not repeated");
    assert_eq!(handle.take_error(), None);
}

#[test]
fn a_full_kernel_holds_everything_back_in_order() {
    let mut lab = Lab::new();
    let handle = lab.open();
    let other = lab.open();
    write(&handle, 6 * 1326);
    lab.fail_next(io::ErrorKind::WouldBlock.into());
    lab.settle();
    write(&other, 10);
    lab.settle();
    assert_eq!(lab.sent(), [0; 0], "nothing may overtake what is held");
    assert_eq!(lab.port.counters.send_blocked.get(), 1);
    let next = lab.worker.deadlines.next();
    assert!(
        next.is_some_and(|next| next > lab.now),
        "the worker would spin"
    );

    let writable = || Command::Writable(lab.port.id, 0);
    lab.fail_next(io::ErrorKind::WouldBlock.into());
    lab.shard.command(writable()).unwrap();
    lab.settle();
    assert_eq!(lab.sent(), [0; 0], "it was still full");
    lab.shard
        .command(Command::Writable(lab.port.id, 0))
        .unwrap();
    lab.settle();
    assert_eq!(lab.sent_numbers(), [0, 1, 2, 3, 4, 5, 0]);
}

#[test]
fn a_full_kernel_holds_back_also_what_was_to_follow() {
    let mut lab = Lab::new();
    let handle = lab.open();
    write(&handle, 10);
    lab.settle();
    let conversation = handle.conversation();
    lab.receive(conversation, data(conversation, 0));
    lab.sent();
    // An acknowledgement is due, and the next datagram is longer: it begins a train.
    write(&handle, 2 * 1326);
    lab.now += Duration::from_millis(50);
    lab.fail_next(io::ErrorKind::WouldBlock.into());
    lab.settle();
    assert_eq!(lab.sent(), [0; 0]);
    lab.shard
        .command(Command::Writable(lab.port.id, 0))
        .unwrap();
    lab.settle();
    let sent = lab.outbox.trains.lock().clone();
    let lengths: Vec<usize> = sent.iter().map(|train| train[0].len()).collect();
    assert!(lengths[0] < lengths[1], "{lengths:?}");
    assert!(lab.sent_numbers().ends_with(&[1, 2]));
}

#[test]
fn an_accepted_session_delivers_and_its_late_datagrams_meet_a_tombstone() {
    let mut lab = Lab::new();
    let queue = lab.port.start_listening().unwrap();
    lab.receive(77, data(77, 0));
    let handle = queue.accept_timeout(Duration::ZERO).unwrap();
    assert_eq!(handle.addresses().peer, address(2));
    assert_eq!(handle.receive_pipe().len(), 5);
    handle.reset();
    handle.release();
    lab.settle();
    assert_eq!(lab.port.sessions(), 0);
    assert_eq!(lab.sent().len(), 1, "one Terminate");
    lab.receive(77, data(77, 1));
    assert_eq!(lab.sent().len(), 1, "it is said again");
    lab.now += Tombstones::LIFETIME;
    lab.receive(77, data(77, 0));
    assert_eq!(lab.port.sessions(), 1, "a new life");
}

#[test]
fn stopping_aborts_every_session_with_a_word_to_its_peer() {
    let mut lab = Lab::new();
    let handles = [lab.open(), lab.open()];
    for handle in &handles {
        write(handle, 10);
    }
    lab.settle();
    assert_eq!(lab.sent(), [2]);
    lab.shard
        .command(Command::Stop(ConnectionError::EndpointClosed))
        .unwrap();
    lab.turn();
    assert!(lab.worker.stopped);
    assert_eq!(lab.sent(), [1, 1]);
    assert_eq!(lab.port.sessions(), 0);
    for handle in &handles {
        assert_eq!(handle.take_error(), Some(ConnectionError::EndpointClosed));
    }
    let late = lab.shard.command(Command::Dirty(Slot::new(0, 0)));
    assert_eq!(late.unwrap_err(), ConnectionError::EndpointClosed);
}

#[test]
fn what_waits_for_a_dead_worker_is_dropped_and_what_still_comes_refused() {
    let lab = Lab::new();
    let dropped = || {
        let stats = lab.port.counters.snapshot();
        stats.drops.get(DropReason::WorkerBehind)
    };
    lab.post(address(2), 7, b"in time");
    lab.worker.fail_all(ConnectionError::Internal);
    assert_eq!(dropped(), 1);
    let mut late = lab.batch(address(2), 7, b"late", false);
    assert_eq!(lab.shard.post(&mut late), Err(WorkerBehind));
}

#[test]
fn an_unused_worker_has_no_deadline() {
    let mut lab = Lab::new();
    let handle = lab.open();
    write(&handle, 10);
    lab.settle();
    assert!(lab.worker.deadlines.next().is_some());
    handle.reset();
    handle.release();
    lab.settle();
    assert_eq!(lab.worker.deadlines.next(), None);
    // It wakes up once more, to forget.
    let forgets = lab.now + Tombstones::LIFETIME;
    assert_eq!(lab.worker.next_deadline(), Some(forgets));
    lab.pass(Tombstones::LIFETIME);
    assert_eq!(lab.worker.next_deadline(), None);
}

#[test]
fn a_recording_opens_no_session_and_does_no_harm_to_its_own() {
    let mut lab = Lab::new();
    let queue = lab.port.start_listening().unwrap();
    lab.receive_copy(77, data(77, 0));
    assert_eq!(lab.port.sessions(), 0);
    assert_eq!(lab.sent(), [0; 0], "nobody is told");
    let drops = lab.port.counters.snapshot().drops;
    assert_eq!(drops.get(DropReason::Replay), 1);

    lab.receive(77, data(77, 0));
    lab.receive_copy(77, data(77, 0));
    let handle = queue.accept_timeout(Duration::ZERO).unwrap();
    assert_eq!(handle.receive_pipe().len(), 5);
    handle.reset();
    handle.release();
    lab.settle();
    lab.receive_copy(77, data(77, 0));
    lab.now += Tombstones::LIFETIME;
    lab.receive_copy(77, data(77, 0));
    assert_eq!(
        lab.port.sessions(),
        0,
        "it is known longer than by its tombstone"
    );
}
