//! A server that has lost its state: killed and started anew, while its clients know nothing of it.

use super::{peers::Town, *};
use crate::{
    config::{Header, derive},
    connection::State,
    wire::{Ack, CommandKind, Numbers},
};

const DELAY: Duration = Duration::from_millis(25);
const SECOND: Duration = Duration::from_secs(1);

/// How long after its next write a client knows.
fn time_to_know(prepare: impl Fn(&mut Town, usize)) -> Duration {
    let mut town = Town::new(Lab::new());
    let client = town.add(address(2), 7, DELAY);
    prepare(&mut town, client);
    town.restart();
    town.run_until(town.lab.now + SECOND);
    assert_eq!(town.clients[client].connection.state(), State::Active);
    town.clients[client].connection.write(b"is anybody there?");
    town.run_while(10 * SECOND, |town| {
        town.clients[client].connection.read_end().is_none()
    })
}

#[test]
fn a_client_learns_of_a_restart_within_a_round_trip_of_its_next_write() {
    let exchange = |town: &mut Town, client: usize| {
        town.clients[client].connection.write(&[1; 5000]);
        town.run_while(10 * SECOND, |town| town.clients[client].received < 5000);
        town.run_until(town.lab.now + SECOND);
    };
    assert_eq!(time_to_know(exchange), 2 * DELAY);
    let upload = |town: &mut Town, client: usize| {
        town.program.accepts = false;
        town.clients[client].connection.write(&[1; 5000]);
        town.run_until(town.lab.now + SECOND);
    };
    assert_eq!(time_to_know(upload), 2 * DELAY);
}

#[test]
fn a_client_that_waits_learns_of_a_restart_by_its_keepalive() {
    let mut town = Town::new(Lab::new());
    town.program.greeting = 100;
    let client = town.add(address(2), 7, DELAY);
    town.run_while(10 * SECOND, |town| town.clients[client].received < 100);
    town.run_until(town.lab.now + SECOND);
    town.restart();
    let learnt = town.run_while(20 * SECOND, |town| {
        town.clients[client].connection.read_end().is_none()
    });
    assert!(learnt <= 10 * SECOND + 2 * DELAY, "after {learnt:?}");
    let end = town.clients[client].connection.read_end();
    assert_eq!(end, Some(Err(ConnectionError::Reset)));
}

/// An ACK says less than its sender has received: the end of a stray one must lie beyond that.
#[test]
fn a_download_that_a_restart_cuts_short_ends_in_an_error() {
    for milliseconds in (0..200).step_by(5) {
        let mut town = Town::new(Lab::new());
        town.program.greeting = 400_000;
        let client = town.add(address(2), 7, DELAY);
        town.run_while(10 * SECOND, |town| town.clients[client].received == 0);
        town.run_until(town.lab.now + Duration::from_millis(milliseconds));
        assert!(town.clients[client].received < 400_000);
        town.restart();
        town.run_while(30 * SECOND, |town| {
            town.clients[client].connection.read_end().is_none()
        });
        let end = town.clients[client].connection.read_end();
        assert_eq!(end, Some(Err(ConnectionError::Reset)), "{milliseconds} ms");
    }
}

/// The server loses its state when some of what the client sent has arrived, and the rest, which
/// looks like a beginning, has not.
#[test]
fn a_restart_in_the_midst_of_the_first_flight_leaves_no_black_hole() {
    let mut town = Town::new(Lab::new());
    let client = town.add(address(2), 7, DELAY);
    town.clients[client].connection.set_nodelay(true);
    town.clients[client].connection.write(b"first");
    town.run_until(town.lab.now + DELAY / 2);
    town.clients[client].connection.write(b"second");
    // The acknowledgement of the first is under way.
    town.run_until(town.lab.now + DELAY / 2 + 11 * Duration::from_millis(1));
    town.restart();
    town.run_until(town.lab.now + DELAY);
    town.clients[client].connection.write(b"third");
    let knew = town.run_while(SECOND, |town| {
        town.clients[client].connection.read_end().is_none()
    });
    assert!(knew <= 2 * DELAY, "after {knew:?}");
    town.run_until(town.lab.now + 10 * SECOND);
    assert_eq!(town.lab.port.sessions(), 0);
}

/// Its first write looks like the beginning of a connection; what it has received does not.
#[test]
fn a_client_that_had_only_listened_learns_of_a_restart_too() {
    let mut town = Town::new(Lab::new());
    town.program.greeting = 5000;
    let client = town.add(address(2), 7, DELAY);
    town.run_while(10 * SECOND, |town| town.clients[client].received < 5000);
    town.run_until(town.lab.now + SECOND);
    town.restart();
    town.clients[client].connection.write(b"is anybody there?");
    let knew = town.run_while(SECOND, |town| {
        town.clients[client].connection.read_end().is_none()
    });
    assert!(knew <= 5 * DELAY, "after {knew:?}");
}

/// Each kind that can only be the rest of an older life.
fn strays() -> Vec<Vec<u8>> {
    let ack = Segment::Ack(Ack {
        conversation: 7,
        options: Options::NONE,
        receiving_window: SeqNum::new(100),
        receiving_next: SeqNum::new(41),
        timestamp: Timestamp::new(1),
        numbers: Numbers::EMPTY,
    });
    let data = Segment::Data(Data {
        conversation: 7,
        options: Options::NONE,
        timestamp: Timestamp::new(1),
        number: SeqNum::new(41),
        sending_next: SeqNum::new(40),
        payload: b"x",
    });
    let ping = Segment::Command(crate::wire::Command {
        conversation: 7,
        kind: CommandKind::Ping,
        options: Options::NONE,
        sending_next: SeqNum::new(3),
        receiving_next: SeqNum::new(41),
        peer_rto: 100,
    });
    let encode = |segment: Segment<'_>| {
        let mut plaintext = Vec::new();
        segment.encode(&mut plaintext);
        plaintext
    };
    [ack, data, ping].map(encode).into()
}

#[test]
fn a_stray_is_answered_by_one_terminate_never_longer_than_itself() {
    let headers = [
        Header::None,
        Header::Srtp,
        Header::Utp,
        Header::WechatVideo,
        Header::Dtls,
        Header::Wireguard,
        Header::Dns("example.org".into()),
    ];
    for header in headers {
        for seed in [None, Some("a seed")] {
            let mut config = Config::builder().header(header.clone());
            if let Some(seed) = seed {
                config = config.seed(seed);
            }
            let config = config.build().unwrap();
            let overhead = usize::from(config.mtu()) - derive::max_plaintext(&config);
            let mut lab = Lab::with(config, Limits::default());
            lab.port.start_listening().unwrap();
            for stray in strays() {
                lab.post(address(2), 7, &stray);
                lab.settle();
                let trains = std::mem::take(&mut *lab.outbox.trains.lock());
                let lengths: Vec<usize> = trains.iter().flatten().map(Vec::len).collect();
                assert_eq!(lengths.len(), 1, "{header:?} {seed:?}");
                assert!(lengths[0] <= stray.len() + overhead, "{header:?} {seed:?}");
            }
            assert_eq!(lab.port.sessions(), 0);
        }
    }
}

#[test]
fn answers_to_strays_are_limited_per_second() {
    let mut lab = Lab::new();
    lab.port.start_listening().unwrap();
    for round in 0..50 {
        for stray in strays().iter().cycle().take(60) {
            lab.post(address(2 + round), 7, stray);
        }
        lab.settle();
    }
    assert_eq!(lab.port.counters.datagrams_sent.get(), 1000);
    assert_eq!(lab.port.sessions(), 0);
}
