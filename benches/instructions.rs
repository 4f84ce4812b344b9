//! How many instructions the protocol's core takes for a transfer, against what it took before.
//!
//! Time depends on who else uses a machine, the number of instructions on the compiler only, and a
//! little on the processor for which the system's library picks its copying. Valgrind counts them.
//!
//! ```text
//! cargo bench --bench instructions              compares, and fails if it has become worse
//! cargo bench --bench instructions -- --renew   writes down what it is now
//! ```

use std::{env, error::Error, fs, hint::black_box, process::Command};

use mkcp::Config;
use transfer::Pair;

mod transfer;

const BASELINE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/instructions.baseline");
/// By so many percent a count may differ before anything is said.
const TOLERANCE: f64 = 3.0;

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

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let is_asked = |(name, ..): &&(&str, u64, Workload)| arguments.iter().any(|arg| arg == name);
    if let Some(&(_, loss, workload)) = SCENARIOS.iter().find(is_asked) {
        counted_transfer(&mut Pair::new(Config::default(), loss), workload);
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
    compare(&counts)
}

/// Runs this program on a scenario under valgrind.
fn count(scenario: &str) -> Result<u64, Box<dyn Error>> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg("--toggle-collect=*counted_transfer*")
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
