//! Segments as bytes: the mKCP wire format inside a datagram, and nothing else.
//!
//! All integers are big-endian. Every segment begins with four bytes:
//!
//! | offset | size | field |
//! |---|---|---|
//! | 0 | 2 | conversation |
//! | 2 | 1 | command: 0 ACK, 1 Data, 2 Terminate, 3 Ping; all others are read as 2 and 3 are |
//! | 3 | 1 | options ([`Options`]) |
//!
//! | Data | | ACK | | Command | |
//! |---|---|---|---|---|---|
//! | 4 | timestamp | 4 | receiving window | 4 | sending next |
//! | 8 | number | 8 | receiving next | 8 | receiving next |
//! | 12 | sending next | 12 | timestamp | 12 | peer RTO |
//! | 16 (2) | length | 16 (1) | count | | |
//! | 18 | payload | 17 | numbers, 4 bytes each | | |
//!
//! A datagram holds whole segments one after the other. Reading ([`Segments`]) stops at the first
//! that does not parse; those before it stand. Nothing here allocates on reading or can panic.
#![cfg_attr(
    not(test),
    warn(
        clippy::indexing_slicing,
        clippy::cast_possible_truncation,
        clippy::arithmetic_side_effects
    )
)]

mod decode;
mod number;
mod segment;

pub use decode::Segments;
pub use number::{SeqNum, Timestamp};
pub use segment::{Ack, Command, CommandKind, Data, Numbers, Options, Segment};

/// Bytes of a Data segment in front of its payload.
pub const DATA_OVERHEAD: usize = 18;
/// Bytes of an ACK segment in front of its numbers.
pub const ACK_OVERHEAD: usize = 17;
/// Bytes of a Command segment.
pub const COMMAND_LEN: usize = 16;
/// Bytes common to all segments.
const PREFIX_LEN: usize = 4;

const COMMAND_ACK: u8 = 0;
const COMMAND_DATA: u8 = 1;
const COMMAND_TERMINATE: u8 = 2;
const COMMAND_PING: u8 = 3;
