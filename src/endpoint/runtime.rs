//! The threads: their start, their end, and what happens when one dies.

use std::{
    collections::HashMap,
    fmt::Display,
    hash::{BuildHasher, RandomState},
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
};

use parking_lot::Mutex;

use crate::error::ConnectionError;

use super::{
    counters::Count,
    poller::{PollCommand, PollHandle, Poller},
    port::{Port, PortId},
    router::Router,
    shard::{Command, Ending, Shard},
    socket::Socket,
    table::ConnectionId,
    worker::{Worker, thread::WorkerThread},
};

/// More than these do not fit into the bits of `Lane::ask_writable`.
pub(super) const MAX_WORKERS: usize = 64;

/// Poll threads and workers, for one port or for many.
///
/// When the last handle goes, the threads serve the ports that are left until each is finished,
/// and then end by themselves. Dropping never waits.
#[derive(Debug)]
pub(super) struct Runtime {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// What the threads of a runtime know of each other.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) shards: Vec<Arc<Shard>>,
    pub(super) pollers: Vec<Arc<PollHandle>>,
    hasher: RandomState,
    ports: Mutex<HashMap<PortId, Weak<Port>>>,
    polling: AtomicUsize,
    threads_lost: Count,
}

impl Runtime {
    /// A single worker beside a single poll thread has no thread of its own.
    pub(super) fn start(poll_threads: usize, workers: usize) -> io::Result<Arc<Self>> {
        let polls = (0..poll_threads)
            .map(|_| Poller::open())
            .collect::<io::Result<Vec<_>>>()?;
        let (mut resident, mut threads, mut shards) = (None, Vec::new(), Vec::new());
        if let [(_, handle)] = &polls[..]
            && workers == 1
        {
            let shard = Shard::new(handle.bell().clone());
            resident = Some(Worker::new(0, shard.clone()));
            shards.push(shard);
        } else {
            (threads, shards) = (0..workers).map(WorkerThread::new).unzip();
        }
        let shared = Arc::new(Shared {
            shards,
            pollers: polls.iter().map(|(_, handle)| handle.clone()).collect(),
            hasher: RandomState::new(),
            ports: Mutex::default(),
            polling: AtomicUsize::new(0),
            threads_lost: Count::default(),
        });
        // Dropping it on the way out ends the threads that did start.
        let runtime = Self {
            shared: shared.clone(),
            threads: Mutex::default(),
        };
        for (index, worker) in threads.into_iter().enumerate() {
            let shared = shared.clone();
            runtime.spawn(format!("mkcp-worker-{index}"), move || {
                work(worker, &shared);
            })?;
        }
        for (index, (poll, handle)) in polls.into_iter().enumerate() {
            let router = Router::new(shared.clone(), resident.take());
            let poller = Poller::new(poll, handle, router);
            runtime.spawn_poller(index, poller)?;
        }
        Ok(Arc::new(runtime))
    }

    fn spawn_poller(&self, index: usize, poller: Poller) -> io::Result<()> {
        let shared = self.shared.clone();
        shared.polling.fetch_add(1, Ordering::SeqCst);
        let spawned = self.spawn(format!("mkcp-poll-{index}"), move || {
            serve(poller, &shared);
        });
        if spawned.is_err() {
            self.shared.stop_polling(ConnectionError::EndpointClosed);
        }
        spawned
    }

    fn spawn(&self, name: String, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let thread = thread::Builder::new().name(name).spawn(body)?;
        self.threads.lock().push(thread);
        Ok(())
    }

    /// Serves a port; there is one socket for each of its lanes.
    pub(super) fn add(&self, port: &Arc<Port>, sockets: Vec<Arc<Socket>>) -> io::Result<()> {
        self.shared.remember(port);
        for (lane, (poller, socket)) in self.shared.pollers.iter().zip(sockets).enumerate() {
            poller.add(port, lane, socket)?;
        }
        Ok(())
    }

