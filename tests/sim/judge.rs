//! What must hold after every step, for the programs and for our connections.

use std::time::Duration;

use mkcp::ConnectionError;

use crate::{
    app::Left,
    clock::Time,
    go_peer::connection::Connection as GoConnection,
    invariants::{Licence, WireMonitor},
    node::Node,
    peer::OurPeer,
    world::{CLIENT, End, SERVER, World},
};

/// What a connection may hold beyond twice its two buffers.
const MEMORY_SLACK: usize = 64 * 1024;
/// How long Terminate may be repeated, with room to spare.
const TERMINATE_TIME: Duration = Duration::from_secs(10);

/// Everything, from the point of view of one end.
pub fn check(world: &World, end: usize) {
    match &world.ends[end] {
        End::Ours(peer, monitor) => check_ours(world, end, peer, monitor),
        End::Go(_) if world.hostile => {}
        End::Go(_) => check_go_reader(world, end),
    }
}

/// A timer that has fired must not ask to be fired again at once.
pub fn check_progress(world: &World, end: usize) {
    let now = world.now;
    if let Some(deadline) = world.node(end).next_timeout() {
        assert!(
            deadline > now,
            "busy loop: the next deadline {deadline:?} is not after {now:?}"
        );
    }
}

/// What an end of ours may say, going by what its program has done.
pub fn licence(world: &World, end: usize) -> Licence {
    let app = &world.apps[end];
    let abandoned = has_abandoned(world, end);
    let both_ended = app.ended.is_some() && app.write_shut.is_some();
    Licence {
        may_close: app.has_left() || abandoned || both_ended,
        may_abandon: abandoned,
        written: app.written,
    }
}

/// Whether an end of ours has given up what is not delivered yet.
fn has_abandoned(world: &World, end: usize) -> bool {
    let app = &world.apps[end];
    let End::Ours(peer, _) = &world.ends[end] else {
        return true;
    };
    let linger = peer.config().linger();
    let lingered = app.write_shut.is_some_and(|at| world.now >= at + linger);
    let end_of_input = peer
        .connection()
        .and_then(|connection| connection.read_end());
    let failed =
        matches!(end_of_input, Some(Err(error)) if error != ConnectionError::LocallyClosed);
    lingered || failed || matches!(app.left, Some((_, Left::Reset)))
}

fn check_ours(world: &World, end: usize, peer: &OurPeer, monitor: &WireMonitor) {
    let Some(connection) = peer.connection() else {
        return;
    };
    connection.check_invariants();
    let config = peer.config();
    let most = 2 * (config.read_buffer() + config.write_buffer()) + MEMORY_SLACK;
    let memory = connection.memory();
    assert!(
        memory <= most,
        "{memory} bytes held, at most {most} allowed"
    );
    if !world.hostile {
        check_reader(world, end, monitor);
    }
    if let Some(left) = time_of_leaving(world)
        && !peer.is_gone()
    {
        let within = config.linger() + TERMINATE_TIME;
        let state = peer.describe();
        assert!(
            world.now <= left + within,
            "not over {within:?} after both programs left: {state}"
        );
    }
}

/// When the later of the two programs left, if both have.
fn time_of_leaving(world: &World) -> Option<Time> {
    let (client, _) = world.apps[CLIENT].left?;
    let (server, _) = world.apps[SERVER].left?;
    Some(client.max(server))
}

/// A truncated stream never looks complete.
fn check_reader(world: &World, end: usize, monitor: &WireMonitor) {
    let (app, peer) = (&world.apps[end], &world.apps[1 - end]);
    let (received, written) = (app.received, peer.written);
    assert!(received <= written, "more was received than was sent");
    if !matches!(app.ended, Some((at, Ok(()))) if at == world.now) {
        return;
    }
    // A Go peer that threw its tail away before any of it was seen leaves no trace of it.
    let discarded = go_connection(world, 1 - end).is_some_and(|go| go.discarded);
    let unseen = discarded && !monitor.has_gap();
    assert!(
        peer.has_written() || unseen,
        "end of file before the peer's program ended"
    );
    assert!(
        received == written || unseen,
        "end of file after {received} of {written} bytes"
    );
}

/// A Go reader cannot be told of an error; it loses the end of a stream only by its own rules or
/// because our end has given up.
fn check_go_reader(world: &World, end: usize) {
    let (app, peer) = (&world.apps[end], &world.apps[1 - end]);
    let (received, written) = (app.received, peer.written);
    assert!(received <= written, "more was received than was sent");
    if !matches!(app.ended, Some((at, Ok(()))) if at == world.now) {
        return;
    }
    let own_fault =
        go_connection(world, end).is_some_and(|go| go.lost_unread || go.discards_input());
    assert!(
        received == written || own_fault || has_abandoned(world, 1 - end),
        "the Go reader got end of file after {received} of {written} bytes"
    );
}

fn go_connection(world: &World, end: usize) -> Option<&GoConnection> {
    match &world.ends[end] {
        End::Go(peer) => peer.connection(),
        End::Ours(..) => None,
    }
}
