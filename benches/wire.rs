//! Writing and reading segments.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mkcp::internal::wire::{
    Ack, Command, CommandKind, Data, Numbers, Options, Segment, Segments, SeqNum, Timestamp,
};

const PAYLOAD: [u8; 1326] = [0x5a; 1326];

fn data() -> Segment<'static> {
    Segment::Data(Data {
        conversation: 0x1234,
        options: Options::NONE,
        timestamp: Timestamp::new(1000),
        number: SeqNum::new(7),
        sending_next: SeqNum::new(5),
        payload: &PAYLOAD,
    })
}

fn ack(numbers: &[SeqNum]) -> Segment<'_> {
    Segment::Ack(Ack {
        conversation: 0x1234,
        options: Options::NONE,
        receiving_window: SeqNum::new(800),
        receiving_next: SeqNum::new(16),
        timestamp: Timestamp::new(1000),
        numbers: Numbers::List(numbers),
    })
}

fn ping() -> Segment<'static> {
    Segment::Command(Command {
        conversation: 0x1234,
        kind: CommandKind::Ping,
        options: Options::NONE,
        sending_next: SeqNum::new(1),
        receiving_next: SeqNum::new(2),
        peer_rto: 100,
    })
}

/// Reads as an endpoint does: every field of every segment is looked at.
fn read(datagram: &[u8]) -> u32 {
    let touch = |segment| match segment {
        Segment::Data(data) => data.number.get() ^ u32::from(data.payload[0]),
        Segment::Ack(ack) => ack.numbers.iter().fold(0, |sum, number| sum ^ number.get()),
        Segment::Command(command) => command.peer_rto,
    };
    Segments::new(datagram).map(touch).fold(0, |sum, x| sum ^ x)
}

fn bench(criterion: &mut Criterion) {
    let numbers: Vec<SeqNum> = (0..128).map(|i| SeqNum::new(i * 3)).collect();
    let cases = [
        ("data", data()),
        ("ack of 128", ack(&numbers)),
        ("ping", ping()),
    ];
    let mut buffer = Vec::with_capacity(2048);
    for (name, segment) in cases {
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Bytes(segment.encoded_len() as u64));
        group.bench_function("encode", |bencher| {
            bencher.iter(|| {
                buffer.clear();
                black_box(segment).encode(&mut buffer);
            });
        });
        group.bench_function("decode", |bencher| {
            bencher.iter(|| read(black_box(&buffer)));
        });
        group.finish();
    }
}

criterion_group!(benches, bench);
criterion_main!(benches);
