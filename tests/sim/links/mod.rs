//! A table of links: how much of each our connections use, at what cost.
//!
//! `MKCP_SIM_TABLE=1 cargo test --release --test sim links -- --nocapture` prints it; another value
//! selects the row of that name, or else those whose names contain it. With `MKCP_SIM_TIMELINE=1` each row is followed by
//! what happened every 50 ms, and `MKCP_SIM_DRIVER=real` runs it with threads that are late.
//! `MKCP_SIM_SEED` chooses the seed.
//!
//! | file | its question |
//! |---|---|
//! | `rows` | which links, and who does what over them? |
//! | `lab`, `host` | how does a row run? |
//! | `report`, `special`, `timeline` | how did it go? |
//! | `goals`, `expectations` | how well is it to go? |

mod expectations;
mod goals;
mod host;
mod lab;
mod report;
mod rows;
mod special;
mod timeline;

use std::{env, time::Instant};

use report::Report;
use rows::Driver;

#[test]
fn table() {
    let Ok(wanted) = env::var("MKCP_SIM_TABLE") else {
        return;
    };
    let seed = env::var("MKCP_SIM_SEED").map_or(1, |seed| seed.parse().expect("a number"));
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
        let started = Instant::now();
        let run = lab::run(&row, seed);
        let report = Report::new(&row, &run);
        println!(
            "{}  [{:.1} s]",
            report.line(),
            started.elapsed().as_secs_f64()
        );
        if timeline {
            timeline::print(&row, &run);
        }
    }
}
