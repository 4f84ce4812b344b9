//! What the send half promises, segment by segment.

use super::*;

fn half() -> SendHalf {
    SendHalf::new(SeqNum::new(u32::MAX), 10, 1000)
}

fn stamp(transmission: u64) -> Stamp {
    let now = Moment::START;
    let rate = Snapshot::at(now);
    Stamp {
        transmission,
        now,
        timestamp: Timestamp::new(1),
        rate,
    }
}

fn send(half: &mut SendHalf, transmission: u64) -> Option<(u32, Vec<u8>)> {
    let candidate = half.candidate()?;
    let (number, bytes) = half.transmit(candidate, stamp(transmission));
    let sent = (number.get(), bytes.to_vec());
    half.check_invariants();
    Some(sent)
}

#[test]
fn bytes_become_numbered_segments_when_they_are_sent() {
    let mut half = half();
    assert_eq!(half.write(b"hello"), 5);
    assert_eq!(half.write(b" dear world"), 11);
    assert_eq!(send(&mut half, 0), Some((u32::MAX, b"hello dear".to_vec())));
    assert_eq!(send(&mut half, 1), Some((0, b" world".to_vec())));
    assert_eq!(send(&mut half, 2), None);
    assert_eq!(half.in_flight(), 16);
}

#[test]
fn a_lost_segment_goes_first_and_what_is_acknowledged_never_again() {
    let mut half = half();
    half.write(&[7; 40]);
    for transmission in 0..3 {
        send(&mut half, transmission);
    }
    let first = half.first_unacked();
    assert_eq!(half.mark_lost(first), 10);
    assert_eq!(half.mark_lost(first.next()), 10);
    assert!(half.acknowledge(first.next()).is_some());
    assert!(half.acknowledge(first.next()).is_none());
    assert_eq!(send(&mut half, 3).map(|sent| sent.0), Some(first.get()));
    assert_eq!(
        send(&mut half, 4).map(|sent| sent.0),
        Some(first.plus(3).get())
    );
    assert!(half.acknowledge(first).is_some());
    half.release();
    half.check_invariants();
    assert_eq!((half.first_unacked(), half.len()), (first.plus(2), 20));
}

#[test]
fn the_peers_window_is_a_hard_limit() {
    let mut half = half();
    half.write(&[0; 400]);
    let sent = (0..)
        .map_while(|transmission| send(&mut half, transmission))
        .count();
    assert_eq!(sent, INITIAL_LIMIT as usize);
    half.raise_limit(SeqNum::new(u32::MAX).plus(33));
    assert!(send(&mut half, 99).is_some());
    half.raise_limit(SeqNum::new(u32::MAX));
    assert_eq!(half.window(), 0);
}

#[test]
fn discarding_leaves_nothing() {
    let mut half = half();
    half.write(&[0; 25]);
    send(&mut half, 0);
    half.discard();
    half.check_invariants();
    assert!(half.is_empty() && half.discarded() != Discarded::Nothing);
    assert_eq!(half.in_flight(), 0);
}

#[test]
fn what_is_probed_is_the_first_even_if_others_have_been_given_up_before() {
    for first_was_given_up in [false, true] {
        let mut half = half();
        half.write(&[7; 50]);
        for transmission in 0..5 {
            send(&mut half, transmission);
        }
        let first = half.first_unacked();
        let last = usize::from(first_was_given_up);
        for count in (1..4).chain([0].into_iter().take(last)) {
            half.mark_lost(first.plus(count));
        }
        let oldest = half.oldest_outstanding().unwrap();
        half.mark_lost(oldest);
        half.hurry_first();
        let repeated = |half: &mut SendHalf| match half.candidate() {
            Some(Candidate::Repeat { number, .. }) => number,
            other => panic!("{other:?}"),
        };
        assert_eq!(repeated(&mut half), first);
        send(&mut half, 5);
        assert_eq!(repeated(&mut half), first.plus(1));
    }
}
