//! Pings, Closes, Terminates and options without end.

use super::*;

#[test]
fn a_flood_of_pings_is_answered_once_in_two_seconds() {
    let mut victim = Victim::client();
    let before = victim.datagrams;
    for _ in 0..10_000 {
        victim.hear(&[ping(0, 0, 100)]);
        victim.wait(MS);
    }
    let sent = victim.datagrams - before;
    assert!(sent <= 6, "{sent} datagrams in ten seconds");
}

#[test]
fn a_flood_of_terminates_is_answered_eight_times() {
    let mut victim = Victim::client();
    victim.write(1000);
    let before = victim.datagrams;
    for _ in 0..10_000 {
        victim.hear(&[terminate(0)]);
        victim.wait(MS);
    }
    let sent = victim.datagrams - before;
    assert!(sent <= 8, "{sent} answers");
    assert!(!victim.connection.is_flushed(), "nothing was acknowledged");
}

#[test]
fn a_terminate_behind_missing_bytes_is_no_end_of_file() {
    for sending_next in [1, 1000, 0x7fff_ffff] {
        let mut victim = Victim::client();
        victim.hear(&[terminate(sending_next)]);
        let end = victim.connection.read_end();
        assert!(matches!(end, Some(Err(_))), "{sending_next}: {end:?}");
    }
}

#[test]
fn a_terminate_that_claims_less_than_was_sent_leaves_what_came() {
    let mut victim = Victim::client();
    victim.hear(&[data(0, 0, b"read me")]);
    victim.hear(&[terminate(0)]);
    victim.wait(3600 * SECOND);
    assert_eq!(victim.read(), 7);
}

#[test]
fn data_after_a_close_neither_stays_for_ever_nor_harms() {
    let mut victim = Victim::client();
    let mut closing = command(CommandKind::Ping, 0, 0, 100);
    closing.options = Options::CLOSE;
    victim.hear(&[Segment::Command(closing)]);
    // The same all the time, so that nothing new comes.
    for _ in 0..60 {
        victim.hear(&[data(3, 0, b"again"), Segment::Command(closing)]);
        victim.wait(SECOND);
    }
    assert!(
        victim.connection.is_drained(),
        "thirty seconds without anything new"
    );
    assert!(matches!(victim.connection.read_end(), Some(Err(_))));
}

#[test]
fn closes_without_end_are_one() {
    let mut victim = Victim::client();
    let mut closing = command(CommandKind::Ping, 0, 0, 100);
    closing.options = Options::CLOSE;
    let before = victim.datagrams;
    for _ in 0..1000 {
        victim.hear(&[Segment::Command(closing)]);
        victim.wait(MS);
    }
    let sent = victim.datagrams - before;
    assert!(sent <= 4, "{sent} datagrams in a second");
}

#[test]
fn every_option_and_every_command_is_borne() {
    for bits in 0..=255 {
        for byte in [0, 1, 2, 3, 4, 77, 255] {
            let mut victim = Victim::client();
            victim.write(3000);
            let mut datagram = vec![0, CONVERSATION as u8, byte, bits];
            datagram.extend([0xff; 60]);
            victim.hear_datagram(&datagram);
            assert!(!victim.connection.is_flushed());
        }
    }
}

#[test]
fn datagrams_of_another_conversation_change_nothing() {
    let mut victim = Victim::client();
    let before = (
        victim.datagrams,
        victim.connection.stats().datagrams_received,
    );
    let mut foreign = command(CommandKind::Terminate, 0, 0, 100);
    foreign.conversation = CONVERSATION + 1;
    let mut datagram = Vec::new();
    Segment::Command(foreign).encode(&mut datagram);
    data(0, 0, b"ours, but too late").encode(&mut datagram);
    for _ in 0..10_000 {
        victim.connection.handle_datagram(victim.now, &datagram);
    }
    victim.drive();
    let after = (
        victim.datagrams,
        victim.connection.stats().datagrams_received,
    );
    assert_eq!(after, before);
    assert_eq!(victim.read(), 0);
}

#[test]
fn datagrams_of_another_conversation_keep_nothing_alive() {
    let mut victim = Victim::client();
    let mut foreign = command(CommandKind::Ping, 0, 0, 100);
    foreign.conversation = CONVERSATION + 1;
    for _ in 0..32 {
        victim.hear(&[Segment::Command(foreign)]);
        victim.wait(SECOND);
    }
    assert!(victim.connection.is_drained());
}
