//! The handshake: it runs in whichever threads read or write first, and within a limit of its own.

use std::{
    io,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use super::{
    duplex::{Duplex, is_stall},
    error::TlsError,
    incoming::{Incoming, Turn},
    records::feed,
};
use crate::{error::ConnectionError, sync::Patience};

/// For whom a thread completes the handshake; that call's options hold meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Caller {
    Reader,
    Writer,
}

/// How long the handshake may take, and when it began.
#[derive(Debug)]
pub(super) struct Limit {
    pub(super) time: Option<Duration>,
    pub(super) begun: Option<Instant>,
}

/// What a step waits with.
struct Step {
    caller: Caller,
    started: Instant,
    /// When the handshake's own limit is over.
    end: Option<Instant>,
    /// How much had changed when it began; see [`Duplex::on_change`].
    changes: usize,
}

impl Duplex {
    /// Completes the handshake if it is not complete, within its own limit and that of a call that
    /// began at `started`.
    pub(super) fn complete_handshake(&self, caller: Caller, started: Instant) -> io::Result<()> {
        loop {
            if self.is_established() {
                return Ok(());
            }
            let step = Step {
                caller,
                started,
                changes: self.changes(),
                end: self.begin_handshake(started),
            };
            self.check_handshake(caller)?;
            let Err(error) = self.take_step(&step) else {
                continue;
            };
            if let Some(failure) = self.failure() {
                return Err(failure.into());
            }
            if !is_stall(&error) {
                self.on_lost_handshake();
                return Err(error);
            }
            // Whose time is it that is over?
            if self
                .begin_handshake(started)
                .is_none_or(|end| Instant::now() < end)
            {
                return Err(error);
            }
        }
    }

    /// When the handshake has to be over; it begins now unless it has.
    fn begin_handshake(&self, now: Instant) -> Option<Instant> {
        let mut limit = self.handshake_limit();
        let begun = *limit.begun.get_or_insert(now);
        begun.checked_add(limit.time?)
    }

    /// Whether there is a reason not to go on.
    fn check_handshake(&self, caller: Caller) -> io::Result<()> {
        if let Some(error) = self.failure() {
            return Err(error.into());
        }
        let shut = match caller {
            Caller::Reader => self.is_read_shut(),
            Caller::Writer => self.is_write_shut(),
        };
        if shut {
            return Err(ConnectionError::LocallyClosed.into());
        }
        let limit = {
            let limit = self.handshake_limit();
            let begun = limit.begun.zip(limit.time);
            begun.filter(|(begun, time)| begun.elapsed() >= *time)
        };
        match limit {
            Some((_, time)) => Err(self.fail(TlsError::HandshakeTimeout(time)).into()),
            None => Ok(()),
        }
    }

    /// Sends what is to be sent and, if it is the peer's turn, waits for the peer.
    fn take_step(&self, step: &Step) -> io::Result<()> {
        // Should sending be impossible, what the peer sent last may say why.
        let _ = self.send_control();
        let Some(mut turn) = self.take_handshake_turn(step)? else {
            return Ok(());
        };
        if self.is_handshaking() && turn.incoming.is_empty() {
            let changed = || self.changes() != step.changes;
            let filled = turn
                .incoming
                .fill(self.stream(), self.step_patience(step)?, changed);
            filled.map_err(|error| self.as_stall(error))?;
            if turn.incoming.ended {
                return Err(self.fail(TlsError::HandshakeCut).into());
            }
        }
        self.open_handshake(&mut turn.incoming)?;
        let _ = self.send_control();
        if self.is_handshaking() {
            return Ok(());
        }
        // Before the turn passes on: whoever waits for it is not to wait for the peer.
        let established = self.on_established();
        drop(turn);
        // Whoever did not wait for the turn watches the stream, but what came may be here already.
        self.stream().wake_readers();
        established
    }

    fn take_handshake_turn(&self, step: &Step) -> io::Result<Option<Turn<'_>>> {
        let timeout = match step.caller {
            Caller::Reader => self.stream().read_timeout()?,
            Caller::Writer => self.stream().write_timeout()?,
        };
        self.take_turn(step.remaining(timeout), || self.changes() != step.changes)
    }

    fn step_patience(&self, step: &Step) -> io::Result<Patience> {
        Ok(match step.caller {
            Caller::Reader => Patience::AsSetSince(step.started, step.end),
            // It waits at the pipe whose options are those of readers.
            Caller::Writer if self.stream().is_nonblocking() => Patience::For(Duration::ZERO),
            Caller::Writer => Patience::For(step.remaining(self.stream().write_timeout()?)),
        })
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

    fn changes(&self) -> usize {
        self.flags.changes.load(Ordering::Acquire)
    }
}

impl Step {
    /// How long this step may still take, if the call has this timeout.
    fn remaining(&self, timeout: Option<Duration>) -> Duration {
        let call = timeout.map(|timeout| timeout.saturating_sub(self.started.elapsed()));
        let end = self
            .end
            .map(|end| end.saturating_duration_since(Instant::now()));
        let limits = [call, end].into_iter().flatten();
        limits.min().unwrap_or(Duration::MAX)
    }
}
