//! How connections end when the network or the other end does not help: everything that waits
//! ends in bounded time, and no byte that has arrived is thrown away before its reader had it.
//!
//! The bounds are those of the documentation: `linger` (10 s) for what was written, 8 s for
//! Terminates, `idle_timeout` (30 s) for a peer that is not heard.

use std::time::Duration;

use mkcp::{Config, ConnectionError, internal::connection::Side};

use crate::{
    app::{Ending, Left, Pause, Script},
    go_peer::{GoPeer, config::GoConfig},
    network::{Change, LinkProfile},
    scenarios::{MS, SECOND, finish, listening, ours, ours_with, pair, uploading},
    world::{CLIENT, End, SERVER, World},
};

const LINGER: Duration = Duration::from_secs(10);
const TERMINATES: Duration = Duration::from_secs(8);
const IDLE: Duration = Duration::from_secs(30);
/// For the round trips before and after.
const SLACK: Duration = Duration::from_secs(1);
const SEED: u64 = 0xc105_e000;

/// Ours, as the client or the server, with a peer of each kind.
fn with_every_peer(link: &LinkProfile, scripts: &[Script; 2], run: impl Fn(&str, World)) {
    let links = || [link.clone(), link.clone()];
    let [client, server] = scripts;
    let both = || [client.clone(), server.clone()];
    let peers = [("v2ray", GoConfig::v2ray()), ("xray", GoConfig::xray())];
    run("ours", pair(link.clone(), client.clone(), server.clone()));
    for (name, config) in peers {
        let ends = [ours(Side::Client), End::Go(GoPeer::listener(config))];
        run(name, World::new(ends, both(), links(), SEED));
    }
}

/// From then on nothing gets through in either direction.
fn cut(world: &mut World, at: Duration) {
    for end in [CLIENT, SERVER] {
        world.schedule(at, end, Change::Down);
    }
}

fn ended(world: &World, end: usize) -> (Duration, Result<(), ConnectionError>) {
    world.apps[end].ended.expect("its stream has ended")
}

fn has_gone(world: &World, end: usize) -> bool {
    world.apps[end].has_left() && world.node(end).is_gone()
}

fn gone_after(world: &mut World, end: usize, within: Duration) -> Duration {
    let start = world.now;
    world.run_while(within, |world| !has_gone(world, end));
    world.now - start
}

#[test]
fn a_closer_is_gone_although_all_its_terminates_are_lost() {
    let scripts = [
        Script::sending(1000).ending(Ending::CloseAt(2 * SECOND)),
        listening(),
    ];
    with_every_peer(&LinkProfile::clean(20 * MS), &scripts, |name, mut world| {
        cut(&mut world, 2 * SECOND);
        world.run_until(2 * SECOND);
        let took = gone_after(&mut world, CLIENT, TERMINATES + SLACK);
        assert!(took <= TERMINATES, "{name}: {took:?}");
        assert_eq!(world.apps[SERVER].received, 1000, "{name}");
    });
}

#[test]
fn a_reader_learns_in_time_of_an_end_whose_every_word_was_lost() {
    let closing = Script::sending(1000).ending(Ending::CloseAt(2 * SECOND));
    let mut world = pair(LinkProfile::clean(20 * MS), closing, listening());
    cut(&mut world, 2 * SECOND);
    world.run_while(60 * SECOND, |world| world.apps[SERVER].ended.is_none());
    let (at, end) = ended(&world, SERVER);
    assert_eq!(end, Err(ConnectionError::TimedOut));
    assert!(at <= 2 * SECOND + IDLE + SLACK, "{at:?}");
    assert_eq!(world.apps[SERVER].received, 1000);
}

