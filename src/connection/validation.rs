//! Return routability: how much may be sent to an address that has not proven that it receives.
//!
//! Anyone can forge the source of a datagram. An ACK that echoes a timestamp which was really sent
//! proves that its sender received it, because clocks start at random (`clock.rs`). Until then a
//! server sends at most three times what it received (as RFC 9000, section 8.1) plus a floor that
//! lets a protocol speak first.

/// Bytes that an unproven peer is sent in any case, and datagrams if they are larger.
const FLOOR: u64 = 4096;
const FLOOR_DATAGRAMS: u64 = 2;
const FACTOR: u64 = 3;

#[derive(Clone, Debug)]
pub(super) struct Validation {
    validated: bool,
    credit: u64,
}

impl Validation {
    /// A client chose the address itself.
    pub(super) fn of_client() -> Self {
        Self {
            validated: true,
            credit: 0,
        }
    }

    pub(super) fn of_server(max_datagram: usize) -> Self {
        Self {
            validated: false,
            credit: FLOOR.max(FLOOR_DATAGRAMS * max_datagram as u64),
        }
    }

    pub(super) fn is_validated(&self) -> bool {
        self.validated
    }

    pub(super) fn validate(&mut self) {
        self.validated = true;
    }

    pub(super) fn on_received(&mut self, bytes: usize) {
        if !self.validated {
            self.credit = self.credit.saturating_add(FACTOR * bytes as u64);
        }
    }

    pub(super) fn on_sent(&mut self, bytes: usize) {
        self.credit = self.credit.saturating_sub(bytes as u64);
    }

    pub(super) fn allows(&self, bytes: usize) -> bool {
        self.validated || self.credit >= bytes as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unproven_peer_gets_the_floor_and_three_times_what_it_sent() {
        let mut validation = Validation::of_server(1350);
        validation.on_received(1000);
        assert!(validation.allows(7096));
        assert!(!validation.allows(7097));
        validation.on_sent(7096);
        assert!(!validation.allows(1));
        validation.validate();
        assert!(validation.allows(usize::MAX));
        assert!(Validation::of_client().is_validated());
    }
}
