//! Opened datagrams on their way from the poll thread to a worker: one arena for many, recycled.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use super::port::Port;

/// How many datagrams travel together, at most.
const MAX_DATAGRAMS: usize = 64;
/// How many bytes travel together, unless a single datagram is longer.
const MAX_BYTES: usize = 96 * 1024;

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
    pub(super) plaintext: &'a [u8],
}

impl DatagramBatch {
    pub(super) fn push(&mut self, datagram: Datagram<'_>) {
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
        });
    }

    pub(super) fn is_full(&self) -> bool {
        self.entries.len() >= MAX_DATAGRAMS || self.bytes.len() >= MAX_BYTES
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
                plaintext,
            }
        })
    }

    /// Empties the batch, keeping its memory for the next use unless one huge datagram bloated it.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(2 * MAX_BYTES);
        self.entries.clear();
        self.ports.clear();
    }
}
