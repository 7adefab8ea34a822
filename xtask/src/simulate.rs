//! `simulate`: more schedules of two devices and two clouds than the tests run, or one of them again.

use crate::run::Step;

const SCHEDULES: &str = "--schedules";
const SEED: &str = "--seed";

/// What is worth running before a release.
const MANY: u64 = 20_000;

/// Reads `[--schedules N] [--seed S]`. With a seed alone that one schedule is run and told.
pub(crate) fn run(args: &[&str]) -> Result<(), String> {
    let (schedules, seed) = parse(args)?;
    let test = "schedules_of_two_devices_and_two_clouds";
    // With debug assertions: they are part of what is tested.
    let args = ["test", "-p", "wallet-persistence", "--test", "simulate", "--"];
    Step::cargo(&[&args[..], &["--exact", test, "--nocapture"]].concat())
        .env("STRONGROOM_SIMULATE_SCHEDULES", &schedules.to_string())
        .env("STRONGROOM_SIMULATE_SEED", &seed.to_string())
        .run()
}

fn parse(args: &[&str]) -> Result<(u64, u64), String> {
    let (schedules, seed) = match args {
        [] => (None, None),
        [SCHEDULES, schedules] => (Some(schedules), None),
        [SEED, seed] => (None, Some(seed)),
        [SCHEDULES, schedules, SEED, seed] | [SEED, seed, SCHEDULES, schedules] => {
            (Some(schedules), Some(seed))
        }
        _ => return Err(format!("simulate takes [{SCHEDULES} N] [{SEED} S]")),
    };
    let number = |text: &&str| text.parse().map_err(|_| format!("{text} is no whole number"));
    let default = if seed.is_some() { 1 } else { MANY };
    let schedules = schedules.map(number).transpose()?.unwrap_or(default);
    if schedules == 0 {
        return Err(format!("{SCHEDULES} takes a number above zero"));
    }
    Ok((schedules, seed.map(number).transpose()?.unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_alone_is_one_schedule() {
        assert_eq!(parse(&[]), Ok((MANY, 0)));
        assert_eq!(parse(&["--seed", "7"]), Ok((1, 7)));
        assert_eq!(parse(&["--seed", "7", "--schedules", "3"]), Ok((3, 7)));
        assert_eq!(parse(&["--schedules", "3"]), Ok((3, 0)));
        for bad in [&["--schedules", "0"][..], &["--schedules"], &["--seed", "x"], &["3"]] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }
}
