//! What was measured, as it is kept in `results.json`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::machine::Machine;

/// All rows measured so far.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Results {
    pub(crate) machine: Machine,
    pub(crate) rows: BTreeMap<String, Row>,
}

/// One row: measured in one run, side by side.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) date: String,
    pub(crate) commit: String,
    /// How it was measured, in one sentence.
    pub(crate) how: String,
    pub(crate) verdicts: Vec<Verdict>,
    pub(crate) numbers: Vec<Number>,
    /// For the plots over time.
    pub(crate) times: Vec<Moment>,
}

/// One figure of one contestant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Number {
    pub(crate) contestant: String,
    pub(crate) column: String,
    pub(crate) spread: Spread,
}

/// A target and what became of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Verdict {
    pub(crate) what: String,
    pub(crate) target: Target,
    pub(crate) unit: String,
    pub(crate) spread: Spread,
    /// Whether the median meets the target; `None` if there is none.
    pub(crate) reached: Option<bool>,
}

/// What is to be reached.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Target {
    AtLeast(f64),
    AtMost(f64),
    /// Only to be reported.
    Reported,
}

/// The median of all rounds, and how far they lay apart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

/// A moment of a long run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Moment {
    pub(crate) seconds: f64,
    pub(crate) per_second: f64,
    pub(crate) p50_us: f64,
    pub(crate) p999_us: f64,
    pub(crate) max_us: f64,
}

impl Spread {
    /// Of at least one sample; of none, zeros.
    pub(crate) fn of(samples: &[f64]) -> Self {
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
    pub(crate) fn new(what: &str, target: Target, unit: &str, spread: Spread) -> Self {
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
