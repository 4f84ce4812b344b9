//! A model of the Go peers' connection (v2ray, v2fly, Xray), faults included.
//!
//! Written from their observed behaviour and independent of this crate but for reading and
//! writing segments, so that both halves of the protocol are not judged by the same mind.

pub mod ack_list;
pub mod config;
pub mod connection;
mod receiving;
pub mod round_trip;
pub mod sending;
mod updater;

use std::net::Shutdown;

use mkcp::internal::wire::{CommandKind, Segment, Segments};

use crate::{
    clock::Time,
    node::{Node, Read},
};
use config::GoConfig;
use connection::{Connection, State};

/// A Go program at one end: a dialer's connection, or what a listener has for one key.
pub struct GoPeer {
    config: GoConfig,
    connection: Option<Connection>,
    /// How many connections a listener would have opened after this one was over.
    pub ghosts: u64,
}

impl GoPeer {
    pub fn dialer(conversation: u16, config: GoConfig) -> Self {
        let connection = Connection::new(conversation, &config, Time::ZERO);
        Self {
            connection: Some(connection),
            ..Self::listener(config)
        }
    }

    pub fn listener(config: GoConfig) -> Self {
        Self {
            config,
            connection: None,
            ghosts: 0,
        }
    }

    pub fn connection(&self) -> Option<&Connection> {
        self.connection.as_ref()
    }
}

impl Node for GoPeer {
    fn handle_datagram(&mut self, now: Time, datagram: &[u8]) {
        let Some(first) = Segments::new(datagram).next() else {
            return;
        };
        let terminate =
            matches!(first, Segment::Command(command) if command.kind == CommandKind::Terminate);
        match &mut self.connection {
            Some(connection) if connection.state() == State::Terminated => {
                self.ghosts += u64::from(!terminate);
            }
            Some(connection) => connection.input(now, datagram),
            None if terminate => {}
            None => {
                let mut connection = Connection::new(first.conversation(), &self.config, now);
                connection.input(now, datagram);
                self.connection = Some(connection);
            }
        }
    }

    fn next_timeout(&self) -> Option<Time> {
        self.connection.as_ref()?.next_tick()
    }

    fn handle_timeout(&mut self, now: Time) {
        if let Some(connection) = &mut self.connection {
            connection.tick(now);
        }
    }

    fn transmit(&mut self, _now: Time) -> Option<Vec<u8>> {
        self.connection.as_mut()?.take_datagram()
    }

    fn write(&mut self, now: Time, data: &[u8]) -> usize {
        let Some(connection) = &mut self.connection else {
            return 0;
        };
        connection.write(now, data)
    }

    fn has_write_ended(&self) -> bool {
        let connection = self.connection.as_ref();
        connection.is_some_and(|connection| connection.state() != State::Active)
    }

    /// A Go reader always takes all that there is.
    fn read(&mut self, now: Time, _most: usize) -> Read {
        match &mut self.connection {
            Some(connection) => connection.read(now),
            None => Read::Wait,
        }
    }

    /// There is no half-close, and what asks for one on the way here does nothing.
    fn shutdown(&mut self, now: Time, how: Shutdown) {
        if let (Shutdown::Both, Some(connection)) = (how, &mut self.connection) {
            connection.close(now);
        }
    }

    /// A program that is killed.
    fn reset(&mut self, _now: Time) {
        self.connection = None;
    }

    fn is_open(&self) -> bool {
        self.connection.is_some()
    }

    fn is_gone(&self) -> bool {
        let state = self.connection.as_ref().map(Connection::state);
        state.is_none_or(|state| state == State::Terminated)
    }

    fn is_flushed(&self) -> bool {
        let connection = self.connection.as_ref();
        connection.is_none_or(Connection::is_flushed)
    }

    fn describe(&self) -> String {
        let state = self.connection.as_ref().map(Connection::state);
        format!("{state:?} flushed={}", self.is_flushed())
    }
}
