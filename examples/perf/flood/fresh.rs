//! New clients that come while the flood goes on, from addresses that the server does not know.

use std::{
    io,
    net::Ipv4Addr,
    thread,
    time::{Duration, Instant},
};

use mkcp::{Endpoint, v2ray::MaybeTlsStream};
use rand::{Rng, SeedableRng, rngs::SmallRng};

use super::Options;
use crate::{PATIENCE, payload, report::Report};

/// Their addresses: none that is forged, nor the server's usual one.
const ADDRESSES: u32 = 0x7f00_0100;
const COUNT: u32 = 0xff00;

/// Has them come by the clock, for as long as the flood is meant to last.
pub(super) fn run(options: &Options, rate: f64) -> Report {
    let mut report = Report::default();
    let started = Instant::now();
    let first = SmallRng::from_os_rng().random_range(0..COUNT);
    thread::scope(|scope| {
        let mut clients = Vec::new();
        for number in 0.. {
            let due = f64::from(number) / rate;
            if due >= options.seconds {
                break;
            }
            thread::sleep(Duration::from_secs_f64(due).saturating_sub(started.elapsed()));
            let address = Ipv4Addr::from_bits(ADDRESSES + (first + number) % COUNT);
            clients.push(scope.spawn(move || come_in(options, address)));
        }
        report.insert("fresh", clients.len());
        for client in clients {
            match client.join() {
                Ok(Ok(latency)) => report.add_latency("fresh_", latency),
                Ok(Err(error)) => report.add_error(&error),
                Err(_) => report.add_error(&io::Error::other("a thread panicked")),
            }
        }
    });
    report
}

/// Connects from this address, and gives the time until the first byte is back.
fn come_in(options: &Options, address: Ipv4Addr) -> io::Result<Duration> {
    let endpoint = Endpoint::builder()
        .config(options.transport.config())
        .workers(1)
        .bind((address, 0))?;
    let started = Instant::now();
    let stream = MaybeTlsStream::from(endpoint.connect(options.connect)?);
    stream.get_ref().set_read_timeout(Some(PATIENCE))?;
    payload::round_trip(&stream, &mut [0])?;
    let latency = started.elapsed();
    stream.close()?;
    Ok(latency)
}
