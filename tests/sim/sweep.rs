//! Runs scenarios over many seeds, on all cores, and says how to replay one that fails.

use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::atomic::{AtomicU64, Ordering},
};

use crate::{
    workload::{LIMIT, Pairing, Scenario},
    world::{Trace, World},
};

/// Runs `count` seeds of a pairing, or the one that `MKCP_SIM_SEED` names, with a trace.
/// `MKCP_SIM_SEEDS` asks for another number of seeds.
pub fn sweep(test: &str, pairing: Pairing, count: u64) {
    if let Some(seed) = number_from_env("MKCP_SIM_SEED") {
        return run(test, pairing, seed, Trace::On);
    }
    let count = number_from_env("MKCP_SIM_SEEDS").unwrap_or(count);
    let next = AtomicU64::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let work = || {
            let mut seed = next.fetch_add(1, Ordering::Relaxed);
            while seed < count {
                run(test, pairing, seed, Trace::Off);
                seed = next.fetch_add(1, Ordering::Relaxed);
            }
        };
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        for thread in threads {
            if let Err(panic) = thread.join() {
                next.store(count, Ordering::Relaxed);
                resume_unwind(panic);
            }
        }
    });
}

fn run(test: &str, pairing: Pairing, seed: u64, trace: Trace) {
    let scenario = Scenario::random(pairing, seed);
    if trace == Trace::On {
        eprintln!("{scenario:#?}");
    }
    let mut world = scenario.world();
    world.trace(trace);
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        world.run_until(LIMIT);
        scenario.check_outcome(&world);
    }));
    if let Err(panic) = outcome {
        report(test, seed, &world, panic.as_ref());
    }
}

fn report(test: &str, seed: u64, world: &World, panic: &(dyn std::any::Any + Send)) -> ! {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or(panic.downcast_ref::<&str>().copied())
        .unwrap_or("a panic without text");
    panic!(
        "seed {seed:#x}, step {}, at {:?}: {text}\n\
         replay: MKCP_SIM_SEED={seed:#x} cargo test --test sim -- --nocapture {test}",
        world.steps, world.now
    );
}

fn number_from_env(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    let parsed = match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => text.parse(),
    };
    Some(parsed.unwrap_or_else(|_| panic!("{name} is {text:?}, must be a number")))
}
