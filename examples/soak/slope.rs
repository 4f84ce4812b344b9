//! A line through points, and how far to trust it.

/// How a figure has grown with time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slope {
    /// Of the figure, for each unit of time.
    pub(crate) rate: f64,
    /// By the scatter around the line. Infinite where the points say nothing about the rate.
    pub(crate) standard_error: f64,
    pub(crate) points: usize,
}

impl Slope {
    /// Fits a line by least squares to points at equal distances of time.
    ///
    /// What is held now is mostly what was held a second ago, so that many points may tell no more
    /// than a few: they count for as many as would scatter each for itself.
    pub(crate) fn fit(points: &[(f64, f64)]) -> Option<Self> {
        let count = points.len() as f64;
        if count < 3.0 {
            return None;
        }
        let mean_x = points.iter().map(|(x, _)| x).sum::<f64>() / count;
        let mean_y = points.iter().map(|(_, y)| y).sum::<f64>() / count;
        let xx: f64 = points.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
        let product = |(x, y): &(f64, f64)| (x - mean_x) * (y - mean_y);
        let rate = points.iter().map(product).sum::<f64>() / xx;

        let rest = |(x, y): &(f64, f64)| y - mean_y - rate * (x - mean_x);
        let rests: Vec<_> = points.iter().map(rest).collect();
        let freedom = independent(&rests) - 2.0;
        let standard_error = match freedom > 0.0 {
            true => (sum_of_squares(&rests) / freedom / xx).sqrt(),
            false => f64::INFINITY,
        };
        Some(Self {
            rate,
            standard_error,
            points: points.len(),
        })
    }
}

/// As how many values these count that remember a share of the value before.
///
/// The share is raised by about its own error, because few values show too little of it (Nychka et
/// al., "Confidence intervals for trend estimates with autocorrelated observations", 2000).
fn independent(rests: &[f64]) -> f64 {
    let count = rests.len() as f64;
    let neighbours: f64 = rests.windows(2).map(|pair| pair[0] * pair[1]).sum();
    let squares = sum_of_squares(rests);
    if squares == 0.0 {
        return count;
    }
    let share = (neighbours / squares).max(0.0) + 0.68 / count.sqrt();
    count * (1.0 - share).max(0.0) / (1.0 + share)
}

fn sum_of_squares(values: &[f64]) -> f64 {
    values.iter().map(|value| value * value).sum()
}
