//! What the receive half promises, segment by segment.

use super::*;

fn half() -> ReceiveHalf {
    proven(ReceiveHalf::new(SeqNum::ZERO, 100, 100, 10))
}

fn proven(mut half: ReceiveHalf) -> ReceiveHalf {
    half.set_proven();
    half
}

fn n(number: u32) -> SeqNum {
    SeqNum::new(number)
}

#[test]
fn segments_are_put_in_order() {
    let mut half = half();
    assert_eq!(half.accept(n(2), b"c"), Accepted::OpenedGap);
    assert_eq!(half.accept(n(0), b"a"), Accepted::InOrder);
    assert_eq!(half.accept(n(2), b"x"), Accepted::Duplicate);
    assert_eq!(half.accept(n(0), b"x"), Accepted::Duplicate);
    assert_eq!(half.accept(n(u32::MAX), b"x"), Accepted::BeyondWindow);
    assert_eq!(half.read(), b"a");
    assert_eq!(half.accept(n(1), b"b"), Accepted::FilledGap);
    assert_eq!(half.next(), n(3));
    half.consume(1);
    assert_eq!(half.read(), b"bc");
    half.check_invariants();
}

#[test]
fn gaps_take_memory_until_they_are_filled() {
    let mut half = proven(ReceiveHalf::new(SeqNum::ZERO, 1000, 1000, 10));
    half.accept(n(99), b"x");
    assert_eq!(half.memory(), 1);
    assert!(half.bookkeeping() >= 100 * size_of::<usize>());
    for number in 0..99 {
        half.accept(n(number), b"x");
    }
    assert_eq!((half.memory(), half.bookkeeping()), (100, 0));
}

#[test]
fn the_window_closes_while_nobody_reads_and_opens_again() {
    let mut half = half();
    assert_eq!(half.limit(), n(10));
    for number in 0..10 {
        assert_eq!(half.accept(n(number), &[0; 10]), Accepted::InOrder);
    }
    assert_eq!(half.limit(), n(10));
    assert_eq!(half.accept(n(10), &[0; 10]), Accepted::BeyondWindow);
    assert!(!half.has_window_news());
    half.consume(30);
    assert_eq!(half.limit(), n(13));
    assert!(half.has_window_news());
    half.on_limit_told();
    assert!(!half.has_window_news());
}

#[test]
fn a_peer_that_is_held_back_hears_that_a_closed_window_has_opened() {
    let mut half = proven(ReceiveHalf::new(SeqNum::ZERO, 1000, 1000, 10));
    half.set_throttle(Some(8));
    for number in 0..100 {
        half.accept(n(number), &[0; 10]);
        half.on_limit_told();
        assert!(!half.has_window_news());
    }
    assert_eq!(half.limit(), half.next());
    half.consume(500);
    assert_eq!(half.limit(), n(108));
    assert!(half.has_window_news());
}

#[test]
fn a_large_segment_that_is_not_accepted_does_not_close_the_window() {
    let mut half = half();
    assert_eq!(half.accept(n(50), &[0; 90]), Accepted::BeyondWindow);
    half.accept(n(0), &[0; 10]);
    assert_eq!(half.limit, n(10));
    half.consume(10);
    assert_eq!(half.limit, n(11));
}

#[test]
fn large_segments_cannot_exceed_the_largest_budget() {
    let mut half = half();
    assert_eq!(half.accept(n(1), &[0; 150]), Accepted::OpenedGap);
    assert_eq!(half.accept(n(2), &[0; 60]), Accepted::BeyondWindow);
}

