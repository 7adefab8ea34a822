//! The page of the book: hand-written prose, and between its markers what was measured.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use crate::{
    Result,
    results::{Number, Results, Row, Spread, Target, Verdict},
};

/// What one benchmark has in the book.
#[derive(Debug)]
pub struct Book {
    /// The page is `NAME.md`; results and plots lie in the folder `NAME` beside it.
    pub name: &'static str,
    /// The rows, in their order.
    pub rows: Vec<&'static str>,
    /// The plots of a row.
    pub plots: fn(name: &str, row: &Row) -> Vec<Plot>,
}

/// A picture beside the page.
#[derive(Debug)]
pub struct Plot {
    /// Its file, `x.svg`.
    pub file: String,
    /// What it shows.
    pub title: String,
    /// The picture.
    pub svg: String,
}

/// Begins and ends a part that is made, not written.
const END: &str = "<!-- end -->";

impl Book {
    /// What was measured before, if anything.
    pub fn load(&self, out: &Path) -> Result<Results> {
        let path = out.join(self.name).join("results.json");
        if !path.exists() {
            return Ok(Results::default());
        }
        Ok(serde_json::from_str(&fs::read_to_string(path)?)?)
    }

    /// Where its prose lies.
    pub fn page(&self) -> PathBuf {
        Path::new("docs/src").join(format!("{}.md", self.name))
    }

    /// Writes page, results and plots below `out`; the prose is that of `page`.
    pub fn write(&self, results: &Results, page: &Path, out: &Path) -> Result<()> {
        let folder = out.join(self.name);
        fs::create_dir_all(&folder)?;
        let mut json = serde_json::to_string_pretty(results)?;
        json.push('\n');
        fs::write(folder.join("results.json"), json)?;
        for (name, row) in &results.rows {
            for plot in (self.plots)(name, row) {
                fs::write(folder.join(plot.file), plot.svg)?;
            }
        }
        let filled = self.fill(&fs::read_to_string(page)?, results)?;
        Ok(fs::write(out.join(format!("{}.md", self.name)), filled)?)
    }

    /// The page with everything between its markers made anew.
    fn fill(&self, page: &str, results: &Results) -> Result<String> {
        let mut filled = String::new();
        let mut rest = page;
        while let Some((before, after)) = rest.split_once("<!-- measured: ") {
            let (name, after) = after.split_once(" -->").ok_or("a marker without an end")?;
            let (_, after) = after.split_once(END).ok_or("a measured part without an end")?;
            let part = self.part(name, results)?;
            write!(filled, "{before}<!-- measured: {name} -->\n\n{}\n\n{END}", part.trim_end())?;
            rest = after;
        }
        filled.push_str(rest);
        Ok(filled)
    }

    fn part(&self, name: &str, results: &Results) -> Result<String> {
        let measured = || self.rows.iter().filter_map(|row| results.rows.get(*row));
        match name {
            "machine" if results.rows.is_empty() => {
                Ok("No full run has been recorded yet.".to_owned())
            }
            "machine" => machine(results),
            "verdicts" if results.rows.is_empty() => Ok("Nothing measured yet.".to_owned()),
            "verdicts" => Ok(verdicts(measured().flat_map(|row| &row.verdicts))),
            row if !self.rows.contains(&row) => {
                Err(format!("the page asks for an unknown part, {row}").into())
            }
            row => Ok(match results.rows.get(row) {
                Some(measured) => self.section(row, measured),
                None => "Nothing measured yet.".to_owned(),
            }),
        }
    }

    fn section(&self, name: &str, row: &Row) -> String {
        let mut text =
            format!("{}\nMeasured on {}, commit `{}`.\n\n", row.how, row.date, row.commit);
        text.push_str(&numbers(&row.numbers));
        for Plot { file, title, .. } in (self.plots)(name, row) {
            text.push_str(&format!("\n![{title}]({}/{file})\n", self.name));
        }
        text
    }
}

/// A row as it stands on the page.
pub fn for_terminal(row: &Row) -> String {
    format!("{}\n{}", verdicts(row.verdicts.iter()), numbers(&row.numbers))
}

fn machine(results: &Results) -> Result<String> {
    let machine = &results.machine;
    let mut text = String::new();
    writeln!(text, "| | |\n|---|---|")?;
    writeln!(text, "| processor | {}, {} cores |", machine.cpu, machine.cores)?;
    writeln!(text, "| memory | {} GiB |", machine.memory_gib)?;
    writeln!(text, "| kernel | {} |", machine.kernel)?;
    writeln!(text, "| file system | {} on a {} |", machine.file_system, machine.disk)?;
    if let Some(warning) = machine.warning() {
        writeln!(text, "\n**Beware:** {warning}.")?;
    }
    Ok(text)
}

