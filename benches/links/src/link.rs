//! A link, what it can carry, and how netlab is told about it.

use std::time::Duration;

/// IP bytes of a full datagram of mKCP with default settings.
const DATAGRAM: f64 = 1378.0;
/// Payload bytes in it, sealed with a seed.
const PAYLOAD: f64 = 1304.0;

/// A link, the same in both directions.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Link {
    /// One way.
    delay_ms: u64,
    rate_mbit: Option<u64>,
    queue: Option<&'static str>,
    /// Share of packets that are lost on their own, or in bursts.
    loss: f64,
    /// Mean length of bursts, if losses come in bursts.
    burst: Option<f64>,
    /// Share of packets that are held back, and for how long.
    reordering: Option<(f64, Duration)>,
    /// When it goes dark, and for how long.
    blackout: Option<(f64, f64)>,
}

impl Link {
    /// A link with this delay in each direction.
    pub(crate) fn new(delay_ms: u64) -> Self {
        Self {
            delay_ms,
            ..Self::default()
        }
    }

    pub(crate) fn rate(self, mbit: u64) -> Self {
        Self {
            rate_mbit: Some(mbit),
            ..self
        }
    }

    pub(crate) fn queue(self, queue: &'static str) -> Self {
        Self {
            queue: Some(queue),
            ..self
        }
    }

    pub(crate) fn loss(self, percent: f64) -> Self {
        Self {
            loss: percent / 100.0,
            ..self
        }
    }

    /// Losses in bursts of a mean length, so that their share is this in the long run.
    pub(crate) fn bursts(self, percent: f64, packets: f64) -> Self {
        Self {
            burst: Some(packets),
            ..self.loss(percent)
        }
    }

    /// Holds a share of the packets back for the time that others take. Needs the rate first.
    pub(crate) fn reordering(self, percent: f64, packets: f64) -> Self {
        let rate = self.rate_mbit.unwrap_or(1) as f64 * 1e6;
        let time = Duration::from_secs_f64(packets * DATAGRAM * 8.0 / rate);
        Self {
            reordering: Some((percent / 100.0, time)),
            ..self
        }
    }

    pub(crate) fn blackout(self, start: f64, length: f64) -> Self {
        Self {
            blackout: Some((start, length)),
            ..self
        }
    }

    pub(crate) fn round_trip(&self) -> Duration {
        Duration::from_millis(2 * self.delay_ms)
    }

    /// When it goes dark, and when it comes back, in seconds.
    pub(crate) fn darkness(&self) -> Option<(f64, f64)> {
        self.blackout.map(|(start, length)| (start, start + length))
    }

    /// MB/s of our payload for which the rate has room, without loss.
    pub(crate) fn room(&self) -> Option<f64> {
        let rate = self.rate_mbit? as f64 / 8.0;
        Some(rate * PAYLOAD / DATAGRAM)
    }

    /// MB/s of our payload that can get through: the room, less what is lost.
    pub(crate) fn carries(&self) -> Option<f64> {
        self.room().map(|room| room * (1.0 - self.loss))
    }

    /// Capacity for transports that must be told, in MiB/s.
    pub(crate) fn capacity_mib(&self) -> Option<u64> {
        let bytes = self.rate_mbit? as f64 * 1e6 / 8.0;
        Some((bytes / (1024.0 * 1024.0)).round() as u64)
    }

    /// The options of `netlab run`.
    pub(crate) fn options(&self) -> Vec<String> {
        let mut options = vec![format!("--delay={}ms", self.delay_ms)];
        let mut add = |option: String| options.push(option);
        if let Some(rate) = self.rate_mbit {
            add(format!("--rate={rate}mbit"));
        }
        if let Some(queue) = self.queue {
            add(format!("--queue={queue}"));
        }
        match self.burst {
            Some(packets) => {
                let (enter, leave) = gilbert(self.loss, packets);
                let [enter, leave] = [enter, leave].map(percent);
                add(format!("--burst-loss={enter},{leave}"));
            }
            None if self.loss > 0.0 => add(format!("--loss={}", percent(self.loss))),
            None => {}
        }
        if let Some((share, time)) = self.reordering {
            let (share, time) = (percent(share), time.as_micros());
            add(format!("--reorder={share},{time}us"));
        }
        if let Some((start, length)) = self.blackout {
            add(format!("--blackout={}ms+{}ms", start * 1e3, length * 1e3));
        }
        options
    }

    /// A few words for the table.
    pub(crate) fn describe(&self) -> String {
        let mut words = Vec::new();
        if let Some(rate) = self.rate_mbit {
            words.push(format!("{rate} Mbit/s"));
        }
        words.push(format!("{} ms", 2 * self.delay_ms));
        if let Some(queue) = self.queue {
            words.push(format!("queue {queue}"));
        }
        if self.loss > 0.0 || self.rate_mbit.is_none() {
            words.push(format!("loss {}", percent(self.loss)));
        }
        if let Some(packets) = self.burst {
            words.push(format!("in bursts of {packets}"));
        }
        if let Some((share, _)) = self.reordering {
            words.push(format!("reordering {}", percent(share)));
        }
        if let Some((start, length)) = self.blackout {
            words.push(format!("dark for {length} s after {start} s"));
        }
        words.join(", ")
    }
}

fn percent(share: f64) -> String {
    format!("{}%", (share * 1e6).round() / 1e4)
}

/// The chances to enter and to leave the bad state, for this mean loss and length of bursts.
fn gilbert(mean: f64, packets: f64) -> (f64, f64) {
    let leave = 1.0 / packets;
    (leave * mean / (1.0 - mean), leave)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_the_payload_in_the_rate() {
        let link = Link::new(25).rate(100);
        let room = link.room().unwrap();
        assert!((room - 11.8288).abs() < 1e-3, "{room}");
        let carries = link.loss(20.0).carries().unwrap();
        assert!((carries - 0.8 * room).abs() < 1e-9, "{carries}");
        assert_eq!(Link::new(25).room(), None);
    }

    #[test]
    fn bursts_have_the_mean_loss_that_was_asked_for() {
        let (enter, leave) = gilbert(0.05, 8.0);
        assert!((leave - 0.125).abs() < 1e-12);
        assert!((enter / (enter + leave) - 0.05).abs() < 1e-12);
        let options = Link::new(25).bursts(5.0, 8.0).options();
        assert_eq!(options, ["--delay=25ms", "--burst-loss=0.6579%,12.5%"]);
    }

    #[test]
    fn reordering_is_by_the_time_of_packets() {
        let options = Link::new(25).rate(100).reordering(5.0, 3.0).options();
        assert_eq!(options[2], "--reorder=5%,330us");
    }

    #[test]
    fn options_say_all_that_a_link_has() {
        let link = Link::new(150).rate(20).queue("300ms").loss(2.0);
        let options = link.blackout(5.0, 2.5).options();
        let expected =
            "--delay=150ms --rate=20mbit --queue=300ms --loss=2% --blackout=5000ms+2500ms";
        assert_eq!(options.join(" "), expected);
    }

    #[test]
    fn capacities_are_in_whole_mib() {
        assert_eq!(Link::new(25).rate(100).capacity_mib(), Some(12));
        assert_eq!(Link::new(25).capacity_mib(), None);
    }

    #[test]
    fn descriptions_are_short() {
        let link = Link::new(25).rate(100).queue("50ms").loss(1.0);
        assert_eq!(link.describe(), "100 Mbit/s, 50 ms, queue 50ms, loss 1%");
    }
}
