//! How connections begin and last: the proof of an address, servers that start anew, long lives.

use std::time::Duration;

use mkcp::{
    Config, ConnectionError,
    internal::connection::{Connection, Origin, Side},
};

use crate::{
    app::{Gate, Script},
    clock::Time,
    go_peer::{GoPeer, config::GoConfig, connection::State},
    network::LinkProfile,
    node::{Node, Read},
    peer::OurPeer,
    world::{CLIENT, End, SERVER, World},
};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 3600);
const RTT: Duration = Duration::from_millis(50);
/// Of a Go peer.
const TICK: Duration = Duration::from_millis(50);
/// How often a Go peer that waits sends a Ping, and how long after the last it does beside Data.
const PING_TIMER: Duration = Duration::from_secs(5);
const PING_INTERVAL: Duration = Duration::from_secs(3);
/// Several segments of a server that speaks first.
const GREETING: usize = 3000;
const CONVERSATION: u16 = 0x1234;
const SEED: u64 = 0x0bea_c0de_5eed;

fn server(origin: Origin, instruct: fn(&mut Connection)) -> End {
    let config = Config::default();
    let peer = OurPeer::with(Side::Server, CONVERSATION, config, SEED, origin, instruct);
    End::ours(peer, CONVERSATION)
}

fn go_client() -> End {
    End::Go(GoPeer::dialer(CONVERSATION, GoConfig::v2ray()))
}

/// When a Go client has the whole answer of 100 kB to a request of so many bytes.
fn first_response(rtt: Duration, request: u64, instruct: fn(&mut Connection)) -> Duration {
    const RESPONSE: u64 = 100_000;
    let answering = Script {
        gate: Gate::After(request),
        ..Script::sending(RESPONSE)
    };
    let ends = [go_client(), server(Origin::default(), instruct)];
    let link = LinkProfile::clean(rtt / 2);
    let scripts = [Script::sending(request), answering];
    let mut world = World::new(ends, scripts, [link.clone(), link], SEED);
    world.run_while(5 * SECOND, |world| world.apps[CLIENT].received < RESPONSE);
    world.now
}

/// A Go peer's acknowledgement waits for its next tick; what that costs depends on where in one it
/// falls.
#[test]
fn the_proof_of_a_go_clients_address_costs_its_first_response_half_a_round_trip_or_a_tick() {
    for rtt in [5, 50, 51, 101, 400] {
        let rtt = rtt * MS;
        for request in [1, 5000] {
            let answered = |instruct| first_response(rtt, request, instruct);
            // As if nothing had to be proven.
            let free = answered(|server| server.set_amplification_factor(u32::MAX));
            let first = answered(|_| {});
            let next = answered(Connection::advance);
            let cost = if rtt < TICK { TICK } else { rtt / 2 };
            let asked = format!("{request} bytes over {rtt:?}");
            assert!(first <= free + cost, "{asked}: {first:?}, {free:?}");
            assert!(next <= free, "{asked}: {next:?} next, {free:?}");
        }
    }
}

/// Carries datagrams between two nodes until a time or a condition.
fn carry(
    nodes: [&mut dyn Node; 2],
    from: Time,
    until: Time,
    mut stop: impl FnMut([&mut dyn Node; 2], Time) -> bool,
) -> Time {
    let [client, server] = nodes;
    let mut under_way: Vec<(Time, usize, Vec<u8>)> = Vec::new();
    let mut now = from;
    loop {
        for (end, node) in [&mut *client, &mut *server].into_iter().enumerate() {
            if node.next_timeout().is_some_and(|at| at <= now) {
                node.handle_timeout(now);
            }
            while let Some(datagram) = node.transmit(now) {
                under_way.push((now + RTT / 2, 1 - end, datagram));
            }
        }
        if stop([&mut *client, &mut *server], now) {
            return now;
        }
        let timeouts = [client.next_timeout(), server.next_timeout()];
        let arrivals = under_way.iter().map(|&(at, _, _)| at);
        let next = arrivals.chain(timeouts.into_iter().flatten()).min();
        let Some(next) = next.filter(|&next| next <= until) else {
            return until;
        };
        now = now.max(next);
        for (_, to, datagram) in under_way.extract_if(.., |(at, _, _)| *at <= now) {
            let node: &mut dyn Node = if to == 0 { client } else { server };
            node.handle_datagram(now, &datagram);
        }
    }
}

