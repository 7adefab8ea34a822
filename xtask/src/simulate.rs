//! `simulate`: more schedules of two or three devices and two clouds than the tests run, or one of
//! them again.

use crate::run::Step;

const SCHEDULES: &str = "--schedules";
const SEED: &str = "--seed";

/// What is worth running before a release.
const MANY: u64 = 20_000;

/// What each simulation is called here, and its test.
const SIMULATIONS: [(&str, &str); 2] = [
    ("two", "schedules_of_two_devices_and_two_clouds"),
    ("three", "schedules_of_three_devices_and_two_clouds"),
];

/// Reads `[two|three] [--schedules N] [--seed S]`: two or three devices, or first the one and then the
/// other. With a seed alone that one schedule is run and told.
pub(crate) fn run(args: &[&str]) -> Result<(), String> {
    let named = |name: &&str| SIMULATIONS.iter().find(|(known, _)| known == name);
    let (which, options) = match args.split_first() {
        Some((first, rest)) if named(first).is_some() => (named(first), rest),
        _ => (None, args),
    };
    let (schedules, seed) = parse(options)?;
    for (_, test) in SIMULATIONS.iter().filter(|known| which.is_none_or(|which| which == *known)) {
        // With debug assertions: they are part of what is tested.
        let args = ["test", "-p", "wallet-persistence", "--test", "simulate", "--"];
        Step::cargo(&[&args[..], &["--exact", test, "--nocapture"]].concat())
            .env("STRONGROOM_SIMULATE_SCHEDULES", &schedules.to_string())
            .env("STRONGROOM_SIMULATE_SEED", &seed.to_string())
            .run()?;
    }
    Ok(())
}

fn parse(args: &[&str]) -> Result<(u64, u64), String> {
    let (schedules, seed) = match args {
        [] => (None, None),
        [SCHEDULES, schedules] => (Some(schedules), None),
        [SEED, seed] => (None, Some(seed)),
        [SCHEDULES, schedules, SEED, seed] | [SEED, seed, SCHEDULES, schedules] => {
            (Some(schedules), Some(seed))
        }
        _ => return Err(format!("simulate takes [two|three] [{SCHEDULES} N] [{SEED} S]")),
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
