//! The connections that are open: how many there may be, what they have moved, and their end.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, mpsc::Sender},
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};

use crate::{
    Event,
    relay::{Relay, Silence},
};

const BETWEEN_WARNINGS: Duration = Duration::from_secs(60);

/// All connections of a forwarder.
pub(crate) struct Sessions {
    most: usize,
    events: Sender<Event>,
    table: Mutex<Table>,
    changed: Condvar,
}

#[derive(Default)]
struct Table {
    /// Connections that exist, whether they have reached their target or not.
    open: usize,
    total: u64,
    stopping: bool,
    /// When it was last said that there is no room.
    warned_at: Option<Instant>,
    relays: HashMap<u64, Arc<Relay>>,
    /// What the connections that are gone have moved.
    gone: Traffic,
}

/// What connections have moved.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Traffic {
    /// Bytes from those who connect.
    pub(crate) bytes_in: u64,
    /// Bytes to those who connect.
    pub(crate) bytes_out: u64,
    pub(crate) segments_sent: u64,
    pub(crate) segments_repeated: u64,
    /// Bytes that mKCP has delivered, in both directions.
    pub(crate) bytes_delivered: u64,
    /// Bytes of the datagrams for that, in both directions.
    pub(crate) bytes_on_wire: u64,
}

/// All connections at one time.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Snapshot {
    pub(crate) open: usize,
    pub(crate) total: u64,
    pub(crate) traffic: Traffic,
    pub(crate) rtt_mean: Duration,
    pub(crate) rtt_max: Duration,
}

impl Sessions {
    /// At most so many at a time. Once stopping, the last one to leave says so.
    pub(crate) fn new(most: usize, events: Sender<Event>) -> Arc<Self> {
        Arc::new(Self {
            most,
            events,
            table: Mutex::default(),
            changed: Condvar::new(),
        })
    }

    /// Waits until there may be one more; false if there may be none any more.
    pub(crate) fn wait_for_room(&self) -> bool {
        let mut table = self.table.lock();
        let now = Instant::now();
        let is_news = |at: Instant| now >= at + BETWEEN_WARNINGS;
        if table.open >= self.most && table.warned_at.is_none_or(is_news) {
            table.warned_at = Some(now);
            log::warn!("{} connections are open, more have to wait", table.open);
        }
        self.changed.wait_while(&mut table, |table| {
            !table.stopping && table.open >= self.most
        });
        !table.stopping
    }

    /// Counts one more, for as long as the guard lives.
    pub(crate) fn enter(self: &Arc<Self>) -> Session {
        let mut table = self.table.lock();
        table.open += 1;
        table.total += 1;
        Session {
            number: table.total,
            sessions: self.clone(),
        }
    }

    /// Lets nobody in any more; gives how many there are.
    pub(crate) fn stop(&self) -> usize {
        let mut table = self.table.lock();
        table.stopping = true;
        self.changed.notify_all();
        table.open
    }

    /// Ends all at once; gives how many there were.
    pub(crate) fn cut(&self) -> usize {
        let table = self.table.lock();
        table.relays.values().for_each(|relay| relay.cut());
        table.open
    }

    /// Waits for the last one to leave, for at most this time.
    pub(crate) fn wait_until_empty(&self, limit: Duration) {
        let mut table = self.table.lock();
        self.changed
            .wait_while_for(&mut table, |table| table.open > 0, limit);
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        let table = self.table.lock();
        let mut snapshot = Snapshot {
            open: table.open,
            total: table.total,
            traffic: table.gone,
            ..Snapshot::default()
        };
        let (mut sum, mut count) = (Duration::ZERO, 0);
        for relay in table.relays.values() {
            snapshot.traffic.add(relay);
            for rtt in relay
                .sockets()
                .iter()
                .filter_map(|socket| socket.stats())
                .map(|stats| stats.rtt)
            {
                if !rtt.is_zero() {
                    (sum, count) = (sum + rtt, count + 1);
                    snapshot.rtt_max = snapshot.rtt_max.max(rtt);
                }
            }
        }
        snapshot.rtt_mean = sum.checked_div(count).unwrap_or_default();
        snapshot
    }
}

impl Traffic {
    fn add(&mut self, relay: &Relay) {
        self.bytes_in += relay.bytes_in();
        self.bytes_out += relay.bytes_out();
        for stats in relay.sockets().iter().filter_map(|socket| socket.stats()) {
            self.segments_sent += stats.segments_sent;
            self.segments_repeated += stats.segments_retransmitted;
            self.bytes_delivered += stats.bytes_written.saturating_sub(stats.send_queue);
            self.bytes_delivered += stats.bytes_read + stats.receive_queue;
            self.bytes_on_wire += stats.bytes_on_wire_sent + stats.bytes_on_wire_received;
        }
    }
}

/// One connection, while it exists.
pub(crate) struct Session {
    number: u64,
    sessions: Arc<Sessions>,
}

impl Session {
    /// Runs a relay to its end, as [`Relay::run`]. Meanwhile it is counted, and can be cut.
    pub(crate) fn run(&self, relay: Relay) -> (Arc<Relay>, io::Result<Option<Silence>>) {
        let relay = Arc::new(relay);
        self.sessions
            .table
            .lock()
            .relays
            .insert(self.number, relay.clone());
        let result = relay.run();
        let mut table = self.sessions.table.lock();
        table.relays.remove(&self.number);
        table.gone.add(&relay);
        drop(table);
        (relay, result)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let mut table = self.sessions.table.lock();
        table.open -= 1;
        self.sessions.changed.notify_all();
        if table.stopping && table.open == 0 {
            // Nobody may be listening any more.
            let _ = self.sessions.events.send(Event::Empty);
        }
    }
}
