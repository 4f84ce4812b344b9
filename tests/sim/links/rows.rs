//! The rows as data.

mod short;

use std::time::Duration;

use mkcp::{Config, Congestion};

use super::row::{Driver, Kind, MS, OVERHEAD, PACKET, PAYLOAD, Row, SECOND, Work, flow};
use crate::{
    clock::Time,
    go_peer::config::GoConfig,
    network::{Bursts, Change, Late, LinkProfile, Rate},
    radio::Radio,
};

pub use short::{
    busy_machine, late_at_switch, many_lossy, many_slow, short_lossy, short_slow, switch,
};

const MBIT: u64 = 1_000_000 / 8;

/// Ours as users have it, but with a seed.
pub fn ours(congestion: Congestion, uplink: u64) -> Kind {
    let config = Config::builder()
        .seed("x")
        .congestion(congestion)
        .uplink(uplink);
    Kind::Ours(config.build().expect("a valid configuration"))
}

fn bbr() -> Kind {
    ours(Congestion::Bbr, 5 * 1024 * 1024)
}

/// A bulk transfer over a link with a queue of one bandwidth-delay product.
fn bulk(name: impl Into<String>, mbit: u64, rtt_ms: u32) -> Row {
    let rate = mbit * MBIT;
    let bdp = rate * u64::from(rtt_ms) / 1000;
    let mut link = LinkProfile::clean(rtt_ms * MS / 2).with_rate(rate, bdp);
    link.overhead = OVERHEAD;
    Row {
        name: name.into(),
        link,
        loss: 0.0,
        changes: Vec::new(),
        flows: vec![flow(Time::ZERO, bbr(), bbr(), Work::Bulk)],
        time: 10 * SECOND,
        measure_from: Time::ZERO,
        driver: Driver::IDEAL,
        together: false,
    }
}

pub const LOSSES: [f64; 5] = [0.0, 0.01, 0.05, 0.1, 0.2];

fn percent(share: f64) -> u32 {
    (share * 100.0).round() as u32
}

pub fn lossy(share: f64) -> Row {
    bulk(format!("100m-50ms-{}%", percent(share)), 100, 50).losing(share)
}

/// With so few packets in a round trip that chance varies much.
pub fn slow_lossy(share: f64) -> Row {
    bulk(format!("10m-40ms-{}%", percent(share)), 10, 40).losing(share)
}

/// Bursts of eight packets on average; one in twenty is lost.
pub fn bursts() -> Row {
    let mut row = bulk("100m-50ms-bursts", 100, 50);
    let leave = 1.0 / 8.0;
    row.link.bursts = Some(Bursts {
        enter: leave * 0.05 / 0.95,
        leave,
        loss: 1.0,
    });
    row.loss = 0.05;
    row
}

pub fn long_lossy() -> Row {
    bulk("20m-300ms-2%", 20, 300)
        .losing(0.02)
        .seconds(15)
        .measured_from(3)
}

pub fn long_fat(share: f64) -> Row {
    bulk(format!("100m-300ms-{}%", percent(share)), 100, 300)
        .losing(share)
        .measured_from(3)
}

pub fn fast() -> Row {
    bulk("500m-20ms-0.1%", 500, 20).losing(0.001).seconds(4)
}

pub fn short_queue() -> Row {
    bulk("10m-40ms-queue20", 10, 40).queue(20 * PACKET)
}

pub fn bufferbloat() -> Row {
    bulk("10m-40ms-bloat", 10, 40).queue(10 * MBIT / 2)
}

/// A provider's policer in front of a fast path: nothing waits, and what exceeds the rate by more
/// than so many packets is dropped.
pub fn policed(mbit: u64, rtt_ms: u32, bucket: u64) -> Row {
    let mut row = bulk(format!("{mbit}m-{rtt_ms}ms-policed{bucket}"), mbit, rtt_ms);
    row.link.rate = row.link.rate.map(|rate| Rate {
        queue_bytes: bucket * PACKET,
        polices: true,
        ..rate
    });
    row
}

/// Some packets come after the three that were sent next.
pub fn reordering() -> Row {
    let mut row = bulk("100m-50ms-reorder", 100, 50);
    let packet = Duration::from_secs_f64(PACKET as f64 / (100 * MBIT) as f64);
    row.link.late = Some(Late {
        share: 0.05,
        by: packet.mul_f64(3.5),
    });
    row
}

/// How a delay varies by up to 20 ms each way while the order is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Varying {
    /// From packet to packet: of close ones, the latest holds back all that follow.
    Jitter,
    Turns,
    Wander,
}

pub const VARYING: [Varying; 3] = [Varying::Jitter, Varying::Turns, Varying::Wander];

impl Row {
    fn varying(mut self, varying: Varying) -> Self {
        let most = 20 * MS;
        match varying {
            Varying::Jitter => self.link.jitter = most,
            Varying::Turns => {
                self.link.radio = Some(Radio::Turns {
                    shortest: 5 * MS,
                    longest: most,
                });
            }
            Varying::Wander => {
                let every = 200 * MS;
                self.link.radio = Some(Radio::Wander { most, every });
            }
        }
        let name = match varying {
            Varying::Jitter => "jitter",
            Varying::Turns => "turns",
            Varying::Wander => "wander",
        };
        self.name = format!("{}-{name}", self.name);
        self
    }
}

