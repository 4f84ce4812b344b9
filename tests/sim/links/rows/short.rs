//! Paths shorter than 5 ms: of one room, one house or one machine.

use std::time::Duration;

use super::{bbr, bulk, percent};
use crate::{
    clock::Time,
    links::row::{Driver, FlowPlan, MS, PACKET, Row, SECOND, Work, flow},
};

/// Eight flows over a switch of a gigabit, as threads in one room see it, with so many packets of
/// queue.
pub fn switch(queue: u64) -> Row {
    let mut row = bulk(format!("8flows-1000m-0.2ms-queue{queue}"), 1000, 1)
        .queue(queue * PACKET)
        .seconds(1);
    row.link.delay = Duration::from_micros(100);
    row.flows = (0..8)
        .map(|_| flow(Time::ZERO, bbr(), bbr(), Work::Bulk))
        .collect();
    row.driver = Driver::REAL;
    row
}

/// The same with much queue, and one of them comes when the others have made it stand.
pub fn late_at_switch() -> Row {
    let mut row = switch(2000).seconds(3);
    row.name = "8flows-1000m-0.2ms-late".to_owned();
    row.flows[7].start = SECOND;
    row
}

/// Many flows between the programs of one busy machine: the path is short, its rate and its queue
/// are large, and the processors are the bottleneck. One is enough for the servers and one for the
/// clients, or both sides take turns of so many milliseconds.
pub fn busy_machine(turn_ms: u32) -> Row {
    let mut row = bulk(format!("32flows-busy-turns{turn_ms}ms"), 3000, 1)
        .queue(4 * 1024 * 1024)
        .seconds(2);
    row.link.delay = Duration::from_micros(20);
    // All but the first begin when the others are under way.
    row.flows = (0..32)
        .map(|n| flow(n * MS, bbr(), bbr(), Work::Bulk))
        .collect();
    row.driver = Driver {
        work: Duration::from_micros(if turn_ms == 0 { 4 } else { 2 }),
        turn: turn_ms * MS,
        ..Driver::REAL
    };
    row
}

/// A short path that carries no more in a round trip than the least window, or hardly more.
pub fn short_slow(mbit: u64, rtt_us: u64) -> Row {
    let name = format!("{mbit}m-{}ms", rtt_us as f64 / 1000.0);
    let mut row = bulk(name, mbit, 1).queue(200 * PACKET).seconds(6);
    row.link.delay = Duration::from_micros(rtt_us / 2);
    row
}

/// A short path that loses such a share by chance, with a queue that has room.
pub fn short_lossy(share: f64) -> Row {
    let mut row = bulk(format!("200m-0.5ms-{}%", percent(share)), 200, 1)
        .queue(500 * PACKET)
        .losing(share)
        .seconds(3);
    row.link.delay = Duration::from_micros(250);
    row.driver = Driver::REAL;
    row
}

/// So many flows share a slow one.
pub fn many_slow(flows: u32, mbit: u64) -> Row {
    let mut row = short_slow(mbit, 200);
    row.name = format!("{flows}flows-{}", row.name);
    row.flows = many(flows);
    row
}

/// So many flows share one that loses.
pub fn many_lossy(flows: u32, share: f64) -> Row {
    let mut row = short_lossy(share);
    row.name = format!("{flows}flows-{}", row.name);
    row.flows = many(flows);
    row
}

fn many(flows: u32) -> Vec<FlowPlan> {
    let one = || flow(Time::ZERO, bbr(), bbr(), Work::Bulk);
    (0..flows).map(|_| one()).collect()
}
