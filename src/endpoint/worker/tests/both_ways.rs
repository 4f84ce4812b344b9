//! Two ends that open sessions to each other over one port each: both choose ids.

use super::*;

/// Data that opens a session, or seems to, as said by one of the ends.
fn marked(conversation: u16, mark: Options) -> Segment<'static> {
    match data(conversation, 0) {
        Segment::Data(data) => Segment::Data(Data {
            options: mark,
            ..data
        }),
        other => other,
    }
}

#[test]
fn an_id_that_served_the_other_direction_opens_a_session() {
    let mut lab = Lab::new();
    let queue = lab.port.start_listening().unwrap();
    let handle = lab.open();
    let conversation = handle.conversation();
    write(&handle, 10);
    lab.settle();
    handle.reset();
    handle.release();
    lab.settle();
    assert_eq!(lab.port.sessions(), 0);
    lab.receive(conversation, marked(conversation, Options::ACCEPTOR));
    lab.receive(conversation, marked(conversation, Options::NONE));
    let drops = lab.port.counters.snapshot().drops;
    assert_eq!(drops.get(DropReason::Tombstone), 2);
    assert_eq!(queue.len(), 0, "what was late has opened a session");
    lab.receive(conversation, marked(conversation, Options::OPENER));
    assert_eq!(
        queue.len(),
        1,
        "the peer's own session is taken for the old one"
    );
}

#[test]
fn an_id_that_a_peer_has_chosen_is_passed_over_here() {
    let mut lab = Lab::new();
    let _queue = lab.port.start_listening().unwrap();
    let first = lab.open();
    let chosen = first.conversation() + 1;
    lab.receive(chosen, marked(chosen, Options::OPENER));
    assert_eq!(lab.port.sessions(), 2);
    let second = lab.open();
    assert_eq!(second.conversation(), chosen + 1);
    lab.settle();
    assert_eq!(second.take_error(), None);
}

#[test]
fn ids_that_peers_had_chosen_before_are_passed_over_once_they_are_known() {
    let mut lab = Lab::new();
    let _queue = lab.port.start_listening().unwrap();
    for chosen in 8..12 {
        lab.receive(chosen, marked(chosen, Options::OPENER));
    }
    let first = lab.open();
    lab.settle();
    assert_eq!(first.conversation(), 7);
    let second = lab.open();
    lab.settle();
    assert_eq!((second.conversation(), second.take_error()), (12, None));
}
