//! What a run of schedules did, so that one can see that it did something.

use std::{fmt, ops::AddAssign};

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) schedules: u64,
    /// Acknowledged changes.
    pub(crate) changes: u64,
    pub(crate) backups: u64,
    /// Backups whose single-writer data the fence has passed, and those that it stopped.
    pub(crate) fenced: u64,
    pub(crate) stopped: u64,
    pub(crate) takeovers: u64,
    /// Dumps that were asked for.
    pub(crate) dumps: u64,
    /// Commits that waited for the clouds and resolved.
    pub(crate) replicated: u64,
    /// Restores of an older moment.
    pub(crate) older: u64,
    pub(crate) polls: u64,
    /// Keys that polls brought from the other device.
    pub(crate) merged: u64,
    pub(crate) restores: u64,
    /// Restores on the side, of what is truly in one cloud.
    pub(crate) probes: u64,
    pub(crate) crashes: u64,
    /// Devices lost.
    pub(crate) losses: u64,
    /// Calls that the clouds failed or lied about.
    pub(crate) deeds: u64,
    /// Backups, polls and restores that were refused, and scrubs that reported something.
    pub(crate) refusals: u64,
    /// Schedules in which a device stayed away for too long to be merged.
    pub(crate) retired: u64,
    /// With three devices: those that were equal at the end, and ...
    pub(crate) equal: u64,
    /// ... things of which the rule said what must be there.
    pub(crate) decided: u64,
    /// Changes of one moment on two devices, of which the writer decides.
    pub(crate) ties: u64,
    /// Records that were refused a nickname that another one has.
    pub(crate) not_unique: u64,
    /// Devices put aside or switched off, and those that were suspended in the middle of something.
    pub(crate) aside: u64,
    pub(crate) cut_short: u64,
    /// Objects searched for plaintext.
    pub(crate) objects: u64,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.schedules += other.schedules;
        self.changes += other.changes;
        self.backups += other.backups;
        self.fenced += other.fenced;
        self.stopped += other.stopped;
        self.takeovers += other.takeovers;
        self.dumps += other.dumps;
        self.replicated += other.replicated;
        self.older += other.older;
        self.merged += other.merged;
        self.polls += other.polls;
        self.restores += other.restores;
        self.probes += other.probes;
        self.crashes += other.crashes;
        self.losses += other.losses;
        self.deeds += other.deeds;
        self.refusals += other.refusals;
        self.retired += other.retired;
        self.equal += other.equal;
        self.decided += other.decided;
        self.ties += other.ties;
        self.not_unique += other.not_unique;
        self.aside += other.aside;
        self.cut_short += other.cut_short;
        self.objects += other.objects;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} schedules: {} changes acknowledged, {} of them by the clouds, {} backups ({} fenced, {} stopped), {} takeovers, {} dumps, {} older moments restored, {} polls, {} keys merged, {} restores, {} on the side, {} crashes, \
             {} devices lost, {} lies and faults, {} refusals and reports, {} with a device retired, {} objects searched",
            self.schedules,
            self.changes,
            self.replicated,
            self.backups,
            self.fenced,
            self.stopped,
            self.takeovers,
            self.dumps,
            self.older,
            self.polls,
            self.merged,
            self.restores,
            self.probes,
            self.crashes,
            self.losses,
            self.deeds,
            self.refusals,
            self.retired,
            self.objects
        )?;
        if self.equal == 0 {
            return Ok(());
        }
        write!(
            f,
            "; {} devices equal at the end, {} things decided by the rule, {} ties, {} nicknames refused, {} times a device was put aside, {} in the middle of something",
            self.equal, self.decided, self.ties, self.not_unique, self.aside, self.cut_short
        )
    }
}
