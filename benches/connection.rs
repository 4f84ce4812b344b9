//! Transfers between two connections in virtual time, without I/O.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

use mkcp::Config;
use transfer::Pair;

mod transfer;

const BYTES: usize = 4 * 1024 * 1024;
const REQUESTS: usize = 1000;

fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("connection");
    group.sample_size(20);
    group.throughput(Throughput::Bytes(BYTES as u64));
    for (name, loss) in [("bulk", 0), ("bulk, 5 % lost", 50)] {
        group.bench_function(name, |bencher| {
            let run = |mut pair: Pair| pair.bulk(BYTES);
            bencher.iter_batched(
                || Pair::new(Config::default(), loss),
                run,
                BatchSize::SmallInput,
            );
        });
    }
    group.throughput(Throughput::Elements(REQUESTS as u64));
    group.bench_function("requests", |bencher| {
        let run = |mut pair: Pair| pair.requests(REQUESTS);
        bencher.iter_batched(
            || Pair::new(Config::default(), 0),
            run,
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
