//! What a program learns that closes a session while its peer does, too.

use std::net::Shutdown;

use super::*;
use crate::wire::{Command as Word, CommandKind};

/// Longer than a Terminate is repeated.
const LONG: Duration = Duration::from_secs(9);

/// The peer says something, and has so many segments.
fn say(lab: &mut Lab, handle: &SessionHandle, kind: CommandKind, options: Options, has: u32) {
    let conversation = handle.conversation();
    let word = Segment::Command(Word {
        conversation,
        kind,
        options,
        sending_next: SeqNum::ZERO,
        receiving_next: SeqNum::new(has),
        peer_rto: 100,
    });
    lab.receive(conversation, word);
    lab.settle();
}

/// What `close` gives if the peer closes as well while so many bytes are under way, and says at
/// last how many segments it has, if it says that.
fn verdict(bytes: usize, has: Option<u32>) -> Option<io::ErrorKind> {
    let mut lab = Lab::new();
    let handle = lab.open();
    write(&handle, bytes);
    lab.settle();
    handle.shutdown(Shutdown::Both);
    lab.settle();
    say(&mut lab, &handle, CommandKind::Ping, Options::CLOSE, 0);
    match has {
        Some(has) => {
            let end = CommandKind::Terminate;
            say(&mut lab, &handle, end, Options::NONE, has);
        }
        None => lab.pass(LONG),
    }
    assert_eq!(lab.port.sessions(), 0, "it goes on");
    handle.wait_closed().err().map(|error| error.kind())
}

#[test]
fn of_two_that_close_at_once_each_learns_what_the_other_has() {
    let undelivered = Some(io::ErrorKind::BrokenPipe);
    let segments = 5;
    let bytes = 1326 * segments as usize;
    assert_eq!(verdict(bytes, Some(segments)), None);
    for less in [0, 1, segments - 1] {
        assert_eq!(
            verdict(bytes, Some(less)),
            undelivered,
            "{less} of {segments}"
        );
    }
    assert_eq!(
        verdict(bytes, None),
        undelivered,
        "the peer is not heard again"
    );
}

/// The rest has never left.
#[test]
fn whoever_wrote_more_than_a_window_is_not_told_that_all_was_delivered() {
    for has in [0, 10, 32] {
        let told = verdict(60_000, Some(has));
        assert_eq!(told, Some(io::ErrorKind::BrokenPipe), "{has}");
    }
}

/// The peer ends in the turn in which the program has written and closed: what it wrote has not
/// even reached the connection.
#[test]
fn a_peer_is_told_of_what_was_written_as_it_ended() {
    for (kind, options) in [
        (CommandKind::Terminate, Options::NONE),
        (CommandKind::Ping, Options::CLOSE),
    ] {
        let mut lab = Lab::new();
        let handle = lab.open();
        lab.settle();
        lab.sent_plaintexts();
        write(&handle, 1000);
        handle.shutdown(Shutdown::Both);
        handle.release();
        say(&mut lab, &handle, kind, options, 0);
        lab.pass(LONG);
        say(&mut lab, &handle, kind, options, 0);
        let mut terminates = Vec::new();
        for plaintext in lab.sent_plaintexts() {
            terminates.extend(
                Segments::new(&plaintext).filter_map(|segment| match segment {
                    Segment::Command(word) if word.kind == CommandKind::Terminate => Some(word),
                    _ => None,
                }),
            );
        }
        assert!(!terminates.is_empty(), "{kind:?}");
        for word in terminates {
            let is_whole =
                word.options.contains(Options::LAST) || word.sending_next == SeqNum::ZERO;
            assert!(!is_whole, "{word:?}");
        }
    }
}
