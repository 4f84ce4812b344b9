//! The Go peers' round-trip estimate: whole milliseconds, unchecked, wrapping.

#[derive(Clone, Debug)]
pub struct RoundTrip {
    min_rtt: u32,
    pub srtt: u32,
    pub variation: u32,
    pub rto: u32,
    pub updated: u32,
}

impl RoundTrip {
    /// A connection starts with an RTO of 100 ms and its TTI as the least RTT.
    pub fn new(rto: u32, min_rtt: u32) -> Self {
        Self {
            min_rtt,
            srtt: 0,
            variation: 0,
            rto,
            updated: 0,
        }
    }

    pub fn sample(&mut self, rtt: u32, now: u32) {
        if rtt > 0x7fff_ffff {
            return;
        }
        if self.srtt == 0 {
            self.srtt = rtt;
            self.variation = rtt / 2;
        } else {
            let deviation = rtt.abs_diff(self.srtt);
            self.variation = self.variation.wrapping_mul(3).wrapping_add(deviation) / 4;
            self.srtt = (self.srtt.wrapping_mul(7).wrapping_add(rtt) / 8).max(self.min_rtt);
        }
        let spread = self.variation.wrapping_mul(4);
        let margin = if self.min_rtt < spread {
            spread
        } else {
            self.variation
        };
        // The floor is not applied to a first sample, so that an RTO of 0 is possible.
        self.rto = self.srtt.wrapping_add(margin).min(10_000) * 5 / 4;
        self.updated = now;
    }

    /// Takes over what the peer offers, whatever it is, if the own estimate is 3 s old.
    pub fn on_peer_rto(&mut self, rto: u32, now: u32) {
        if now.wrapping_sub(self.updated) < 3000 {
            return;
        }
        self.rto = rto;
        self.updated = now;
    }
}
