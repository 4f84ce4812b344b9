//! A table of links: how much of each our connections use, at what cost.
//!
//! `MKCP_SIM_TABLE=1 cargo test --release --test sim links -- --nocapture` prints it and judges
//! nothing; another value selects the row of that name, or else those whose names contain it.
//!
//! | variable | effect |
//! |---|---|
//! | `MKCP_SIM_TIMELINE=1` | each row is followed by what happened every 50 ms |
//! | `MKCP_SIM_DRIVER=real` | threads are late, and handle what came meanwhile together |
//! | `MKCP_SIM_SEED=7` | another seed |
//! | `MKCP_SIM_TABLE_SEEDS=5` | so many seeds, here and where goals are judged |
//!
//! | file | its question |
//! |---|---|
//! | `row`, `rows` | which links, and who does what over them? |
//! | `lab`, `host` | how does a row run? |
//! | `report`, `special`, `timeline` | how did it go? |
//! | `goals`, `expectations` | how well is it to go? |

mod expectations;
mod goals;
mod host;
mod lab;
mod report;
mod row;
mod rows;
mod special;
mod timeline;

use std::{env, ops::RangeInclusive, time::Instant};

use report::Report;
use row::Driver;

use crate::sweep::number_from_env;

#[test]
fn table() {
    let Ok(wanted) = env::var("MKCP_SIM_TABLE") else {
        return;
    };
    let timeline = env::var_os("MKCP_SIM_TIMELINE").is_some();
    let real = env::var("MKCP_SIM_DRIVER").is_ok_and(|driver| driver == "real");
    println!("{}", Report::header());
    let mut rows = rows::all();
    if rows.iter().any(|row| row.name == wanted) {
        rows.retain(|row| row.name == wanted);
    } else if wanted != "1" {
        rows.retain(|row| row.name.contains(&wanted));
    }
    for mut row in rows {
        if real {
            row.driver = Driver::REAL;
        }
        for seed in seeds(1) {
            let started = Instant::now();
            let run = lab::run(&row, seed);
            let took = started.elapsed().as_secs_f64();
            println!("{}  [{took:.1} s]", Report::new(&row, &run).line());
            if timeline {
                timeline::print(&row, &run);
            }
        }
    }
}

/// The seeds that the environment asks for, or so many.
fn seeds(count: u64) -> RangeInclusive<u64> {
    let first = number_from_env("MKCP_SIM_SEED").unwrap_or(1);
    let count = number_from_env("MKCP_SIM_TABLE_SEEDS").unwrap_or(count);
    first..=first + count.max(1) - 1
}
