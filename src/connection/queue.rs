//! A queue of which connections that are idle keep next to nothing.

use std::{
    collections::VecDeque,
    ops::{Deref, DerefMut},
};

/// A `VecDeque` that takes a word until something is put into it, and again after `release_memory`.
#[derive(Debug)]
#[expect(
    clippy::box_collection,
    reason = "an empty `VecDeque` takes four words"
)]
pub(super) struct Queue<T>(Option<Box<VecDeque<T>>>);

impl<T: 'static> Queue<T> {
    const EMPTY: &'static VecDeque<T> = &VecDeque::new();

    /// Gives the memory back if nothing is in it, and most of it if little is.
    pub(super) fn release_memory(&mut self) {
        self.0.take_if(|queue| queue.is_empty());
        if let Some(queue) = &mut self.0 {
            shrink(queue);
        }
    }
}

/// Gives memory back when most of it is unused.
pub(crate) fn shrink<T>(queue: &mut VecDeque<T>) {
    const KEPT: usize = 64;
    if queue.len() < queue.capacity() / 8 && queue.capacity() > KEPT {
        queue.shrink_to(2 * queue.len());
    }
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: 'static> Deref for Queue<T> {
    type Target = VecDeque<T>;

    #[inline]
    fn deref(&self) -> &VecDeque<T> {
        self.0.as_deref().unwrap_or(Self::EMPTY)
    }
}

impl<T: 'static> DerefMut for Queue<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut VecDeque<T> {
        self.0.get_or_insert_default()
    }
}
