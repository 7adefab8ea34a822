//! The table of the book that says what the suite saw of each server.

use std::{collections::BTreeMap, fs, path::Path};

use super::kinds;
use crate::run::root;

/// The page, and what stands around the table on it.
const PAGE: &str = "docs/src/clouds/README.md";
const BEGIN: &str = "<!-- seen: made by cargo xtask servers -->\n";
const END: &str = "<!-- end of seen -->\n";

/// What a column says, and the laws it stands for.
const COLUMNS: [(&str, &[&str]); 8] = [
    ("whole while it is replaced", &["law_1_whole"]),
    ("creates once", &["law_4_one_creator_wins"]),
    (
        "replaces only if unchanged",
        &["law_5_one_replacer_wins", "law_5_a_refused_put_changes_nothing"],
    ),
    ("taken for a fence", &["the_probe"]),
    (
        "lists all, in order",
        &["law_7_listings_are_complete_and_ascending", "law_7_listings_bear_change"],
    ),
    (
        "nothing half after a broken line",
        &[
            "a_broken_line_leaves_nothing_half",
            "an_answer_that_breaks_off_is_no_object",
            "a_lost_answer_is_harmless",
        ],
    ),
    ("tells wrong credentials", &["wrong_credentials_are_told"]),
    ("tells a missing bucket", &["a_missing_bucket_is_not_an_empty_one"]),
];

/// What was seen of one server, by law.
type Seen = BTreeMap<String, String>;

/// Writes the rows of the servers that ran; the others stay as they are.
pub(super) fn write(seen: &Path) -> Result<(), String> {
    let read =
        |path: &Path| fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()));
    let seen: BTreeMap<String, Seen> =
        serde_json::from_str(&read(seen)?).map_err(|e| format!("{}: {e}", seen.display()))?;
    let path = root().join(PAGE);
    let page = read(&path)?;
    let no_table = || format!("{PAGE} has no place for the table");
    let (before, rest) = page.split_once(BEGIN).ok_or_else(no_table)?;
    let (old, after) = rest.split_once(END).ok_or_else(no_table)?;
    let table = table(old, &seen);
    fs::write(&path, format!("{before}{BEGIN}{table}{END}{after}")).map_err(|e| e.to_string())
}

fn table(old: &str, seen: &BTreeMap<String, Seen>) -> String {
    let heads = COLUMNS.iter().map(|(head, _)| *head);
    let mut table = row(["service", "server"].into_iter().chain(heads));
    table += &row(std::iter::repeat_n("---", COLUMNS.len() + 2)).replace(' ', "");
    for kind in kinds::ALL {
        let begin = row([kind.service, kind.shown].into_iter());
        match seen.get(kind.name) {
            Some(seen) => {
                let cells = COLUMNS.iter().map(|(_, laws)| worst(laws, seen));
                table += &row([kind.service, kind.shown].into_iter().chain(cells));
            }
            // It did not run here.
            None => table.extend(
                old.lines()
                    .filter(|line| line.starts_with(begin.trim_end()))
                    .map(|l| format!("{l}\n")),
            ),
        }
    }
    table
}

/// The worst of what was seen of several laws; a dash if nothing was tested.
fn worst(laws: &[&str], seen: &Seen) -> &'static str {
    let mut worst = "-";
    for law in laws {
        worst = match (worst, seen.get(*law).map(String::as_str)) {
            ("no", _) | (_, Some("no")) => "no",
            ("not always", _) | (_, Some("not always")) => "not always",
            (_, Some("yes")) => "yes",
            (worst, _) => worst,
        };
    }
    worst
}

fn row<'a>(cells: impl Iterator<Item = &'a str>) -> String {
    let cells: Vec<&str> = cells.collect();
    format!("| {} |\n", cells.join(" | "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_made_anew_or_kept() {
        let law = |law: &str, what: &str| (law.to_owned(), what.to_owned());
        let moto = [law("law_1_whole", "not always"), law("law_4_one_creator_wins", "yes")];
        let seen = BTreeMap::from([("moto".to_owned(), BTreeMap::from(moto))]);
        let first = table("", &seen);
        let lines: Vec<&str> = first.lines().collect();
        assert_eq!(lines.len(), 3, "{first}");
        assert!(lines[1].starts_with("|---|---|"), "{first}");
        assert!(lines[2].ends_with("| not always | yes | - | - | - | - | - | - |"), "{first}");
        assert_eq!(table(&first, &BTreeMap::new()), first);
    }

    #[test]
    fn the_worst_counts() {
        let of = |what: &[(&str, &str)]| {
            let seen = what.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
            worst(&["a", "b"], &seen)
        };
        assert_eq!(of(&[("a", "yes"), ("b", "no")]), "no");
        assert_eq!(of(&[("a", "not always"), ("b", "yes")]), "not always");
        assert_eq!(of(&[("a", "yes"), ("b", "yes")]), "yes");
        assert_eq!(of(&[]), "-");
    }
}
