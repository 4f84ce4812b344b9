//! Scenarios with a name: what a user would try first, and what upstream gets wrong.

use std::time::Duration;

use mkcp::{Config, internal::connection::Side};

use crate::{
    app::{Ending, Script},
    go_peer::{GoPeer, config::GoConfig},
    network::{Change, LinkProfile},
    peer::OurPeer,
    world::{CLIENT, End, SERVER, World},
};

pub const MS: Duration = Duration::from_millis(1);
pub const SECOND: Duration = Duration::from_secs(1);
const CONVERSATION: u16 = 0x1234;
const SEED: u64 = 0x5ce0_a210;

pub fn ours(side: Side) -> End {
    ours_with(side, Config::default())
}

pub fn ours_with(side: Side, config: Config) -> End {
    let seed = SEED + side as u64;
    let peer = OurPeer::new(side, CONVERSATION, config, seed);
    End::ours(peer, CONVERSATION)
}

/// Two of ours, both directions alike.
pub fn pair(link: LinkProfile, client: Script, server: Script) -> World {
    let ends = [ours(Side::Client), ours(Side::Server)];
    World::new(ends, [client, server], [link.clone(), link], SEED)
}

fn go_server(link: LinkProfile, client: Script, server: Script) -> World {
    let ends = [
        ours(Side::Client),
        End::Go(GoPeer::listener(GoConfig::v2ray())),
    ];
    World::new(ends, [client, server], [link.clone(), link], SEED)
}

/// A program that only listens and leaves after the other.
pub fn listening() -> Script {
    Script::sending(0)
}

/// Sends so much and closes at once.
pub fn uploading(total: u64) -> Script {
    Script::sending(total).ending(Ending::WhenWritten)
}

pub fn finish(world: &mut World, within: Duration) -> Duration {
    assert!(world.run_until(within), "not over within {within:?}");
    world.now
}

#[test]
fn a_clean_link_carries_what_it_can() {
    let rate = 1_250_000;
    let link = LinkProfile::clean(25 * MS).with_rate(rate, 64 * 1024);
    let mut world = pair(link, uploading(5_000_000), listening());
    world.run_while(20 * SECOND, |world| world.apps[SERVER].received < 5_000_000);
    let goodput = 5_000_000.0 / world.now.as_secs_f64();
    assert!(goodput > 0.7 * rate as f64, "{goodput} of {rate} bytes/s");
}

#[test]
fn a_fifth_lost_both_ways_loses_no_byte() {
    let link = LinkProfile::clean(25 * MS).with_loss(0.2);
    let mut world = pair(link, uploading(1_000_000), listening());
    finish(&mut world, 60 * SECOND);
    assert_eq!(world.apps[SERVER].received, 1_000_000);
    assert_eq!(world.apps[SERVER].ended.map(|(_, end)| end), Some(Ok(())));
}

#[test]
fn a_transfer_survives_five_dark_seconds() {
    let link = LinkProfile::clean(25 * MS).with_rate(1_250_000, 64 * 1024);
    let mut world = pair(link, uploading(3_000_000), listening());
    for end in [CLIENT, SERVER] {
        world.schedule(SECOND, end, Change::Down);
        world.schedule(6 * SECOND, end, Change::Up);
    }
    // What the window still allowed has left by then; from here on there are only probes.
    world.run_until(1300 * MS);
    let before = sent(&mut world);
    world.run_until(6 * SECOND);
    let in_the_dark = sent(&mut world) - before;
    assert!(in_the_dark <= 20, "{in_the_dark} datagrams into the dark");
    finish(&mut world, 30 * SECOND);
    assert_eq!(world.apps[SERVER].received, 3_000_000);
}

fn sent(world: &mut World) -> u64 {
    let connection = world.ours(CLIENT).connection_mut();
    connection.map_or(0, |connection| connection.stats().datagrams_sent)
}

