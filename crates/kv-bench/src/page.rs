//! The page of the book: hand-written prose, and between its markers what was measured.

use std::{fmt::Write as _, fs, path::Path};

use crate::{
    Result, plot,
    results::{Number, Results, Row, Spread, Target, Verdict},
    rows,
};

/// Begins and ends a part that is made, not written.
const END: &str = "<!-- end -->";

/// What was measured before, if anything.
pub(crate) fn load(out: &Path) -> Result<Results> {
    let path = out.join("benchmarks/results.json");
    if !path.exists() {
        return Ok(Results::default());
    }
    Ok(serde_json::from_str(&fs::read_to_string(path)?)?)
}

/// Writes page, results and plots below `out`; the prose is that of `page`.
pub(crate) fn write(results: &Results, page: &Path, out: &Path) -> Result<()> {
    let folder = out.join("benchmarks");
    fs::create_dir_all(&folder)?;
    let mut json = serde_json::to_string_pretty(results)?;
    json.push('\n');
    fs::write(folder.join("results.json"), json)?;
    for (name, row) in &results.rows {
        for (file, svg) in plot::of_row(name, row) {
            fs::write(folder.join(file), svg)?;
        }
    }
    let filled = fill(&fs::read_to_string(page)?, results)?;
    Ok(fs::write(out.join("benchmarks.md"), filled)?)
}

/// A row as it stands on the page.
pub(crate) fn for_terminal(row: &Row) -> String {
    format!("{}\n{}", verdicts(row.verdicts.iter()), numbers(&row.numbers))
}

/// The page with everything between its markers made anew.
fn fill(page: &str, results: &Results) -> Result<String> {
    let mut filled = String::new();
    let mut rest = page;
    while let Some((before, after)) = rest.split_once("<!-- measured: ") {
        let (name, after) = after.split_once(" -->").ok_or("a marker without an end")?;
        let (_, after) = after.split_once(END).ok_or("a measured part without an end")?;
        let part = part(name, results)?;
        write!(filled, "{before}<!-- measured: {name} -->\n\n{}\n\n{END}", part.trim_end())?;
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

fn part(name: &str, results: &Results) -> Result<String> {
    let measured = || rows::ALL.iter().filter_map(|row| results.rows.get(row.name));
    match name {
        "machine" if results.rows.is_empty() => Ok("No full run has been recorded yet.".to_owned()),
        "machine" => machine(results),
        "verdicts" if results.rows.is_empty() => Ok("Nothing measured yet.".to_owned()),
        "verdicts" => Ok(verdicts(measured().flat_map(|row| &row.verdicts))),
        row => {
            let kind = rows::ALL.iter().find(|kind| kind.name == row);
            let kind = kind.ok_or_else(|| format!("the page asks for an unknown part, {row}"))?;
            Ok(match results.rows.get(row) {
                Some(measured) => section(kind.name, measured),
                None => "Nothing measured yet.".to_owned(),
            })
        }
    }
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

fn section(name: &str, row: &Row) -> String {
    let mut text = format!("{}\nMeasured on {}, commit `{}`.\n\n", row.how, row.date, row.commit);
    text.push_str(&numbers(&row.numbers));
    for (file, what) in plot::files(name) {
        text.push_str(&format!("\n![{what}](benchmarks/{file})\n"));
    }
    text
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