pub fn varying(varying: Varying, share: f64) -> Row {
    lossy(share).varying(varying)
}

pub fn slow_varying(varying: Varying, share: f64) -> Row {
    slow_lossy(share).varying(varying)
}

pub fn varying_bufferbloat(varying: Varying) -> Row {
    bufferbloat().varying(varying)
}

pub fn four_varying(varying: Varying) -> Row {
    let mut row = bulk("4flows-100m-50ms", 100, 50).varying(varying);
    row.flows = (0..4)
        .map(|_| flow(Time::ZERO, bbr(), bbr(), Work::Bulk))
        .collect();
    row
}

pub fn late_comer_varying(varying: Varying) -> Row {
    late_comer().varying(varying)
}

/// Beside one who yields to no queue.
pub fn beside_greedy() -> Row {
    let mut row = bulk("beside-greedy-20m-50ms", 20, 50)
        .queue(20 * MBIT / 5)
        .seconds(20);
    let greedy = || ours(Congestion::LossRate, 20 * MBIT);
    row.flows
        .push(flow(2 * SECOND, greedy(), greedy(), Work::Bulk));
    row
}

pub const RATE_CHANGE: Duration = Duration::from_secs(5);

pub fn rate_falls() -> Row {
    let mut row = bulk("50-5-50m-40ms", 50, 40)
        .queue(50 * MBIT / 10)
        .seconds(30);
    row.changes = falls_and_rises();
    row
}

fn falls_and_rises() -> Vec<(Time, Change)> {
    let rate = |n| if n % 2 == 1 { 5 } else { 50 };
    (1..6u32)
        .map(|n| (n * RATE_CHANGE, Change::BytesPerSecond(rate(n) * MBIT)))
        .collect()
}

pub fn policed_falls() -> Row {
    let mut row = policed(50, 40, 100).seconds(30);
    row.name = "50-5-50m-40ms-policed".into();
    row.changes = falls_and_rises();
    row
}

pub const DARK_FROM: Time = Duration::from_secs(3);
pub const DARK_UNTIL: Time = Duration::from_secs(8);

pub fn blackout() -> Row {
    let mut row = bulk("100m-50ms-dark5s", 100, 50).seconds(12);
    row.changes = vec![(DARK_FROM, Change::Down), (DARK_UNTIL, Change::Up)];
    row
}

/// A path that is dark for a moment each second, as while a mobile device sees another cell.
pub fn blinking() -> Row {
    let mut row = bulk("100m-50ms-blinking", 100, 50);
    row.changes = (1..10)
        .map(|second| second * SECOND)
        .flat_map(|from| [(from, Change::Down), (from + 60 * MS, Change::Up)])
        .collect();
    row
}

/// A short path on which much more gets lost from some time on.
pub fn loss_rises() -> Row {
    let mut row = bulk("100m-2ms-1-20%", 100, 2).losing(0.01);
    row.changes = vec![(5 * SECOND, Change::Loss(0.2))];
    row
}

/// Four flows whose threads are up to 10 ms late, over a long path with a queue of 5 ms.
pub fn late_threads() -> Row {
    let mut row = bulk("4flows-100m-50ms-late10ms", 100, 50)
        .queue(62_500)
        .seconds(6);
    row.flows = (0..4)
        .map(|_| flow(Time::ZERO, bbr(), bbr(), Work::Bulk))
        .collect();
    row.driver = Driver {
        lateness: 10 * MS,
        batch: 1000,
        ..Driver::REAL
    };
    row
}

pub fn ten_flows() -> Row {
    let mut row = bulk("10flows-100m-50ms-1%", 100, 50).losing(0.01);
    row.flows = (0..10)
        .map(|_| flow(Time::ZERO, bbr(), bbr(), Work::Bulk))
        .collect();
    row
}

pub fn late_comer() -> Row {
    let mut row = bulk("2flows-100m-50ms-3s", 100, 50).seconds(15);
    row.flows.push(flow(3 * SECOND, bbr(), bbr(), Work::Bulk));
    row
}

pub fn rounds(share: f64) -> Row {
    let name = format!("rounds-50ms-{}%", percent(share));
    let work = Work::Rounds {
        bytes: 64,
        count: 10_000,
    };
    let mut row = bulk(name, 100, 50)
        .losing(share)
        .seconds(3600)
        .working(work);
    row.link.rate = None;
    row
}

/// As programs have it: many connections with few rounds each, the first of which opens it.
pub fn short_rounds(share: f64) -> Row {
    let mut row = rounds(share);
    row.name = format!("rounds-100x100-{}%", percent(share));
    row.driver = Driver::WOKEN;
    let work = Work::Rounds {
        bytes: 64,
        count: 100,
    };
    row.flows = (0..100)
        .map(|n| flow(n * MS, bbr(), bbr(), work.clone()))
        .collect();
    row
}