    /// Has the first poll thread keep the runtime for a while when the last port is gone.
    pub(super) fn linger(self: &Arc<Self>) {
        if let Some(poller) = self.shared.pollers.first() {
            poller.post(PollCommand::Keep(self.clone()));
        }
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Has the ids noted of all sessions of a port.
    pub(super) fn note_ids(&self, port: PortId) {
        for shard in &self.shared.shards {
            // A worker that is gone has no sessions.
            let _ = shard.command(Command::NoteIds(port));
        }
    }

    /// Ends all sessions of a port.
    pub(super) fn end_sessions(&self, port: &Arc<Port>, ending: Ending) {
        for shard in &self.shared.shards {
            // A worker that is gone has no sessions.
            let _ = shard.command(Command::Close(port.clone(), ending));
        }
    }

    /// Lets the threads end once their ports have, and waits for that.
    pub(super) fn join(&self) {
        self.close();
        let threads = std::mem::take(&mut *self.threads.lock());
        for thread in threads {
            if thread.thread().id() != thread::current().id() {
                let _ = thread.join();
            }
        }
    }

    fn close(&self) {
        for poller in &self.shared.pollers {
            poller.post(PollCommand::Close);
        }
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        self.close();
        if self.shared.polling.load(Ordering::SeqCst) == 0 {
            self.shared.stop_workers(ConnectionError::EndpointClosed);
        }
    }
}

impl Shared {
    /// The worker of a connection. Keyed at random, so that nobody can aim at one. A peer that may
    /// move is to be found wherever it comes from.
    pub(super) fn shard_index(&self, port: &Port, id: &ConnectionId) -> usize {
        let hash = match port.allows_migration() {
            true => self.hasher.hash_one((id.port, id.conversation)),
            false => self.hasher.hash_one(id),
        };
        (hash % self.shards.len() as u64) as usize
    }

    pub(super) fn shard(&self, port: &Port, id: &ConnectionId) -> &Arc<Shard> {
        &self.shards[self.shard_index(port, id)]
    }

    /// Threads that died.
    pub(super) fn threads_lost(&self) -> u64 {
        self.threads_lost.get()
    }

    fn remember(&self, port: &Arc<Port>) {
        let mut ports = self.ports.lock();
        ports.retain(|_, port| port.strong_count() > 0);
        ports.insert(port.id, Arc::downgrade(port));
    }

    fn stop_workers(&self, error: ConnectionError) {
        for shard in &self.shards {
            let _ = shard.command(Command::Stop(error));
        }
    }

    /// A poll thread ends. Workers cannot do without any of theirs that died, nor without the
    /// last.
    fn stop_polling(&self, error: ConnectionError) {
        let last = self.polling.fetch_sub(1, Ordering::SeqCst) == 1;
        if last || error == ConnectionError::Internal {
            self.stop_workers(error);
        }
    }

    /// A thread died: nobody shall wait for what it would have done. Counted first: whoever gets
    /// the error finds its cause.
    fn lose_thread(&self, fail_sessions: impl FnOnce(ConnectionError)) {
        self.threads_lost.add(1);
        fail_sessions(ConnectionError::Internal);
        let ports: Vec<_> = self
            .ports
            .lock()
            .values()
            .filter_map(Weak::upgrade)
            .collect();
        for port in ports {
            port.stop_listening(Some(ConnectionError::Internal));
        }
    }
}

/// Says why streams fail. Last of all: the program's logger may be what has panicked, and panic
/// again.
fn tell_of_death(line: &dyn Display) {
    let _ = catch_unwind(AssertUnwindSafe(|| log::error!("{line}")));
}

/// The life of a worker's thread.
fn work(mut thread: WorkerThread, shared: &Shared) {
    if catch_unwind(AssertUnwindSafe(|| thread.run())).is_err() {
        shared.lose_thread(|error| thread.worker().fail_all(error));
        tell_of_death(&"a worker thread of mkcp died; its streams fail");
    }
}

/// The life of a poll thread.
fn serve(mut poller: Poller, shared: &Shared) {
    let result = catch_unwind(AssertUnwindSafe(|| poller.run()));
    // From here on nothing is received.
    let mut router = poller.into_router();
    match result {
        Ok(Ok(())) => shared.stop_polling(ConnectionError::EndpointClosed),
        Ok(Err(error)) => {
            shared.lose_thread(|_| {});
            shared.stop_polling(ConnectionError::Internal);
            tell_of_death(&format_args!("cannot wait for sockets: {error}"));
        }
        Err(_) => {
            shared.lose_thread(|error| router.fail_all(error));
            shared.stop_polling(ConnectionError::Internal);
            tell_of_death(&"a poll thread of mkcp died; its streams fail");
            return;
        }
    }
    if catch_unwind(AssertUnwindSafe(|| router.end())).is_err() {
        router.fail_all(ConnectionError::Internal);
    }
}
