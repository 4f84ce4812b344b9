//! Peers that come from another address than before, and others that would be taken for them.

use std::net::Ipv4Addr;

use super::{peers::Town, *};
use crate::{
    endpoint::accept::AcceptQueue,
    wire::{Ack, Numbers},
};

const CONVERSATION: u16 = 77;
const SECOND: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);
const FOLLOWING: Limits = Limits {
    sessions: 1000,
    unvalidated: 1000,
    per_source: usize::MAX,
    memory: usize::MAX,
    accept_backlog: 16,
    amplification_factor: 3,
    migration: true,
};

/// Another machine's.
fn elsewhere(port: u16) -> SocketAddr {
    (Ipv4Addr::new(127, 0, 0, 2), port).into()
}

fn encoded(segment: Segment<'_>) -> Vec<u8> {
    let mut plaintext = Vec::new();
    segment.encode(&mut plaintext);
    plaintext
}

fn ack(numbers: &[SeqNum], echo: Timestamp) -> Vec<u8> {
    encoded(Segment::Ack(Ack {
        conversation: CONVERSATION,
        options: Options::NONE,
        receiving_window: SeqNum::new(1000),
        receiving_next: SeqNum::ZERO,
        timestamp: echo,
        numbers: Numbers::List(numbers),
    }))
}

/// In the midst of a connection, so that it opens none.
fn later_data(number: u32) -> Vec<u8> {
    encoded(Segment::Data(Data {
        conversation: CONVERSATION,
        options: Options::NONE,
        timestamp: Timestamp::new(1),
        number: SeqNum::new(number),
        sending_next: SeqNum::new(1),
        payload: b"more",
    }))
}

/// A segment that was sent.
#[derive(Clone, Copy, Debug)]
struct Shot {
    number: SeqNum,
    timestamp: Timestamp,
    destination: SocketAddr,
}

/// A download by a client at `address(2)`, which has proven its address.
struct Download {
    lab: Lab,
    _queue: Arc<AcceptQueue>,
    handle: Arc<SessionHandle>,
    /// Bytes of UDP payload sent since.
    bytes: usize,
    in_flight: VecDeque<Shot>,
}

impl Download {
    fn new(limits: Limits) -> Self {
        let mut lab = Lab::with(Config::default(), limits);
        let queue = lab.port.start_listening().unwrap();
        lab.receive(CONVERSATION, data(CONVERSATION, 0));
        let handle = queue.accept_timeout(Duration::ZERO).unwrap();
        let mut download = Self {
            lab,
            _queue: queue,
            handle,
            bytes: 0,
            in_flight: VecDeque::new(),
        };
        write(&download.handle, 1326);
        download.run(MS);
        download.acknowledge(address(2));
        assert_eq!(download.unvalidated(), 0);
        for _ in 0..4 {
            write(&download.handle, 64 * 1024);
        }
        download.run(MS);
        assert!(download.in_flight.len() > 4);
        download
    }

    /// Lets time pass, and looks at what was sent.
    fn run(&mut self, time: Duration) {
        self.lab.pass(time);
        let trains = std::mem::take(&mut *self.lab.outbox.trains.lock());
        let destinations = std::mem::take(&mut *self.lab.outbox.destinations.lock());
        for (train, destination) in trains.into_iter().zip(destinations) {
            for mut datagram in train {
                self.bytes += datagram.len();
                let plaintext = self.lab.port.codec.open(&mut datagram).unwrap();
                for segment in Segments::new(plaintext) {
                    if let Segment::Data(data) = segment {
                        self.in_flight.push_back(Shot {
                            number: data.number,
                            timestamp: data.timestamp,
                            destination,
                        });
                    }
                }
            }
        }
    }

    fn post(&mut self, from: SocketAddr, plaintext: &[u8]) {
        self.lab.post(from, CONVERSATION, plaintext);
        self.run(Duration::ZERO);
    }

    /// The oldest segment in flight is acknowledged; gives how.
    fn acknowledge(&mut self, from: SocketAddr) -> Vec<u8> {
        let shot = self.in_flight.pop_front().unwrap();
        let plaintext = ack(&[shot.number], shot.timestamp);
        self.post(from, &plaintext);
        plaintext
    }

    fn peer(&self) -> SocketAddr {
        self.handle.addresses().peer
    }

    fn moves(&self) -> u64 {
        self.lab.port.counters.sessions_migrated.get()
    }

    fn unvalidated(&self) -> usize {
        self.lab.port.admission.unvalidated()
    }

    fn dropped(&self, reason: DropReason) -> u64 {
        self.lab.port.counters.snapshot().drops.get(reason)
    }