#[test]
fn a_terminate_of_which_the_first_five_are_lost_still_ends_the_stream() {
    let closing = || Script::sending(1000).ending(Ending::CloseAt(2 * SECOND));
    let scripts = [closing(), listening()];
    with_every_peer(&LinkProfile::clean(20 * MS), &scripts, |name, mut world| {
        world.schedule(2 * SECOND, CLIENT, Change::Down);
        world.schedule(4 * SECOND, CLIENT, Change::Up);
        world.run_while(12 * SECOND, |world| world.apps[SERVER].ended.is_none());
        assert_eq!(ended(&world, SERVER).1, Ok(()), "{name}");
    });
}

#[test]
fn writing_and_reading_end_when_the_peer_has_vanished() {
    let scripts = [
        Script::sending(50_000_000),
        Script::sending(0).ending(Ending::VanishAt(2 * SECOND)),
    ];
    let link = LinkProfile::clean(20 * MS).with_rate(1_250_000, 64 * 1024);
    with_every_peer(&link, &scripts, |name, mut world| {
        world.run_while(60 * SECOND, |world| world.apps[CLIENT].ended.is_none());
        let (at, end) = ended(&world, CLIENT);
        assert_eq!(end, Err(ConnectionError::TimedOut), "{name}");
        assert!(at <= 2 * SECOND + IDLE + SLACK, "{name}: {at:?}");
        assert!(has_gone(&world, CLIENT), "{name}");
    });
}

#[test]
fn closing_ends_after_the_linger_time_when_the_peer_has_vanished() {
    let closes = 4 * SECOND;
    let scripts = [
        Script::sending(50_000_000).ending(Ending::CloseAt(closes)),
        Script::sending(0).ending(Ending::VanishAt(2 * SECOND)),
    ];
    let link = LinkProfile::clean(20 * MS).with_rate(1_250_000, 64 * 1024);
    with_every_peer(&link, &scripts, |name, mut world| {
        world.run_until(closes);
        let took = gone_after(&mut world, CLIENT, LINGER + SLACK);
        assert!(took <= LINGER, "{name}: {took:?}");
        assert!(!world.node(CLIENT).is_flushed(), "{name}");
    });
}

#[test]
fn a_frozen_peer_that_wakes_up_has_lost_nothing_within_the_idle_time() {
    let mut world = pair(LinkProfile::clean(20 * MS), uploading(200_000), listening());
    // It is as if its network were cut: neither reads, writes nor timers, for eight seconds.
    for end in [CLIENT, SERVER] {
        world.schedule(50 * MS, end, Change::Down);
        world.schedule(8 * SECOND, end, Change::Up);
    }
    finish(&mut world, 20 * SECOND);
    assert_eq!(world.apps[SERVER].received, 200_000);
    assert_eq!(ended(&world, SERVER).1, Ok(()));
}

#[test]
fn what_a_frozen_program_has_not_read_waits_for_it_longer_than_every_timer() {
    let mut slow = listening();
    slow.pauses = vec![Pause {
        after: 1,
        length: 300 * SECOND,
    }];
    // Reads are small, so that the pause comes before the rest.
    slow.read_size = 1000;
    let scripts = [uploading(100_000), slow];
    let link = LinkProfile::clean(20 * MS);
    let mut world = pair(link, scripts[0].clone(), scripts[1].clone());
    world.run_until(299 * SECOND);
    assert!(world.apps[SERVER].received <= 1000);
    finish(&mut world, 310 * SECOND);
    assert_eq!(world.apps[SERVER].received, 100_000);
    assert_eq!(ended(&world, SERVER).1, Ok(()));
}

#[test]
fn what_a_frozen_program_leaves_no_room_for_waits_at_the_peer_that_has_closed() {
    let config = Config::builder()
        .read_buffer(64 * 1024)
        .linger(600 * SECOND);
    let config = config.build().expect("a valid configuration");
    let mut slow = listening();
    slow.read_size = 1000;
    slow.pauses = vec![Pause {
        after: 1,
        length: 300 * SECOND,
    }];
    let ends = [Side::Client, Side::Server].map(|side| ours_with(side, config.clone()));
    let links = [(); 2].map(|()| LinkProfile::clean(20 * MS));
    // More than the window takes, but no more than waits beyond it when the program closes.
    let mut world = World::new(ends, [uploading(120_000), slow], links, SEED);
    world.run_until(299 * SECOND);
    assert!(world.apps[CLIENT].has_left() && !world.node(CLIENT).is_flushed());
    finish(&mut world, 330 * SECOND);
    assert_eq!(world.apps[SERVER].received, 120_000);
    assert_eq!(ended(&world, SERVER).1, Ok(()));
    assert!(world.node(CLIENT).is_flushed());
}

