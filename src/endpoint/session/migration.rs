//! A session whose peer has moved: where it was, and when to go back there.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use super::Session;
use crate::{
    endpoint::{
        table::{ConnectionId, Tenant},
        transmit::Way,
    },
    error::DropReason,
};

/// How long datagrams from an address that the peer has left may take.
const LATE: Duration = Duration::from_secs(15);
/// How long the peer may take to prove that it receives what is sent to its new address.
const TRIAL: Duration = Duration::from_secs(2);

/// The last move.
#[derive(Debug)]
pub(super) struct Migration {
    at: Instant,
    from: SocketAddr,
    /// The address that was proven last, until this one is (RFC 9000, section 9.3.2).
    proven: Option<(ConnectionId, Way)>,
}

impl Session {
    /// Follows the peer to another address, or back.
    pub(in crate::endpoint) fn migrate(
        &mut self,
        now: Instant,
        id: ConnectionId,
        way: Way,
        seed: u64,
    ) -> Result<(), DropReason> {
        let (before, after) = (self.id(), id.remote());
        let from = before.remote();
        self.permit.migrate(now, id)?;
        self.connection.on_migrated(now, seed);
        if self.permit.is_advanced() {
            self.connection.advance();
        }
        if from.ip() != after.ip() {
            self.connection.forget_path(now, seed);
        }
        self.handle
            .set_addresses(way.addresses(self.port().local, after));
        // The other socket may have room.
        self.blocked &= self.way.lane == way.lane;
        let proven = match std::mem::take(&mut self.told.validated) {
            true => Some((before, self.way)),
            false => self.migration.take().and_then(|last| last.proven),
        };
        let at = now;
        self.migration = Some(Box::new(Migration { at, from, proven }));
        self.way = way;
        Ok(())
    }

    /// Whether the peer has been at this address a short while ago, so that something may still
    /// come from there.
    pub(in crate::endpoint) fn has_left(&self, now: Instant, address: SocketAddr) -> bool {
        self.migration.as_ref().is_some_and(|last| {
            last.from == address && now.saturating_duration_since(last.at) < LATE
        })
    }

    /// Where the peer was, once, if it has not answered in time from where it seemed to be.
    pub(in crate::endpoint) fn way_back(&mut self, now: Instant) -> Option<(ConnectionId, Way)> {
        self.trial_end().filter(|&end| end <= now)?;
        self.migration.as_mut()?.proven.take()
    }

    pub(super) fn trial_end(&self) -> Option<Instant> {
        let last = self.migration.as_ref()?;
        last.proven.is_some().then(|| last.at + TRIAL)
    }

    /// The peer has proven the address that it is at.
    pub(super) fn end_trial(&mut self) {
        if let Some(last) = &mut self.migration {
            last.proven = None;
        }
    }
}