    /// One session, and nothing that remembers another.
    fn expect_alone(&self) {
        assert_eq!(self.lab.port.sessions(), 1);
        assert_eq!(self.lab.worker.gate.tombstones.len(), 0);
    }
}

#[test]
fn a_session_follows_an_echo_of_what_is_in_flight() {
    let mut download = Download::new(FOLLOWING);
    download.bytes = 0;
    download.in_flight.truncate(1);
    download.acknowledge(address(3));
    assert_eq!((download.moves(), download.peer()), (1, address(3)));
    download.run(SECOND);
    assert!(!download.in_flight.is_empty());
    let arrives = |shot: &Shot| shot.destination == address(3);
    assert!(download.in_flight.iter().all(arrives));
    download.expect_alone();
}

#[test]
fn without_being_told_to_no_session_moves() {
    let mut download = Download::new(Limits::default());
    download.bytes = 0;
    download.acknowledge(address(3));
    assert_eq!((download.moves(), download.peer()), (0, address(2)));
    assert_eq!(download.dropped(DropReason::Stray), 1);
    assert!(download.bytes > 0, "it is told that it is not known");
}

#[test]
fn data_moves_no_session_and_draws_no_terminate() {
    let mut download = Download::new(FOLLOWING);
    download.run(10 * MS);
    download.bytes = 0;
    for number in 1..5 {
        download.post(address(3), &later_data(number));
    }
    assert_eq!((download.moves(), download.peer()), (0, address(2)));
    assert_eq!(download.dropped(DropReason::Stray), 4);
    assert_eq!(download.bytes, 0, "the peer is not reset");
    download.expect_alone();
}

#[test]
fn where_no_proof_can_come_a_stray_is_answered_as_ever() {
    let mut download = Download::new(FOLLOWING);
    download.bytes = 0;
    download.post(address(3), &later_data(1_000_000));
    assert!(download.bytes > 0, "its numbers do not fit");
    download.bytes = 0;
    // Long not heard of.
    download.run(6 * SECOND);
    download.bytes = 0;
    download.post(address(3), &later_data(1));
    assert!(download.bytes > 0);
    assert_eq!(download.moves(), 0);
}

#[test]
fn a_copy_of_an_acknowledgement_moves_no_session() {
    let mut download = Download::new(FOLLOWING);
    let copy = download.acknowledge(address(2));
    download.post(address(3), &copy);
    assert_eq!((download.moves(), download.peer()), (0, address(2)));
    download.expect_alone();
}

#[test]
fn an_acknowledgement_with_a_wrong_time_or_of_nothing_sent_moves_no_session() {
    let mut download = Download::new(FOLLOWING);
    let shot = download.in_flight[0];
    let wrong = Timestamp::new(shot.timestamp.get() + 10);
    let unsent = SeqNum::new(500_000);
    for plaintext in [
        ack(&[shot.number], wrong),
        ack(&[shot.number], Timestamp::ZERO),
        ack(&[unsent], shot.timestamp),
        ack(&[], shot.timestamp),
    ] {
        download.post(address(3), &plaintext);
    }
    assert_eq!((download.moves(), download.peer()), (0, address(2)));
    download.expect_alone();
    download.acknowledge(address(3));
    assert_eq!(download.moves(), 1);
}

#[test]
fn the_new_address_is_sent_little_until_it_echoes_what_was_sent_there() {
    let mut download = Download::new(FOLLOWING);
    download.bytes = 0;
    let mut received = download.acknowledge(elsewhere(3)).len() + 6;
    assert_eq!((download.moves(), download.unvalidated()), (1, 1));
    // An echo of what was sent to the old address proves nothing of the new one.
    received += download.acknowledge(elsewhere(3)).len() + 6;
    download.run(900 * MS);
    assert_eq!(download.unvalidated(), 1);
    let most = 3 * received + 4096;
    assert!(download.bytes <= most, "{} of {most}", download.bytes);

    let there = |shot: &Shot| shot.destination == elsewhere(3);
    download.in_flight.retain(there);
    assert!(!download.in_flight.is_empty());
    download.acknowledge(elsewhere(3));
    assert_eq!(download.unvalidated(), 0);
    download.run(SECOND);
    assert!(download.bytes > 20_000, "{} bytes", download.bytes);
}

#[test]
fn another_port_of_a_proven_address_loses_no_time() {
    let mut download = Download::new(FOLLOWING);
    download.run(SECOND);
    download.bytes = 0;
    while download.bytes < 20_000 {
        download.acknowledge(address(3));
    }
    assert_eq!((download.moves(), download.unvalidated()), (1, 1));
}

