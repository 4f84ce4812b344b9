//! How a TLS stream ends: by close_notify in either direction, or by a failure.

use std::{io, net::Shutdown, sync::atomic::Ordering};

use super::{
    duplex::{Duplex, is_stall},
    error::TlsError,
    records::take_records,
};
use crate::error::ConnectionError;

/// In order.
impl Duplex {
    /// Does what was put off until there is TLS in which to say it.
    pub(super) fn on_established(&self) -> io::Result<()> {
        let order = self.order();
        if self.flags.established.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        self.counters.completed.add();
        if self.is_write_shut() {
            self.send_close_notify()?;
        }
        drop(order);
        if self.is_read_shut() {
            self.stream().shutdown(Shutdown::Read)?;
        }
        self.on_change();
        Ok(())
    }

    pub(super) fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        if matches!(how, Shutdown::Read | Shutdown::Both) {
            self.end_reading()?;
        }
        if matches!(how, Shutdown::Write | Shutdown::Both) {
            self.end_writing()?;
        }
        self.on_change();
        self.close_if_both_ended()
    }

    fn end_reading(&self) -> io::Result<()> {
        let order = self.order();
        self.flags.read_shut.store(true, Ordering::Release);
        let established = self.is_established();
        drop(order);
        if established {
            // Before that a writer needs to hear the peer.
            self.stream().shutdown(Shutdown::Read)?;
        }
        Ok(())
    }

    /// Tells the peer that nothing more will be written. Inside TLS that can be told while the
    /// other direction goes on.
    fn end_writing(&self) -> io::Result<()> {
        let order = self.order();
        let first = !self.flags.write_shut.swap(true, Ordering::AcqRel);
        if first && self.is_established() {
            self.send_close_notify()?;
        }
        drop(order);
        self.stream().wake_writers();
        Ok(())
    }

    /// To be called with the order of records held.
    fn send_close_notify(&self) -> io::Result<()> {
        let records = self.with_tls(|tls| {
            tls.send_close_notify();
            take_records(tls)
        })?;
        if let Err(error) = self.stream().write_whole(&records) {
            log::debug!("{:?}: close_notify cannot be sent: {error}", self.stream());
        }
        Ok(())
    }

    pub(super) fn on_peer_end(&self) {
        if !self.flags.peer_ended.swap(true, Ordering::AcqRel)
            && let Err(error) = self.close_if_both_ended()
        {
            log::debug!("{:?}: {error}", self.stream());
        }
    }

    /// Nothing of use can come any more: the stream below is done as well.
    fn close_if_both_ended(&self) -> io::Result<()> {
        let peer_ended = self.flags.peer_ended.load(Ordering::Acquire);
        if (self.is_read_shut() || peer_ended) && self.is_write_shut() {
            return self.stream().shutdown(Shutdown::Both);
        }
        Ok(())
    }
}

/// By a failure.
impl Duplex {
    /// Ends everything for this reason, unless there was one before. Gives the reason.
    pub(super) fn fail(&self, error: TlsError) -> TlsError {
        let (error, is_new) = self.note_failure(error);
        if is_new {
            self.on_failure(&error);
        }
        error
    }

    /// Counts a failure that has been noted, and tells the peer.
    pub(super) fn on_failure(&self, error: &TlsError) {
        self.counters.count(error);
        log::debug!("{:?}: {error}", self.stream());
        if matches!(error, TlsError::HandshakeTimeout(_)) {
            self.stream().reset();
        } else {
            // The alert, if there is one; there may be nobody left to hear it.
            let _ = self.send_control();
            let _ = self.stream().shutdown(Shutdown::Both);
        }
        self.on_change();
    }

    /// The stream below has failed before the handshake was complete.
    pub(super) fn on_lost_handshake(&self) {
        let shut = self.is_read_shut() || self.is_write_shut();
        if !shut && !self.flags.lost.swap(true, Ordering::AcqRel) {
            self.counters.lost.add();
        }
    }

    /// The reason behind an error of the stream below, if TLS knows it.
    pub(super) fn explain(&self, error: io::Error) -> io::Error {
        if is_stall(&error) {
            return error;
        }
        if self.failure().is_none() {
            self.look_for_alert();
        }
        self.failure().map_or(error, io::Error::from)
    }

    pub(super) fn check_writable(&self) -> io::Result<()> {
        if let Some(error) = self.failure() {
            return Err(error.into());
        }
        if self.is_write_shut() {
            return Err(ConnectionError::LocallyClosed.into());
        }
        Ok(())
    }
}

impl Drop for Duplex {
    fn drop(&mut self) {
        if self.is_established() && self.failure().is_none() {
            // As dropping a plain stream ends it in order.
            let _ = self.end_writing();
        }
    }
}
