//! Processes that stand still for a while, as by SIGSTOP or in a suspended machine, and go on.

use std::time::Duration;

use mkcp::{Config, ConnectionError, internal::connection::Side};

use crate::{
    app::{Ending, Script},
    go_peer::{GoPeer, config::GoConfig},
    network::LinkProfile,
    peer::OurPeer,
    world::{CLIENT, End, SERVER, World},
};

const SECOND: Duration = Duration::from_secs(1);
const CONVERSATION: u16 = 0x5109;
const SEED: u64 = 0xf4ee_2e20;
/// What one end sends: four seconds' worth.
const BYTES: u64 = 400_000;
const RATE: u64 = 100_000;

fn ours(side: Side) -> End {
    let peer = OurPeer::new(side, CONVERSATION, Config::default(), SEED + side as u64);
    End::ours(peer, CONVERSATION)
}

fn go_server() -> End {
    End::Go(GoPeer::listener(GoConfig::v2ray()))
}

/// A transfer from one end to the other.
fn transfer(server: End, sender: usize) -> World {
    let sending = || Script::sending(BYTES).ending(Ending::WhenFlushed(0));
    let receiving = || Script::sending(1);
    let scripts = match sender {
        CLIENT => [sending(), receiving()],
        _ => [receiving(), sending()],
    };
    let link = LinkProfile::clean(25 * SECOND / 1000).with_rate(RATE, 64 * 1024);
    World::new(
        [ours(Side::Client), server],
        scripts,
        [link.clone(), link],
        SEED,
    )
}

/// Every end of every pair stands still, while it sends and while it receives.
fn each_freeze(mut check: impl FnMut(World, usize, usize)) {
    for sender in [CLIENT, SERVER] {
        for frozen in [CLIENT, SERVER] {
            let servers: [fn() -> End; 2] = [|| ours(Side::Server), go_server];
            for server in servers {
                let mut world = transfer(server(), sender);
                let received = |world: &World| world.apps[1 - sender].received;
                world.run_while(10 * SECOND, |world| received(world) < BYTES / 4);
                check(world, sender, frozen);
            }
        }
    }
}

#[test]
fn a_transfer_survives_twenty_seconds_of_standing_still() {
    each_freeze(|mut world, sender, frozen| {
        world.freeze(frozen, 20 * SECOND);
        let thaw = world.now + 20 * SECOND;
        world.run_until(thaw);
        let receiver = 1 - sender;
        world.run_while(10 * SECOND, |world| world.apps[receiver].received < BYTES);
        let took = world.now - thaw;
        assert!(took < 6 * SECOND, "{took:?} after end {frozen} went on");
        assert!(world.run_until(thaw + 60 * SECOND), "it does not end");
        let ends = [CLIENT, SERVER].map(|end| world.apps[end].ended.map(|(_, end)| end));
        assert_eq!(ends[receiver], Some(Ok(())));
    });
}

#[test]
fn whoever_stands_still_for_too_long_is_given_up_and_learns_of_it() {
    each_freeze(|mut world, sender, frozen| {
        world.freeze(frozen, 60 * SECOND);
        let thaw = world.now + 60 * SECOND;
        world.run_until(thaw);
        let other = 1 - frozen;
        if let End::Ours(..) = world.ends[other] {
            let end = world.apps[other].ended.map(|(_, end)| end);
            assert_eq!(end, Some(Err(ConnectionError::TimedOut)));
        }
        assert!(world.run_until(thaw + 120 * SECOND), "it does not end");
        assert!(world.apps[1 - sender].received < BYTES);
        let End::Ours(..) = world.ends[frozen] else {
            return;
        };
        let (app, node) = (&world.apps[frozen], world.node(frozen));
        if frozen == sender {
            let delivered = app.written == BYTES && node.is_flushed();
            assert!(
                !delivered && node.has_write_ended(),
                "nobody has everything"
            );
        } else {
            let end = app.ended.map(|(_, end)| end);
            assert!(matches!(end, Some(Err(_))), "{end:?}");
        }
    });
}
