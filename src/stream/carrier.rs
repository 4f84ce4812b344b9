//! What a layer that runs inside a stream needs beyond the public interface: waiting and moving
//! bytes as separate steps, so that nothing has to be locked while waiting.

use std::{
    io::{self, IoSliceMut},
    time::{Duration, Instant},
};

use super::Stream;
use crate::sync::{Patience, Stalled};

/// Reading.
impl Stream {
    /// Waits until there are bytes to read, or there will be no more, or until `give_up` says so.
    pub(crate) fn wait_for_bytes(
        &self,
        patience: Patience,
        give_up: impl Fn() -> bool,
    ) -> Result<(), Stalled> {
        let pipe = self.session().receive_pipe();
        pipe.wait_for_bytes(patience, give_up)
    }

    /// Has calls that wait for bytes ask again whether to give up.
    pub(crate) fn wake_readers(&self) {
        self.session().receive_pipe().wake_readers();
    }

    /// How many bytes there are to read.
    pub(crate) fn received(&self) -> usize {
        self.session().receive_pipe().len()
    }

    /// As `read`, without waiting.
    pub(crate) fn read_at_once(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let buffers = &mut [IoSliceMut::new(buffer)];
        let patience = Patience::For(Duration::ZERO);
        self.session().read_patiently(patience, buffers)
    }
}

/// Writing.
impl Stream {
    /// Waits as a write that began at this moment would, until there is room for so many bytes or
    /// `give_up` says so.
    pub(crate) fn wait_for_room(
        &self,
        started: Instant,
        least: usize,
        give_up: impl Fn() -> bool,
    ) -> io::Result<()> {
        let pipe = self.session().send_pipe();
        pipe.wait_for_room(Patience::AsSetSince(started, None), least, give_up)
    }

    /// Has calls that wait for room ask again whether to give up.
    pub(crate) fn wake_writers(&self) {
        self.session().send_pipe().wake_writers();
    }

    /// How many bytes `write` would take without waiting.
    pub(crate) fn room(&self) -> usize {
        self.session().send_pipe().room()
    }

    /// Takes all of the bytes without waiting. The caller bounds how many these are.
    pub(crate) fn write_whole(&self, bytes: &[u8]) -> io::Result<()> {
        self.session().write_whole(bytes)
    }

    pub(crate) fn is_nonblocking(&self) -> bool {
        self.session().receive_pipe().is_nonblocking()
    }
}
