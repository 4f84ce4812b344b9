//! Why and when a connection wants to be woken.

use crate::moment::Moment;

/// Why a connection wants to be woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Timer {
    /// A segment is due to be repeated or declared lost, or a closed window to be probed.
    Loss,
    /// Pacing allows the next datagram.
    Pacing,
    /// A delayed acknowledgement, a Ping that tells what was acknowledged, or a small segment
    /// that waited for company.
    Delayed,
    /// Nothing has been sent for a while, or the peer has not answered yet.
    Keepalive,
    /// A limit of the connection's life.
    Lifetime,
}

/// The earliest of some deadlines, with its reason. Deadlines are derived from the state of the
/// parts each time, so none can be stale.
#[inline]
pub(super) fn earliest<const N: usize>(
    deadlines: [Option<(Moment, Timer)>; N],
) -> Option<(Moment, Timer)> {
    // A loop over the array by value takes twice the instructions.
    deadlines
        .iter()
        .fold(None, |earliest, &next| match (earliest, next) {
            (Some((before, _)), Some((at, _))) if before <= at => earliest,
            (_, Some(_)) => next,
            (_, None) => earliest,
        })
}
