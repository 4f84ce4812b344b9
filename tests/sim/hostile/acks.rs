//! Acknowledgements and limits that are lies, and those of Go programs, which are odd.

use mkcp::ConnectionError;

use super::*;

/// Numbers and ReceivingNexts for `sent` segments that no honest peer says.
fn beyond(sent: u32) -> [u32; 6] {
    [
        sent + 1,
        sent + 1000,
        0x7fff_ffff,
        0x8000_0000,
        u32::MAX - 1,
        u32::MAX,
    ]
}

#[test]
fn what_was_not_sent_cannot_be_acknowledged() {
    let mut victim = Victim::client();
    victim.write(20_000);
    let sent = victim.data_numbers().len() as u32;
    for lie in beyond(sent) {
        let numbers: Vec<SeqNum> = (0..255).map(|step| n(lie).plus(step)).collect();
        let honest = |number: &SeqNum| number.get() < sent;
        let numbers: Vec<SeqNum> = numbers.into_iter().filter(|n| !honest(n)).collect();
        victim.hear(&[ack(0, 0, 5, &numbers)]);
    }
    assert_eq!(victim.delivered(), 0);
    assert!(!victim.connection.is_flushed());
}

#[test]
fn receiving_next_beyond_what_was_sent_ends_the_session() {
    let used = {
        let mut victim = Victim::client();
        victim.write(20_000);
        victim.numbers_used()
    };
    for lie in beyond(used) {
        for segment in [
            ack(0, lie, 0, &[]),
            ping(0, lie, 100),
            Segment::Command(command(CommandKind::Unknown(77), 0, lie, 100)),
        ] {
            let mut victim = Victim::client();
            victim.write(20_000);
            victim.hear(&[segment]);
            match victim.connection.write_end() {
                None => assert_eq!(victim.delivered(), 0, "{segment:?}"),
                Some(error) => assert_eq!(error, ConnectionError::Reset, "{segment:?}"),
            }
            assert!(!victim.connection.is_flushed());
        }
    }
}

#[test]
fn what_is_acknowledged_twice_counts_once() {
    let mut victim = Victim::client();
    victim.write(20_000);
    let numbers = [n(0); 255];
    for _ in 0..100 {
        victim.hear(&[ack(0, 0, 0, &numbers)]);
    }
    let payload = derive::max_segment_payload(derive::max_plaintext(&victim.config));
    assert_eq!(victim.delivered(), payload as u64);
}

#[test]
fn a_window_that_shrinks_stays_where_it_was() {
    let mut victim = Victim::client();
    victim.write(victim.connection.write_room());
    assert!(victim.data_numbers().iter().all(|&number| number < 32));
    for _ in 0..3 {
        victim.acknowledge(50);
        victim.wait(SECOND / 10);
    }
    for limit in [40, 0, 1, u32::MAX, 0x9000_0000, 49, 32] {
        victim.hear(&[ack(limit, 0, 0, &[])]);
        victim.wait_in_quiet(1);
    }
    // What was promised is used, and then one segment tries whether there is more room.
    assert_eq!(victim.data_numbers().into_iter().max(), Some(50));
}

#[test]
fn a_window_of_two_billion_is_filled_to_the_buffer_only() {
    let mut victim = Victim::client();
    let mut limit = 0u32;
    for _ in 0..1000 {
        limit = limit.wrapping_add(0x7fff_ffff);
        victim.write(64 * 1024);
        victim.hear(&[ack(limit, 0, 0, &[])]);
        victim.wait(10 * MS);
    }
    let held = victim.connection.memory();
    assert!(held <= derive::send_window_bytes(&victim.config));
}

#[test]
fn a_flood_of_full_acks_is_answered_by_next_to_nothing() {
    let mut victim = Victim::client();
    victim.write(1000);
    victim.acknowledge(32);
    let before = victim.datagrams;
    let known: Vec<SeqNum> = (0..255).map(|_| n(0)).collect();
    for _ in 0..10_000 {
        victim.hear(&[ack(32, 1, 3, &known)]);
        victim.wait(MS / 10);
    }
    // A repeated ACK asks for a Ping, at most ten times a second.
    let sent = victim.datagrams - before;
    assert!(sent <= 12, "{sent} datagrams in a second");
}

