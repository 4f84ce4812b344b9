//! Addresses that were proven lately, so that a client's next connections lose no time.
//!
//! They are kept without the UDP port, because Go clients use a new one for each connection: by
//! IPv4 address or IPv6 network of 64 bits. So whoever forges the address of such a client has its
//! network sent more than it asked for. That is bounded twice: a proof counts for five to ten
//! minutes, and allows so many advances to connections that have no proof of their own yet,
//! wherever they come from. The next proof begins both anew.
//!
//! While a session lives that has proven an address, a proof that has been forgotten is renewed,
//! with all its advances, as soon as somebody comes from there or forges it (`admission.rs`). That
//! happens at most once in five minutes, unless so many others prove themselves meanwhile that
//! generations end early.

use std::{
    collections::HashMap,
    net::IpAddr,
    time::{Duration, Instant},
};

/// An address is known for one to two of these after its last proof.
const GENERATION: Duration = Duration::from_secs(5 * 60);
/// Addresses in one generation, about 1 MB of them. If there are more, it ends early.
const MOST: usize = 16 * 1024;
/// What a proof allows: as many connections as a browser opens at once through a proxy.
pub(super) const ADVANCES: u32 = 32;

/// The addresses and what is left of their advances, in two generations: those that were proven
/// lately, and those that will be forgotten next.
#[derive(Debug, Default)]
pub(super) struct KnownAddresses {
    young: HashMap<IpAddr, u32>,
    old: HashMap<IpAddr, u32>,
    since: Option<Instant>,
}

impl KnownAddresses {
    /// This network has proven that it receives.
    pub(super) fn prove(&mut self, now: Instant, network: IpAddr) {
        self.age(now);
        if self.young.len() >= MOST && !self.young.contains_key(&network) {
            self.turn(now);
        }
        self.old.remove(&network);
        self.young.insert(network, ADVANCES);
    }

    /// Whether this network has proven itself lately and has advances left.
    pub(super) fn has_advance(&mut self, now: Instant, network: IpAddr) -> bool {
        self.advances(now, network).is_some_and(|left| *left > 0)
    }

    /// Takes one of its advances, if there is any.
    pub(super) fn take_advance(&mut self, now: Instant, network: IpAddr) -> bool {
        let Some(left) = self.advances(now, network).filter(|left| **left > 0) else {
            return false;
        };
        *left -= 1;
        true
    }

    /// Whether it is remembered, with advances left or without.
    pub(super) fn contains(&self, network: IpAddr) -> bool {
        self.young.contains_key(&network) || self.old.contains_key(&network)
    }

    /// How many are known. While nobody comes, this alone gives back the memory of those that are not.
    pub(super) fn len(&mut self, now: Instant) -> usize {
        self.age(now);
        self.young.len() + self.old.len()
    }

    fn advances(&mut self, now: Instant, network: IpAddr) -> Option<&mut u32> {
        self.age(now);
        let young = self.young.get_mut(&network);
        young.or_else(|| self.old.get_mut(&network))
    }

    fn age(&mut self, now: Instant) {
        let since = *self.since.get_or_insert(now);
        let age = now.saturating_duration_since(since);
        if age >= 2 * GENERATION {
            self.turn(now);
            self.turn(now);
        } else if age >= GENERATION {
            self.turn(since + GENERATION);
        }
    }

    /// A new generation begins, at this time.
    fn turn(&mut self, since: Instant) {
        self.old = std::mem::take(&mut self.young);
        self.since = Some(since);
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn address(number: u32) -> IpAddr {
        Ipv4Addr::from_bits(number).into()
    }

    #[test]
    fn an_address_is_known_for_five_to_ten_minutes_after_its_last_proof() {
        let start = Instant::now();
        let minute = Duration::from_secs(60);
        let mut known = KnownAddresses::default();
        assert!(!known.has_advance(start, address(1)));
        known.prove(start, address(1));
        known.prove(start + 4 * minute, address(2));
        assert!(known.has_advance(start + 9 * minute, address(1)));
        known.prove(start + 9 * minute, address(2));
        assert!(!known.has_advance(start + 10 * minute, address(1)));
        assert!(known.has_advance(start + 14 * minute, address(2)));
        assert!(!known.has_advance(start + 30 * minute, address(2)));
        assert_eq!(known.len(start + 30 * minute), 0);
    }

    #[test]
    fn who_counts_them_finds_none_that_are_forgotten_and_leaves_no_memory_to_them() {
        let start = Instant::now();
        let mut known = KnownAddresses::default();
        for number in 0..1000 {
            known.prove(start, address(number));
        }
        assert_eq!(known.len(start + GENERATION), 1000);
        assert_eq!(known.len(start + 2 * GENERATION), 0);
        assert_eq!((known.young.capacity(), known.old.capacity()), (0, 0));
    }

    #[test]
    fn advances_are_used_up_until_the_next_proof() {
        let now = Instant::now();
        let mut known = KnownAddresses::default();
        known.prove(now, address(1));
        let taken = (0..1000)
            .filter(|_| known.take_advance(now, address(1)))
            .count();
        assert_eq!(taken, ADVANCES as usize);
        assert!(!known.has_advance(now, address(1)));
        known.prove(now, address(1));
        assert!(known.take_advance(now, address(1)));
    }

    #[test]
    fn however_many_are_proven_few_are_kept_and_the_latest_among_them() {
        let now = Instant::now();
        let mut known = KnownAddresses::default();
        for number in 0..5 * MOST as u32 {
            known.prove(now, address(number));
            assert!(known.len(now) <= 2 * MOST);
        }
        for number in 4 * MOST as u32..5 * MOST as u32 {
            assert!(known.has_advance(now, address(number)));
        }
    }
}