#[test]
fn our_slow_reader_gets_all_that_a_go_program_sent_before_it_closed() {
    for config in [GoConfig::v2ray(), GoConfig::xray()] {
        let mut slow = Script::sending(1);
        slow.read_size = 1000;
        slow.pauses = vec![Pause {
            after: 1,
            length: 120 * SECOND,
        }];
        // The Go program waits until all is acknowledged, for upstream drops the rest after 15 s.
        let sending = Script::sending(100_000).ending(Ending::WhenFlushed(1));
        let link = LinkProfile::clean(20 * MS);
        let ends = [ours(Side::Client), End::Go(GoPeer::listener(config))];
        let mut world = World::new(ends, [slow, sending], [link.clone(), link], SEED);
        finish(&mut world, 130 * SECOND);
        assert_eq!(world.apps[CLIENT].received, 100_000);
        assert_eq!(ended(&world, CLIENT).1, Ok(()));
    }
}

#[test]
fn both_closing_at_once_are_gone_in_time_whatever_is_lost() {
    for loss in [0.0, 0.3, 0.6] {
        let closing = || Script::sending(20_000).ending(Ending::CloseAt(20 * SECOND));
        let link = LinkProfile::clean(20 * MS).with_loss(loss);
        with_every_peer(&link, &[closing(), closing()], |name, mut world| {
            world.run_until(20 * SECOND);
            let took = gone_after(&mut world, CLIENT, LINGER + TERMINATES + SLACK);
            assert!(took <= TERMINATES + SLACK, "{name}, {loss}: {took:?}");
            // mKCP: of two that close at once, a Go program throws away what is not delivered yet.
            if name == "ours" || loss < 0.5 {
                let received = world.apps.each_ref().map(|app| app.received);
                assert_eq!(received, [20_000; 2], "{name}, {loss}");
            }
        });
    }
}

#[test]
fn both_closing_at_once_in_the_dark_are_gone_in_time() {
    let closing = || Script::sending(20_000).ending(Ending::CloseAt(5 * SECOND));
    let scripts = [closing(), closing()];
    with_every_peer(&LinkProfile::clean(20 * MS), &scripts, |name, mut world| {
        cut(&mut world, 5 * SECOND);
        world.run_until(5 * SECOND);
        let took = gone_after(&mut world, CLIENT, TERMINATES + SLACK);
        assert!(took <= TERMINATES, "{name}: {took:?}");
    });
}

/// Two of ours that send each other much; each closes at its time, and both are gone soon. Says
/// for each whether its program learns that all was delivered.
fn both_close_while_writing(link: &LinkProfile, closes: [Duration; 2], dark: bool) -> [bool; 2] {
    let script = |at| Script::sending(100_000).ending(Ending::CloseAt(at));
    let mut world = pair(link.clone(), script(closes[0]), script(closes[1]));
    let first = closes[0].min(closes[1]);
    if dark {
        cut(&mut world, first);
    }
    world.run_until(first);
    let case = format!("{closes:?}, dark: {dark}, {link:?}");
    let gone = |world: &World| [CLIENT, SERVER].map(|end| has_gone(world, end));
    let start = world.now;
    world.run_while(60 * SECOND, |world| gone(world) != [true; 2]);
    let took = world.now - start;
    assert!(took <= LINGER + SLACK, "{case}: {took:?}");
    [CLIENT, SERVER].map(|end| {
        let claimed = world.node(end).is_flushed();
        assert!(!claimed || world.has_delivered(end), "{case}: {end} lies");
        claimed
    })
}

