//! `crash`: goes on with random workloads and their crash states, where the tests leave off.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::run::Step;

const HOURS: &str = "--hours";
const SEED: &str = "--seed";

/// Reads `--hours N [--seed S]` and runs for so long, in release mode. N may be a fraction.
pub(crate) fn run(args: &[&str]) -> Result<(), String> {
    let (seconds, seed) = parse(args)?;
    let seed = seed.unwrap_or_else(any_seed);
    println!("seeds from {seed} on");
    let test = "crash_states_of_random_long_workloads";
    let args = ["test", "--release", "-p", "kv-fs", "--all-features", "--test", "crash_states"];
    Step::cargo(&[&args[..], &["--", "--exact", test, "--nocapture"]].concat())
        .env("STRONGROOM_CRASH_SECONDS", &seconds.to_string())
        .env("STRONGROOM_CRASH_SEED", &seed.to_string())
        .run()
}

fn parse(args: &[&str]) -> Result<(u64, Option<u64>), String> {
    let (hours, seed) = match args {
        [HOURS, hours] => (hours, None),
        [HOURS, hours, SEED, seed] | [SEED, seed, HOURS, hours] => (hours, Some(seed)),
        _ => return Err(format!("crash takes {HOURS} N [{SEED} S]")),
    };
    let seconds = hours.parse().ok().map(|hours: f64| hours * 3600.0);
    let seconds = seconds.filter(|seconds| (1.0..1e9).contains(seconds));
    let seconds = seconds.ok_or("--hours takes a number above zero")? as u64;
    let seed = seed.map(|seed| seed.parse().map_err(|_| "--seed takes a whole number"));
    Ok((seconds, seed.transpose()?))
}

/// Another beginning each time: what was tried before need not be tried again.
#[expect(clippy::disallowed_methods, reason = "any number will do")]
fn any_seed() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |time| time.as_secs() * 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_and_seeds_are_read() {
        assert_eq!(parse(&["--hours", "2"]), Ok((7200, None)));
        assert_eq!(parse(&["--seed", "7", "--hours", "0.5"]), Ok((1800, Some(7))));
        for bad in [&["--hours", "0"][..], &["--hours", "x"], &["--seed", "1"], &[]] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }
}
