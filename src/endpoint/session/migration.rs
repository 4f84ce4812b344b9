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
/// For so long at least what comes from an address that was proven may have been sent before the
/// move; beyond that, for so many RTOs.
const OVERTAKEN: Duration = Duration::from_secs(2);
const OVERTAKEN_RTOS: u32 = 3;

/// The last move.
#[derive(Debug)]
pub(super) struct Migration {
    at: Instant,
    from: SocketAddr,
    /// The address that was proven last, until this one is (RFC 9000, section 9.3.2).
    proven: Option<ConnectionId>,
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
            true => Some(before),
            false => self.migration.take().and_then(|last| last.proven),
        };
        let proven = proven.filter(|&proven| proven != id);
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

    /// Whether the peer is still where it had proven its address last: something of it comes from
    /// there although it seemed to have moved, and nothing shows that it receives what is sent to
    /// where it seemed to be.
    pub(in crate::endpoint) fn has_stayed(
        &self,
        now: Instant,
        id: &ConnectionId,
        plaintext: &[u8],
    ) -> bool {
        let overtaken = OVERTAKEN.max(OVERTAKEN_RTOS * self.connection.rto());
        self.migration.as_ref().is_some_and(|last| {
            last.proven.as_ref() == Some(id)
                && !self.connection.is_validated()
                && now.saturating_duration_since(last.at) >= overtaken
                && self.connection.could_be_of_peer(plaintext)
        })
    }

    /// The peer has proven the address that it is at.
    pub(super) fn settle_down(&mut self) {
        if let Some(last) = &mut self.migration {
            last.proven = None;
        }
    }
}
