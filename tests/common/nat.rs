//! A NAT with one client, which forgets the mapping again and again.

use std::{
    mem,
    net::{SocketAddr, UdpSocket},
    sync::Arc,
};

use super::relay::{self, Relay, Rule};

/// Datagrams to `address` are the client's. Whenever so many bytes more have come in for it, what it
/// sends next goes out from another port, and nothing that is sent to the old one comes in any more.
pub(crate) struct Nat {
    pub(crate) address: SocketAddr,
    relay: Relay<Forgetful>,
}

struct Forgetful {
    after: usize,
    passed: usize,
    forgets: bool,
}

impl Nat {
    pub(crate) fn towards(server: SocketAddr, forgets_after: usize) -> Self {
        let rule = Forgetful {
            after: forgets_after,
            passed: 0,
            forgets: false,
        };
        let relay = Relay::towards(server, rule);
        Self {
            address: relay.address,
            relay,
        }
    }

    /// What the server takes for the client.
    pub(crate) fn outside(&self) -> SocketAddr {
        let state = self.relay.state.lock().unwrap();
        state.outside.local_addr().unwrap()
    }
}

impl Rule for Forgetful {
    fn outward(&mut self, _: &[u8], outside: &mut Arc<UdpSocket>) -> bool {
        if mem::take(&mut self.forgets) {
            *outside = Arc::new(relay::bind());
        }
        true
    }

    fn inward(&mut self, datagram: &[u8]) {
        self.passed += datagram.len();
        if self.passed >= self.after {
            self.passed = 0;
            self.forgets = true;
        }
    }
}
