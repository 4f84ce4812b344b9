//! What happens, as text, for somebody who replays a seed.

use mkcp::internal::wire::{Segment, Segments};

use crate::clock::Time;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trace {
    Off,
    On,
}

pub fn print(now: Time, step: u64, end: usize, text: &str) {
    let name = ["client", "server"][end];
    eprintln!("{now:>12?} {step:>6} {name} {text}");
}

/// The segments of a datagram in short.
pub fn describe(datagram: &[u8]) -> String {
    let short = |segment: Segment<'_>| match segment {
        Segment::Data(d) => format!(
            "Data {:?} una {:?} t {:?} {} bytes opt {}",
            d.number,
            d.sending_next,
            d.timestamp,
            d.payload.len(),
            d.options.bits()
        ),
        Segment::Ack(a) => {
            let numbers: Vec<u32> = a.numbers.iter().map(|n| n.get()).collect();
            format!(
                "ACK next {:?} limit {:?} t {:?} {numbers:?} opt {}",
                a.receiving_next,
                a.receiving_window,
                a.timestamp,
                a.options.bits()
            )
        }
        Segment::Command(c) => format!(
            "{:?} una {:?} next {:?} rto {} opt {}",
            c.kind,
            c.sending_next,
            c.receiving_next,
            c.peer_rto,
            c.options.bits()
        ),
    };
    let segments: Vec<String> = Segments::new(datagram).map(short).collect();
    segments.join(" | ")
}
