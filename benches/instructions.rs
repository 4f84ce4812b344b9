//! How many instructions the protocol's core takes for a transfer, against what it took before.
//!
//! Time depends on who else uses a machine, the number of instructions on the compiler only, and a
//! little on the processor for which the system's library picks its copying. Valgrind counts them.
//!
//! Then the same for floods of a hostile peer, whose segments may cost at most twice as much as
//! good ones: that bound needs no baseline.
//!
//! ```text
//! cargo bench --bench instructions              compares, and fails if it has become worse
//! cargo bench --bench instructions -- --renew   writes down what it is now
//! ```

use std::{env, error::Error, fs, hint::black_box, process::Command};

use floods::{DATAGRAMS, FLOODS, Target};
use mkcp::Config;
use transfer::Pair;

mod floods;
mod transfer;

const BASELINE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/instructions.baseline");
/// By so many percent a count may differ before anything is said.
const TOLERANCE: f64 = 3.0;

/// How many times as much as a good datagram a hostile one may cost.
const MOST_OF_GOOD: f64 = 2.0;

/// What is transferred; the name says what.
const SCENARIOS: [(&str, u64, Workload); 3] = [
    ("bulk", 0, |pair| pair.bulk(4 * 1024 * 1024)),
    ("bulk-5%-lost", 50, |pair| pair.bulk(4 * 1024 * 1024)),
    ("requests", 0, |pair| pair.requests(1000)),
];

type Workload = fn(&mut Pair);

/// Instructions are counted while this runs: valgrind knows it by its name.
#[inline(never)]
fn counted_transfer(pair: &mut Pair, workload: Workload) {
    workload(black_box(pair));
}

#[inline(never)]
fn counted_flood(target: &mut Target) {
    black_box(target).bear();
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let is_asked = |(name, ..): &&(&str, u64, Workload)| arguments.iter().any(|arg| arg == name);
    if let Some(&(_, loss, workload)) = SCENARIOS.iter().find(is_asked) {
        counted_transfer(&mut Pair::new(Config::default(), loss), workload);
        return Ok(());
    }
    let flood = FLOODS
        .iter()
        .find(|(name, ..)| arguments.iter().any(|argument| argument == name));
    if let Some(&(_, _, make)) = flood {
        counted_flood(&mut Target::new(make));
        return Ok(());
    }
    let counts: Vec<(&str, u64)> = SCENARIOS
        .iter()
        .map(|&(name, ..)| Ok((name, count(name)?)))
        .collect::<Result<_, Box<dyn Error>>>()?;
    if arguments.iter().any(|argument| argument == "--renew") {
        let lines = counts
            .iter()
            .map(|(name, count)| format!("{name} {count}\n"));
        return Ok(fs::write(BASELINE, lines.collect::<String>())?);
    }
    compare(&counts)?;
    compare_floods()
}

/// Runs this program on a scenario under valgrind.
fn count(scenario: &str) -> Result<u64, Box<dyn Error>> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg("--toggle-collect=*counted_*")
        .arg(env::current_exe()?)
        .arg(scenario)
        .output()
        .map_err(|error| format!("cannot run valgrind (tests/install sees to it): {error}"))?;
    let report = String::from_utf8_lossy(&output.stderr);
    let collected = report
        .lines()
        .find_map(|line| line.split_once("Collected : "));
    match collected.map(|(_, count)| count.trim().parse()) {
        Some(Ok(count)) if output.status.success() && count > 0 => Ok(count),
        _ => Err(format!("valgrind counted nothing for {scenario}:\n{report}").into()),
    }
}

fn compare(counts: &[(&str, u64)]) -> Result<(), Box<dyn Error>> {
    let baseline = fs::read_to_string(BASELINE)?;
    let mut is_worse = false;
    for &(name, count) in counts {
        let line = baseline.lines().filter_map(|line| line.split_once(' '));
        let (_, before) = line
            .into_iter()
            .find(|&(other, _)| other == name)
            .ok_or_else(|| format!("the baseline has no {name}"))?;
        let before: u64 = before.parse()?;
        let change = (count as f64 / before as f64 - 1.0) * 100.0;
        let remark = match change {
            change if change > TOLERANCE => "WORSE",
            change if change < -TOLERANCE => "better: renew the baseline, so that it stays so",
            _ => "as before",
        };
        is_worse |= change > TOLERANCE;
        println!("{name}: {count} instructions, {before} before: {change:+.2} %, {remark}");
    }
    if is_worse {
        return Err(
            "more instructions than before; if there is a good reason for it, renew the \
             baseline: cargo bench --bench instructions -- --renew"
                .into(),
        );
    }
    Ok(())
}

/// What a segment of each flood costs, beside a good one.
fn compare_floods() -> Result<(), Box<dyn Error>> {
    // The first of them is the good one.
    let mut good = None;
    let mut dear = Vec::new();
    for (name, segments, _) in FLOODS {
        let cost = count(name)? as f64 / f64::from(DATAGRAMS * segments);
        let times = cost / *good.get_or_insert(cost);
        println!("{name}: {cost:.0} instructions for a segment, {times:.2} times a good one");
        if times > MOST_OF_GOOD {
            dear.push(name);
        }
    }
    if dear.is_empty() {
        return Ok(());
    }
    Err(format!(
        "a hostile peer gets more than its share: {}",
        dear.join(", ")
    )
    .into())
}
