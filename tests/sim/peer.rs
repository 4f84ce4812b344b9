//! Our connection as a node, driven by exactly the rule that its documentation gives, with the
//! little that an endpoint adds: who may open a connection, and what answers when it is gone.

use std::{
    net::Shutdown,
    sync::Arc,
    time::{Duration, Instant},
};

use mkcp::{
    Config, ConnectionError,
    internal::{
        config::derive,
        connection::{Connection, Origin, Side},
        strangers::{Stranger, judge},
        wire::{Command, CommandKind, Segment, Segments},
    },
};

use crate::{
    clock::Time,
    node::{Node, Read},
};

/// How often a datagram for a connection that is gone is answered, at most.
const TOMBSTONE_INTERVAL: Duration = Duration::from_millis(200);
/// As many as an endpoint answers.
const TERMINATES_ANSWERED: u32 = 3;
/// What stands in a buffer before a datagram is appended must stay.
const BUFFER_PREFIX: &[u8] = b"before";

pub struct OurPeer {
    side: Side,
    conversation: u16,
    config: Arc<Config>,
    seed: u64,
    /// What virtual time zero is to the connection.
    epoch: Instant,
    origin: Origin,
    /// What the endpoint tells a new connection.
    instruct: fn(&mut Connection),
    connection: Option<Connection>,
    tombstone: Tombstone,
    /// A datagram that belongs to nothing here has to be answered.
    stray: Option<Command>,
}

/// What is left of a connection: it tells late comers that all is over.
#[derive(Debug, Default)]
struct Tombstone {
    last_answer: Option<Time>,
    answer_due: bool,
    terminates_answered: u32,
}

impl OurPeer {
    /// A client exists at once; a server when the first datagram comes.
    pub fn new(side: Side, conversation: u16, config: Config, seed: u64) -> Self {
        Self::with(side, conversation, config, seed, Origin::default(), |_| {})
    }

    /// As `new`, with counters that start elsewhere, and with instructions.
    pub fn with(
        side: Side,
        conversation: u16,
        config: Config,
        seed: u64,
        origin: Origin,
        instruct: fn(&mut Connection),
    ) -> Self {
        let mut peer = Self {
            side,
            conversation,
            config: Arc::new(config),
            seed,
            epoch: Instant::now(),
            origin,
            instruct,
            connection: None,
            tombstone: Tombstone::default(),
            stray: None,
        };
        if side == Side::Client {
            peer.connection = Some(peer.open(Time::ZERO));
        }
        peer
    }

    pub fn connection(&self) -> Option<&Connection> {
        self.connection.as_ref()
    }

    pub fn connection_mut(&mut self) -> Option<&mut Connection> {
        self.connection.as_mut()
    }

    pub fn side(&self) -> Side {
        self.side
    }

    pub fn config(&self) -> &Config {
        &self.config
    }

    pub fn max_plaintext(&self) -> usize {
        derive::max_plaintext(&self.config)
    }

    fn open(&self, now: Time) -> Connection {
        let mut connection = Connection::with_origin(
            self.side,
            self.conversation,
            Arc::clone(&self.config),
            self.max_plaintext(),
            self.seed,
            self.epoch + now,
            self.origin,
        );
        (self.instruct)(&mut connection);
        connection
    }

    fn instant(&self, now: Time) -> Instant {
        self.epoch + now
    }
}

/// What is said to be the last datagram of this time is the last.
fn assert_last_if_told(connection: &mut Connection, now: Instant) {
    if !connection.has_more() {
        let another = connection.poll_transmit(now, &mut Vec::new());
        assert_eq!(another, None, "a datagram after the last");
    }
}

fn is_terminate(datagram: &[u8]) -> bool {
    matches!(
        Segments::new(datagram).next(),
        Some(Segment::Command(command)) if command.kind == CommandKind::Terminate
    )
}

