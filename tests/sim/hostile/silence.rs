//! Peers that do not answer, and programs that do not read.

use super::*;

/// What an address may be sent that has proven nothing: the floor, two extra datagrams, three
/// times what came, and one that had begun.
fn most_unproven(heard: usize) -> u64 {
    4096 + 3 * 1350 + 3 * heard as u64
}

#[test]
fn a_thousand_peers_that_never_acknowledge_cost_little_and_are_gone_in_time() {
    let mut opening = Vec::new();
    data(0, 0, b"question").encode(&mut opening);
    let mut victims: Vec<Victim> = (0..1000).map(|_| Victim::new(Side::Server)).collect();
    for victim in &mut victims {
        victim.hear_datagram(&opening);
        assert_eq!(victim.read(), 8);
        let room = victim.connection.write_room();
        assert_eq!(victim.write(room), room);
    }
    for victim in &mut victims {
        victim.wait_in_quiet(31);
        assert!(victim.connection.is_drained());
        assert_eq!(victim.connection.memory(), 0);
        assert!(!victim.connection.is_flushed());
        assert!(victim.bytes <= most_unproven(64), "{} bytes", victim.bytes);
        assert!(victim.timeouts < 60, "{} timeouts", victim.timeouts);
    }
}

#[test]
fn a_peer_that_talks_and_never_acknowledges_gets_few_repetitions() {
    let mut victim = Victim::client();
    victim.write(100_000);
    victim.wait(SECOND);
    for _ in 0..20 {
        victim.hear(&[ping(0, 0, 100)]);
        victim.wait_in_quiet(3);
    }
    let before = victim.datagrams;
    for _ in 0..20 {
        victim.hear(&[ping(0, 0, 100)]);
        victim.wait_in_quiet(3);
    }
    let sent = victim.datagrams - before;
    // Each word of it ends a silence, and the oldest segment is tried again a few times.
    assert!(sent <= 20 * 8, "{sent} datagrams in a minute");
    assert_eq!(victim.delivered(), 0);
}

#[test]
fn a_window_that_never_opens_is_tried_ever_more_rarely() {
    let mut victim = Victim::client();
    victim.write(victim.connection.write_room());
    victim.acknowledge(32);
    victim.wait(SECOND);
    victim.acknowledge(32);
    let start = victim.datagrams;
    for second in 0..120 {
        if second % 5 == 0 {
            victim.hear(&[ack(32, 32, 0, &[])]);
        }
        victim.wait_in_quiet(1);
    }
    let sent = victim.datagrams - start;
    assert!(sent <= 120, "{sent} datagrams in two minutes");
    assert!(victim.data_numbers().iter().all(|&number| number <= 32));
}

#[test]
fn a_program_that_never_reads_does_not_hinder_what_it_writes() {
    let mut victim = Victim::client();
    for number in 0..5000 {
        victim.hear(&[data(number, 0, &[1; 1326])]);
    }
    victim.sent.clear();
    victim.write(10_000);
    victim.acknowledge(100);
    assert!(victim.connection.is_flushed());
}