#[test]
fn a_session_that_has_moved_may_move_back_by_the_same_rule() {
    let mut download = Download::new(FOLLOWING);
    let moves = [3, 2, 3, 2].map(|port| {
        download.acknowledge(address(port));
        assert_eq!(download.peer(), address(port));
        download.moves()
    });
    assert_eq!(moves, [1, 2, 3, 4]);
    assert_eq!(download.unvalidated(), 1);
    download.expect_alone();
}

/// A datagram has gone around the NAT, or was sent on by somebody on the path.
#[test]
fn a_session_goes_back_to_a_peer_that_has_stayed() {
    let mut download = Download::new(FOLLOWING);
    download.acknowledge(elsewhere(3));
    assert_eq!(download.peer(), elsewhere(3));
    // Nothing of what the peer still says proves where it is.
    download.run(SECOND);
    download.post(address(2), &later_data(1));
    assert_eq!((download.moves(), download.peer()), (1, elsewhere(3)));
    download.run(3 * SECOND);
    download.post(address(4), &later_data(1));
    assert_eq!((download.moves(), download.peer()), (1, elsewhere(3)));
    download.in_flight.clear();
    download.post(address(2), &later_data(1));
    assert_eq!((download.moves(), download.peer()), (2, address(2)));

    download.run(2 * SECOND);
    let shot = download.in_flight.back().copied().expect("it asks again");
    assert_eq!(shot.destination, address(2));
    download.post(address(2), &ack(&[shot.number], shot.timestamp));
    assert_eq!(download.unvalidated(), 0);
    download.expect_alone();
}

#[test]
fn a_session_stays_where_its_peer_has_answered() {
    let mut download = Download::new(FOLLOWING);
    download.acknowledge(elsewhere(3));
    download.in_flight.clear();
    download.run(SECOND);
    let shot = download.in_flight.back().copied().expect("it asks");
    download.post(elsewhere(3), &ack(&[shot.number], shot.timestamp));
    assert_eq!(download.unvalidated(), 0);
    download.run(4 * SECOND);
    download.post(address(2), &later_data(1));
    assert_eq!((download.moves(), download.peer()), (1, elsewhere(3)));
}

#[test]
fn a_proof_counts_at_once() {
    let mut download = Download::new(FOLLOWING);
    download.acknowledge(elsewhere(3));
    download.in_flight.clear();
    download.run(4 * SECOND);
    download.in_flight.clear();
    while download.in_flight.is_empty() {
        download.run(MS);
    }
    let shot = download.in_flight[0];
    let proof = ack(&[shot.number], shot.timestamp);
    // Both come in the same turn.
    download.lab.post(elsewhere(3), CONVERSATION, &proof);
    download.post(address(2), &later_data(1));
    assert_eq!((download.moves(), download.peer()), (1, elsewhere(3)));
    assert_eq!(download.unvalidated(), 0);
}

#[test]
fn from_two_moves_without_an_answer_a_session_goes_back_to_the_address_that_was_proven() {
    let mut download = Download::new(FOLLOWING);
    download.acknowledge(elsewhere(3));
    download.run(SECOND);
    download.acknowledge(elsewhere(4));
    assert_eq!((download.moves(), download.peer()), (2, elsewhere(4)));
    download.run(4 * SECOND);
    download.post(elsewhere(3), &later_data(1));
    assert_eq!((download.moves(), download.peer()), (2, elsewhere(4)));
    download.post(address(2), &later_data(1));
    assert_eq!((download.moves(), download.peer()), (3, address(2)));
}

/// There is nothing left by which it could prove the address.
#[test]
fn a_session_that_moved_with_its_last_acknowledgement_goes_on_where_it_is() {
    let mut download = Download::new(FOLLOWING);
    while download.in_flight.len() > 1 || download.handle.send_pipe().len() > 0 {
        download.acknowledge(address(2));
        download.run(MS);
    }
    download.acknowledge(elsewhere(3));
    download.run(10 * SECOND);
    assert_eq!((download.moves(), download.peer()), (1, elsewhere(3)));
    write(&download.handle, 100);
    download.run(SECOND);
    download.acknowledge(elsewhere(3));
    assert_eq!((download.unvalidated(), download.peer()), (0, elsewhere(3)));
}

