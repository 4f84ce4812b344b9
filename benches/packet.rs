//! Sealing and opening one datagram, per security and size.
#![allow(clippy::unwrap_used)]

use std::hint::black_box;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use mkcp::{
    Config, Header, Security,
    internal::packet::{NonceSource, PacketCodec},
};

const LENGTHS: [usize; 3] = [16, 256, 1322];

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

criterion_group!(benches, bench);
criterion_main!(benches);
