//! Sealing and opening per security: one datagram per size, and a train of them together.
#![allow(clippy::unwrap_used)]

use std::hint::black_box;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use mkcp::{
    Config, Header, Security,
    internal::packet::{NonceSource, PacketCodec},
};

const LENGTHS: [usize; 3] = [16, 256, 1322];
/// Segments of each datagram of a train, and how many datagrams it has.
const TRAIN: (usize, usize) = (1322, 4);

fn codecs() -> [(&'static str, PacketCodec); 3] {
    let builder = || Config::builder().header(Header::Srtp);
    let codec = |builder: mkcp::ConfigBuilder| PacketCodec::new(&builder.build().unwrap());
    [
        ("none", codec(builder().security(Security::None))),
        ("simple", codec(builder().security(Security::Simple))),
        ("aes-128-gcm", codec(builder().seed("bench"))),
    ]
}

fn seal(codec: &PacketCodec, buffer: &mut Vec<u8>, segments: &[u8], nonces: &mut NonceSource) {
    buffer.clear();
    let start = codec.begin(buffer);
    buffer.extend_from_slice(segments);
    codec.seal(buffer, start, nonces).unwrap();
}

fn bench(criterion: &mut Criterion) {
    let mut nonces = NonceSource::default();
    let mut buffer = Vec::with_capacity(2048);
    for (name, codec) in codecs() {
        let mut group = criterion.benchmark_group(name);
        for length in LENGTHS {
            let segments = vec![0x5a; length];
            group.throughput(Throughput::Bytes(length as u64));
            group.bench_function(BenchmarkId::new("seal", length), |bencher| {
                bencher.iter(|| seal(&codec, &mut buffer, black_box(&segments), &mut nonces));
            });
            seal(&codec, &mut buffer, &segments, &mut nonces);
            group.bench_function(BenchmarkId::new("open", length), |bencher| {
                bencher.iter_batched_ref(
                    || buffer.clone(),
                    |datagram| codec.open(black_box(datagram)).map(<[u8]>::len),
                    BatchSize::SmallInput,
                );
            });
        }
        group.finish();
    }
}

/// Begins and ends the datagrams of a train, without sealing them; returns their length.
fn build_train(codec: &PacketCodec, buffer: &mut Vec<u8>) -> usize {
    let (length, count) = TRAIN;
    buffer.clear();
    for value in 0..count {
        codec.begin(buffer);
        buffer.resize(buffer.len() + length, value as u8);
        codec.end(buffer);
    }
    buffer.len() / count
}

fn bench_trains(criterion: &mut Criterion) {
    let mut nonces = NonceSource::default();
    let mut train = Vec::new();
    for (name, codec) in codecs() {
        let mut group = criterion.benchmark_group(format!("{name}, train of {}", TRAIN.1));
        let stride = build_train(&codec, &mut train);
        group.throughput(Throughput::Elements(TRAIN.1 as u64));
        group.bench_function("seal together", |bencher| {
            bencher.iter(|| codec.seal_train(black_box(&mut train), stride, &mut nonces));
        });
        group.bench_function("seal one by one", |bencher| {
            bencher.iter(|| {
                for datagram in black_box(&mut train).chunks_mut(stride) {
                    codec.seal_train(datagram, stride, &mut nonces).unwrap();
                }
            });
        });
        build_train(&codec, &mut train);
        codec.seal_train(&mut train, stride, &mut nonces).unwrap();
        group.bench_function("open together", |bencher| {
            let open = |train: &mut Vec<u8>| {
                let datagrams = train.chunks_mut(stride).map(|datagram| ((), datagram));
                codec
                    .open_each(datagrams)
                    .filter(|(_, opened)| opened.is_ok())
                    .count()
            };
            bencher.iter_batched_ref(|| train.clone(), open, BatchSize::SmallInput);
        });
        group.bench_function("open one by one", |bencher| {
            let open = |train: &mut Vec<u8>| {
                let datagrams = train.chunks_mut(stride);
                datagrams
                    .filter_map(|datagram| codec.open(datagram).ok())
                    .count()
            };
            bencher.iter_batched_ref(|| train.clone(), open, BatchSize::SmallInput);
        });
        group.finish();
    }
}

criterion_group!(benches, bench, bench_trains);
criterion_main!(benches);
