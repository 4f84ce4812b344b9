//! What was measured in one run, or is the median of several.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// A quantity that is measured.
pub trait Measure: Copy + Ord {
    /// As it is called in raw results.
    fn name(self) -> &'static str;
}

/// Some measures with their values.
#[derive(Clone, Debug, PartialEq)]
pub struct Figures<M>(BTreeMap<M, f64>);

impl<M> Default for Figures<M> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<M: Measure> Figures<M> {
    /// Sets one, or replaces it.
    pub fn set(&mut self, measure: M, value: f64) {
        self.0.insert(measure, value);
    }

    /// Sets what has a value.
    pub fn set_some(&mut self, measure: M, value: Option<f64>) {
        if let Some(value) = value {
            self.set(measure, value);
        }
    }

    /// One of them, if it has a value.
    pub fn get(&self, measure: M) -> Option<f64> {
        self.0.get(&measure).copied()
    }

    /// Of each measure the median over the runs that have it.
    pub fn median(runs: &[Self]) -> Self {
        let mut values: BTreeMap<M, Vec<f64>> = BTreeMap::new();
        for (measure, value) in runs.iter().flat_map(|run| &run.0) {
            values.entry(*measure).or_default().push(*value);
        }
        let middle = |values: Vec<f64>| percentile(values, 0.5).unwrap_or(f64::NAN);
        Self(values.into_iter().map(|(m, v)| (m, middle(v))).collect())
    }

    /// Each with its name.
    pub fn describe(&self) -> Vec<String> {
        let entries = self.0.iter();
        entries
            .map(|(m, v)| format!("{} {v:.3}", m.name()))
            .collect()
    }

    /// An object with their names.
    pub fn to_json(&self) -> Value {
        let entries = self.0.iter();
        entries
            .map(|(m, v)| (m.name().to_owned(), json!(v)))
            .collect()
    }
}

/// By nearest rank; none of nothing.
pub fn percentile(mut values: Vec<f64>, share: f64) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let rank = (values.len() as f64 * share).ceil().max(1.0) as usize;
    values.get(rank - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    enum Thing {
        Goodput,
        Jain,
    }

    impl Measure for Thing {
        fn name(self) -> &'static str {
            match self {
                Self::Goodput => "goodput_mb_s",
                Self::Jain => "jain",
            }
        }
    }

    fn figures(goodput: f64, jain: Option<f64>) -> Figures<Thing> {
        let mut figures = Figures::default();
        figures.set(Thing::Goodput, goodput);
        figures.set_some(Thing::Jain, jain);
        figures
    }

    #[test]
    fn the_median_is_taken_of_each_measure_by_itself() {
        let runs = [
            figures(3.0, None),
            figures(1.0, Some(0.5)),
            figures(2.0, None),
        ];
        let median = Figures::median(&runs);
        assert_eq!(median, figures(2.0, Some(0.5)));
        assert_eq!(median.to_json(), json!({"goodput_mb_s": 2.0, "jain": 0.5}));
        assert_eq!(Figures::<Thing>::median(&[]), Figures::default());
    }

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let values: Vec<_> = (1..=20).map(f64::from).collect();
        assert_eq!(percentile(values.clone(), 0.95), Some(19.0));
        assert_eq!(percentile(values, 0.0), Some(1.0));
        assert_eq!(percentile(vec![], 0.5), None);
    }
}