pub const REST_FROM: Time = Duration::from_secs(2);
pub const REST_UNTIL: Time = Duration::from_secs(7);

pub fn resting_reader() -> Row {
    let work = Work::ReaderRests {
        from: REST_FROM,
        until: REST_UNTIL,
    };
    bulk("100m-50ms-reader-rests", 100, 50).working(work)
}

pub const LEAVES_AT: Time = Duration::from_secs(2);

pub fn cancel(resets: bool) -> Row {
    let name = if resets {
        "cancel-reset"
    } else {
        "cancel-close"
    };
    let at = LEAVES_AT;
    bulk(name, 100, 50)
        .working(Work::ReaderLeaves { at, resets })
        .seconds(4)
}

/// Of a fixed controller, sending at the link's rate; or as V2Ray's, starting from it.
pub fn configured(congestion: Congestion, share: f64) -> Row {
    let name = format!("{congestion}-100m-50ms-{}%", percent(share));
    let kind = || ours(congestion, 100 * MBIT);
    bulk(name, 100, 50).losing(share).with(kind(), kind())
}

/// Who is a Go program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pair {
    GoToOurs,
    OursToGo,
    GoToGo,
}

pub fn with_go(pair: Pair, name: &str, config: &GoConfig, share: f64) -> Row {
    let go = || Kind::Go(config.clone());
    let (arrow, client, server) = match pair {
        Pair::GoToOurs => ("to-ours", go(), bbr()),
        Pair::OursToGo => ("from-ours", bbr(), go()),
        Pair::GoToGo => ("itself", go(), go()),
    };
    bulk(format!("{name}-{arrow}-{}%", percent(share)), 100, 50)
        .losing(share)
        .with(client, server)
}

/// The Go programs' settings, with a sealed segment's payload.
pub fn go_configs() -> Vec<(&'static str, GoConfig)> {
    let sealed = |config: GoConfig| GoConfig {
        mss: PAYLOAD as usize,
        ..config
    };
    // Both capacities times 2.4: 12 MiB/s up and 48 down, in segments per tick.
    let raised = |config: GoConfig| GoConfig {
        send_in_flight: 466,
        receive_window: 1864,
        control_window_limit: 466 * (config.control_window_limit / config.send_in_flight),
        ..config
    };
    vec![
        ("v2ray", sealed(GoConfig::v2ray())),
        ("v2ray-12M", raised(sealed(GoConfig::v2ray()))),
        ("xray", sealed(GoConfig::xray())),
        ("xray-12M", raised(sealed(GoConfig::xray()))),
    ]
}

pub fn all() -> Vec<Row> {
    let mut rows: Vec<Row> = LOSSES.map(lossy).into();
    rows.extend([
        slow_lossy(0.05),
        slow_lossy(0.2),
        bursts(),
        long_lossy(),
        long_fat(0.0),
        long_fat(0.01),
        fast(),
        short_queue(),
        bufferbloat(),
        policed(10, 40, 32),
        policed(100, 50, 100),
        policed(100, 2, 32),
        reordering(),
        rate_falls(),
        policed_falls(),
        blackout(),
        blinking(),
        loss_rises(),
        switch(100),
        switch(500),
        short_lossy(0.05),
        short_lossy(0.2),
        late_at_switch(),
        switch(100).together(),
        switch(500).together(),
        switch(2000).together(),
        late_at_switch().together(),
        busy_machine(0),
        busy_machine(3),
        busy_machine(0).together(),
        busy_machine(3).together(),
        many_slow(2, 10).together(),
        many_slow(8, 20).together(),
        many_slow(8, 20),
        many_lossy(8, 0.05),
        many_lossy(8, 0.05).together(),
        many_lossy(8, 0.2).together(),
        many_lossy(2, 0.2).together(),
        ten_flows().together(),
        late_comer().together(),
        late_threads(),
        short_slow(5, 1000),
        short_slow(10, 1000),
        short_slow(10, 200),
        short_slow(20, 200),
        short_slow(50, 1000),
        ten_flows(),
        late_comer(),
        beside_greedy(),
        rounds(0.0),
        rounds(0.05),
        rounds(0.1),
        short_rounds(0.0),
        short_rounds(0.05),
        short_rounds(0.1),
        resting_reader(),
        cancel(false),
        cancel(true),
    ]);
    for kind in VARYING {
        rows.extend([0.0, 0.05].map(|share| varying(kind, share)));
        rows.extend([0.0, 0.05, 0.2].map(|share| slow_varying(kind, share)));
        rows.extend([
            varying_bufferbloat(kind),
            four_varying(kind),
            late_comer_varying(kind),
        ]);
    }
    for congestion in [Congestion::Fixed, Congestion::LossRate] {
        rows.extend(LOSSES.map(|share| configured(congestion, share)));
    }
    for (name, config) in go_configs() {
        for pair in [Pair::GoToOurs, Pair::OursToGo, Pair::GoToGo] {
            rows.extend([0.0, 0.05].map(|share| with_go(pair, name, &config, share)));
        }
    }
    rows
}
