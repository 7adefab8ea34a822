//! What is suspicious, as a caller sees it.

use backup::Suspicion;
use serde::Serialize;

/// Something a cloud or another device did that an honest one does not do. It stays until it is
/// resolved, or until [`crate::Session::acknowledge_findings`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// In which cloud.
    pub cloud: String,
    /// What, in one word: `rolled-back`, `forked`, `withheld-tail`, `frozen`, `gap`, `copied`,
    /// `stale-writer`, `fence-rolled-back` or `concurrent-writers`.
    pub kind: &'static str,
    /// What exactly, and what to do, as a sentence.
    pub what: String,
    /// When it was first noticed, in milliseconds since the Unix epoch.
    pub since: u64,
    /// When it was last seen to be so.
    pub last: u64,
    /// Whether the user has taken note.
    pub acknowledged: bool,
}

impl From<backup::Finding> for Finding {
    fn from(found: backup::Finding) -> Self {
        let (kind, what) = describe(&found.what);
        let (cloud, since, last) = (found.cloud, found.since, found.last);
        Self { cloud, kind, what, since, last, acknowledged: found.acknowledged }
    }
}

fn describe(what: &Suspicion) -> (&'static str, String) {
    let nothing = "nothing";
    let up_to = |has: &Option<u64>| has.map_or(nothing.to_owned(), |to| format!("change {to}"));
    match what {
        Suspicion::RolledBack { writer, had, has } => (
            "rolled-back",
            format!(
                "had backups of device {writer} up to change {had} and now shows {}: do not \
                 restore from it, use another cloud",
                up_to(has)
            ),
        ),
        Suspicion::Forked { writer, at } => (
            "forked",
            format!(
                "device {writer} has two histories that part before change {at}: a copy of its \
                 folder writes too, or the cloud shows different things to different devices"
            ),
        ),
        Suspicion::WithheldTail { writer, elsewhere, has } => (
            "withheld-tail",
            format!(
                "shows {} of device {writer}, while another cloud has change {elsewhere}: restore \
                 from the other one",
                up_to(has)
            ),
        ),
        Suspicion::Frozen { writer, newest } => (
            "frozen",
            format!(
                "has no new backup of device {writer} since {newest} ms after 1970: the device is \
                 switched off, or the cloud serves an old state"
            ),
        ),
        Suspicion::Gap { writer, head } => (
            "gap",
            format!("lacks an object that the backup of device {writer} at change {head} needs"),
        ),
        Suspicion::Copied { found } => (
            "copied",
            format!(
                "another copy of this wallet's folder has put a backup at change {found}: use one \
                 of the two only"
            ),
        ),
        Suspicion::StaleWriter { writer, counts, has } => (
            "stale-writer",
            format!(
                "device {writer} was replaced and goes on writing data that has a single writer: \
                 its changes after {counts}, up to {has}, do not count; stop it"
            ),
        ),
        Suspicion::FenceRolledBack { had, has } => (
            "fence-rolled-back",
            format!(
                "had the fence in epoch {} at change {} and now shows {}: it serves an old state",
                had.epoch,
                had.sequence,
                has.map_or(nothing.to_owned(), |has| format!(
                    "epoch {} at change {}",
                    has.epoch, has.sequence
                ))
            ),
        ),
        Suspicion::ConcurrentWriters { writer } => (
            "concurrent-writers",
            format!(
                "does not compare and swap, and device {writer} writes data that has a single \
                 writer at the same time: stop one of the two"
            ),
        ),
        _ => ("other", "something that this version cannot name".to_owned()),
    }
}
