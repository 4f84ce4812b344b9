//! What a server made of the datagrams, in a form that can be compared.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use mkcp::internal::wire::{CommandKind, Segment};

use super::datagram::{CONVERSATION, Speaker};

/// How a stream stands for its reader.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum End {
    #[default]
    Open,
    /// The end of file.
    Ended,
    /// An error.
    Failed,
}

/// What the application got from one session.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Came {
    pub(super) bytes: Vec<u8>,
    pub(super) end: End,
}

/// The kinds of answers to one speaker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Heard {
    pub(super) ack: bool,
    /// Acknowledged numbers, whether listed or covered by ReceivingNext.
    pub(super) acknowledged: BTreeSet<u32>,
    pub(super) terminate: bool,
    pub(super) ping: bool,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Outcome {
    /// The sessions that were opened, in the order of their bytes.
    pub(super) sessions: Vec<Came>,
    pub(super) answers: BTreeMap<Speaker, Heard>,
}

/// No session and no answer.
pub(super) fn nothing() -> Outcome {
    Outcome::default()
}

/// A session that gave these bytes.
pub(super) fn opened(bytes: &str) -> Outcome {
    nothing().and_opened(bytes)
}

impl Outcome {
    pub(super) fn and_opened(mut self, bytes: &str) -> Self {
        self.sessions.push(Came {
            bytes: bytes.into(),
            end: End::Open,
        });
        self.sessions.sort();
        self
    }

    /// The session mentioned first has come to its end.
    pub(super) fn ends(mut self, end: End) -> Self {
        self.sessions[0].end = end;
        self
    }

    /// These numbers of the usual speaker are acknowledged.
    pub(super) fn acknowledges(self, numbers: impl IntoIterator<Item = u32>) -> Self {
        self.acknowledges_to(Speaker::ONE, numbers)
    }

    pub(super) fn acknowledges_to(
        mut self,
        speaker: Speaker,
        numbers: impl IntoIterator<Item = u32>,
    ) -> Self {
        let heard = self.answers.entry(speaker).or_default();
        heard.ack = true;
        heard.acknowledged.extend(numbers);
        self
    }

    /// The usual speaker is told that the connection is over.
    pub(super) fn terminates(mut self) -> Self {
        self.answers.entry(Speaker::ONE).or_default().terminate = true;
        self
    }

    /// The usual speaker gets a Ping.
    pub(super) fn pings(mut self) -> Self {
        self.answers.entry(Speaker::ONE).or_default().ping = true;
        self
    }

    /// Notes an answer.
    pub(super) fn hear(&mut self, socket: usize, segment: &Segment<'_>) {
        let speaker = Speaker {
            socket,
            conversation: segment.conversation(),
        };
        let heard = self.answers.entry(speaker).or_default();
        match segment {
            Segment::Ack(ack) => {
                heard.ack = true;
                heard.acknowledged.extend(0..ack.receiving_next.get());
                let listed = ack.numbers.iter().map(|number| number.get());
                heard.acknowledged.extend(listed);
            }
            Segment::Command(command) if command.kind == CommandKind::Terminate => {
                heard.terminate = true;
            }
            Segment::Command(_) => heard.ping = true,
            Segment::Data(data) => panic!("nobody wrote {data:?}"),
        }
    }

    /// Whether all is as expected. Everybody may ping at any time.
    pub(super) fn fits(&self, expected: &Self) -> bool {
        let silence = Heard::default();
        let speakers: BTreeSet<_> = self.answers.keys().chain(expected.answers.keys()).collect();
        let as_expected = |speaker: &&Speaker| {
            let heard = self.answers.get(speaker).unwrap_or(&silence);
            let wanted = expected.answers.get(speaker).unwrap_or(&silence);
            let without_ping = Heard {
                ping: heard.ping && wanted.ping,
                ..heard.clone()
            };
            without_ping == *wanted
        };
        self.sessions == expected.sessions && speakers.iter().all(as_expected)
    }
}

impl fmt::Debug for Came {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} ({:?})",
            self.bytes.escape_ascii().to_string(),
            self.end
        )
    }
}

impl Speaker {
    /// Who speaks unless something else is said.
    pub(super) const ONE: Self = Self {
        socket: 0,
        conversation: CONVERSATION,
    };
    /// The same conversation from another port.
    pub(super) const ELSEWHERE: Self = Self {
        socket: 1,
        ..Self::ONE
    };
}
