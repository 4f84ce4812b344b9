//! Return routability: how much may be sent to an address that has not proven that it receives.
//!
//! Anyone can forge the source of a datagram. An ACK that echoes a timestamp which was really sent
//! proves that its sender received it, because clocks start at random (`clock.rs`). Until then a
//! server sends, all in all and whatever it is, at most
//!
//! > `factor` times the bytes received, and the floor.
//!
//! The floor is all that somebody gets for nothing, in bytes of UDP payload:
//!
//! | part of it | how much | what for |
//! |---|---|---|
//! | opening | 4096 bytes, or two datagrams if they are larger | a protocol that speaks first |
//! | extras | one datagram after 1 s, after 2 s more, after 4 s more, up to six; only two to a peer that is not heard again | if all that was allowed got lost, nothing else would ever tell the peer, and a Go peer cannot be asked to send more |
//! | advance | 36 datagrams, once, if the address was proven lately by another connection | a client's next connections lose no time: 32 segments are what a peer takes before its first ACK |
//!
//! What had to wait for the proof leaves at once then, as much as two rounds would have carried
//! meanwhile, so that the proof costs a program about nothing.
//!
//! A peer that moves to another address begins again there, and only what was sent since can prove
//! anything.

use std::time::Duration;

use crate::moment::Moment;

/// The factor if nothing else is said, that of RFC 9000, section 8.1.
pub(super) const DEFAULT_FACTOR: u32 = 3;
const OPENING: u64 = 4096;
const OPENING_DATAGRAMS: u64 = 2;
/// The time to the first extra datagram; it doubles with each.
const FIRST_EXTRA: Duration = Duration::from_secs(1);
const EXTRAS: u32 = 6;
/// Extra datagrams to a peer that has not been heard since the one before.
const UNHEARD_EXTRAS: u32 = 2;
const ADVANCE_DATAGRAMS: u64 = 36;

#[derive(Clone, Debug)]
pub(super) struct Validation {
    factor: u32,
    max_datagram: u32,
    /// None once the address is proven: nothing is limited then.
    unproven: Option<Box<Unproven>>,
}

/// What limits what is sent to an address that is not proven.
#[derive(Clone, Debug)]
struct Unproven {
    /// The index of the first transmission to this address.
    first: u64,
    credit: u64,
    /// There was a time when no datagram could be sent.
    exhausted: bool,
    /// Data was sent, of which an acknowledgement would be the proof.
    asked: bool,
    /// Extra datagrams so far, and when the next is allowed once nothing else is.
    extras: u32,
    next_extra: Moment,
    heard_since_extra: bool,
}

impl Validation {
    pub(super) fn new(now: Moment, max_datagram: usize) -> Self {
        let max_datagram = u32::try_from(max_datagram).unwrap_or(u32::MAX);
        Self {
            factor: DEFAULT_FACTOR,
            max_datagram,
            unproven: Some(Box::new(Unproven::new(now, 0, max_datagram))),
        }
    }

    /// The peer is at another address, to which nothing before this transmission was sent.
    pub(super) fn restart(&mut self, now: Moment, first: u64) {
        self.unproven = Some(Box::new(Unproven::new(now, first, self.max_datagram)));
    }

    pub(super) fn set_factor(&mut self, factor: u32) {
        self.factor = factor;
    }

    /// The address was proven by another connection a short while ago.
    pub(super) fn advance(&mut self) {
        if let Some(unproven) = &mut self.unproven {
            unproven.credit += ADVANCE_DATAGRAMS * u64::from(self.max_datagram);
        }
    }

    #[inline]
    pub(super) fn is_validated(&self) -> bool {
        self.unproven.is_none()
    }

    /// Whether an echo of this transmission proves the address, and that is news.
    pub(super) fn is_proven_by(&self, transmission: u64) -> bool {
        let unproven = self.unproven.as_ref();
        unproven.is_some_and(|unproven| transmission >= unproven.first)
    }

    /// Whether something may have had to wait for the proof.
    pub(super) fn was_exhausted(&self) -> bool {
        let unproven = self.unproven.as_ref();
        unproven.is_some_and(|unproven| unproven.exhausted)
    }

    /// Data is sent, for the first time or not.
    pub(super) fn ask(&mut self) {
        if let Some(unproven) = &mut self.unproven {
            unproven.asked = true;
        }
    }

    /// Whether an acknowledgement that would be the proof could have come.
    pub(super) fn is_asked(&self) -> bool {
        let unproven = self.unproven.as_ref();
        unproven.is_some_and(|unproven| unproven.asked)
    }

    pub(super) fn validate(&mut self) {
        self.unproven = None;
    }

    pub(super) fn on_received(&mut self, bytes: usize) {
        if let Some(unproven) = &mut self.unproven {
            let earned = u64::from(self.factor) * bytes as u64;
            unproven.credit = unproven.credit.saturating_add(earned);
            unproven.heard_since_extra = true;
        }
    }

    pub(super) fn on_sent(&mut self, now: Moment, bytes: usize) {
        if let Some(unproven) = &mut self.unproven {
            unproven.spend(now, bytes as u64, u64::from(self.max_datagram));
        }
    }

