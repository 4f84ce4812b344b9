//! Who may open a session: the limits, and for whom there is room when there is little.
//!
//! Whoever floods a port with forged first datagrams finds only a part of each limit:
//!
//! | who | of `max_unvalidated`, `accept_backlog` |
//! |---|---|
//! | anybody | half |
//! | who repeats the first datagram after a moment (`knocks.rs`) | three quarters |
//! | who comes from an address that was proven lately and has advances left (`known.rs`) | all |
//!
//! Strangers that have not repeated anything come in at a bounded rate besides (`turnstile.rs`), so
//! that the work of accepting them does not stand before all other. An honest rush, as after a
//! restart, is in with the second datagram of each.
//!
//! Of the latter two, whoever finds no room takes the place of the oldest session of which nothing
//! was heard but its beginning, or which was sent data and has not proven its address
//! (`newcomers.rs`); in the queue, of one that has waited there for a while.

use std::{
    collections::HashMap,
    fmt,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use parking_lot::Mutex;

use super::{known::KnownAddresses, table::shrink, turnstile::Turnstile};
use crate::error::DropReason;

/// A peer that wants to open a session, for
/// [`EndpointBuilder::on_attempt`](crate::EndpointBuilder::on_attempt).
#[non_exhaustive]
#[derive(Clone, Copy, Debug)]
pub struct Attempt {
    source: SocketAddr,
    conversation: u16,
    sessions_from_source: usize,
}

impl Attempt {
    pub(super) fn new(source: SocketAddr, conversation: u16, sessions_from_source: usize) -> Self {
        Self {
            source,
            conversation,
            sessions_from_source,
        }
    }

    /// Where the datagram came from. Not proven: it can be forged.
    pub fn source(&self) -> SocketAddr {
        self.source
    }

    /// The conversation id that the peer chose.
    pub fn conversation(&self) -> u16 {
        self.conversation
    }

    /// How many sessions this source has open: this IPv4 address, or this IPv6 network of 64
    /// bits.
    pub fn sessions_from_source(&self) -> usize {
        self.sessions_from_source
    }
}

/// The answer to an [`Attempt`].
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Open the session.
    Accept,
    /// Drop the datagram; the peer learns nothing.
    Ignore,
}

pub(super) type Hook = Arc<dyn Fn(&Attempt) -> Decision + Send + Sync>;

/// How much a port takes on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) sessions: usize,
    pub(super) unvalidated: usize,
    pub(super) per_source: usize,
    pub(super) memory: usize,
    pub(super) accept_backlog: usize,
    /// Bytes sent for each byte received, to a peer that has not proven its address.
    pub(super) amplification_factor: u32,
    /// Whether sessions follow their peers to other addresses.
    pub(super) migration: bool,
}

impl Limits {
    /// Those without proof must not fill the room of all.
    fn for_unvalidated(&self) -> usize {
        self.unvalidated.min(self.sessions)
    }

    /// A thread for each of them keeps a fifth of a core busy. Where more may be held, more may
    /// come.
    fn strangers_per_second(&self) -> usize {
        (self.for_unvalidated() / 16).max(1000)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sessions: 250_000,
            unvalidated: 16_384,
            per_source: usize::MAX,
            memory: usize::MAX,
            accept_backlog: 128,
            amplification_factor: 3,
            migration: false,
        }
    }
}

/// What speaks for a peer that wants to open a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Standing {
    Stranger,
    /// It was turned away and has come again.
    Persistent,
    /// Its address was proven lately, and has advances left.
    Known,
}

impl Standing {
    /// The part of a limit that is for such peers and those below them; never nothing.
    pub(super) fn share(self, limit: usize) -> usize {
        match self {
            Self::Stranger => limit.div_ceil(2),
            Self::Persistent => limit - limit / 4,
            Self::Known => limit,
        }
    }
}

/// The limits of a port, and what is counted for them.
pub(super) struct Admission {
    pub(super) limits: Limits,
    hook: Option<Hook>,
    unvalidated: AtomicUsize,
    sources: Mutex<Sources>,
    turnstile: Mutex<Turnstile>,
}

#[derive(Debug, Default)]
struct Sources {
    sessions: HashMap<IpAddr, Source>,
    known: KnownAddresses,
}

/// Sessions of one source: how many, and how many of them have proven their address.
#[derive(Debug, Default)]
struct Source {
    sessions: usize,
    proven: usize,
}

impl Admission {
    pub(super) fn new(limits: Limits, hook: Option<Hook>) -> Self {
        Self {
            turnstile: Mutex::new(Turnstile::new(limits.strangers_per_second())),
            limits,
            hook,
            unvalidated: AtomicUsize::new(0),
            sources: Mutex::default(),
        }
    }

