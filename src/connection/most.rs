//! The most that was measured lately.

/// The largest sample of this span of time and of the one before.
#[derive(Debug, Default)]
pub(super) struct MaxOverCycles {
    before: u64,
    current: u64,
}

impl MaxOverCycles {
    /// What was known before counts no more.
    pub(super) fn only(sample: u64) -> Self {
        Self {
            before: 0,
            current: sample,
        }
    }

    pub(super) fn get(&self) -> u64 {
        self.before.max(self.current)
    }

    /// That of the span that has passed.
    pub(super) fn before(&self) -> u64 {
        self.before
    }

    pub(super) fn update(&mut self, sample: u64) {
        self.current = self.current.max(sample);
    }

    /// A cycle without samples says nothing.
    pub(super) fn advance(&mut self) {
        if self.current > 0 {
            self.before = std::mem::take(&mut self.current);
        }
    }
}
