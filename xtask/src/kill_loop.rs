//! `kill-loop`: the long form of the test that kills the program during an import.

use crate::run::Step;

/// How many rounds a release is worth.
pub(crate) const ROUNDS: &str = "200";

/// Builds the program as it is released and runs so many rounds.
pub(crate) fn run(rounds: &str) -> Result<(), String> {
    if !rounds.parse::<u64>().is_ok_and(|rounds| rounds > 0) {
        return Err("--rounds takes a number above zero".to_owned());
    }
    let test = "kill_nine_loses_nothing_that_was_acknowledged";
    let args = ["test", "--release", "-p", "strongroom", "--test", "suite", "--"];
    Step::cargo(&[&args[..], &[test, "--nocapture"]].concat())
        .env("STRONGROOM_KILL_ROUNDS", rounds)
        .run()
}
