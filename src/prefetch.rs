//! Memory that is needed soon: brought to the processor while it does something else.
//!
//! With thousands of sessions, most of what a datagram needs lies far from the processor, which
//! would wait for each piece in its turn.

/// Has the first line of memory of a value brought, and does not wait for it.
#[inline]
pub(crate) fn prefetch<T>(value: &T) {
    #[cfg(target_arch = "x86_64")]
    safe_arch::prefetch_t0(value);
    #[cfg(not(target_arch = "x86_64"))]
    let _ = value;
}
