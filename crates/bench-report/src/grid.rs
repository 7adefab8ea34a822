//! Samples by contestant and column, round by round, and what follows from them.

use crate::{
    machine,
    results::{Number, Row, Spread, Target, Verdict},
};

/// All samples of a row, in the order in which the cells first came up.
#[derive(Debug, Default)]
pub struct Grid(Vec<Cell>);

#[derive(Debug)]
struct Cell {
    contestant: String,
    column: String,
    samples: Vec<f64>,
}

impl Grid {
    /// A row of these samples, made now from the code in these paths.
    pub fn row(&self, how: String, verdicts: Vec<Verdict>, code: &[&str]) -> Row {
        let (date, commit) = (machine::today(), machine::commit(code));
        Row { date, commit, how, verdicts, numbers: self.numbers(), ..Row::default() }
    }

    /// Adds the sample of one round.
    pub fn push(&mut self, contestant: &str, column: &str, sample: f64) {
        let same = |cell: &&mut Cell| cell.contestant == contestant && cell.column == column;
        match self.0.iter_mut().find(same) {
            Some(cell) => cell.samples.push(sample),
            None => self.0.push(Cell {
                contestant: contestant.to_owned(),
                column: column.to_owned(),
                samples: vec![sample],
            }),
        }
    }

    /// The samples of one cell.
    pub fn spread(&self, contestant: &str, column: &str) -> Spread {
        Spread::of(self.samples(contestant, column))
    }

    /// How many times `a` is `b`, compared within each round.
    pub fn ratio(&self, a: (&str, &str), b: (&str, &str)) -> Spread {
        let pairs = self.samples(a.0, a.1).iter().zip(self.samples(b.0, b.1));
        let ratios: Vec<f64> = pairs.map(|(a, b)| a / b).collect();
        Spread::of(&ratios)
    }

    /// The one with the highest median in a column.
    pub fn best<'a>(&self, among: &[&'a str], column: &str) -> Option<&'a str> {
        let median = |contestant: &&&str| self.spread(contestant, column).median;
        among.iter().max_by(|a, b| median(a).total_cmp(&median(b))).copied()
    }

    /// All cells, in the order in which they first came up.
    pub fn numbers(&self) -> Vec<Number> {
        let number = |cell: &Cell| Number {
            contestant: cell.contestant.clone(),
            column: cell.column.clone(),
            spread: Spread::of(&cell.samples),
        };
        self.0.iter().map(number).collect()
    }

    /// A target that one figure must meet.
    pub fn verdict(&self, what: &str, target: Target, unit: &str, of: (&str, &str)) -> Verdict {
        Verdict::new(what, target, unit, self.spread(of.0, of.1))
    }

    /// A target that the ratio of two figures must meet.
    pub fn compare(&self, what: &str, target: Target, a: (&str, &str), b: (&str, &str)) -> Verdict {
        Verdict::new(what, target, "×", self.ratio(a, b))
    }

    /// All samples of one cell, by round.
    pub fn samples(&self, contestant: &str, column: &str) -> &[f64] {
        let cell = self.0.iter().find(|c| c.contestant == contestant && c.column == column);
        cell.map(|cell| cell.samples.as_slice()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_taken_within_a_round() {
        let mut grid = Grid::default();
        for (a, b) in [(1.0, 2.0), (12.0, 10.0), (100.0, 50.0)] {
            grid.push("a", "x", a);
            grid.push("b", "x", b);
        }
        let ratio = grid.ratio(("a", "x"), ("b", "x"));
        assert_eq!((ratio.median, ratio.min, ratio.max), (1.2, 0.5, 2.0));
        assert_eq!(grid.best(&["a", "b"], "x"), Some("a"));
        assert_eq!(grid.best(&[], "x"), None);
    }
}