#[test]
fn a_link_that_gets_worse_is_followed() {
    let link = LinkProfile::clean(20 * MS).with_rate(2_500_000, 128 * 1024);
    let mut world = pair(link, uploading(4_000_000), listening());
    world.schedule(500 * MS, CLIENT, Change::BytesPerSecond(500_000));
    world.schedule(2 * SECOND, CLIENT, Change::Loss(0.05));
    finish(&mut world, 60 * SECOND);
    assert_eq!(world.apps[SERVER].received, 4_000_000);
}

#[test]
fn a_reader_that_stops_stops_the_sender_and_goes_on_without_loss() {
    let mut world = pair(
        LinkProfile::clean(10 * MS),
        uploading(8_000_000),
        listening(),
    );
    world.run_while(SECOND, |world| world.apps[SERVER].received == 0);
    world.apps[SERVER].pause(10 * SECOND);
    world.run_until(8 * SECOND);
    let before = sent(&mut world);
    world.run_until(9 * SECOND);
    assert!(
        sent(&mut world) - before <= 2,
        "a closed window is only probed"
    );
    world.run_until(10 * SECOND);
    world.resume(SERVER);
    finish(&mut world, 60 * SECOND);
    assert_eq!(world.apps[SERVER].received, 8_000_000);
}

#[test]
fn the_end_arrives_within_a_round_trip_and_50_ms() {
    for rtt in [2 * MS, 50 * MS, 300 * MS] {
        for closer in [CLIENT, SERVER] {
            let close_at = 5 * SECOND;
            let closing = Script::sending(10_000).ending(Ending::CloseAt(close_at));
            let reading = Script::sending(10_000);
            let scripts = match closer {
                CLIENT => [closing, reading],
                _ => [reading, closing],
            };
            let [client, server] = scripts;
            let mut world = pair(LinkProfile::clean(rtt / 2), client, server);
            finish(&mut world, 30 * SECOND);
            let (at, end) = world.apps[1 - closer].ended.expect("it ended");
            assert_eq!(end, Ok(()));
            let took = at - close_at;
            assert!(took <= rtt + 50 * MS, "end {closer}, {rtt:?}: {took:?}");
            let all_over = world.now - close_at;
            assert!(all_over <= SECOND, "both gone after {all_over:?}");
        }
    }
}

#[test]
fn both_may_close_at_once() {
    let closing = || Script::sending(50_000).ending(Ending::CloseAt(3 * SECOND));
    let mut world = pair(LinkProfile::clean(20 * MS), closing(), closing());
    finish(&mut world, 4 * SECOND);
    assert_eq!(world.apps[CLIENT].received, 50_000);
    assert_eq!(world.apps[SERVER].received, 50_000);
}

#[test]
fn a_go_peer_stops_repeating_its_acknowledgement() {
    let one_byte = Script::sending(1).ending(Ending::CloseAt(20 * SECOND));
    let mut world = go_server(LinkProfile::clean(5 * MS), one_byte, listening());
    world.run_until(6 * SECOND);
    let stats = world.ours(CLIENT).connection().map(|c| c.stats());
    let acks = stats.map_or(0, |stats| stats.acks_received);
    assert!((1..=5).contains(&acks), "{acks} ACK datagrams");
    assert!(
        world
            .go(SERVER)
            .connection()
            .is_some_and(|c| c.is_flushed())
    );
}

#[test]
fn a_go_peer_gets_its_samples_and_repeats_nothing_on_a_long_path() {
    let link = LinkProfile::clean(150 * MS);
    let to_us = Script::sending(500_000).ending(Ending::WhenFlushed(0));
    let asking = Script::sending(1);
    let mut world = go_server(link, asking, to_us);
    world.run_while(60 * SECOND, |world| world.apps[CLIENT].received < 500_000);
    let stats = world.ours(CLIENT).connection().map(|c| c.stats());
    let duplicates = stats.map_or(0, |stats| stats.duplicates_received);
    assert!(duplicates < 500, "{duplicates} segments came twice");
}
