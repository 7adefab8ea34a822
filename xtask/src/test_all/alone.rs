//! Each crate by itself, and each of its features by itself: people depend on single crates.

use super::report::Stop;
use crate::{
    metadata,
    run::{Step, Stream},
};

/// Checks every library and program with every way of turning on one feature.
pub(super) fn run() -> Result<(), Stop> {
    let mut failed = Vec::new();
    let left_out = [
        "xtask",
        "bench-report",
        "kv-bench",
        "backup-bench",
        "cloud-bench",
        "records-bench",
        "ldk-bench",
        "kv-fs-compat",
    ];
    for package in metadata::packages()?.iter().filter(|p| !left_out.contains(&p.name.as_str())) {
        for flags in ways(&package.features) {
            let mut args = vec!["check", "--quiet", "--package", &package.name];
            args.extend(&flags);
            let mut warned = false;
            let outcome = Step::cargo(&args).watch(Stream::Err, |line| {
                warned |= line.starts_with("warning:");
            });
            if outcome.is_err() || warned {
                failed.push(format!("{} {}", package.name, flags.join(" ")).trim_end().to_owned());
            }
        }
    }
    if failed.is_empty() {
        Ok(())
    } else {
        Err(Stop::Failed(format!("an error or a warning in {}", failed.join(", "))))
    }
}

/// The flags of each check: as a dependent gets it by default, bare, and one feature at a time.
fn ways(features: &[String]) -> Vec<Vec<&str>> {
    let mut ways = vec![vec![]];
    if features.iter().any(|f| f == "default") {
        ways.push(vec!["--no-default-features"]); // without a default feature it is the same build
    }
    for feature in features.iter().filter(|f| *f != "default") {
        ways.push(vec!["--no-default-features", "--features", feature]);
    }
    ways
}

#[cfg(test)]
mod tests {
    use super::ways;

    #[test]
    fn every_feature_is_checked_once() {
        let features = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        assert_eq!(ways(&[]), [Vec::<&str>::new()]);
        assert_eq!(
            ways(&features(&["default", "s3", "testing"])),
            [
                vec![],
                vec!["--no-default-features"],
                vec!["--no-default-features", "--features", "s3"],
                vec!["--no-default-features", "--features", "testing"],
            ]
        );
    }
}
