//! The handshake: it runs in whichever threads read or write first, and within a limit of its own.

use std::{
    io,
    time::{Duration, Instant},
};

use super::{
    duplex::{Duplex, feed, is_stall},
    error::TlsError,
    incoming::Incoming,
};
use crate::error::ConnectionError;

impl Duplex {
    /// Completes the handshake if it is not complete, within its own limit and that of a call that
    /// began at `started`.
    pub(super) fn complete_handshake(
        &self,
        started: Instant,
        timeout: Option<Duration>,
    ) -> io::Result<()> {
        if self.is_established() {
            return Ok(());
        }
        let limit = self.begin_handshake(started);
        loop {
            if let Some(error) = self.failure() {
                return Err(error.into());
            }
            let call = timeout.map(|timeout| timeout.saturating_sub(started.elapsed()));
            let whole = limit.map(|(begun, limit)| limit.saturating_sub(begun.elapsed()));
            let step = self.step_handshake([call, whole].into_iter().flatten().min());
            match step {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(error) if is_stall(&error) => {
                    let over = limit.filter(|(begun, limit)| begun.elapsed() >= *limit);
                    let Some((_, limit)) = over else {
                        return Err(error);
                    };
                    let error = self.fail(TlsError::HandshakeTimeout(limit));
                    return Err(error.into());
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Takes one step, waiting for the peer if it is the peer's turn. Gives whether the handshake
    /// is complete.
    fn step_handshake(&self, limit: Option<Duration>) -> io::Result<bool> {
        // Should that be impossible, what the peer sent last may say why.
        let _ = self.send_control();
        let Some(mut turn) = self.take_turn(limit, || self.is_established())? else {
            return Ok(true);
        };
        if self.is_handshaking() && turn.incoming.is_empty() {
            let filled = turn.incoming.fill(self.stream(), self.patience(limit));
            filled.map_err(|error| self.as_stall(error))?;
            if turn.incoming.ended && self.is_read_shut() {
                return Err(ConnectionError::LocallyClosed.into());
            }
            if turn.incoming.ended {
                return Err(self.fail(TlsError::HandshakeCut).into());
            }
        }
        self.open_handshake(&mut turn.incoming)?;
        let _ = self.send_control();
        if self.is_handshaking() {
            return Ok(false);
        }
        // Before the turn passes on: whoever waits for it is not to wait for the peer.
        self.on_established().map(|()| true)
    }

    fn open_handshake(&self, incoming: &mut Incoming) -> io::Result<()> {
        let opened = self.with_tls(|tls| {
            while tls.is_handshaking() && !incoming.is_empty() {
                feed(tls, incoming)?;
            }
            Ok(())
        });
        opened.map_err(|error| self.fail(TlsError::Handshake(error)).into())
    }

    fn is_handshaking(&self) -> bool {
        self.with_tls(|tls| tls.is_handshaking())
    }
}