#[test]
fn of_two_that_close_with_data_under_way_each_is_told_the_truth_in_time() {
    let link = LinkProfile::clean(20 * MS).with_rate(1_250_000, 64 * 1024);
    let (mut delivered, mut cases) = (0, 0);
    for loss in [0.0, 0.3] {
        let link = link.clone().with_loss(loss);
        for at in (20..=200).step_by(20) {
            for later in [0, 15, 50] {
                let closes = [at * MS, (at + later) * MS];
                for closes in [closes, [closes[1], closes[0]]] {
                    let told = both_close_while_writing(&link, closes, false);
                    delivered += told.iter().filter(|&&told| told).count();
                    cases += 2;
                }
            }
        }
    }
    assert!((1..cases).contains(&delivered), "{delivered} of {cases}");
}

#[test]
fn of_two_that_close_with_data_under_way_in_the_dark_neither_hears_of_a_delivery() {
    let link = LinkProfile::clean(20 * MS).with_rate(1_250_000, 64 * 1024);
    for at in (20..=100).step_by(20) {
        let told = both_close_while_writing(&link, [at * MS; 2], true);
        assert_eq!(told, [false; 2], "closed after {at} ms");
    }
}

#[test]
fn a_linger_time_is_kept_to_the_end_and_not_exceeded() {
    // The path comes back just before the time is over, or just after.
    for (back, delivered) in [(LINGER - 2 * SECOND, true), (LINGER + SECOND, false)] {
        let mut world = pair(LinkProfile::clean(20 * MS), uploading(20_000), listening());
        for end in [CLIENT, SERVER] {
            world.schedule(15 * MS, end, Change::Down);
            world.schedule(back, end, Change::Up);
        }
        let took = gone_after(&mut world, CLIENT, LINGER + TERMINATES + SLACK);
        assert_eq!(world.node(CLIENT).is_flushed(), delivered, "{back:?}");
        if !delivered {
            assert!((LINGER..=LINGER + 100 * MS).contains(&took), "{took:?}");
        }
    }
}

#[test]
fn a_reset_ends_both_sides_at_once() {
    let scripts = [
        Script::sending(5_000_000).ending(Ending::ResetAt(SECOND)),
        Script::sending(5_000_000),
    ];
    let link = LinkProfile::clean(20 * MS).with_rate(1_250_000, 64 * 1024);
    let mut world = pair(link, scripts[0].clone(), scripts[1].clone());
    world.run_while(3 * SECOND, |world| world.apps[SERVER].ended.is_none());
    let (at, end) = ended(&world, SERVER);
    assert_eq!(end, Err(ConnectionError::Reset));
    assert!(at <= SECOND + 150 * MS, "{at:?}");
    assert_eq!(
        world.apps[CLIENT].left.map(|(_, how)| how),
        Some(Left::Reset)
    );
    // It says so again until it is answered.
    let took = gone_after(&mut world, CLIENT, SECOND);
    assert!(took <= 100 * MS, "{took:?}");
}

#[test]
fn a_reset_whose_first_word_is_lost_ends_both_sides_within_a_second() {
    for client_resets in [true, false] {
        let mut scripts = [Script::sending(1000), Script::sending(1000)];
        let [resetting, other] = if client_resets {
            [CLIENT, SERVER]
        } else {
            [SERVER, CLIENT]
        };
        scripts[resetting] = scripts[resetting]
            .clone()
            .ending(Ending::ResetAt(2 * SECOND));
        let [client, server] = scripts;
        let mut world = pair(LinkProfile::clean(20 * MS), client, server);
        world.schedule(1950 * MS, resetting, Change::Down);
        world.schedule(2050 * MS, resetting, Change::Up);
        world.run_while(60 * SECOND, |world| world.apps[other].ended.is_none());
        let (at, end) = ended(&world, other);
        assert_eq!(end, Err(ConnectionError::Reset));
        assert!(at <= 3 * SECOND, "{at:?}");
    }
}
