//! Delays of radio links, where no datagram overtakes another.

use std::time::Duration;

use rand::{Rng, rngs::SmallRng};

use crate::clock::Time;

/// How a link delays beyond its least delay.
#[derive(Clone, Copy, Debug)]
pub enum Radio {
    /// It is this side's turn only after such pauses, and then all that waits arrives at once: a
    /// scheduler that serves many, or frames that are sent together.
    Turns {
        shortest: Duration,
        longest: Duration,
    },
    /// The delay goes straight to another one of up to so much, and again after so long.
    Wander { most: Duration, every: Duration },
}

/// The present stretch: from when to when, with the delay at both ends.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stretch {
    from: (Time, Duration),
    to: (Time, Duration),
}

impl Radio {
    /// When that arrives which would leave then without delay. Such times must not go back.
    pub fn delayed(self, stretch: &mut Stretch, leaves: Time, rng: &mut SmallRng) -> Time {
        while stretch.to.0 < leaves {
            let (time, delay) = match self {
                Self::Turns { shortest, longest } => {
                    (rng.random_range(shortest..=longest), Duration::ZERO)
                }
                Self::Wander { most, every } => (every, most.mul_f64(rng.random())),
            };
            let next = (stretch.to.0 + time, delay);
            (stretch.from, stretch.to) = (stretch.to, next);
        }
        let Stretch { from, to } = *stretch;
        match self {
            Self::Turns { .. } => to.0,
            Self::Wander { every, .. } => {
                let share = leaves.saturating_sub(from.0).as_secs_f64() / every.as_secs_f64();
                leaves + from.1.mul_f64((1.0 - share).max(0.0)) + to.1.mul_f64(share)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn delays(radio: Radio) -> Vec<Duration> {
        let (mut stretch, mut rng) = (Stretch::default(), SmallRng::seed_from_u64(1));
        let mut last = Time::ZERO;
        let delay = |n| {
            let leaves = n * MS;
            let arrives = radio.delayed(&mut stretch, leaves, &mut rng);
            assert!(arrives >= last, "{arrives:?} after {last:?}");
            last = arrives;
            arrives - leaves
        };
        (0..10_000).map(delay).collect()
    }

    #[test]
    fn what_waits_for_its_turn_arrives_together() {
        let delays = delays(Radio::Turns {
            shortest: 5 * MS,
            longest: 20 * MS,
        });
        assert!(delays.iter().all(|delay| *delay <= 20 * MS));
        let turns = delays.windows(2).filter(|pair| pair[1] > pair[0]).count();
        assert!((700..900).contains(&turns), "{turns} turns in 10 s");
    }

    #[test]
    fn a_wandering_delay_changes_slowly() {
        let delays = delays(Radio::Wander {
            most: 20 * MS,
            every: 200 * MS,
        });
        let jump = |pair: &[Duration]| pair[0].abs_diff(pair[1]);
        assert!(
            delays
                .windows(2)
                .all(|pair| jump(pair) <= MS / 10 + MS / 1000)
        );
        let mean = delays.iter().sum::<Duration>() / 10_000;
        assert!((8 * MS..12 * MS).contains(&mean), "{mean:?}");
    }
}
