//! How a session follows its peer to another address.
//!
//! Only what the peer alone can know moves it: see `connection/migration.rs`. Of anything else
//! that fits nothing can be told: if a proof may follow, it is dropped; if not, it is treated as
//! that of a connection which is not known. What looks like the beginning of a connection is one,
//! unless it comes from an address that a session has just left. A peer that is heard again where
//! it was, and not where it seemed to have gone, is sought where it was.

use std::{hash::BuildHasher, time::Instant};

use super::Worker;
use crate::{
    endpoint::{
        batch::Datagram,
        session::Session,
        table::{ConnectionId, Slot, Tenant},
        transmit::Way,
    },
    error::DropReason,
};

impl Worker {
    /// The session whose peer has sent this from another address than before, if it proves that.
    pub(super) fn follow(
        &mut self,
        now: Instant,
        id: ConnectionId,
        datagram: Datagram<'_>,
    ) -> Result<Option<Slot>, DropReason> {
        let plaintext = datagram.plaintext;
        let proven = |session: &Session| {
            session.connection.is_proof_of_peer(now, plaintext)
                || session.has_stayed(now, &id, plaintext)
        };
        let mut candidates = self.table.candidates(&id);
        let found = candidates.find(|(_, session)| proven(session));
        let Some((slot, _)) = found.filter(|_| !datagram.replayed) else {
            return Ok(None);
        };
        drop(candidates);
        self.migrate(now, slot, id, datagram.origin.into())?;
        Ok(Some(slot))
    }

    fn migrate(
        &mut self,
        now: Instant,
        slot: Slot,
        id: ConnectionId,
        way: Way,
    ) -> Result<(), DropReason> {
        let Some(session) = self.table.get_mut(slot) else {
            return Ok(());
        };
        let before = session.id();
        // Unguessable and new each time, as that of a new session.
        let seed = self.seeds.hash_one((id.remote(), slot, now));
        session.migrate(now, id, way, seed)?;
        session.port().counters.sessions_migrated.add(1);
        self.table.on_moved(slot, before);
        self.latest = None;
        let (conversation, from, to) = (id.conversation, before.remote(), id.remote());
        log::debug!("session {conversation:#06x} moves from {from} to {to}");
        Ok(())
    }

    /// Whether a session's peer was here a moment ago: this is late, and no beginning.
    pub(super) fn is_late(&self, now: Instant, id: &ConnectionId) -> bool {
        let mut candidates = self.table.candidates(id);
        candidates.any(|(_, session)| session.has_left(now, id.remote()))
    }

    /// Whether a session may have moved here, which the next datagrams can prove.
    pub(super) fn expects_proof(
        &self,
        now: Instant,
        id: &ConnectionId,
        datagram: Datagram<'_>,
    ) -> bool {
        let plaintext = datagram.plaintext;
        let mut candidates = self.table.candidates(id);
        candidates.any(|(_, session)| session.connection.expects_proof_of_peer(now, plaintext))
    }
}
