//! `soak`, for a few seconds.

use serde_json::Value;

#[path = "../../examples/soak/slope.rs"]
mod slope;

use super::{assert_keys, run};

#[test]
fn soak_finds_nothing_wrong() {
    let few = ["--minutes", "0.05", "--sessions", "20", "--rate", "2"];
    let often = ["--reorder", "10", "--alter", "5"];
    let rest = ["--seed", "7", "--json"];
    let output = run("soak", &[&few[..], &often, &rest].concat());
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    assert!(error.starts_with("seed 7\n"), "{error}");

    let object: Value = serde_json::from_slice(&output.stdout).unwrap();
    let number = |value: &Value| value.as_u64().unwrap();
    assert_eq!(
        (&object["ok"], &object["wrong"], &object["seed"]),
        (&true.into(), &0.into(), &7.into()),
        "{object}"
    );
    let (opened, finished) = (&object["sessions_opened"], &object["sessions_finished"]);
    assert!(number(opened) >= 20, "{object}");
    assert!(
        (10..=number(opened)).contains(&number(finished)),
        "{object}"
    );
    let by_kind = object["finished"].as_object().unwrap();
    assert_eq!(by_kind.values().map(number).sum::<u64>(), number(finished));
    for fault in ["lost", "held_back", "duplicated", "altered"] {
        assert!(number(&object["path"][fault]) > 0, "{fault}: {object}");
    }
    for kept in ["bytes_up", "bytes_down", "rss_kib", "threads"] {
        assert!(number(&object[kept]) > 0, "{kept}: {object}");
    }
    for left in ["sessions_left", "threads_left", "descriptors_left"] {
        assert_eq!(object[left], 0, "{object}");
    }
    let told = ["ended_by_forgery", "drops", "heap_judged", "heap_left_kib"];
    assert_keys(&object, &told);
}

#[test]
fn soak_answers_a_bad_share_by_one_line() {
    let output = run("soak", &["--loss", "100"]);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("must be from 0 to 90"), "{text}");
}

mod slopes {
    //! When what is held counts as growing.

    use rand::{Rng, SeedableRng, rngs::SmallRng};

    use super::slope::Slope;

    /// As `soak` doubts a slope.
    const DOUBT: f64 = 3.0;
    const RUNS: u64 = 1000;
    /// Of a run of ten minutes, without its first quarter.
    const SECONDS: u32 = 450;

    /// A figure that scatters around a line, and of which each second remembers `memory` of the
    /// scatter of the second before.
    fn points(seed: u64, per_minute: f64, memory: f64) -> Vec<(f64, f64)> {
        let mut rng = SmallRng::seed_from_u64(seed);
        let mut scatter = 0.0;
        let point = |second: u32| {
            scatter = memory * scatter + rng.random_range(-1000.0..1000.0);
            let minutes = f64::from(second) / 60.0;
            (minutes, 50_000.0 + per_minute * minutes + scatter)
        };
        (0..SECONDS).map(point).collect()
    }

    fn runs_that_grow(per_minute: f64, memory: f64) -> usize {
        let grows = |seed: &u64| {
            let slope = Slope::fit(&points(*seed, per_minute, memory)).unwrap();
            slope.rate > DOUBT * slope.standard_error
        };
        (0..RUNS).filter(grows).count()
    }

    #[test]
    fn what_only_goes_up_and_down_does_not_grow() {
        for memory in [0.0, 0.5, 0.8, 0.9, 0.95, 0.98] {
            let found = runs_that_grow(0.0, memory);
            assert!(found <= 10, "memory {memory}: {found} of {RUNS}");
        }
    }

    #[test]
    fn what_grows_is_found_among_scatter() {
        for (memory, per_minute) in [(0.0, 80.0), (0.8, 500.0), (0.9, 1200.0), (0.95, 3500.0)] {
            let found = runs_that_grow(per_minute, memory);
            assert!(found >= 900, "memory {memory}: {found} of {RUNS}");
        }
    }

    #[test]
    fn a_line_without_scatter_is_known() {
        let line: Vec<_> = (0..10)
            .map(|x| (f64::from(x), 3.0 * f64::from(x)))
            .collect();
        let slope = Slope::fit(&line).unwrap();
        assert!((slope.rate - 3.0).abs() < 1e-9, "{slope:?}");
        assert!(slope.standard_error < 1e-6, "{slope:?}");
        assert_eq!(slope.points, 10);
    }

    #[test]
    fn too_little_says_nothing() {
        assert!(Slope::fit(&[(0.0, 1.0), (1.0, 2.0)]).is_none());
        let few = Slope::fit(&[(0.0, 1.0), (1.0, 3.0), (2.0, 2.0)]).unwrap();
        assert_eq!(few.standard_error, f64::INFINITY);
    }
}
