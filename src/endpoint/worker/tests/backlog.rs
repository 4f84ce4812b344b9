//! A program that is slow to accept, with room for everything else.

use super::{peers::Town, *};
use crate::endpoint::accept::AcceptQueue;

const BACKLOG: usize = 16;

/// One session has been accepted, and strangers wait in all of the queue that is theirs.
fn crowded() -> (Lab, Arc<AcceptQueue>, Arc<SessionHandle>) {
    let limits = Limits {
        accept_backlog: BACKLOG,
        ..Limits::default()
    };
    let mut lab = Lab::with(Config::default(), limits);
    let queue = lab.port.start_listening().unwrap();
    lab.receive(7, data(7, 0));
    let accepted = queue.accept().unwrap();
    for index in 0..BACKLOG as u16 {
        knock(&mut lab, index);
    }
    assert_eq!(queue.len(), BACKLOG / 2);
    (lab, queue, accepted)
}

fn knock(lab: &mut Lab, stranger: u16) {
    let mut plaintext = Vec::new();
    data(7, 0).encode(&mut plaintext);
    lab.post(address(1000 + stranger), 7, &plaintext);
    lab.settle();
}

#[test]
fn whoever_knocks_again_is_known_again_though_sessions_end_meanwhile() {
    let (mut lab, queue, accepted) = crowded();
    let last = BACKLOG as u16 - 1;
    accepted.reset();
    accepted.release();
    lab.pass(Duration::from_millis(100));
    assert_eq!(lab.port.sessions(), BACKLOG / 2);
    knock(&mut lab, last);
    assert_eq!(queue.len(), BACKLOG / 2 + 1);
}

#[test]
fn only_those_who_wait_in_the_queue_make_room_there() {
    let (mut lab, queue, accepted) = crowded();
    for _ in 0..3 {
        lab.pass(Duration::from_millis(500));
        for index in 0..BACKLOG as u16 {
            knock(&mut lab, index);
        }
    }
    assert_eq!(queue.len(), BACKLOG * 3 / 4);
    assert!(lab.port.counters.sessions_displaced.get() > 0);
    assert_eq!(accepted.take_error(), None, "it is silent, and the oldest");
}

/// As after a restart of the server: nobody who waits is turned out, and whoever has to come again
/// gets in.
#[test]
fn a_rush_is_served_by_a_program_that_is_slow() {
    const CLIENTS: u16 = 200;
    const TICK: Duration = Duration::from_millis(10);
    let limits = Limits {
        accept_backlog: BACKLOG,
        ..Limits::default()
    };
    let mut town = Town::new(Lab::with(Config::default(), limits));
    for index in 0..CLIENTS {
        let address = ([198, 51, 100, index as u8], 1000).into();
        let client = town.add(address, 7, TICK);
        town.clients[client].connection.write(&[1; 100]);
    }
    // It takes up to sixteen in a tenth of a second.
    for tick in 0..1000 {
        town.program.accepts = tick % 10 == 0;
        town.run_until(town.lab.now + TICK);
    }
    let unserved = town.clients.iter().filter(|client| client.received < 100);
    assert_eq!(unserved.count(), 0);
    assert_eq!(town.lab.port.counters.sessions_displaced.get(), 0);
}
