//! What became of each section, and the summary at the end.

use std::time::Duration;

/// Why a section did not succeed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// The check found something.
    Failed(String),
    /// The check could not be made here; why, and what to do about it.
    Skipped(String),
}

/// The sections so far.
#[derive(Debug, Default)]
pub(super) struct Report(Vec<(&'static str, Duration, Result<(), Stop>)>);

impl From<String> for Stop {
    fn from(failure: String) -> Self {
        Self::Failed(failure)
    }
}

/// Begins a section on the screen.
pub(super) fn headline(name: &str) {
    println!("\n=== {name} ===");
}

impl Report {
    pub(super) fn add(&mut self, name: &'static str, time: Duration, outcome: Result<(), Stop>) {
        match &outcome {
            Ok(()) => println!("{name}: ok, {}", seconds(time)),
            Err(Stop::Failed(why)) => println!("{name}: FAILED, {}: {why}", seconds(time)),
            Err(Stop::Skipped(why)) => println!("{name}: skipped: {why}"),
        }
        self.0.push((name, time, outcome));
    }

    /// No section failed; in CI also none was skipped.
    pub(super) fn is_good(&self, ci: bool) -> bool {
        self.0.iter().all(|(.., outcome)| match outcome {
            Ok(()) => true,
            Err(Stop::Skipped(_)) => !ci,
            Err(Stop::Failed(_)) => false,
        })
    }

    /// One line for each section.
    pub(super) fn print(&self, ci: bool) {
        headline("summary");
        for (name, time, outcome) in &self.0 {
            let time = seconds(*time);
            match outcome {
                Ok(()) => println!("{name:<18} {time:>9}  ok"),
                Err(Stop::Failed(why)) => println!("{name:<18} {time:>9}  FAILED   {why}"),
                Err(Stop::Skipped(why)) if ci => {
                    println!("{name:<18} {time:>9}  SKIPPED  {why} (a failure, as CI=true)");
                }
                Err(Stop::Skipped(why)) => println!("{name:<18} {time:>9}  skipped  {why}"),
            }
        }
        println!("{:<18} {:>9}", "all", seconds(self.0.iter().map(|(_, time, _)| *time).sum()));
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_skip_is_a_failure_in_ci_only() {
        let mut report = Report::default();
        report.add("a", Duration::ZERO, Ok(()));
        assert!(report.is_good(true));
        report.add("b", Duration::ZERO, Err(Stop::Skipped("no tool".to_owned())));
        assert!(report.is_good(false));
        assert!(!report.is_good(true));
        report.add("c", Duration::ZERO, Err(Stop::Failed("broken".to_owned())));
        assert!(!report.is_good(false));
    }
}
