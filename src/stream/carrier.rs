//! What a layer that runs inside a stream needs beyond the public interface: waiting and moving
//! bytes as separate steps, so that nothing has to be locked while waiting.

use std::{
    io::{self, IoSliceMut},
    time::Instant,
};

use super::Stream;
use crate::sync::Patience;

impl Stream {
    /// As `read`, waiting as long as told.
    pub(crate) fn read_patiently(
        &self,
        patience: Patience,
        buffer: &mut [u8],
    ) -> io::Result<usize> {
        let buffers = &mut [IoSliceMut::new(buffer)];
        self.session().read_patiently(patience, buffers)
    }

    /// Waits as a write that began at this moment would, until there is room for so many bytes or
    /// `give_up` says so.
    pub(crate) fn wait_for_room(
        &self,
        started: Instant,
        least: usize,
        give_up: impl Fn() -> bool,
    ) -> io::Result<()> {
        let pipe = self.session().send_pipe();
        pipe.wait_for_room(Patience::AsSetSince(started), least, give_up)
    }

    /// Has writers that wait for room ask again whether to give up.
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
