//! Bounded bytes between a worker and an application's handle.
