//! So many sessions that the memory of the next is brought ahead, and some are visited before a turn.

use super::*;
use crate::endpoint::worker::{CROWD, MAX_VISITS};

const SESSIONS: u16 = 1500;

/// A worker with a crowd, of which each has sent its first segment.
fn crowd() -> (Lab, Vec<Arc<SessionHandle>>) {
    let limits = Limits {
        // Where more may be held, more may come at once.
        unvalidated: 250_000,
        accept_backlog: 10_000,

        ..Limits::default()
    };
    let mut lab = Lab::with(Config::default(), limits);
    let queue = lab.port.start_listening().unwrap();
    post_of_each(&lab, 0);
    lab.settle();
    assert_eq!(queue.len(), usize::from(SESSIONS));
    let accepted: Vec<_> = (0..SESSIONS).map(|_| queue.accept().unwrap()).collect();
    assert!(accepted.len() > CROWD);
    (lab, accepted)
}

/// Hands a segment of each session to the worker, all before its next turn.
fn post_of_each(lab: &Lab, number: u32) {
    let mut plaintext = Vec::new();
    data(7, number).encode(&mut plaintext);
    for session in 0..SESSIONS {
        let address = (0x0a00_0000 + u32::from(session)).to_be_bytes();
        lab.post((address, 9).into(), 7, &plaintext);
    }
}

#[test]
fn each_gets_its_own_in_order() {
    let (mut lab, accepted) = crowd();
    post_of_each(&lab, 1);
    post_of_each(&lab, 2);
    lab.settle();
    assert_eq!(lab.port.sessions(), accepted.len());
    for handle in accepted {
        let mut bytes = [0; 32];
        let count = handle.read(&mut [io::IoSliceMut::new(&mut bytes)]).unwrap();
        assert_eq!(&bytes[..count], b"hellohellohello");
    }
}

#[test]
fn a_turn_visits_no_more_than_its_share() {
    let (mut lab, accepted) = crowd();
    post_of_each(&lab, 1);
    lab.turn();
    let left = lab.worker.touched.len();
    let visited = accepted.len() - left;
    assert!(
        (MAX_VISITS..=2 * MAX_VISITS).contains(&visited),
        "{visited}"
    );
}

#[test]
fn a_session_that_ends_among_others_datagrams_takes_none_with_it() {
    let (mut lab, accepted) = crowd();
    for handle in accepted.iter().step_by(3) {
        handle.reset();
        handle.release();
    }
    lab.turn();
    post_of_each(&lab, 1);
    lab.settle();
    for handle in accepted.iter().skip(1).step_by(3) {
        let mut bytes = [0; 32];
        let count = handle.read(&mut [io::IoSliceMut::new(&mut bytes)]).unwrap();
        assert_eq!(&bytes[..count], b"hellohello");
    }
}
