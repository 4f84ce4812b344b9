//! Counters that wrap: serial number arithmetic (RFC 1982) on 32 bits.

use std::{cmp::Ordering, fmt};

/// The number of a Data segment, or a limit of such numbers.
///
/// Deliberately not `Ord`: on a circle there is no smallest. Compare with
/// [`precedes`](Self::precedes) or measure with [`since`](Self::since).
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct SeqNum(u32);

impl SeqNum {
    /// The number of the first segment of every connection.
    pub const ZERO: Self = Self(0);

    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    pub const fn get(self) -> u32 {
        self.0
    }

    #[must_use]
    pub const fn plus(self, count: u32) -> Self {
        Self(self.0.wrapping_add(count))
    }

    #[must_use]
    pub const fn minus(self, count: u32) -> Self {
        Self(self.0.wrapping_sub(count))
    }

    #[must_use]
    pub const fn next(self) -> Self {
        self.plus(1)
    }

    /// Whether this number lies before the other on the circle.
    pub const fn precedes(self, other: Self) -> bool {
        self.0.wrapping_sub(other.0) > 0x7fff_ffff
    }

    /// How far this number lies behind `start`, or `None` if it precedes it.
    pub const fn since(self, start: Self) -> Option<u32> {
        if self.precedes(start) {
            None
        } else {
            Some(self.0.wrapping_sub(start.0))
        }
    }

    /// The later of two.
    #[must_use]
    pub const fn latest(self, other: Self) -> Self {
        if self.precedes(other) { other } else { self }
    }

    /// The earlier of two.
    #[must_use]
    pub const fn earliest(self, other: Self) -> Self {
        if other.precedes(self) { other } else { self }
    }

    /// An order for numbers that lie close together, as those of one window do.
    pub const fn serial_cmp(self, other: Self) -> Ordering {
        if self.0 == other.0 {
            Ordering::Equal
        } else if self.precedes(other) {
            Ordering::Less
        } else {
            Ordering::Greater
        }
    }
}

impl fmt::Debug for SeqNum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// A sender's connection clock in milliseconds. Opaque to the other end, which echoes it.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Timestamp(u32);

impl Timestamp {
    /// What an ACK carries that echoes nothing.
    pub const ZERO: Self = Self(0);

    pub const fn new(milliseconds: u32) -> Self {
        Self(milliseconds)
    }

    pub const fn get(self) -> u32 {
        self.0
    }

    /// The timestamp that an ACK carries after it has taken `other` too: the later one, by the Go
    /// peers' comparison, which never gets past `0x7fff_fffe` from zero.
    #[must_use]
    pub const fn take(self, other: Self) -> Self {
        if other.0.wrapping_sub(self.0) < 0x7fff_ffff {
            other
        } else {
            self
        }
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}ms", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_compare_on_a_circle() {
        let last = SeqNum::new(u32::MAX);
        assert!(last.precedes(SeqNum::ZERO));
        assert!(!SeqNum::ZERO.precedes(last));
        assert!(!last.precedes(last));
        assert_eq!(last.next(), SeqNum::ZERO);
        assert_eq!(SeqNum::new(2).since(last), Some(3));
        assert_eq!(last.since(SeqNum::new(2)), None);
        assert_eq!(last.latest(SeqNum::ZERO), SeqNum::ZERO);
        assert_eq!(last.earliest(SeqNum::ZERO), last);
        assert_eq!(SeqNum::ZERO.serial_cmp(last), Ordering::Greater);
    }

    #[test]
    fn an_echo_takes_the_later_timestamp_below_two_to_the_31() {
        let at = Timestamp::new;
        assert_eq!(Timestamp::ZERO.take(at(5)), at(5));
        assert_eq!(at(9).take(at(5)), at(9));
        assert_eq!(Timestamp::ZERO.take(at(0x7fff_fffe)), at(0x7fff_fffe));
        assert_eq!(Timestamp::ZERO.take(at(0x7fff_ffff)), Timestamp::ZERO);
    }
}
