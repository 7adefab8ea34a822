//! One look at a session.

use std::collections::BTreeMap;

use backup::{Gate, Lag};
use records::Skipped;
use serde::Serialize;

use crate::{Finding, VerifiedRestore};

/// What a wallet holds and what is not yet in the cloud. Cheap and exact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Status {
    /// This installation's random id.
    pub writer: String,
    /// How many accounts.
    pub accounts: usize,
    /// How many EVM transactions.
    pub transactions: usize,
    /// How many records each open object store has, by its name; those of an application once it
    /// has asked for them.
    pub records: BTreeMap<&'static str, usize>,
    /// Of the open object stores what is stored and cannot be used.
    pub unusable: Unusable,
    /// The addresses of the clouds that are set.
    pub clouds: Vec<String>,
    /// The number of the newest change.
    pub sequence: u64,
    /// Every change up to this number is in the cloud.
    pub backed_up: u64,
    /// Changes not yet in the cloud.
    pub lag_records: u64,
    /// Bytes of their values.
    pub lag_bytes: u64,
    /// The age of the oldest of them in milliseconds; `None`: everything is in the cloud.
    pub lag_age_ms: Option<u64>,
    /// When the last backup ended, in milliseconds since the Unix epoch.
    pub last_backup: Option<u64>,
    /// The last restore that came out whole, as far as this device knows: when it was restored
    /// itself, or by [`crate::Session::verify`] with the clouds.
    pub last_verified: Option<VerifiedRestore>,
    /// Whether this device was unseen for so long that the others no longer count it, as far as it
    /// knows: see [`crate::Session::rejoin`].
    pub retired: bool,
    /// The clouds lag so far that changes are only counted: the next backup is a dump.
    pub dump_needed: bool,
    /// How many commits wait for the clouds.
    pub waiting: u64,
    /// Why the last backup failed; `None` if it did not. The other clouds may have it: see
    /// [`Status::replicas`].
    pub failing: Option<String>,
    /// How it is with each cloud, in their order.
    pub replicas: Vec<CloudStatus>,
    /// Whether data that has a single writer is taken here: `open`, `take-over-first`, `fenced`,
    /// `copied` or `handed-over`.
    pub single_writer: &'static str,
    /// The fencing epoch this device holds, or held last; 0: none yet.
    pub epoch: u32,
    /// The last change up to which single-writer data is acknowledged in the clouds.
    pub fenced_to: Option<u64>,
    /// Of the clouds that cannot keep a second writer out, what they do not honour; as far as it was
    /// tried out.
    pub cannot_fence: Vec<String>,
    /// What is suspicious, oldest first.
    pub findings: Vec<Finding>,
    /// How far the newest change known here, of whichever device, lies in the future of this device's
    /// clock, in milliseconds: the clock of one of them is wrong. `None`: by less than an hour.
    pub clock_ahead_ms: Option<u64>,
}

/// Records that no listing shows. They stay as they are, and are merged and backed up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Unusable {
    /// Written by a newer version: upgrade this program.
    pub too_new: u64,
    /// Damaged: [`crate::Session::verify`] names them. Write them again, or restore.
    pub damaged: u64,
}

/// How far one cloud is, as far as this device knows without asking it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CloudStatus {
    /// Its address, or `cloud 1` for the first one given as a component.
    pub name: String,
    /// The last change of this device that it has acknowledged; `None`: none.
    pub has: Option<u64>,
    /// Something that was sealed is not there yet.
    pub is_behind: bool,
    /// What it lacks is no longer kept on this device: it is copied from another cloud.
    pub copies: bool,
    /// Sealed bytes that are kept for it.
    pub kept_bytes: u64,
    /// It takes far longer than another one, and nobody waits for it.
    pub is_slow: bool,
    /// How often it has failed in a row.
    pub tries: u32,
    /// Why it failed last.
    pub failing: Option<String>,
}

impl Unusable {
    pub(crate) fn count<'a>(all: impl Iterator<Item = &'a Skipped>) -> Self {
        let mut count = Self::default();
        for record in all {
            match record.is_too_new() {
                true => count.too_new += 1,
                false => count.damaged += 1,
            }
        }
        count
    }
}

impl Status {
    /// What the user has not taken note of.
    pub fn open_findings(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| !finding.acknowledged)
    }

    pub(crate) fn gate_name(gate: &Gate) -> &'static str {
        match gate {
            Gate::Open => "open",
            Gate::TakeOverFirst => "take-over-first",
            Gate::Fenced { .. } => "fenced",
            Gate::Copied => "copied",
            Gate::HandedOver => "handed-over",
        }
    }

    pub(crate) fn set_lag(&mut self, lag: Lag, now: u64) {
        self.lag_records = lag.records;
        self.lag_bytes = lag.bytes;
        self.dump_needed = lag.dump_needed;
        self.lag_age_ms = lag.oldest.map(|oldest| now.saturating_sub(oldest));
    }
}
