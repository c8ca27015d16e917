//! Several runs as one figure: the median, and between what it lies.

use serde::Serialize;

/// A figure over runs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Spread {
    /// The median.
    pub(crate) median: f64,
    /// The least that it may be.
    pub(crate) low: f64,
    /// The most.
    pub(crate) high: f64,
    /// From so many runs.
    pub(crate) runs: usize,
}

/// From so many runs on there is an interval that holds the median with 95 %; under it, `low` and `high`
/// are the least and the most that were seen.
pub(crate) const ENOUGH: usize = 6;

impl Spread {
    /// Of these values; `None` if there are none.
    ///
    /// The interval is that of the order statistics (a binomial with 1/2): it supposes nothing of how the
    /// values are spread.
    pub(crate) fn of(mut values: Vec<f64>) -> Option<Spread> {
        values.sort_by(f64::total_cmp);
        let runs = values.len();
        let cut = cut(runs);
        let at = |index: usize| values.get(index).copied();
        let (lower, upper) = (at(runs.checked_sub(1)? / 2)?, at(runs / 2)?);
        Some(Spread {
            // Two infinite ones have no difference.
            median: if lower == upper {
                lower
            } else {
                (lower + upper) / 2.0
            },
            low: at(cut)?,
            high: at(runs - 1 - cut)?,
            runs,
        })
    }
}

/// How many values at each end lie outside of the interval: the most whose tails hold at most 5 % together.
fn cut(runs: usize) -> usize {
    let mut term = 0.5_f64.powi(i32::try_from(runs).unwrap_or(i32::MAX));
    let mut below = 0.0;
    for index in 0..runs {
        below += term;
        if below > 0.025 {
            return index.saturating_sub(1).min(runs.saturating_sub(1) / 2);
        }
        term *= (runs - index) as f64 / (index + 1) as f64;
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_of_ten_runs_is_the_second_to_the_ninth() {
        let spread = Spread::of((1..=10).map(f64::from).collect()).unwrap();
        assert_eq!((spread.median, spread.low, spread.high), (5.5, 2.0, 9.0));
    }

    #[test]
    fn of_few_runs_the_least_and_the_most_are_told() {
        let spread = Spread::of(vec![3.0, 1.0, 2.0]).unwrap();
        assert_eq!((spread.median, spread.low, spread.high), (2.0, 1.0, 3.0));
        assert_eq!(Spread::of(Vec::new()), None);
    }

    #[test]
    fn a_median_between_two_that_never_came_is_never() {
        let never = f64::INFINITY;
        assert_eq!(
            Spread::of(vec![1.0, never, never, never]).unwrap().median,
            never
        );
    }
}
