//! Opened datagrams on their way from the poll thread to a worker: one arena for many, recycled.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use super::port::Port;
use crate::error::DropReason;

/// How many datagrams are handed over in one go, if there are as many.
pub(super) const BATCH: usize = 64;
/// What an empty batch keeps of its memory: that of full datagrams on the paths there are.
const KEPT_BYTES: usize = BATCH * 1500;

/// Datagrams for one worker. Copying a datagram into the arena costs less than any scheme of
/// sharing the receive buffer, and keeps that buffer private and warm.
#[derive(Debug, Default)]
pub(super) struct DatagramBatch {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    ports: Vec<Arc<Port>>,
}

#[derive(Debug)]
struct Entry {
    end: usize,
    port: usize,
    origin: Origin,
    conversation: u16,
    replayed: bool,
}

/// Where a datagram came from and to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    /// The sender as the kernel names it; answers go there.
    pub(super) remote: SocketAddr,
    /// The address of ours that the sender used; answers come from it.
    pub(super) local_ip: Option<IpAddr>,
    /// Which of the port's sockets received it.
    pub(super) lane: usize,
}

/// One datagram of a batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Datagram<'a> {
    pub(super) port: &'a Arc<Port>,
    pub(super) origin: Origin,
    pub(super) conversation: u16,
    /// It could open a session, and was received before.
    pub(super) replayed: bool,
    pub(super) plaintext: &'a [u8],
}

impl DatagramBatch {
    pub(super) fn push(&mut self, datagram: Datagram<'_>) {
        if self.entries.capacity() == 0 {
            self.bytes.reserve_exact(KEPT_BYTES);
            self.entries.reserve_exact(BATCH);
        }
        let same = |last: &Arc<Port>| Arc::ptr_eq(last, datagram.port);
        if !self.ports.last().is_some_and(same) {
            self.ports.push(datagram.port.clone());
        }
        self.bytes.extend_from_slice(datagram.plaintext);
        self.entries.push(Entry {
            end: self.bytes.len(),
            port: self.ports.len() - 1,
            origin: datagram.origin,
            conversation: datagram.conversation,
            replayed: datagram.replayed,
        });
    }

    /// How many datagrams there are.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// How many bytes they have.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Whether all of `other` fits in as well.
    pub(super) fn has_room_for(&self, other: &Self) -> bool {
        self.len() + other.len() <= BATCH
    }

    /// Moves everything from `other` to the end of this one.
    pub(super) fn append(&mut self, other: &mut Self) {
        let (start, first_port) = (self.bytes.len(), self.ports.len());
        self.bytes.extend_from_slice(&other.bytes);
        self.ports.append(&mut other.ports);
        self.entries
            .extend(other.entries.drain(..).map(|entry| Entry {
                end: start + entry.end,
                port: first_port + entry.port,
                ..entry
            }));
        other.clear();
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Datagram<'_>> {
        let mut start = 0;
        self.entries.iter().map(move |entry| {
            let plaintext = &self.bytes[start..entry.end];
            start = entry.end;
            Datagram {
                port: &self.ports[entry.port],
                origin: entry.origin,
                conversation: entry.conversation,
                replayed: entry.replayed,
                plaintext,
            }
        })
    }

    /// Empties the batch for want of somebody who takes it.
    pub(super) fn discard(&mut self, reason: DropReason) {
        for datagram in self.iter() {
            datagram.port.counters.drop_one(reason);
        }
        self.clear();
    }

    /// Empties the batch, keeping its memory for the next use unless a burst bloated it.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_BYTES);
        self.entries.clear();
        self.ports.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::Config,
        endpoint::{
            admission::{Admission, Limits},
            conversation::Conversations,
        },
    };

    fn port() -> Arc<Port> {
        Arc::new(Port::new(
            SocketAddr::from(([127, 0, 0, 1], 1)),
            None,
            Arc::new(Config::default()),
            Admission::new(Limits::default(), None),
            Conversations::starting_at(0),
            Vec::new(),
        ))
    }

    fn batch(port: &Arc<Port>, plaintexts: &[&[u8]]) -> DatagramBatch {
        let mut batch = DatagramBatch::default();
        for plaintext in plaintexts {
            batch.push(Datagram {
                port,
                origin: Origin {
                    remote: port.local,
                    local_ip: None,
                    lane: 0,
                },
                conversation: 7,
                replayed: false,
                plaintext,
            });
        }
        batch
    }

    #[test]
    fn appended_datagrams_keep_their_bytes_and_ports() {
        let ports = [port(), port()];
        let mut all = batch(&ports[0], &[b"one", b"", b"two"]);
        let mut more = batch(&ports[1], &[b"three"]);
        all.append(&mut more);
        assert_eq!((all.len(), all.bytes(), more.len()), (4, 11, 0));
        let read: Vec<_> = all.iter().map(|datagram| datagram.plaintext).collect();
        assert_eq!(read, [&b"one"[..], b"", b"two", b"three"]);
        let owners: Vec<_> = all.iter().map(|datagram| datagram.port.id).collect();
        let [first, second] = [ports[0].id, ports[1].id];
        assert_eq!(owners, [first, first, first, second]);
    }
}
