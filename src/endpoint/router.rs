//! From sockets to workers: receives, opens and checks datagrams, and passes them on.

use std::{
    fmt,
    io::{self, ErrorKind},
    sync::Arc,
    time::Instant,
};

use quinn_udp::RecvMeta;

use crate::{
    error::{ConnectionError, DropReason},
    wire::Segments,
};

use super::{
    batch::{BATCH, Datagram, DatagramBatch, Origin},
    port::Port,
    replay::Nonce,
    runtime::Shared,
    shard::{Command, Shard},
    socket::{ReceiveBuffers, Socket},
    table::ConnectionId,
    worker::Worker,
};

/// What is received in one round, before timers and sessions have their turn. With little more
/// than one call brings, timers would fire before acknowledgements that have come are read.
const MAX_DATAGRAMS: u64 = 512;
const MAX_BYTES: u64 = 256 * 1024;
/// Errors of other kinds than are known that are borne of a socket in a row. Whatever may be wrong
/// with it, it must not keep its thread busy.
const MAX_ERRORS: u32 = 32;

/// What a round may still receive.
#[derive(Debug)]
pub(super) struct Budget {
    datagrams: u64,
    bytes: u64,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            datagrams: MAX_DATAGRAMS,
            bytes: MAX_BYTES,
        }
    }
}

impl Budget {
    pub(super) fn is_spent(&self) -> bool {
        self.datagrams == 0 || self.bytes == 0
    }

    fn spend(&mut self, datagrams: u64, bytes: u64) {
        // A call that brings nothing takes time too.
        self.datagrams = self.datagrams.saturating_sub(datagrams.max(1));
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

/// One socket of a port.
#[derive(Debug)]
pub(super) struct Inlet {
    pub(super) port: Arc<Port>,
    pub(super) lane: usize,
    pub(super) socket: Arc<Socket>,
    pub(super) errors: Errors,
}

/// Errors of other kinds than are known that a socket has brought in a row.
#[derive(Debug, Default)]
pub(super) struct Errors(u32);

impl Errors {
    /// Another one has come. Returns whether to read on.
    fn bear(&mut self) -> bool {
        self.0 = (self.0 + 1) % MAX_ERRORS;
        self.0 > 0
    }

    fn end(&mut self) {
        self.0 = 0;
    }
}

/// The way of datagrams through one poll thread.
pub(super) struct Router {
    shared: Arc<Shared>,
    outlet: Outlet,
}

/// Where datagrams go.
enum Outlet {
    /// To workers with threads of their own, by the batch.
    Batches(Batches),
    /// To the only worker there is, which runs in this thread.
    Resident(Box<Worker>),
}

impl Router {
    /// Without a resident worker there are those of the shards.
    pub(super) fn new(shared: Arc<Shared>, resident: Option<Worker>) -> Self {
        let outlet = match resident {
            Some(worker) => Outlet::Resident(Box::new(worker)),
            None => Outlet::Batches(Batches::new(shared.clone())),
        };
        Self { shared, outlet }
    }

    pub(super) fn shards(&self) -> &[Arc<Shard>] {
        &self.shared.shards
    }

    /// One receiving system call; returns whether there may be more to receive.
    pub(super) fn receive(
        &mut self,
        inlet: &mut Inlet,
        buffers: &mut ReceiveBuffers,
        budget: &mut Budget,
    ) -> bool {
        inlet.port.counters.receive_calls.add(1);
        let received = inlet.socket.receive(buffers);
        let (mut datagrams, mut bytes) = (0, 0);
        if let Ok(count) = received {
            inlet.errors.end();
            (datagrams, bytes) = self.route_all(inlet, buffers.filled(count));
            let counters = &inlet.port.counters;
            counters.datagrams_received.add(datagrams);
            counters.bytes_received.add(bytes);
        }
        budget.spend(datagrams, bytes);
        match received {
            // If not, the next arrival is reported.
            Ok(count) => buffers.may_be_more(count),
            Err(error) => self.continue_after(inlet, &error),
        }
    }

    /// Errors of a UDP socket are information about datagrams sent earlier, and datagrams that have
    /// come lie behind them. None ends or slows the loop; after many unknown ones in a row the next
    /// arrival reports readiness again.
    fn continue_after(&self, inlet: &mut Inlet, error: &io::Error) -> bool {
        let port = &inlet.port;
        match error.kind() {
            ErrorKind::WouldBlock => {
                inlet.errors.end();
                false
            }
            ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset => {
                if let Some(id) = port.only_connection() {
                    let shard = self.shared.shard(port, &id);
                    let _ = shard.command(Command::Refused(id));
                }
                true
            }
            _ => {
                if port.counters.warnings.allows(Instant::now()) {
                    log::warn!("receiving on {}: {error}", port.local);
                }
                inlet.errors.bear()
            }
        }
    }

    /// Opens what has arrived in one go, whether in one train or from many peers, and passes it on.
    /// Returns how many datagrams and bytes that were.
    fn route_all<'a>(
        &mut self,
        inlet: &Inlet,
        trains: impl Iterator<Item = (RecvMeta, &'a mut [u8])>,
    ) -> (u64, u64) {
        let port = &inlet.port;
        let now = Instant::now();
        let (mut count, mut bytes) = (0, 0);
        let datagrams = trains.flat_map(|(meta, train)| {
            bytes += train.len() as u64;
            let origin = Origin {
                remote: meta.addr,
                local_ip: meta.dst_ip,
                lane: inlet.lane,
            };
            let datagrams = train.chunks_mut(meta.stride.max(1));
            datagrams.map(move |datagram| ((origin, port.codec.nonce(datagram)), datagram))
        });
        let opened = port.codec.open_each(datagrams);
        let datagrams = opened.filter_map(|((origin, nonce), opened)| {
            count += 1;
            let datagram = opened.and_then(|plaintext| read(port, origin, nonce, plaintext));
            datagram
                .inspect_err(|reason| {
                    log::trace!("datagram from {} dropped: {reason}", origin.remote);
                    port.counters.drop_one(*reason);
                })
                .ok()
        });
        match &mut self.outlet {
            Outlet::Batches(batches) => datagrams.for_each(|datagram| batches.push(datagram)),
            Outlet::Resident(worker) => worker.handle_datagrams(now, datagrams),
        }
        (count, bytes)
    }
}

/// What a datagram says of itself.
fn read<'a>(
    port: &'a Arc<Port>,
    origin: Origin,
    nonce: Option<Nonce>,
    plaintext: &'a [u8],
) -> Result<Datagram<'a>, DropReason> {
    // mKCP: the first segment says to which connection a datagram belongs. Where a later one does
    // not parse, those before it count.
    let first = Segments::new(plaintext)
        .next()
        .ok_or(DropReason::BadSegment)?;
    Ok(Datagram {
        port,
        origin,
        conversation: first.conversation(),
        replayed: nonce.is_some_and(|nonce| port.is_replay(nonce, plaintext)),
        plaintext,
    })
}

