//! Where a worker finds its sessions.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    hash::{Hash, Hasher},
    net::SocketAddr,
};

use super::{address::CompactAddr, port::PortId};

/// What a datagram belongs to: mKCP knows a connection by the peer's address and the
/// conversation, and here also by the port that it came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ConnectionId {
    pub(super) port: PortId,
    pub(super) conversation: u16,
    pub(super) remote: CompactAddr,
}

impl ConnectionId {
    pub(super) fn new(port: PortId, remote: SocketAddr, conversation: u16) -> Self {
        Self {
            port,
            conversation,
            remote: remote.into(),
        }
    }

    /// Where the peer is.
    pub(super) fn remote(&self) -> SocketAddr {
        self.remote.into()
    }
}

impl Hash for ConnectionId {
    /// In one piece of whole words, for it is done for every datagram.
    fn hash<H: Hasher>(&self, state: &mut H) {
        let mut bytes = [0; 10 + CompactAddr::LEN];
        bytes[..8].copy_from_slice(&u64::from(self.port.0).to_ne_bytes());
        bytes[8..10].copy_from_slice(&self.conversation.to_ne_bytes());
        bytes[10..].copy_from_slice(&self.remote.to_bytes());
        state.write(&bytes);
    }
}

/// A place in the table, and which of its successive tenants is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Slot {
    index: u32,
    generation: u32,
}

impl Slot {
    const FIRST: Self = Self::new(0, 0);
    const LAST: Self = Self::new(u32::MAX, u32::MAX);

    pub(super) const fn new(index: u32, generation: u32) -> Self {
        Self { index, generation }
    }

    pub(super) fn index(self) -> usize {
        self.index as usize
    }

    /// As a number; that of no tenant is `u64::MAX`.
    pub(super) fn to_bits(self) -> u64 {
        u64::from(self.index) << 32 | u64::from(self.generation)
    }

    pub(super) fn from_bits(bits: u64) -> Self {
        Self::new((bits >> 32) as u32, bits as u32)
    }
}

/// How many sessions with the same port and conversation may move, those that could first: that is
/// how many are looked at for a datagram of unknown origin.
const MOST_MOVABLE: usize = 8;

/// The sessions of one worker.
#[derive(Debug)]
pub(super) struct Table<T> {
    places: Vec<Place<T>>,
    free: Vec<u32>,
    /// Their places.
    by_id: HashMap<ConnectionId, u32>,
    /// Those that may move to another address, by what they keep then.
    movable: BTreeSet<(PortId, u16, Slot)>,
}

#[derive(Debug)]
struct Place<T> {
    generation: u32,
    /// Apart in memory, so that those of a flood are given back.
    tenant: Option<Box<T>>,
}

/// What is in a table, and knows under which name.
pub(super) trait Tenant {
    /// Changes only when it has moved, and then the table is to be told.
    fn id(&self) -> ConnectionId;
}

impl<T: Tenant> Table<T> {
    pub(super) fn new() -> Self {
        Self {
            places: Vec::new(),
            free: Vec::new(),
            by_id: HashMap::new(),
            movable: BTreeSet::new(),
        }
    }

    /// Adds a session. Its id must not be in the table.
    pub(super) fn insert(&mut self, session: T) -> Slot {
        let id = session.id();
        let index = self.free.pop().unwrap_or_else(|| {
            self.places.push(Place {
                generation: 0,
                tenant: None,
            });
            (self.places.len() - 1) as u32
        });
        let place = &mut self.places[index as usize];
        place.tenant = Some(Box::new(session));
        let slot = Slot::new(index, place.generation);
        self.by_id.insert(id, index);
        slot
    }

    pub(super) fn remove(&mut self, slot: Slot) -> Option<T> {
        let place = self.places.get_mut(slot.index())?;
        if place.generation != slot.generation {
            return None;
        }
        let tenant = place.tenant.take()?;
        place.generation = place.generation.wrapping_add(1);
        self.free.push(slot.index);
        let id = tenant.id();
        self.by_id.remove(&id);
        self.movable.remove(&(id.port, id.conversation, slot));
        shrink(&mut self.by_id);
        Some(*tenant)
    }

    pub(super) fn get_mut(&mut self, slot: Slot) -> Option<&mut T> {
        let place = self.places.get_mut(slot.index())?;
        if place.generation != slot.generation {
            return None;
        }
        place.tenant.as_deref_mut()
    }

    pub(super) fn get(&self, slot: Slot) -> Option<&T> {
        let place = self.places.get(slot.index())?;
        if place.generation != slot.generation {
            return None;
        }
        place.tenant.as_deref()
    }

    /// How many sessions there are.
    pub(super) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    pub(super) fn find(&self, id: &ConnectionId) -> Option<Slot> {
        Some(self.slot(*self.by_id.get(id)? as usize))
    }

    /// The slot of whoever is at this place.
    pub(super) fn slot(&self, index: usize) -> Slot {
        Slot::new(index as u32, self.places[index].generation)
    }