/// The server was killed and started again. What a Go client reads next is the end.
#[test]
fn a_go_client_learns_of_a_restart_within_a_round_trip_of_its_next_write() {
    let fresh = || OurPeer::new(Side::Server, CONVERSATION, Config::default(), SEED);
    for answer in [0, 10_000] {
        let mut client = GoPeer::dialer(CONVERSATION, GoConfig::v2ray());
        let mut server = fresh();
        client.write(Time::ZERO, &[1; 3000]);
        carry([&mut client, &mut server], Time::ZERO, SECOND, |_, _| false);
        server.write(SECOND, &vec![2; answer]);
        carry([&mut client, &mut server], SECOND, 6 * SECOND, |_, _| false);
        assert!(matches!(server.read(6 * SECOND, 5000), Read::Bytes(_)));
        if answer > 0 {
            assert!(matches!(client.read(6 * SECOND, 20_000), Read::Bytes(_)));
        }
        let mut restarted = fresh();
        let state = |client: &GoPeer| client.connection().map(|connection| connection.state());
        assert_eq!(state(&client), Some(State::Active));
        let wrote = 6 * SECOND + MS;
        client.write(wrote, b"is anybody there?");
        let both: [&mut dyn Node; 2] = [&mut client, &mut restarted];
        let knew = carry(both, wrote, 60 * SECOND, |[client, _], now| {
            matches!(client.read(now, 1), Read::End(_))
        });
        assert!(knew <= wrote + RTT, "after {:?}", knew - wrote);
        assert_eq!(state(&client), Some(State::PeerTerminating));
        assert!(!restarted.is_open(), "a ghost");
    }
}

/// What became of a Go client that had only listened.
#[derive(Debug, Default)]
struct Aftermath {
    heard: Vec<u8>,
    /// When it read the end.
    learnt: Option<Time>,
    /// What the program of the server was given, and how that ended.
    given: Vec<u8>,
    end: Option<Result<(), ConnectionError>>,
}

/// Runs a Go client against a new server, which greets whoever comes.
fn greet(client: &mut GoPeer, from: Time, until: Time, greeting: &[u8]) -> Aftermath {
    let mut server = OurPeer::new(Side::Server, CONVERSATION, Config::default(), SEED);
    let mut said = 0;
    let mut after = Aftermath::default();
    carry(
        [client, &mut server],
        from,
        until,
        |[client, server], now| {
            said += server.write(now, &greeting[said..]);
            match server.read(now, 5000) {
                Read::Bytes(bytes) => after.given.extend(bytes),
                Read::End(end) => after.end = Some(end),
                Read::Wait => {}
            }
            match client.read(now, 5000) {
                Read::Bytes(bytes) => after.heard.extend(bytes),
                Read::End(_) => after.learnt = after.learnt.or(Some(now)),
                Read::Wait => {}
            }
            false
        },
    );
    after
}

/// A Go client listens to a greeting, and writes so long after a Ping of its own, the first of
/// which has opened the connection. The server has been started again just before, and what it says
/// then is so long. Gives when the client wrote, too.
fn write_after_a_restart(pings: u32, since_ping: Duration, greeting: usize) -> (Time, Aftermath) {
    let mut client = GoPeer::dialer(CONVERSATION, GoConfig::v2ray());
    let wrote = pings * PING_TIMER + since_ping;
    let before = greet(&mut client, Time::ZERO, wrote, &[1; GREETING]);
    assert_eq!((before.heard.len(), before.learnt), (GREETING, None));
    client.write(wrote, b"hello");
    let until = wrote + 2 * PING_TIMER;
    (wrote, greet(&mut client, wrote, until, &vec![2; greeting]))
}