#[test]
fn acks_of_everything_but_the_first_segment_repeat_that_one_in_measure() {
    let mut victim = Victim::client();
    victim.write(40_000);
    victim.wait(100 * MS);
    let later: Vec<SeqNum> = (1..32).map(n).collect();
    for _ in 0..2000 {
        victim.hear(&[ack(32, 0, 0, &later)]);
        victim.wait(MS);
    }
    assert!(!victim.connection.is_flushed());
    let repeated = victim.data_numbers().iter().filter(|&&n| n == 0).count();
    assert!(repeated <= 60, "{repeated} copies in two seconds");
}

#[test]
fn echoes_of_what_was_never_said_are_no_samples_and_prove_no_address() {
    let mut victim = Victim::server();
    victim.write(1000);
    victim.wait(SECOND);
    for echo in [1, 1000, 0x7fff_fffe, 0x7fff_ffff, 0x8000_0000, u32::MAX] {
        victim.hear(&[ack(32, 0, echo, &[n(0)])]);
    }
    let rto = victim.connection.stats().rto;
    assert!((20 * MS..=12_500 * MS).contains(&rto), "{rto:?}");
    assert!(!victim.connection.is_validated());
}

#[test]
fn peer_rto_changes_nothing() {
    let run = |rto: u32| {
        let mut victim = Victim::client();
        victim.write(50_000);
        for _ in 0..100 {
            victim.hear(&[ping(0, 0, rto)]);
            victim.wait(50 * MS);
        }
        (victim.datagrams, victim.bytes, victim.timeouts)
    };
    let usual = run(100);
    assert!(usual.0 < 200, "{usual:?}");
    for extreme in [0, 1, 0x7fff_ffff, 0x8000_0000, u32::MAX] {
        assert_eq!(run(extreme), usual, "a PeerRTO of {extreme}");
    }
}

// ---- habits of Go programs

#[test]
fn what_is_acknowledged_by_receiving_next_alone_is_no_longer_in_flight() {
    let mut victim = Victim::client();
    victim.write(3 * 1326);
    assert_eq!(victim.connection.stats().bytes_in_flight, 3 * 1326);
    victim.hear(&[ping(0, 2, 100)]);
    assert_eq!(victim.connection.stats().bytes_in_flight, 1326);
    victim.hear(&[ack(32, 3, 0, &[])]);
    assert_eq!(victim.connection.stats().bytes_in_flight, 0);
    assert!(victim.connection.is_flushed());
}

/// A client that has sent its first segment two seconds after its start, and 80 ms ago.
fn asking() -> (Victim, u32) {
    let mut victim = Victim::client();
    victim.wait(2 * SECOND);
    victim.sent.clear();
    victim.write(100);
    let datagram = victim.sent.concat();
    let Some(Segment::Data(data)) = Segments::new(&datagram).next() else {
        panic!("no Data: {datagram:?}");
    };
    let timestamp = data.timestamp.get();
    victim.wait(80 * MS);
    (victim, timestamp)
}

#[test]
fn the_first_segment_gives_a_sample_even_if_receiving_next_covers_it() {
    let (mut victim, timestamp) = asking();
    victim.hear(&[ack(32, 1, timestamp, &[n(0)])]);
    assert_eq!(victim.connection.stats().rtt, 80 * MS);
}

#[test]
fn an_echo_of_zero_is_no_sample() {
    let (mut victim, _) = asking();
    victim.hear(&[ack(32, 0, 0, &[n(0)])]);
    let rtt = victim.connection.stats().rtt;
    assert!(rtt <= 80 * MS, "{rtt:?}");
    assert!(victim.connection.is_flushed());
}
