//! Datagrams that belong to no session: which of them open one, and which are answered.

use std::time::{Duration, Instant};

use crate::wire::{Command, CommandKind, Options, Segment, Segments, SeqNum};

/// What a datagram of an unknown connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stranger {
    /// The first of a new connection.
    Genuine,
    /// Of a new connection whose first datagrams are still on their way.
    Early,
    /// The end of a connection that is gone already.
    Terminate,
    /// The remains of an older life: state was lost, or a NAT moved the peer. The peer is told by
    /// this Terminate.
    Stray(Command),
}

/// Judges a datagram that belongs to no session. `window` is how many segments a new session
/// takes.
pub fn judge(plaintext: &[u8], window: u32) -> Stranger {
    let Some(first) = Segments::new(plaintext).next() else {
        return Stranger::Early;
    };
    // An end that accepts opens nothing: these may be words of this port that somebody sends back.
    let opens = !first.options().contains(Options::ACCEPTOR);
    let stray = |receiving_next| Stranger::Stray(terminate(&first, receiving_next));
    // mKCP: a session begins with Data or a Ping of which nothing has been acknowledged.
    match first {
        Segment::Data(data) if opens && data.sending_next == SeqNum::ZERO => {
            match data.number.since(SeqNum::ZERO) {
                Some(number) if number < window => Stranger::Genuine,
                _ => Stranger::Early,
            }
        }
        Segment::Data(_) => stray(None),
        Segment::Ack(ack) => stray(Some(ack.receiving_next)),
        Segment::Command(command) => match command.kind {
            CommandKind::Terminate => Stranger::Terminate,
            _ if opens
                && command.sending_next == SeqNum::ZERO
                && command.receiving_next == SeqNum::ZERO =>
            {
                Stranger::Genuine
            }
            _ => stray(Some(command.receiving_next)),
        },
    }
}

/// How many numbers beyond what the peer has said that it received. Meanwhile it may have received
/// more, and an ACK says less than that as long as it lists what is new.
const BEYOND: u32 = 1 << 30;

/// The end of a connection that is not known here. Its fields claim that more was sent than the
/// peer has received, so that a peer which looks at them reads an error and not the end of file.
fn terminate(stray: &Segment<'_>, receiving_next: Option<SeqNum>) -> Command {
    Command {
        conversation: stray.conversation(),
        kind: CommandKind::Terminate,
        // The mark of the other end than the one that says this.
        options: match stray.options().contains(Options::ACCEPTOR) {
            true => Options::OPENER,
            false => Options::ACCEPTOR,
        },
        sending_next: receiving_next.unwrap_or(SeqNum::ZERO).plus(BEYOND),
        receiving_next: SeqNum::ZERO,
        // Go peers believe it, and would repeat everything all the time for none.
        peer_rto: 100,
    }
}

/// Bounds the answers to strangers and to the late datagrams of sessions that are gone, each of which
/// is no longer than what it answers. Forged ones can use it up: then peers learn of an end, or of a
/// restart, by a later repetition or by their idle timeout.
#[derive(Debug)]
pub(super) struct ReplyBudget {
    left: u32,
    refilled: Option<Instant>,
}

impl ReplyBudget {
    const PER_SECOND: u32 = 1000;

    pub(super) fn new() -> Self {
        Self {
            left: Self::PER_SECOND,
            refilled: None,
        }
    }

    pub(super) fn take(&mut self, now: Instant) -> bool {
        let refilled = *self.refilled.get_or_insert(now);
        if now.saturating_duration_since(refilled) >= Duration::from_secs(1) {
            self.refilled = Some(now);
            self.left = Self::PER_SECOND;
        }
        self.left
            .checked_sub(1)
            .inspect(|&left| self.left = left)
            .is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Ack, Data, Numbers, Timestamp};

    const WINDOW: u32 = 100;

    fn judge_one(segment: Segment<'_>) -> Stranger {
        let mut plaintext = Vec::new();
        segment.encode(&mut plaintext);
        judge(&plaintext, WINDOW)
    }

    fn data(number: u32, sending_next: u32) -> Segment<'static> {
        Segment::Data(Data {
            conversation: 7,
            options: Options::NONE,
            timestamp: Timestamp::new(1),
            number: SeqNum::new(number),
            sending_next: SeqNum::new(sending_next),
            payload: b"x",
        })
    }

    fn command(kind: CommandKind, sending_next: u32, receiving_next: u32) -> Segment<'static> {
        Segment::Command(Command {
            conversation: 7,
            kind,
            options: Options::NONE,
            sending_next: SeqNum::new(sending_next),
            receiving_next: SeqNum::new(receiving_next),
            peer_rto: 100,
        })
    }

    #[test]
    fn what_an_accepting_end_says_opens_no_session_and_is_answered_as_from_an_opening_one() {
        let marked = |mut segment: Segment<'static>| {
            match &mut segment {
                Segment::Data(data) => data.options = Options::ACCEPTOR,
                Segment::Command(command) => command.options = Options::ACCEPTOR,
                Segment::Ack(_) => unreachable!(),
            }
            judge_one(segment)
        };
        for first in [data(0, 0), command(CommandKind::Ping, 0, 0)] {
            assert_eq!(judge_one(first), Stranger::Genuine);
            let Stranger::Stray(answer) = marked(first) else {
                panic!("it opens a session")
            };
            assert_eq!(answer.options, Options::OPENER);
        }
    }

    fn answered_beyond(stranger: Stranger) -> u32 {
        let Stranger::Stray(command) = stranger else {
            panic!("{stranger:?}")
        };
        assert_eq!(command.kind, CommandKind::Terminate);
        assert_eq!(command.conversation, 7);
        assert_eq!(command.options, Options::ACCEPTOR);
        command.sending_next.get()
    }

    #[test]
    fn only_genuine_first_datagrams_open_a_session() {
        assert_eq!(judge_one(data(0, 0)), Stranger::Genuine);
        assert_eq!(judge_one(data(WINDOW - 1, 0)), Stranger::Genuine);
        assert_eq!(judge_one(data(WINDOW, 0)), Stranger::Early);
        assert_eq!(
            judge_one(command(CommandKind::Ping, 0, 0)),
            Stranger::Genuine
        );
        assert_eq!(
            judge_one(command(CommandKind::Unknown(9), 0, 0)),
            Stranger::Genuine
        );
        assert_eq!(
            judge_one(command(CommandKind::Terminate, 0, 0)),
            Stranger::Terminate
        );
    }

    #[test]
    fn remains_of_an_older_life_are_answered_by_a_terminate_beyond_what_they_know() {
        assert_eq!(answered_beyond(judge_one(data(5, 3))), BEYOND);
        assert_eq!(
            answered_beyond(judge_one(command(CommandKind::Ping, 1, 8))),
            8 + BEYOND
        );
        let ack = Ack {
            conversation: 7,
            options: Options::NONE,
            receiving_window: SeqNum::new(50),
            receiving_next: SeqNum::ZERO,
            timestamp: Timestamp::ZERO,
            numbers: Numbers::EMPTY,
        };
        assert_eq!(answered_beyond(judge_one(Segment::Ack(ack))), BEYOND);
    }

    #[test]
    fn answers_are_limited_per_second() {
        let start = Instant::now();
        let mut budget = ReplyBudget::new();
        let taken = (0..5000).filter(|_| budget.take(start)).count();
        assert_eq!(taken, ReplyBudget::PER_SECOND as usize);
        assert!(budget.take(start + Duration::from_secs(1)));
    }
}
