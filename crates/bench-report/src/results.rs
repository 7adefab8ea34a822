//! What was measured, as it is kept in `results.json`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::machine::Machine;

/// All rows measured so far.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Results {
    /// Where.
    pub machine: Machine,
    /// By name.
    pub rows: BTreeMap<String, Row>,
}

/// One row: measured in one run, side by side.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Row {
    /// Year, month and day.
    pub date: String,
    /// What was measured.
    pub commit: String,
    /// How it was measured, in one sentence.
    pub how: String,
    /// Its targets.
    pub verdicts: Vec<Verdict>,
    /// Its figures.
    pub numbers: Vec<Number>,
    /// For the plots over time.
    pub times: Vec<Moment>,
    /// For other plots.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub series: Vec<Series>,
}

/// One figure of one contestant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Number {
    /// Whose.
    pub contestant: String,
    /// Of what.
    pub column: String,
    /// The figure itself.
    pub spread: Spread,
}

/// A target and what became of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// What is wanted, in words.
    pub what: String,
    /// How much of it.
    pub target: Target,
    /// Of both figures.
    pub unit: String,
    /// What was measured.
    pub spread: Spread,
    /// Whether the median meets the target; `None` if there is none.
    pub reached: Option<bool>,
}

/// What is to be reached.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// This or more.
    AtLeast(f64),
    /// This or less.
    AtMost(f64),
    /// Only to be reported.
    Reported,
}

/// The median of all rounds, and how far they lay apart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// The one in the middle.
    pub median: f64,
    /// The lowest.
    pub min: f64,
    /// The highest.
    pub max: f64,
}

/// A moment of a long run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Moment {
    /// Since the beginning.
    pub seconds: f64,
    /// How much was done in a second.
    pub per_second: f64,
    /// The median latency, in microseconds.
    pub p50_us: f64,
    /// What one of a thousand exceeded, in microseconds.
    pub p999_us: f64,
    /// The longest latency, in microseconds.
    pub max_us: f64,
}

/// Points of a plot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// What they show.
    pub label: String,
    /// Ascending by the first number.
    pub points: Vec<(f64, f64)>,
}

impl Spread {
    /// Of at least one sample; of none, zeros.
    pub fn of(samples: &[f64]) -> Self {
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        let at = |index: usize| sorted.get(index).copied().unwrap_or_default();
        let median = match sorted.len() {
            0 => 0.0,
            n if n % 2 == 1 => at(n / 2),
            n => f64::midpoint(at(n / 2 - 1), at(n / 2)),
        };
        Self { median, min: at(0), max: sorted.last().copied().unwrap_or_default() }
    }
}

impl Verdict {
    /// Compares the median with the target.
    pub fn new(what: &str, target: Target, unit: &str, spread: Spread) -> Self {
        let reached = match target {
            Target::AtLeast(target) => Some(spread.median >= target),
            Target::AtMost(target) => Some(spread.median <= target),
            Target::Reported => None,
        };
        Self { what: what.to_owned(), target, unit: unit.to_owned(), spread, reached }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_median_and_ends() {
        let spread = |samples: &[f64]| {
            let Spread { median, min, max } = Spread::of(samples);
            (median, min, max)
        };
        assert_eq!(spread(&[3.0, 1.0, 2.0]), (2.0, 1.0, 3.0));
        assert_eq!(spread(&[4.0, 1.0, 2.0, 3.0]), (2.5, 1.0, 4.0));
        assert_eq!(spread(&[]), (0.0, 0.0, 0.0));
    }

    #[test]
    fn a_target_is_met_by_the_median() {
        let verdict = |target, median| {
            Verdict::new("", target, "", Spread { median, min: 0.0, max: 9.0 }).reached
        };
        assert_eq!(verdict(Target::AtLeast(0.7), 0.7), Some(true));
        assert_eq!(verdict(Target::AtLeast(0.7), 0.69), Some(false));
        assert_eq!(verdict(Target::AtMost(1.0), 1.0), Some(true));
        assert_eq!(verdict(Target::AtMost(1.0), 1.1), Some(false));
        assert_eq!(verdict(Target::Reported, 1.1), None);
    }
}