fn verdicts<'a>(verdicts: impl Iterator<Item = &'a Verdict>) -> String {
    let mut text =
        "| what | target | measured | lowest to highest | |\n|---|---|---|---|---|\n".to_owned();
    for verdict in verdicts {
        let unit = &verdict.unit;
        let with_unit = |number: f64| format!("{} {unit}", figure(number));
        let target = match verdict.target {
            Target::AtLeast(target) => format!("≥ {}", with_unit(target)),
            Target::AtMost(target) => format!("≤ {}", with_unit(target)),
            Target::Reported => "reported".to_owned(),
        };
        let outcome = match verdict.reached {
            Some(true) => "reached",
            Some(false) => "**not reached**",
            None => "",
        };
        let Spread { median, min, max } = verdict.spread;
        let range =
            if min == max { String::new() } else { format!("{} to {}", figure(min), figure(max)) };
        let what = &verdict.what;
        text.push_str(&format!(
            "| {what} | {target} | {} | {range} | {outcome} |\n",
            with_unit(median)
        ));
    }
    text
}

/// A table of contestants by columns, each in the order of their first appearance.
fn numbers(numbers: &[Number]) -> String {
    let (mut contestants, mut columns): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
    for number in numbers {
        if !contestants.contains(&number.contestant.as_str()) {
            contestants.push(&number.contestant);
        }
        if !columns.contains(&number.column.as_str()) {
            columns.push(&number.column);
        }
    }
    let mut text =
        format!("| | {} |\n|---|{}\n", columns.join(" | "), "---|".repeat(columns.len()));
    for contestant in contestants {
        text.push_str(&format!("| {contestant} |"));
        for column in &columns {
            let cell = numbers.iter().find(|n| n.contestant == contestant && n.column == *column);
            let cell = cell.map(|number| spread(number.spread)).unwrap_or_default();
            text.push_str(&format!(" {cell} |"));
        }
        text.push('\n');
    }
    text
}

/// `4,950 (4,800 to 5,100)`
fn spread(Spread { median, min, max }: Spread) -> String {
    if min == max {
        return figure(median);
    }
    format!("{} ({} to {})", figure(median), figure(min), figure(max))
}

/// Three significant digits or all before the point, thousands set apart.
fn figure(number: f64) -> String {
    let digits = match number.abs() {
        n if n >= 100.0 || n == 0.0 => 0,
        n if n >= 10.0 => 1,
        n if n >= 1.0 => 2,
        _ => 3,
    };
    let text = format!("{number:.digits$}");
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let fraction = fraction.trim_end_matches('0');
    let (sign, whole) = whole.strip_prefix('-').map_or(("", whole), |whole| ("-", whole));
    let mut grouped = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{sign}{grouped}{point}{fraction}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_readable() {
        let figures = [(1_234_567.8, "1,234,568"), (999.6, "1,000"), (12.34, "12.3"), (1.5, "1.5")];
        for (number, text) in
            figures.into_iter().chain([(0.85, "0.85"), (0.0123, "0.012"), (0.0, "0")])
        {
            assert_eq!(figure(number), text);
        }
    }

    #[test]
    fn prose_is_kept_and_parts_are_made_anew() {
        let book = Book { name: "page", rows: vec!["row"], plots: |_, _| Vec::new() };
        let fill = |page: &str, results: &Results| book.fill(page, results);
        let page = "# Title\n<!-- measured: machine -->\nold\n<!-- end -->\nprose\n";
        let filled = fill(page, &Results::default()).unwrap();
        assert!(
            filled.starts_with("# Title\n<!-- measured: machine -->\n\nNo full run"),
            "{filled}"
        );
        assert!(filled.ends_with("<!-- end -->\nprose\n"), "{filled}");
        assert!(!filled.contains("old"));
        assert_eq!(fill(&filled, &Results::default()).unwrap(), filled);
        assert!(fill("<!-- measured: nothing --><!-- end -->", &Results::default()).is_err());
    }

    #[test]
    fn a_target_that_is_missed_is_said_so() {
        let spread = Spread { median: 0.5, min: 0.4, max: 0.6 };
        let verdict = |target| Verdict::new("it", target, "×", spread);
        let missed = verdicts([verdict(Target::AtLeast(0.7))].iter());
        assert!(
            missed.contains("| it | ≥ 0.7 × | 0.5 × | 0.4 to 0.6 | **not reached** |"),
            "{missed}"
        );
        let reached = verdicts([verdict(Target::AtMost(0.7))].iter());
        assert!(reached.contains("| reached |"), "{reached}");
    }

    #[test]
    fn numbers_stand_in_their_cells() {
        let number = |contestant: &str, column: &str, median| Number {
            contestant: contestant.to_owned(),
            column: column.to_owned(),
            spread: Spread { median, min: median, max: median },
        };
        let table = numbers(&[number("a", "x", 1.0), number("b", "y", 2.0), number("a", "y", 3.0)]);
        assert_eq!(table, "| | x | y |\n|---|---|---|\n| a | 1 | 3 |\n| b |  | 2 |\n");
    }
}
