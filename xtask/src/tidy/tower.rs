//! The tower: which crate may need which. A new arrow needs a page in `docs/src/decisions`.

use super::Findings;
use crate::metadata;

/// The arrows of the architecture page, all of them downwards.
const ARROWS: [(&str, &[&str]); 20] = [
    ("kv-core", &[]),
    ("kv-mem", &["kv-core"]),
    ("kv-fs", &["kv-core"]),
    ("kv-sqlite", &["kv-core"]),
    ("vault", &["kv-core"]),
    ("backup", &["kv-core", "vault"]),
    ("cloud", &["kv-core", "backup"]),
    ("records", &["kv-core"]),
    ("kv-bdk", &["kv-core"]),
    (
        "wallet-persistence",
        &["kv-core", "kv-mem", "kv-fs", "kv-sqlite", "vault", "backup", "cloud", "records"],
    ),
    ("kv-ldk", &["kv-core", "backup"]),
    ("strongroom", &["wallet-persistence"]),
    ("bench-report", &["kv-core"]),
    ("kv-bench", &["kv-core", "kv-fs", "kv-sqlite", "vault", "backup", "bench-report"]),
    (
        "backup-bench",
        &[
            "kv-core",
            "kv-mem",
            "kv-fs",
            "vault",
            "backup",
            "cloud",
            "wallet-persistence",
            "bench-report",
        ],
    ),
    ("cloud-bench", &["kv-core", "vault", "cloud", "wallet-persistence", "bench-report"]),
    (
        "records-bench",
        &[
            "kv-core",
            "kv-fs",
            "kv-sqlite",
            "vault",
            "backup",
            "records",
            "wallet-persistence",
            "bench-report",
        ],
    ),
    (
        "ldk-bench",
        &["kv-core", "kv-fs", "backup", "cloud", "wallet-persistence", "kv-ldk", "bench-report"],
    ),
    ("kv-fs-compat", &[]),
    ("xtask", &[]),
];

pub(super) fn check(findings: &mut Findings) -> Result<(), String> {
    for package in metadata::packages()? {
        let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == package.name) else {
            findings.error(&package.name, "is a crate that the tower does not have yet");
            continue;
        };
        for needed in package.needs.iter().filter(|n| !allowed.contains(&n.as_str())) {
            findings.error(&package.name, format_args!("must not need {needed}"));
        }
    }
    Ok(())
}