    /// Whether a datagram of any length may be sent.
    #[inline]
    pub(super) fn allows_datagram(&self) -> bool {
        self.allows(self.max_datagram as usize)
    }

    /// Whether a datagram of this length may be sent.
    #[inline]
    pub(super) fn allows(&self, bytes: usize) -> bool {
        let unproven = self.unproven.as_ref();
        unproven.is_none_or(|unproven| unproven.credit >= bytes as u64)
    }

    /// When an extra datagram is allowed, if none is now.
    pub(super) fn deadline(&self) -> Option<Moment> {
        let unproven = self.unproven.as_ref()?;
        (!self.allows_datagram() && unproven.has_extras()).then_some(unproven.next_extra)
    }

    /// Allows an extra datagram if it is time.
    pub(super) fn on_timeout(&mut self, now: Moment) {
        if self.deadline().is_some_and(|at| at <= now)
            && let Some(unproven) = &mut self.unproven
        {
            unproven.credit = self.max_datagram.into();
            unproven.extras += 1;
            unproven.heard_since_extra = false;
        }
    }
}

impl Unproven {
    fn new(now: Moment, first: u64, max_datagram: u32) -> Self {
        Self {
            first,
            credit: OPENING.max(OPENING_DATAGRAMS * u64::from(max_datagram)),
            exhausted: false,
            asked: false,
            extras: 0,
            next_extra: now + FIRST_EXTRA,
            heard_since_extra: false,
        }
    }

    /// When too little is left for a full datagram, the time to the next extra one begins.
    fn spend(&mut self, now: Moment, bytes: u64, max_datagram: u64) {
        let before = self.credit;
        self.credit = before.saturating_sub(bytes);
        if before >= max_datagram && self.credit < max_datagram {
            self.exhausted = true;
            self.next_extra = now + FIRST_EXTRA * 2u32.saturating_pow(self.extras);
        }
    }

    fn has_extras(&self) -> bool {
        let most = match self.heard_since_extra {
            true => EXTRAS,
            false => UNHEARD_EXTRAS,
        };
        self.extras < most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends full datagrams as long as that is allowed; returns how many bytes that were.
    fn spend(validation: &mut Validation, now: Moment) -> u64 {
        let max_datagram = u64::from(validation.max_datagram);
        let mut sent = 0;
        while validation.allows_datagram() {
            validation.on_sent(now, max_datagram as usize);
            sent += max_datagram;
        }
        sent
    }

    #[test]
    fn an_unproven_peer_gets_the_floor_and_three_times_what_it_sent() {
        let now = Moment::START;
        let mut validation = Validation::new(now, 1350);
        validation.on_received(1000);
        assert_eq!(spend(&mut validation, now), (4096 + 3000) / 1350 * 1350);
        validation.validate();
        assert!(validation.allows_datagram());
    }

    #[test]
    fn another_address_begins_again() {
        let now = Moment::START;
        let mut validation = Validation::new(now, 1000);
        validation.set_factor(10);
        validation.validate();
        validation.restart(now, 5);
        assert!(!validation.is_validated());
        assert!(!validation.is_proven_by(4) && validation.is_proven_by(5));
        validation.on_received(100);
        assert_eq!(spend(&mut validation, now), 5000);
    }

    #[test]
    fn the_factor_can_be_set() {
        let now = Moment::START;
        let mut validation = Validation::new(now, 1000);
        validation.set_factor(10);
        validation.on_received(1000);
        assert_eq!(spend(&mut validation, now), 14_000);
    }

    #[test]
    fn an_advance_covers_what_a_peer_takes_before_its_first_ack() {
        let now = Moment::START;
        let mut validation = Validation::new(now, 1350);
        validation.advance();
        assert!(spend(&mut validation, now) >= 32 * 1350);
        assert!(!validation.is_validated());
    }

    #[test]
    fn extra_datagrams_are_few_unless_the_peer_goes_on_talking() {
        let mut now = Moment::START;
        let mut validation = Validation::new(now, 2000);
        let mut waits = Vec::new();
        validation.on_sent(now, 4096);
        for _ in 0..6 {
            let Some(at) = validation.deadline() else {
                validation.on_received(22);
                continue;
            };
            waits.push((at - now).as_millis());
            now = at;
            validation.on_timeout(now);
            assert!(validation.allows_datagram());
            validation.on_sent(now, 2000);
        }
        assert_eq!(waits, [1000, 2000, 4000, 8000]);
    }

    #[test]
    fn however_long_a_peer_goes_on_talking_extra_datagrams_come_to_an_end() {
        let mut now = Moment::START;
        let mut validation = Validation::new(now, 1350);
        let (mut sent, mut received) = (spend(&mut validation, now), 0);
        for _ in 0..3600 {
            now += FIRST_EXTRA;
            validation.on_received(22);
            received += 22;
            validation.on_timeout(now);
            sent += spend(&mut validation, now);
        }
        assert!(sent <= 3 * received + 4096 + 6 * 1350, "{sent} bytes");
    }
}
