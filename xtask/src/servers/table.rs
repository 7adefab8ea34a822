//! The table of the book that says what the suite saw of each cloud.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use super::rows::{self, Row};
use crate::run::root;

/// The page, and what stands around the table on it.
const PAGE: &str = "docs/src/clouds/README.md";
const BEGIN: &str = "<!-- seen: made by cargo xtask test-all -->\n";
const END: &str = "<!-- end of seen -->\n";

/// Where the suite notes what it sees.
const SEEN: &str = "target/servers/seen";

/// What a column says, and the laws it stands for.
const COLUMNS: [(&str, &[&str]); 8] = [
    ("whole while it is replaced", &["law_1_whole"]),
    ("creates once", &["law_4_one_creator_wins"]),
    (
        "replaces only if unchanged",
        &["law_5_one_replacer_wins", "law_5_a_refused_put_changes_nothing"],
    ),
    ("taken for a fence", &["it_passes_the_probe"]),
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

/// What was seen of one cloud, by law.
type Seen = BTreeMap<String, String>;

/// An empty file in which the suite notes what it sees.
pub(super) fn begin() -> Result<PathBuf, String> {
    let path = std::path::absolute(root().join(SEEN)).map_err(|e| e.to_string())?;
    let failed = |e: io::Error| format!("{}: {e}", path.display());
    path.parent().map_or(Ok(()), fs::create_dir_all).map_err(failed)?;
    fs::write(&path, "").map_err(failed)?;
    Ok(path)
}

/// Writes the rows of the clouds that were seen; the others stay as they are. Some must have been.
pub(super) fn write(seen: &Path, must: &[&str]) -> Result<(), String> {
    let read =
        |path: &Path| fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()));
    let seen = parse(&read(seen)?)?;
    if let Some(cloud) = must.iter().find(|cloud| !seen.contains_key(**cloud)) {
        return Err(format!("no test has noted what it saw of {cloud}"));
    }
    let path = root().join(PAGE);
    let page = read(&path)?;
    let no_table = || format!("{PAGE} has no place for the table");
    let (before, rest) = page.split_once(BEGIN).ok_or_else(no_table)?;
    let (old, after) = rest.split_once(END).ok_or_else(no_table)?;
    let table = table(old, &seen);
    if table != old {
        println!("{PAGE}: the table was not what the tests saw, and is now");
    }
    fs::write(&path, format!("{before}{BEGIN}{table}{END}{after}")).map_err(|e| e.to_string())
}

/// Reads what the suite has noted: on each line a cloud, a law, and what became of it.
fn parse(text: &str) -> Result<BTreeMap<String, Seen>, String> {
    let mut seen: BTreeMap<String, Seen> = BTreeMap::new();
    for line in text.lines() {
        let words: Vec<&str> = line.splitn(3, ' ').collect();
        let [cloud, law, what] = words[..] else { return Err(format!("noted is `{line}`")) };
        seen.entry(cloud.to_owned()).or_default().insert(law.to_owned(), what.to_owned());
    }
    Ok(seen)
}

fn table(old: &str, seen: &BTreeMap<String, Seen>) -> String {
    let heads = COLUMNS.iter().map(|(head, _)| *head);
    let mut table = row(["service", "tested against"].into_iter().chain(heads));
    let width = COLUMNS.len() + 2;
    table += &row(std::iter::repeat_n("---", width)).replace(' ', "");
    for Row { name, service, against } in rows::all() {
        let begin = row([service, against].into_iter());
        // One with other columns is about something else.
        let is_kept = |line: &&str| {
            line.starts_with(begin.trim_end()) && line.matches('|').count() == width + 1
        };
        match seen.get(name) {
            Some(seen) => {
                let cells = COLUMNS.iter().map(|(_, laws)| worst(laws, seen));
                table += &row([service, against].into_iter().chain(cells));
            }
            // It did not run here.
            None => table.extend(old.lines().filter(is_kept).map(|line| format!("{line}\n"))),
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
    use std::collections::BTreeSet;

    use super::{super::rows::WITHOUT, *};

    #[test]
    fn rows_are_made_anew_or_kept() {
        let seen = parse("moto law_1_whole not always\nmoto law_4_one_creator_wins yes\n").unwrap();
        let first = table("", &seen);
        let lines: Vec<&str> = first.lines().collect();
        assert_eq!(lines.len(), 3, "{first}");
        assert!(lines[1].starts_with("|---|---|"), "{first}");
        assert!(lines[2].ends_with("| not always | yes | - | - | - | - | - | - |"), "{first}");
        assert_eq!(table(&first, &BTreeMap::new()), first);
    }

    #[test]
    fn a_row_is_of_the_cloud_that_was_seen() {
        let [of_node, of_fake] =
            [WITHOUT[2], WITHOUT[3]].map(|row| format!("{} x yes\n", row.name));
        let old = table("", &parse(&(of_node + &of_fake)).unwrap());
        let [node, fake] = [2, 3].map(|n| old.lines().nth(n).unwrap());
        assert!(node.starts_with("| Ceramic | js-ceramic") && !node.contains("fake"), "{node}");
        assert!(fake.starts_with("| Ceramic | **a fake**"), "{fake}");
        // The node is not there today, and a law of the fake's is broken.
        let broken = format!("{} law_1_whole no\n", WITHOUT[3].name);
        let new = table(&old, &parse(&broken).unwrap());
        let cells = " no | - | - | - | - | - | - | - |";
        let broken = format!("| Ceramic | {} |{cells}", WITHOUT[3].against);
        assert_eq!(new.lines().skip(2).collect::<Vec<_>>(), [node, broken.as_str()]);
    }

    #[test]
    fn a_row_of_other_columns_is_not_kept() {
        let old = format!("{}| moto |\n", row(["S3", "moto 5.2", "yes"].into_iter()));
        assert_eq!(table(&old, &BTreeMap::new()), table("", &BTreeMap::new()));
    }

    #[test]
    fn no_two_rows_are_alike() {
        let names: BTreeSet<&str> = rows::all().map(|row| row.name).collect();
        let shown: BTreeSet<_> = rows::all().map(|row| (row.service, row.against)).collect();
        assert_eq!((names.len(), shown.len()), (rows::all().count(), rows::all().count()));
    }

    #[test]
    fn what_cannot_be_read_is_told() {
        assert!(parse("moto law_1_whole\n").is_err());
        assert!(parse("").unwrap().is_empty());
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