/// The first Data of a Go client that had only listened looks like the beginning of a connection.
/// What it has received does not, which it says in an ACK that is still due, or in its next Ping.
#[test]
fn a_go_client_that_had_only_listened_learns_of_a_restart_by_its_next_ack_or_ping() {
    let times = [100, 1000, 2000, 2999, 3000, 4000, 4999];
    let after_ping = |ping| times.map(|time| (ping, time * MS));
    for (pings, since_ping) in [1, 2].into_iter().flat_map(after_ping) {
        let next = match since_ping < PING_INTERVAL {
            true if pings == 1 => 2 * TICK,
            true => PING_TIMER - since_ping,
            false => Duration::ZERO,
        };
        for greeting in [0, GREETING / 3] {
            let (wrote, after) = write_after_a_restart(pings, since_ping, greeting);
            let case = format!("{since_ping:?} after Ping {pings}, {greeting} bytes");
            let learnt = after.learnt.map(|learnt| learnt - wrote);
            let in_time = learnt.is_some_and(|time| time <= next + RTT);
            assert!(in_time, "{case}: {learnt:?}");
            assert_eq!(after.heard, b"", "{case}");
            // Until then the new program has a session with what was meant for the old one.
            assert_eq!(after.given, b"hello", "{case}");
            assert_eq!(after.end, Some(Err(ConnectionError::Reset)), "{case}");
        }
    }
}

/// The limit of that, which the manual tells: as nothing of the client was ever acknowledged, the
/// numbers of both lives are the same once the new server has said as much as the old one.
#[test]
fn a_go_client_that_had_only_listened_goes_on_with_a_server_that_says_as_much_again() {
    for (greeting, says_more) in [(GREETING, false), (2 * GREETING, true)] {
        let (_, after) = write_after_a_restart(2, SECOND, greeting);
        assert_eq!((after.learnt, after.end), (None, None), "{greeting} bytes");
        assert_eq!(after.given, b"hello", "{greeting} bytes");
        // As many segments as it had heard before are not heard again, whatever they say.
        let heard = after.heard.len();
        assert!(
            heard < greeting && (heard > 0) == says_more,
            "{heard} bytes"
        );
    }
}

/// One session of two of ours for 60 days: its clocks start over two times or three.
#[test]
fn a_session_lasts_sixty_days() {
    let config = || {
        Config::builder()
            .keepalive(600 * SECOND)
            .idle_timeout(DAY)
            .build()
            .expect("in range")
    };
    let ours = |side| {
        let seed = SEED.wrapping_mul(3 + side as u64);
        End::ours(
            OurPeer::new(side, CONVERSATION, config(), seed),
            CONVERSATION,
        )
    };
    // A few segments every two hours, in both directions.
    const WRITE: usize = 5000;
    let script = || Script {
        write_size: WRITE,
        write_gap: DAY / 12,
        patience: 100 * DAY,
        ..Script::sending(10_000_000)
    };
    let link = LinkProfile::clean(RTT / 2);
    let ends = [ours(Side::Client), ours(Side::Server)];
    let mut world = World::new(ends, [script(), script()], [link.clone(), link], SEED);
    for day in 1..=60 {
        world.run_until(day * DAY + DAY / 24);
        for end in [CLIENT, SERVER] {
            let received = world.apps[1 - end].received;
            let expected = (u64::from(day) * 12 + 1) * WRITE as u64;
            assert_eq!(received, expected, "day {day}");
            let stats = world.ours(end).connection().expect("it lives").stats();
            assert_eq!(stats.segments_retransmitted, 0, "day {day}");
            let rtt = stats.rtt;
            assert!((RTT..RTT + 20 * MS).contains(&rtt), "day {day}: {rtt:?}");
        }
    }
}

/// The clock of a Go client lasts for 24.8 days; ours starts over after twelve at the earliest.
#[test]
fn a_go_client_bears_that_our_clock_starts_over() {
    let origin = Origin {
        clock: Some((1 << 31) - 10_000),
        ..Origin::default()
    };
    let answering = Script {
        gate: Gate::Echo,
        ..Script::sending(200_000)
    };
    let asking = Script {
        write_size: 1000,
        write_gap: 100 * MS,
        gate: Gate::PingPong(1000),
        ..Script::sending(200_000)
    };
    let ends = [go_client(), server(origin, |_| {})];
    let link = LinkProfile::clean(RTT / 2);
    let mut world = World::new(ends, [asking, answering], [link.clone(), link], SEED);
    world.run_while(60 * SECOND, |world| world.apps[CLIENT].received < 200_000);
    let stats = world.ours(SERVER).connection().expect("it lives").stats();
    assert_eq!((stats.segments_retransmitted, stats.spurious), (0, 0));
    assert!((RTT..2 * RTT).contains(&stats.rtt), "{:?}", stats.rtt);
}
