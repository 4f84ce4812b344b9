//! Datagrams on their way to their sessions.

use std::time::Instant;

use arrayvec::ArrayVec;

use super::{MAX_VISITS, Worker};
use crate::endpoint::{
    batch::Datagram,
    session::Session,
    table::{ConnectionId, Slot, Tenant},
};

/// So many sessions are looked up before the first of them gets its datagram: their memory is
/// brought meanwhile.
const AHEAD: usize = 8;
/// After datagrams for so many sessions these are visited before others get theirs, unless older
/// ones wait: what was read of them is in the processor's cache still.
const WARM: usize = 32;

/// A datagram whose session has been looked up.
struct Expected<'a> {
    id: ConnectionId,
    /// Where the session is, if it was there and there was reason to look.
    slot: Option<Slot>,
    datagram: Datagram<'a>,
}

impl Worker {
    /// Gives datagrams to their sessions. What follows from them is done in the next turn, or once
    /// they have come for many sessions.
    pub(in crate::endpoint) fn handle_datagrams<'a>(
        &mut self,
        now: Instant,
        datagrams: impl Iterator<Item = Datagram<'a>>,
    ) {
        let mut group = ArrayVec::<_, AHEAD>::new();
        for datagram in datagrams {
            group.push(self.expect(datagram));
            if group.is_full() {
                self.handle_group(now, &group);
                group.clear();
            }
        }
        self.handle_group(now, &group);
    }

    fn handle_group(&mut self, now: Instant, group: &[Expected<'_>]) {
        for (place, expected) in group.iter().enumerate() {
            let next = group.get(place + 1).and_then(|next| self.far(next.slot?));
            next.inspect(|session| session.prefetch_parts());
            self.handle_datagram(now, expected);
        }
    }

    /// Looks for the session of a datagram, and has its memory brought.
    fn expect<'a>(&mut self, datagram: Datagram<'a>) -> Expected<'a> {
        let id = ConnectionId::new(
            datagram.port.id,
            datagram.origin.remote,
            datagram.conversation,
        );
        let slot = match self.slot_of_latest(id) {
            None if self.is_crowded() => self.table.find(&id).inspect(|&slot| {
                self.latest = Some((id, slot));
                self.far(slot).inspect(|session| session.prefetch());
            }),
            slot => slot,
        };
        Expected { id, slot, datagram }
    }

    /// Where the session is, if the latest datagram was for it.
    fn slot_of_latest(&self, id: ConnectionId) -> Option<Slot> {
        let (latest, slot) = self.latest?;
        (latest == id).then_some(slot)
    }

    fn handle_datagram(&mut self, now: Instant, expected: &Expected<'_>) {
        let &Expected { id, datagram, .. } = expected;
        // Those before it may have ended the session, or made it move.
        let is_there = |slot: &Slot| self.table.get(*slot).map(Session::id) == Some(id);
        let found = expected.slot.or_else(|| self.slot_of_latest(id));
        let slot = match found.filter(is_there) {
            Some(slot) => slot,
            None => match self.find_or_admit(now, id, datagram) {
                Ok(slot) => {
                    self.latest = Some((id, slot));
                    slot
                }
                Err(reason) => {
                    log::trace!("datagram of {id:?} dropped: {reason}");
                    datagram.port.counters.drop_one(reason);
                    return;
                }
            },
        };
        let is_new = self.touch_with(slot, |session| {
            session.handle_datagram(now, datagram.plaintext);
        });
        self.fresh += usize::from(is_new);
        if self.fresh >= WARM && self.may_visit_early() {
            self.visit_touched(now, WARM);
        }
    }

    /// Whether none but the sessions of the latest datagrams wait, and few enough have been visited
    /// for commands and timers to have their turn soon.
    fn may_visit_early(&self) -> bool {
        self.is_crowded() && self.fresh == self.touched.len() && self.visited < MAX_VISITS
    }
}