    /// Sessions whose peer has not proven its address.
    pub(super) fn unvalidated(&self) -> usize {
        self.unvalidated.load(Ordering::Relaxed)
    }

    /// Addresses that were proven lately.
    pub(super) fn known(&self, now: Instant) -> usize {
        self.sources.lock().known.len(now)
    }

    /// Whether the user's hook lets this peer in. It runs without any lock held.
    pub(super) fn asks_hook(&self, attempt: &Attempt) -> bool {
        self.hook
            .as_ref()
            .is_none_or(|hook| hook(attempt) == Decision::Accept)
    }

    /// What the address of a peer that comes for the first time says for it.
    pub(super) fn standing(&self, now: Instant, source: IpAddr) -> Standing {
        let network = network(source);
        let mut sources = self.sources.lock();
        if sources.known.has_advance(now, network) {
            return Standing::Known;
        }
        // A proof that has been forgotten is renewed as long as a session lasts that has given it,
        // with all its advances; but one whose advances are used up, not before it is forgotten.
        let has_proof = sources.sessions.get(&network).is_some_and(|s| s.proven > 0);
        if has_proof && !sources.known.contains(network) {
            sources.known.prove(now, network);
            return Standing::Known;
        }
        Standing::Stranger
    }

    /// Whether it is a stranger's turn to come in.
    pub(super) fn has_turn(&self, now: Instant) -> bool {
        self.turnstile.lock().pass(now)
    }

    /// Whether there is room for one more, which has been counted already, of this standing.
    pub(super) fn check_room(
        &self,
        standing: Standing,
        sessions: usize,
        unaccepted: usize,
    ) -> Result<(), DropReason> {
        let limits = &self.limits;
        if sessions > limits.sessions {
            return Err(DropReason::TooManySessions);
        }
        let limit = limits.for_unvalidated();
        let unvalidated = self.unvalidated();
        if unvalidated > limit {
            return Err(DropReason::TooManyUnvalidated);
        }
        if unaccepted > limits.accept_backlog {
            return Err(DropReason::AcceptQueueFull);
        }
        let pressed =
            unvalidated > standing.share(limit) || self.is_backlogged(standing, unaccepted);
        match pressed {
            true => Err(DropReason::Deferred),
            false => Ok(()),
        }
    }

    /// Whether so many that nobody has accepted, a new one of this standing included, are too many.
    pub(super) fn is_backlogged(&self, standing: Standing, unaccepted: usize) -> bool {
        unaccepted > standing.share(self.limits.accept_backlog)
    }

    /// Counts a new session of a peer; returns how many its source has now.
    pub(super) fn enter(&self, source: IpAddr) -> usize {
        self.unvalidated.fetch_add(1, Ordering::Relaxed);
        let mut sources = self.sources.lock();
        let source = sources.sessions.entry(network(source)).or_default();
        source.sessions += 1;
        source.sessions
    }

    /// Takes an advance of this address, if it has any left.
    pub(super) fn take_advance(&self, now: Instant, source: IpAddr) -> bool {
        let mut sources = self.sources.lock();
        sources.known.take_advance(now, network(source))
    }

    /// A session of this source has proven its address.
    pub(super) fn prove(&self, now: Instant, source: IpAddr) {
        self.unvalidated.fetch_sub(1, Ordering::Relaxed);
        let network = network(source);
        let mut sources = self.sources.lock();
        sources.known.prove(now, network);
        sources.sessions.entry(network).or_default().proven += 1;
    }

    /// A session moves from one source to another, which may have no more of them than others.
    /// It has proven nothing of its new address yet.
    pub(super) fn migrate(&self, from: IpAddr, proven: bool, to: IpAddr) -> Result<(), DropReason> {
        let twice = network(from) == network(to);
        let sessions = self.enter(to) - usize::from(twice);
        if sessions > self.limits.per_source && !twice {
            self.leave(to, false);
            return Err(DropReason::TooManyFromSource);
        }
        self.leave(from, proven);
        Ok(())
    }

    pub(super) fn leave(&self, source: IpAddr, proven: bool) {
        if !proven {
            self.unvalidated.fetch_sub(1, Ordering::Relaxed);
        }
        let network = network(source);
        let mut sources = self.sources.lock();
        if let Some(source) = sources.sessions.get_mut(&network) {
            source.sessions -= 1;
            source.proven -= usize::from(proven);
            if source.sessions == 0 {
                sources.sessions.remove(&network);
            }
        }
        // The memory of a flood is given back when it is over.
        shrink(&mut sources.sessions);
    }
}

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admission")
            .field("limits", &self.limits)
            .field("unvalidated", &self.unvalidated)
            .finish_non_exhaustive()
    }
}

