//! `money`: more lives of a Lightning node with its wallet in a cloud than the tests run, or one of
//! them again.

use crate::run::Step;

const RUNS: &str = "--runs";
const PAYMENTS: &str = "--payments";
const SEED: &str = "--seed";

/// What is worth running before a release.
const MANY_RUNS: u64 = 500;
const MANY_PAYMENTS: u64 = 100;

/// Reads `[--runs N] [--payments N] [--seed S]`. With a seed alone that one life is lived and told.
pub(crate) fn run(args: &[&str]) -> Result<(), String> {
    let Wanted { runs, payments, seed } = parse(args)?;
    let test = "no_revoked_state_is_ever_the_newest_restored_one";
    // With debug assertions: LDK's are part of what is tested.
    let args = ["test", "-p", "kv-ldk", "--all-features", "--test", "money", "--"];
    Step::cargo(&[&args[..], &["--exact", test, "--nocapture"]].concat())
        .env("STRONGROOM_MONEY_RUNS", &runs.to_string())
        .env("STRONGROOM_MONEY_PAYMENTS", &payments.to_string())
        .env("STRONGROOM_MONEY_SEED", &seed.to_string())
        .run()
}

#[derive(Debug, PartialEq, Eq)]
struct Wanted {
    runs: u64,
    payments: u64,
    seed: u64,
}

fn parse(args: &[&str]) -> Result<Wanted, String> {
    let (mut runs, mut payments, mut seed) = (None, None, None);
    for pair in args.chunks(2) {
        let [name, value] = pair else { return Err(usage()) };
        let place = match *name {
            RUNS => &mut runs,
            PAYMENTS => &mut payments,
            SEED => &mut seed,
            _ => return Err(usage()),
        };
        let number = value.parse().map_err(|_| format!("{value} is no whole number"))?;
        *place = Some(number);
    }
    let wanted = Wanted {
        runs: runs.unwrap_or(if seed.is_some() { 1 } else { MANY_RUNS }),
        payments: payments.unwrap_or(MANY_PAYMENTS),
        seed: seed.unwrap_or(0),
    };
    if wanted.runs == 0 || wanted.payments == 0 {
        return Err(format!("{RUNS} and {PAYMENTS} take a number above zero"));
    }
    Ok(wanted)
}

fn usage() -> String {
    format!("money takes [{RUNS} N] [{PAYMENTS} N] [{SEED} S]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_alone_is_one_life() {
        let wanted = |runs, payments, seed| Ok(Wanted { runs, payments, seed });
        assert_eq!(parse(&[]), wanted(MANY_RUNS, MANY_PAYMENTS, 0));
        assert_eq!(parse(&["--seed", "7"]), wanted(1, MANY_PAYMENTS, 7));
        assert_eq!(parse(&["--payments", "3", "--runs", "2"]), wanted(2, 3, 0));
        for bad in [&["--runs", "0"][..], &["--runs"], &["--seed", "x"], &["3", "4"]] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }
}