    /// From now on the session may move.
    pub(super) fn set_movable(&mut self, slot: Slot, id: ConnectionId) {
        if self.movable_like(&id).count() < MOST_MOVABLE {
            self.movable.insert((id.port, id.conversation, slot));
        }
    }

    fn movable_like(&self, id: &ConnectionId) -> impl Iterator<Item = Slot> {
        let from = |slot| (id.port, id.conversation, slot);
        let same = self.movable.range(from(Slot::FIRST)..=from(Slot::LAST));
        same.map(|&(_, _, slot)| slot)
    }

    /// The sessions that this one may be, if it has moved.
    pub(super) fn candidates(&self, id: &ConnectionId) -> impl Iterator<Item = (Slot, &T)> {
        self.movable_like(id)
            .filter_map(|slot| Some((slot, self.get(slot)?)))
    }

    /// The session has moved, and had this id before. Its id now must not be in the table.
    pub(super) fn on_moved(&mut self, slot: Slot, before: ConnectionId) {
        if let Some(session) = self.get(slot) {
            let id = session.id();
            self.by_id.remove(&before);
            self.by_id.insert(id, slot.index);
        }
    }

    /// Every session with its place.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Slot, &T)> {
        self.places.iter().zip(0..).filter_map(|(place, index)| {
            let tenant = place.tenant.as_deref()?;
            Some((Slot::new(index, place.generation), tenant))
        })
    }
}

/// Gives memory back when most of it is unused.
pub(super) fn shrink<K: Eq + Hash, V>(map: &mut HashMap<K, V>) {
    if is_mostly_unused(map.len(), map.capacity()) {
        map.shrink_to(2 * map.len());
    }
}

/// The same for a set.
pub(super) fn shrink_set<T: Eq + Hash>(set: &mut HashSet<T>) {
    if is_mostly_unused(set.len(), set.capacity()) {
        set.shrink_to(2 * set.len());
    }
}

fn is_mostly_unused(len: usize, capacity: usize) -> bool {
    const KEPT: usize = 1024;
    len < capacity / 8 && capacity > KEPT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq)]
    struct Guest {
        id: ConnectionId,
        name: u32,
    }

    impl Tenant for Guest {
        fn id(&self) -> ConnectionId {
            self.id
        }
    }

    fn guest(name: u32, id: ConnectionId) -> Guest {
        Guest { id, name }
    }

    fn id(conversation: u16) -> ConnectionId {
        let remote = SocketAddr::from(([127, 0, 0, 1], 9));
        ConnectionId::new(PortId(0), remote, conversation)
    }

    #[test]
    fn a_slot_names_one_tenant_only() {
        let mut table = Table::new();
        let first = table.insert(guest(1, id(1)));
        assert_eq!(table.find(&id(1)), Some(first));
        assert_eq!(Slot::from_bits(first.to_bits()), first);
        assert_eq!(table.remove(first), Some(guest(1, id(1))));
        let second = table.insert(guest(2, id(2)));
        assert_eq!(second.index(), first.index());
        assert_eq!(table.get_mut(first), None);
        assert_eq!(table.remove(first), None);
        assert_eq!(table.find(&id(1)), None);
        assert_eq!(
            table.iter().collect::<Vec<_>>(),
            [(second, &guest(2, id(2)))]
        );
    }

    #[test]
    fn a_session_that_moves_is_found_by_its_new_id_alone() {
        let from = |port, conversation| {
            let remote = SocketAddr::from(([127, 0, 0, 1], port));
            ConnectionId::new(PortId(0), remote, conversation)
        };
        let mut table = Table::new();
        let fixed = table.insert(guest(1, from(1, 7)));
        let movable = table.insert(guest(2, from(2, 7)));
        table.set_movable(movable, from(2, 7));
        let candidates = |table: &Table<_>, id| -> Vec<_> {
            table.candidates(&id).map(|(slot, _)| slot).collect()
        };
        assert_eq!(candidates(&table, from(3, 7)), [movable]);
        assert_eq!(candidates(&table, from(3, 8)), []);
        table.get_mut(movable).unwrap().id = from(3, 7);
        table.on_moved(movable, from(2, 7));
        assert_eq!(table.find(&from(2, 7)), None);
        assert_eq!(table.find(&from(3, 7)), Some(movable));
        assert!(table.remove(movable).is_some());
        assert_eq!(table.find(&from(3, 7)), None);
        assert_eq!(candidates(&table, from(3, 7)), []);
        assert!(table.movable.is_empty());
        assert!(table.remove(fixed).is_some());
    }

    #[test]
    fn of_many_with_the_same_conversation_few_can_move() {
        let mut table = Table::new();
        for port in 1..1000 {
            let remote = SocketAddr::from(([127, 0, 0, 1], port));
            let id = ConnectionId::new(PortId(0), remote, 7);
            let slot = table.insert(guest(port.into(), id));
            table.set_movable(slot, id);
        }
        let movable: Vec<_> = table.candidates(&id(7)).map(|(_, one)| one.name).collect();
        assert_eq!(movable, [1, 2, 3, 4, 5, 6, 7, 8]);
    }
}