// The rounds of the poll thread.
impl Router {
    /// The bell was answered: a resident worker takes what was brought.
    pub(super) fn collect(&mut self) {
        if let Outlet::Resident(worker) = &mut self.outlet {
            worker.collect();
        }
    }

    /// Everything that was to be received in this round has been.
    pub(super) fn finish_round(&mut self) {
        match &mut self.outlet {
            Outlet::Batches(batches) => batches.post_all(),
            Outlet::Resident(worker) => worker.turn(Instant::now()),
        }
    }

    /// Whether another round is wanted at once.
    pub(super) fn has_work(&self) -> bool {
        match &self.outlet {
            Outlet::Batches(_) => false,
            Outlet::Resident(worker) => worker.has_work(),
        }
    }

    /// When another round is wanted, if nothing comes before.
    pub(super) fn next_deadline(&mut self) -> Option<Instant> {
        match &mut self.outlet {
            Outlet::Batches(_) => None,
            Outlet::Resident(worker) => worker.next_deadline(),
        }
    }

    /// The thread ends, and a resident worker has been told so.
    pub(super) fn end(&mut self) {
        self.collect();
        self.finish_round();
    }

    /// After a panic: whoever waits for a session of a resident worker gets the error.
    pub(super) fn fail_all(&self, error: ConnectionError) {
        if let Outlet::Resident(worker) = &self.outlet {
            worker.fail_all(error);
        }
    }
}

/// The batch that is being filled for each worker.
struct Batches {
    shared: Arc<Shared>,
    batches: Vec<DatagramBatch>,
    /// The shard of the latest datagram: many in a row belong together.
    latest: Option<(ConnectionId, usize)>,
}

impl Batches {
    fn new(shared: Arc<Shared>) -> Self {
        let batches = shared.shards.iter().map(|_| DatagramBatch::default());
        Self {
            batches: batches.collect(),
            shared,
            latest: None,
        }
    }

    fn push(&mut self, datagram: Datagram<'_>) {
        let (port, origin) = (datagram.port, datagram.origin);
        let id = ConnectionId::new(port.id, origin.remote, datagram.conversation);
        let index = match self.latest {
            Some((same, index)) if same == id => index,
            _ => self.shared.shard_index(port, &id),
        };
        self.latest = Some((id, index));
        self.batches[index].push(datagram);
        if self.batches[index].len() >= BATCH {
            self.post(index);
        }
    }

    fn post_all(&mut self) {
        for index in 0..self.batches.len() {
            if self.batches[index].len() > 0 {
                self.post(index);
            }
        }
    }

    fn post(&mut self, index: usize) {
        let batch = &mut self.batches[index];
        if self.shared.shards[index].post(batch).is_err() {
            batch.discard(DropReason::WorkerBehind);
        }
    }
}

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Router").finish_non_exhaustive()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// They may all come in one round, when a whole network cannot be reached.
    #[test]
    fn what_other_sockets_are_told_keeps_none_from_being_read() {
        let mut sockets: [Errors; 100] = std::array::from_fn(|_| Errors::default());
        assert!(sockets.iter_mut().all(Errors::bear));
    }

    #[test]
    fn errors_without_end_end_the_reading() {
        let mut errors = Errors::default();
        let mut borne = || (0..).take_while(|_| errors.bear()).count() as u32;
        assert_eq!((borne(), borne()), (MAX_ERRORS - 1, MAX_ERRORS - 1));
        errors.bear();
        errors.end();
        assert!((1..MAX_ERRORS).all(|_| errors.bear()));
    }
}