impl Node for OurPeer {
    fn handle_datagram(&mut self, now: Time, datagram: &[u8]) {
        if self.connection.is_none() {
            match judge(datagram, u32::MAX) {
                Stranger::Genuine => self.connection = Some(self.open(now)),
                Stranger::Stray(answer) => self.stray = Some(answer),
                Stranger::Early | Stranger::Terminate => {}
            }
        }
        let instant = self.instant(now);
        match &mut self.connection {
            Some(connection) if connection.is_drained() => {
                let recent = |last| now < last + TOMBSTONE_INTERVAL;
                let mut silent = self.tombstone.last_answer.is_some_and(recent);
                if is_terminate(datagram) {
                    self.tombstone.terminates_answered += 1;
                    silent = self.tombstone.terminates_answered > TERMINATES_ANSWERED;
                }
                self.tombstone.answer_due |= !silent;
                // It is to be ignored, whoever passes it.
                connection.handle_datagram(instant, datagram);
            }
            Some(connection) => connection.handle_datagram(instant, datagram),
            None => {}
        }
    }

    fn next_timeout(&self) -> Option<Time> {
        let (at, _) = self.connection.as_ref()?.poll_timeout()?;
        Some(at.saturating_duration_since(self.epoch))
    }

    fn handle_timeout(&mut self, now: Time) {
        let instant = self.instant(now);
        if let Some(connection) = &mut self.connection {
            connection.handle_timeout(instant);
        }
    }

    fn transmit(&mut self, now: Time) -> Option<Vec<u8>> {
        if let Some(answer) = self.stray.take() {
            let mut datagram = Vec::new();
            Segment::Command(answer).encode(&mut datagram);
            return Some(datagram);
        }
        let instant = self.instant(now);
        let connection = self.connection.as_mut()?;
        let mut buffer = BUFFER_PREFIX.to_vec();
        if let Some(length) = connection.poll_transmit(instant, &mut buffer) {
            assert!(
                buffer.starts_with(BUFFER_PREFIX),
                "the buffer's front was overwritten"
            );
            let datagram = buffer.split_off(BUFFER_PREFIX.len());
            assert_eq!(length, datagram.len(), "poll_transmit miscounts");
            assert!(length > 0, "an empty datagram");
            assert_last_if_told(connection, instant);
            return Some(datagram);
        }
        assert_eq!(
            buffer, BUFFER_PREFIX,
            "bytes were appended although nothing is to be sent"
        );
        if std::mem::take(&mut self.tombstone.answer_due) {
            self.tombstone.last_answer = Some(now);
            let mut answer = Vec::new();
            Segment::Command(connection.final_terminate()).encode(&mut answer);
            return Some(answer);
        }
        None
    }

    fn write(&mut self, _now: Time, data: &[u8]) -> usize {
        let Some(connection) = &mut self.connection else {
            return 0;
        };
        let room = connection.write_room();
        let taken = connection.write(data);
        assert_eq!(taken, room.min(data.len()), "write_room and write disagree");
        taken
    }

    fn has_write_ended(&self) -> bool {
        let connection = self.connection.as_ref();
        connection.is_some_and(|connection| connection.write_end().is_some())
    }

    fn read(&mut self, _now: Time, most: usize) -> Read {
        let Some(connection) = &mut self.connection else {
            return Read::Wait;
        };
        let ready = connection.read();
        if ready.is_empty() {
            return connection.read_end().map_or(Read::Wait, Read::End);
        }
        let bytes = ready[..ready.len().min(most)].to_vec();
        connection.consume(bytes.len());
        Read::Bytes(bytes)
    }

    fn shutdown(&mut self, now: Time, how: Shutdown) {
        let instant = self.instant(now);
        if let Some(connection) = &mut self.connection {
            connection.shutdown(instant, how);
        }
    }

    fn reset(&mut self, now: Time) {
        let instant = self.instant(now);
        if let Some(connection) = &mut self.connection {
            connection.reset(instant, ConnectionError::LocallyClosed);
        }
    }

    fn is_open(&self) -> bool {
        self.connection.is_some()
    }

    fn is_gone(&self) -> bool {
        self.connection.as_ref().is_none_or(Connection::is_drained)
    }

    fn is_flushed(&self) -> bool {
        self.connection.as_ref().is_none_or(Connection::is_flushed)
    }

    fn describe(&self) -> String {
        let Some(connection) = &self.connection else {
            return "not opened".to_owned();
        };
        format!(
            "{:?} flushed={} drained={} read_end={:?} write_end={:?} readable={} timeout={:?}",
            connection.state(),
            connection.is_flushed(),
            connection.is_drained(),
            connection.read_end(),
            connection.write_end(),
            connection.read().len(),
            self.next_timeout()
                .zip(connection.poll_timeout().map(|(_, timer)| timer)),
        )
    }
}