#[test]
fn what_comes_late_from_the_old_address_opens_and_ends_nothing() {
    let mut download = Download::new(FOLLOWING);
    let overtaken = download.in_flight.pop_front().unwrap();
    download.acknowledge(address(3));
    download.run(10 * MS);
    download.bytes = 0;
    download.post(address(2), &later_data(1));
    download.post(address(2), &encoded(data(CONVERSATION, 0)));
    // This would prove that the peer is back, if nothing had overtaken it.
    download.post(address(2), &ack(&[overtaken.number], overtaken.timestamp));
    assert_eq!(download.bytes, 0);
    assert_eq!((download.moves(), download.peer()), (1, address(3)));
    download.expect_alone();
}

#[test]
fn what_comes_late_is_not_answered_when_all_has_been_acknowledged() {
    let mut download = Download::new(FOLLOWING);
    while !download.in_flight.is_empty() {
        download.acknowledge(address(3));
    }
    assert_eq!((download.moves(), download.peer()), (1, address(3)));
    download.bytes = 0;
    download.post(address(2), &later_data(1));
    assert_eq!(
        download.bytes, 0,
        "that would end the session that has moved"
    );
    download.expect_alone();
}

#[test]
fn what_was_overtaken_by_two_moves_takes_no_session_back() {
    let mut download = Download::new(FOLLOWING);
    let overtaken = download.in_flight.pop_front().unwrap();
    download.acknowledge(address(3));
    download.acknowledge(address(4));
    assert_eq!((download.moves(), download.peer()), (2, address(4)));
    download.post(address(2), &ack(&[overtaken.number], overtaken.timestamp));
    assert_eq!((download.moves(), download.peer()), (2, address(4)));
    download.acknowledge(address(4));
    download.expect_alone();
}

#[test]
fn another_client_with_the_same_conversation_opens_a_session_of_its_own() {
    let mut download = Download::new(FOLLOWING);
    download.post(address(3), &encoded(data(CONVERSATION, 0)));
    assert_eq!(download.lab.port.sessions(), 2);
    assert_eq!((download.moves(), download.peer()), (0, address(2)));
}

#[test]
fn a_source_with_its_fill_of_sessions_takes_no_more_in() {
    let mut download = Download::new(Limits {
        per_source: 1,
        ..FOLLOWING
    });
    let first = encoded(data(CONVERSATION, 0));
    download.post(elsewhere(9), &first);
    assert_eq!(download.lab.port.sessions(), 2);
    download.acknowledge(elsewhere(3));
    assert_eq!(download.dropped(DropReason::TooManyFromSource), 1);
    assert_eq!((download.moves(), download.peer()), (0, address(2)));
    // Its own source is not full because of itself.
    download.acknowledge(address(3));
    assert_eq!((download.moves(), download.peer()), (1, address(3)));
}

#[test]
fn a_session_that_ends_after_a_move_is_remembered_where_it_was_last() {
    let mut download = Download::new(FOLLOWING);
    download.acknowledge(elsewhere(3));
    download.handle.reset();
    download.handle.release();
    download.run(Duration::ZERO);
    assert_eq!(download.lab.port.sessions(), 0);
    assert_eq!(download.unvalidated(), 0);
    download.post(elsewhere(3), &later_data(1));
    assert_eq!(download.dropped(DropReason::Tombstone), 1);
    download.post(address(2), &later_data(1));
    assert_eq!(download.dropped(DropReason::Stray), 1);
}

/// How long a client takes to get its bytes back, if it is somewhere else after some of them.
fn echo_of(count: usize, to: &[SocketAddr]) -> Duration {
    let mut town = Town::new(Lab::with(Config::default(), FOLLOWING));
    let client = town.add(address(2), CONVERSATION, 25 * MS);
    let start = town.lab.now;
    town.clients[client].connection.write(&vec![1; count]);
    for (moves, &address) in (1..).zip(to) {
        let until = count / 4 * moves;
        town.run_while(60 * SECOND, |town| town.clients[client].received < until);
        town.clients[client].address = address;
        town.run_while(60 * SECOND, |town| {
            town.lab.port.counters.sessions_migrated.get() < moves as u64
        });
    }
    town.run_while(60 * SECOND, |town| town.clients[client].received < count);
    assert_eq!(town.lab.port.sessions(), 1);
    town.lab.now - start
}

#[test]
fn a_transfer_goes_on_wherever_its_client_goes() {
    let undisturbed = echo_of(120_000, &[]);
    for to in [
        &[address(3)][..],
        &[elsewhere(3)],
        &[address(3), elsewhere(3)],
    ] {
        let taken = echo_of(120_000, to);
        let most = undisturbed + to.len() as u32 * SECOND;
        assert!(taken <= most, "{to:?} takes {taken:?}, not {undisturbed:?}");
    }
}
