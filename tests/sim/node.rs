//! What the world drives: one end of a connection, ours or the model of a Go peer's.

use std::net::Shutdown;

use mkcp::ConnectionError;

use crate::clock::Time;

/// What a read gives.
#[derive(Debug, PartialEq, Eq)]
pub enum Read {
    Bytes(Vec<u8>),
    /// Nothing at the moment.
    Wait,
    /// Nothing will follow: the stream is complete, or it is not.
    End(Result<(), ConnectionError>),
}

pub trait Node {
    // ---- the network and the clock
    fn handle_datagram(&mut self, now: Time, datagram: &[u8]);
    fn next_timeout(&self) -> Option<Time>;
    fn handle_timeout(&mut self, now: Time);
    fn transmit(&mut self, now: Time) -> Option<Vec<u8>>;

    // ---- the application
    /// How many bytes were taken.
    fn write(&mut self, now: Time, data: &[u8]) -> usize;
    fn has_write_ended(&self) -> bool;
    fn read(&mut self, now: Time, most: usize) -> Read;
    fn shutdown(&mut self, now: Time, how: Shutdown);
    fn reset(&mut self, now: Time);

    // ---- what can be seen
    /// Whether a connection exists, or has existed.
    fn is_open(&self) -> bool;
    /// Whether it will never send anything again of its own accord.
    fn is_gone(&self) -> bool;
    /// Whether everything written has been acknowledged.
    fn is_flushed(&self) -> bool;
    /// One line for a trace.
    fn describe(&self) -> String;
}