/// What one customer gets: an IPv4 address, or 64 bits of IPv6.
fn network(source: IpAddr) -> IpAddr {
    match source {
        IpAddr::V4(_) => source,
        IpAddr::V6(address) => {
            Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn ipv6_sources_count_by_network() {
        let admission = Admission::new(Limits::default(), None);
        let one: IpAddr = "2001:db8::1".parse().unwrap();
        let other: IpAddr = "2001:db8::ffff:1".parse().unwrap();
        let elsewhere: IpAddr = "2001:db8:0:1::1".parse().unwrap();
        assert_eq!(admission.enter(one), 1);
        assert_eq!(admission.enter(other), 2);
        assert_eq!(admission.enter(elsewhere), 1);
        admission.leave(one, false);
        admission.leave(other, false);
        assert_eq!(admission.enter(one), 1);
    }

    #[test]
    fn a_session_that_moves_is_counted_where_it_is() {
        let limits = Limits {
            per_source: 1,
            ..Limits::default()
        };
        let now = Instant::now();
        let admission = Admission::new(limits, None);
        let [one, other]: [IpAddr; 2] = ["192.0.2.1", "192.0.2.2"].map(|ip| ip.parse().unwrap());
        admission.enter(one);
        admission.prove(now, one);
        assert_eq!(admission.migrate(one, true, one), Ok(()));
        assert_eq!(admission.unvalidated(), 1);
        assert_eq!(admission.migrate(one, false, other), Ok(()));
        assert_eq!(admission.unvalidated(), 1);
        assert_eq!(admission.enter(one), 1);
        let refused = Err(DropReason::TooManyFromSource);
        assert_eq!(admission.migrate(one, false, other), refused);
        assert_eq!(admission.unvalidated(), 2);
        admission.leave(one, false);
        admission.leave(other, false);
        assert_eq!(admission.unvalidated(), 0);
        assert!(admission.sources.lock().sessions.is_empty());
    }

    #[test]
    fn an_address_stays_known_as_long_as_a_session_has_proven_it() {
        let now = Instant::now();
        let admission = Admission::new(Limits::default(), None);
        let source: IpAddr = "192.0.2.1".parse().unwrap();
        admission.enter(source);
        assert_eq!(admission.standing(now, source), Standing::Stranger);
        admission.prove(now, source);
        assert_eq!(admission.unvalidated(), 0);
        let later = now + Duration::from_secs(3600);
        assert_eq!(admission.standing(later, source), Standing::Known);
        while admission.take_advance(later, source) {}
        assert_eq!(admission.standing(later, source), Standing::Stranger);
        admission.leave(source, true);
        let much_later = later + Duration::from_secs(3600);
        assert_eq!(admission.standing(much_later, source), Standing::Stranger);
    }

    #[test]
    fn the_memory_of_a_flood_is_given_back_though_others_stay() {
        let admission = Admission::new(Limits::default(), None);
        let address = |number: u32| IpAddr::from(number.to_be_bytes());
        for number in 0..100_000 {
            admission.enter(address(number));
        }
        for number in 1..100_000 {
            admission.leave(address(number), false);
        }
        let sources = admission.sources.lock();
        assert_eq!(sources.sessions.len(), 1);
        assert!(sources.sessions.capacity() <= 2048);
    }

    #[test]
    fn room_is_kept_for_those_for_whom_more_speaks() {
        use Standing::*;
        let limits = Limits {
            unvalidated: 100,
            accept_backlog: 8,
            ..Limits::default()
        };
        let admission = Admission::new(limits, None);
        let room = |standing, unaccepted| admission.check_room(standing, 1, unaccepted);
        for (standing, unaccepted) in [(Stranger, 4), (Persistent, 6), (Known, 8)] {
            assert_eq!(room(standing, unaccepted), Ok(()));
            assert!(room(standing, unaccepted + 1).is_err());
        }
        let source: IpAddr = "192.0.2.1".parse().unwrap();
        for entered in 1..=101 {
            admission.enter(source);
            let expected = |most| match entered <= most {
                true => Ok(()),
                false if entered <= 100 => Err(DropReason::Deferred),
                false => Err(DropReason::TooManyUnvalidated),
            };
            assert_eq!(room(Stranger, 1), expected(50));
            assert_eq!(room(Persistent, 1), expected(75));
            assert_eq!(room(Known, 1), expected(100));
        }
    }

    #[test]
    fn the_smallest_limit_has_room_for_everybody() {
        for standing in [Standing::Stranger, Standing::Persistent, Standing::Known] {
            assert_eq!(standing.share(1), 1);
        }
    }
}
