//! A program that has left while more was to be sent than the connection takes at once.

use super::*;
use crate::wire::{Ack, Numbers};

const LINGER: Duration = Duration::from_secs(4);
const MS: Duration = Duration::from_millis(1);

/// Acknowledges what has been sent.
fn acknowledge(lab: &mut Lab, conversation: u16) {
    let mut last = None;
    for plaintext in lab.sent_plaintexts() {
        for segment in Segments::new(&plaintext) {
            if let Segment::Data(data) = segment {
                last = last.max(Some((data.number.get(), data.timestamp.get())));
            }
        }
    }
    let Some((number, timestamp)) = last else {
        return lab.pass(10 * MS);
    };
    let numbers = [SeqNum::new(number)];
    let ack = Ack {
        conversation,
        options: Options::NONE,
        receiving_window: SeqNum::new(number + 500),
        receiving_next: SeqNum::new(number + 1),
        timestamp: Timestamp::new(timestamp),
        numbers: Numbers::List(&numbers),
    };
    lab.receive(conversation, Segment::Ack(ack));
    lab.settle();
}

#[test]
fn its_linger_time_begins_once() {
    let mut lab = Lab::new();
    let handle = lab.open();
    let conversation = handle.conversation();
    handle.set_linger(Some(LINGER));
    write(&handle, 10);
    lab.settle();
    acknowledge(&mut lab, conversation);
    while handle.send_pipe().len() == 0 {
        write(&handle, 60_000);
        lab.settle();
    }
    handle.release();
    lab.settle();
    let left = lab.now;
    lab.pass(LINGER - 1000 * MS);
    assert!(handle.send_pipe().len() > 0);
    // The peer takes all but the rest, which the connection itself holds, and is silent again.
    while handle.send_pipe().len() > 0 {
        acknowledge(&mut lab, conversation);
    }
    lab.pass((left + LINGER).saturating_duration_since(lab.now) - MS);
    assert_eq!(handle.take_error(), None);
    lab.pass(2 * MS);
    assert_eq!(handle.take_error(), Some(ConnectionError::TimedOut));
}
