//! The steps that rustls takes, each short and without waiting.

use std::{
    io::{self, BufRead, Read},
    panic::{self, AssertUnwindSafe},
};

use rustls::{Connection, Error};

use super::incoming::Incoming;

/// What a way to get at opened bytes has found.
pub(super) enum Fetched {
    /// The buffer is full, or holds enough.
    Full,
    /// All that has been opened is in the buffer.
    All,
    /// Likewise, and the peer has ended its stream.
    End,
}

/// A way to get at what has been opened; `filled` says how much of the buffer is full.
pub(super) type Fetch = fn(&mut Connection, buffer: &mut [u8], filled: &mut usize) -> Fetched;

/// Moves it into the free part of the buffer.
pub(super) fn take(tls: &mut Connection, buffer: &mut [u8], filled: &mut usize) -> Fetched {
    while *filled < buffer.len() {
        match tls.reader().read(&mut buffer[*filled..]) {
            Ok(0) => return Fetched::End,
            Ok(count) => *filled += count,
            Err(_) => return Fetched::All, // rustls would wait
        }
    }
    Fetched::Full
}

/// Copies the beginning of it, if there is any.
pub(super) fn look(tls: &mut Connection, buffer: &mut [u8], filled: &mut usize) -> Fetched {
    match tls.reader().fill_buf() {
        Ok([]) => Fetched::End,
        Ok(bytes) => {
            *filled = bytes.len().min(buffer.len());
            buffer[..*filled].copy_from_slice(&bytes[..*filled]);
            Fetched::Full
        }
        Err(_) => Fetched::All, // rustls would wait
    }
}

/// Has rustls look at more ciphertext.
///
/// A peer must not be able to cause a panic, but rustls, if built with debug assertions, asserts
/// that it sends nothing after its close_notify, not even the alert due to a damaged record.
pub(super) fn feed(tls: &mut Connection, incoming: &mut Incoming) -> Result<(), Error> {
    let read = tls.read_tls(incoming);
    read.map_err(|error| Error::General(error.to_string()))?;
    let step = || tls.process_new_packets().map(drop);
    panic::catch_unwind(AssertUnwindSafe(step))
        .unwrap_or_else(|_| Err(Error::General("rustls panicked".to_owned())))
}

/// Everything that rustls wants to be sent.
pub(super) fn take_records(tls: &mut Connection) -> io::Result<Vec<u8>> {
    let mut records = Vec::new();
    while tls.wants_write() {
        tls.write_tls(&mut records)?;
    }
    Ok(records)
}
