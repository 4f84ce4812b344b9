//! Amounts times fractions: of bytes, of time, and of bytes per second.

use std::time::Duration;

use crate::moment::nanos;

const NANOS: u64 = 1_000_000_000;

/// A value times a fraction, without overflow.
#[inline]
pub(super) fn scale(value: u64, numerator: u64, denominator: u64) -> u64 {
    let denominator = denominator.max(1);
    match value.checked_mul(numerator) {
        Some(product) => product / denominator,
        // A division of this length takes several times as long, and is hardly ever needed.
        None => {
            let scaled = u128::from(value) * u128::from(numerator) / u128::from(denominator);
            u64::try_from(scaled).unwrap_or(u64::MAX)
        }
    }
}

/// How many bytes pass in this time, at so many per second.
#[inline]
pub(super) fn bytes_in(time: Duration, per_second: u64) -> u64 {
    scale(per_second, nanos(time), NANOS)
}

/// How many bytes per second that is.
#[inline]
pub(super) fn per_second(bytes: u64, time: Duration) -> u64 {
    scale(bytes, NANOS, nanos(time))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_fraction_is_rounded_down_and_never_overflows(
            value in 0..=u64::MAX, numerator in 0..=u64::MAX, denominator in 1..=u64::MAX,
            shifts in [0..64u32, 0..64, 0..64],
        ) {
            let (value, numerator) = (value >> shifts[0], numerator >> shifts[1]);
            let denominator = (denominator >> shifts[2]).max(1);
            let exact = u128::from(value) * u128::from(numerator) / u128::from(denominator);
            let expected = u64::try_from(exact).unwrap_or(u64::MAX);
            prop_assert_eq!(scale(value, numerator, denominator), expected);
        }
    }

    #[test]
    fn a_rate_for_a_time_is_a_number_of_bytes() {
        let time = Duration::from_millis(250);
        assert_eq!(bytes_in(time, 4_000_000_000), 1_000_000_000);
        assert_eq!(per_second(1_000_000_000, time), 4_000_000_000);
        assert_eq!(bytes_in(Duration::MAX, u64::MAX), u64::MAX);
        assert_eq!(per_second(7, Duration::ZERO), 7_000_000_000);
    }
}
