//! `tidy`: the lints of our own that no other tool knows.

mod book;
mod files;
mod golden;
mod hosts;
mod layout;
mod promises;
mod rust;
mod tower;

/// What the lints have to say.
#[derive(Debug, Default)]
struct Findings {
    /// Must be mended.
    errors: Vec<String>,
    /// Deserve a second look.
    notes: Vec<String>,
}

impl Findings {
    fn error(&mut self, place: impl std::fmt::Display, what: impl std::fmt::Display) {
        self.errors.push(format!("{place}: {what}"));
    }

    fn note(&mut self, place: impl std::fmt::Display, what: impl std::fmt::Display) {
        self.notes.push(format!("{place}: {what}"));
    }
}

pub(crate) use self::golden::freeze;

/// Runs all lints and prints what they found.
pub(crate) fn run() -> Result<(), String> {
    let files = files::all()?;
    let mut findings = Findings::default();
    for lint in [layout::check, rust::check, hosts::check, book::check, promises::check] {
        lint(&files, &mut findings);
    }
    tower::check(&mut findings)?;
    golden::check(&mut findings)?;
    for note in &findings.notes {
        println!("note: {note}");
    }
    for error in &findings.errors {
        println!("error: {error}");
    }
    match findings.errors.len() {
        0 => Ok(()),
        n => Err(format!("tidy found {n} {}", if n == 1 { "thing" } else { "things" })),
    }
}

/// Runs one lint over made-up files.
#[cfg(test)]
fn errors(lint: fn(&[files::File], &mut Findings), files: &[(&str, &str)]) -> Vec<String> {
    let files: Vec<files::File> = files
        .iter()
        .map(|(path, text)| files::File { path: (*path).to_owned(), text: (*text).to_owned() })
        .collect();
    let mut findings = Findings::default();
    lint(&files, &mut findings);
    findings.errors
}
