//! Runs scenarios over many seeds, on all cores, and says how to replay those that fail.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::{
    trace::Trace,
    workload::{LIMIT, Pairing, Scenario},
};

/// A sweep that fails goes on until it has so many failures to show.
const MAX_FAILURES: usize = 10;

/// Runs `count` seeds of a pairing, or the one that `MKCP_SIM_SEED` names, with a trace.
/// `MKCP_SIM_SEEDS` asks for another number of seeds.
pub fn sweep(test: &str, pairing: Pairing, count: u64) {
    let failures = match number_from_env("MKCP_SIM_SEED") {
        Some(seed) => run(pairing, seed, Trace::On).err().into_iter().collect(),
        None => run_all(pairing, number_from_env("MKCP_SIM_SEEDS").unwrap_or(count)),
    };
    assert!(
        failures.is_empty(),
        "{}\nreplay: MKCP_SIM_SEED=... cargo test --test sim -- --nocapture {test}",
        failures.join("\n")
    );
}

fn run_all(pairing: Pairing, count: u64) -> Vec<String> {
    let next = AtomicU64::new(0);
    let failures = Mutex::new(Vec::new());
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= count {
                return;
            }
            if let Err(failure) = run(pairing, seed, Trace::Off) {
                let mut failures = failures.lock().expect("nothing panics under the lock");
                failures.push(failure);
                if failures.len() >= MAX_FAILURES {
                    next.store(count, Ordering::Relaxed);
                }
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    failures
        .into_inner()
        .expect("nothing panics under the lock")
}

/// Runs one seed. A failure says where it was and why.
fn run(pairing: Pairing, seed: u64, trace: Trace) -> Result<(), String> {
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
    outcome.map_err(|panic| {
        let (step, now, text) = (world.steps, world.now, panic_text(panic.as_ref()));
        format!("seed {seed:#x} of {pairing:?}, step {step}, at {now:?}: {text}")
    })
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    match (panic.downcast_ref::<String>(), panic.downcast_ref::<&str>()) {
        (Some(text), _) => text,
        (None, Some(text)) => text,
        (None, None) => "a panic without text",
    }
}

/// A number, hexadecimal if it begins so.
pub fn number_from_env(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    let parsed = match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => text.parse(),
    };
    Some(parsed.unwrap_or_else(|_| panic!("{name} is {text:?}, must be a number")))
}
