//! The memory of a connection, brought before it is needed.

use super::Connection;
use crate::prefetch::prefetch;

impl Connection {
    /// Has its own memory brought.
    pub fn prefetch(&self) {
        prefetch(self);
        prefetch(&self.clock);
        prefetch(&self.life);
        prefetch(&self.send);
        prefetch(&self.receive);
        prefetch(&self.round);
        prefetch(&self.throttle);
        prefetch(&self.acks);
        prefetch(&self.rtt);
        prefetch(&self.loss);
        prefetch(&self.sampler);
        prefetch(&self.pacer);
        prefetch(&self.pings);
        prefetch(&self.validation);
        prefetch(&self.output);
        prefetch(&self.stats);
    }

    /// Has that brought to which it leads, once its own is there.
    pub fn prefetch_parts(&self) {
        self.stats.prefetch();
        self.controller.prefetch();
        self.acks.prefetch_parts();
        self.loss.prefetch_parts();
        self.send.prefetch_parts();
        self.receive.prefetch_parts();
    }
}