#[test]
fn a_peer_without_proof_gets_the_first_window_and_what_its_reader_takes() {
    let mut half = ReceiveHalf::new(SeqNum::ZERO, 100, 1000, 10);
    for _ in 0..10 {
        half.fit_round_trip(1000);
    }
    assert_eq!(half.limit, n(10));
    for number in 0..10 {
        assert_eq!(half.accept(n(number), &[0; 10]), Accepted::InOrder);
    }
    assert_eq!(half.accept(n(10), &[0; 10]), Accepted::BeyondWindow);
    half.consume(20);
    assert_eq!(half.limit, n(18), "160 bytes, of which 80 wait");
    half.consume(30);
    assert_eq!(half.limit, n(45));
    half.set_proven();
    assert_eq!(half.limit, n(105));
}

#[test]
fn a_forged_number_opens_no_wide_gap() {
    let mut half = ReceiveHalf::new(SeqNum::ZERO, 10_000, 10_000, 10);
    assert_eq!(half.accept(n(999), b"x"), Accepted::BeyondWindow);
    assert_eq!(half.accept(n(64), b"x"), Accepted::OpenedGap);
    assert_eq!(half.accept(n(69), b"x"), Accepted::BeyondWindow);
    assert_eq!(half.accept(n(68), b"x"), Accepted::OpenedGap);
    half.set_proven();
    assert_eq!(half.accept(n(999), b"x"), Accepted::OpenedGap);
    half.check_invariants();
}

#[test]
fn scarce_memory_makes_windows_small_until_there_is_more() {
    let mut half = proven(ReceiveHalf::new(SeqNum::ZERO, 100, 1000, 10));
    half.fit_round_trip(1000);
    assert_eq!(half.limit, n(100));
    half.set_allowance(100);
    for number in 0..95 {
        half.accept(n(number), &[0; 10]);
        half.consume(10);
    }
    assert_eq!(half.limit, n(105));
    half.set_allowance(usize::MAX);
    assert_eq!(half.limit, n(195));

    let mut unproven = ReceiveHalf::new(SeqNum::ZERO, 100, 1000, 10);
    unproven.set_allowance(100);
    for number in 0..20 {
        assert_eq!(unproven.accept(n(number), &[0; 10]), Accepted::InOrder);
        unproven.consume(10);
    }
    assert_eq!(unproven.limit, n(21));
}

#[test]
fn what_was_told_is_dropped_when_memory_is_scarce_but_for_the_next() {
    let mut half = proven(ReceiveHalf::new(SeqNum::ZERO, 1000, 1000, 10));
    assert_eq!(half.limit, n(100));
    half.set_allowance(40);
    // With the places before it, it would take more.
    assert_eq!(half.accept(n(1), &[0; 10]), Accepted::OverMemory);
    for number in 0..4 {
        assert_eq!(half.accept(n(number), &[0; 10]), Accepted::InOrder);
    }
    assert_eq!(half.accept(n(4), &[0; 10]), Accepted::OverMemory);
    half.set_allowance(0);
    half.consume(30);
    assert_eq!(half.accept(n(4), &[0; 10]), Accepted::OverMemory);
    half.consume(10);
    assert_eq!(half.accept(n(4), &[0; 10]), Accepted::InOrder);
    half.set_allowance(usize::MAX);
    assert_eq!(half.accept(n(99), &[0; 10]), Accepted::OpenedGap);
    half.check_invariants();
}

#[test]
fn numbers_wrap() {
    let mut half = proven(ReceiveHalf::new(n(u32::MAX), 100, 200, 10));
    assert_eq!(half.accept(n(0), b"b"), Accepted::OpenedGap);
    assert_eq!(half.accept(n(u32::MAX), b"a"), Accepted::FilledGap);
    assert_eq!((half.read(), half.next()), (&b"ab"[..], n(1)));
}

#[test]
fn the_end_is_known_by_the_last_segment_or_by_what_the_peer_still_holds() {
    let mut half = half();
    half.set_last(n(1));
    half.accept(n(0), b"a");
    assert!(!half.has_last());
    assert!(half.is_complete_until(n(1)) && !half.is_complete_until(n(2)));
    half.accept(n(1), b"b");
    assert!(half.has_last());
}
