//! What a store can do beyond the contract: each ability is its own small trait.

use crate::{Batch, Commit, Key, Namespace, Result};

/// The abilities of a store; decorators forward or wrap them.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct Capabilities<'a> {
    /// Lists keys by creation, newest first.
    pub creation_order: Option<&'a dyn CreationOrder>,
    /// Reads everything and reports damage.
    pub verify: Option<&'a dyn Verify>,
    /// Tells how much room the store takes.
    pub footprint: Option<&'a dyn Footprint>,
    /// Does a part of the work of a submit beforehand.
    pub prepare: Option<&'a dyn Prepare>,
    /// Reads several keys with less work than one after the other.
    pub read_many: Option<&'a dyn ReadMany>,
    /// Commits that wait for a cloud; `None` if none does.
    pub replication: Option<&'a dyn Replication>,
    /// Whether other devices change what is here, key by key: nothing that must never fork.
    pub merges: bool,
}

/// The part of the work of a submit that does not depend on the batch's place in the order, such
/// as encryption. A decorator calls it before it takes its ordering lock, so that others need not
/// wait for that work.
pub trait Prepare: std::fmt::Debug {
    /// The same batch. It may still be changed; what was changed is done at the submit.
    fn prepare(&self, batch: Batch) -> Batch;
}

/// Reads of several keys of one namespace: what they share is done once, and the values are shown where
/// they lie, so that nothing is copied or counted for a look at them.
pub trait ReadMany: std::fmt::Debug {
    /// Shows the values under the first of these keys, at least one and until they have `enough`
    /// bytes in all; how many keys those are. Each is what [`KvStore::read`](crate::KvStore::read)
    /// would answer at some moment of the call. The error of one, or of `show`, is that of the call.
    ///
    /// `show` gets each of those keys once, by its place in `keys`, in any order. It must not call
    /// the store, which may hold a lock meanwhile.
    fn read_many(
        &self,
        ns: &Namespace,
        keys: &[Key],
        enough: usize,
        show: &mut Show<'_>,
    ) -> Result<usize>;

    /// A number for each of these keys; they ascend as the values lie. Who reads very many reads them
    /// fastest in this order, whatever order they were listed in. What is absent has any number.
    fn places(&self, ns: &Namespace, keys: &[Key]) -> Result<Vec<u64>>;
}

/// What [`ReadMany`] shows the values to.
pub type Show<'a> = dyn FnMut(usize, Option<&[u8]>) -> Result<()> + 'a;

/// Commits that wait for a cloud.
pub trait Replication: std::fmt::Debug {
    /// Whether a synced commit of this namespace resolves only when the cloud has it.
    fn waits(&self, ns: &Namespace) -> bool;

    /// What is durable on this device and the cloud has not acknowledged; `None` if it has everything.
    fn lag(&self) -> Option<Lag>;

    /// Resolves when the cloud has acknowledged everything that was submitted before this call, also
    /// before the store was opened.
    fn caught_up(&self) -> Commit;

    /// Resolves when everything that was submitted before this call is durable on this device: a flush
    /// that waits for no cloud.
    fn durable_here(&self) -> Commit;
}

/// What is not yet in the cloud.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lag {
    /// Changed keys. One that changes again while it is on its way up counts twice.
    pub records: u64,
    /// Bytes of their values. A value that was written over before the store was last opened
    /// counts with the length it had when it first changed.
    pub bytes: u64,
    /// When the oldest change was made, in milliseconds since the Unix epoch.
    pub oldest: Option<u64>,
    /// There were so many changes that they are only counted, each one: the next backup is a dump.
    pub dump_needed: bool,
}

/// Keys in the order of their creation. Overwriting a key keeps its place; removing it and writing
/// it again gives it a new one.
pub trait CreationOrder: std::fmt::Debug {
    /// Up to `limit` keys, newest first, after `cursor` (`None`: from the newest).
    fn list_newest_first(
        &self,
        ns: &Namespace,
        cursor: Option<&Cursor>,
        limit: usize,
    ) -> Result<CreationPage>;
}

/// One page of keys, newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CreationPage {
    /// The keys of this page.
    pub keys: Vec<Key>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<Cursor>,
}

/// An opaque place in a creation order; it stays valid while keys come and go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor(u64);

impl Cursor {
    /// For stores: the creation sequence of the last key of a page.
    pub fn from_sequence(sequence: u64) -> Self {
        Self(sequence)
    }

    /// For stores: the creation sequence of the last key of the page before.
    pub fn sequence(&self) -> u64 {
        self.0
    }
}

/// A scrub: reads every live byte and compares it with its checksum or seal.
pub trait Verify: std::fmt::Debug {
    /// Checks everything; `progress` is called now and then. Damage is a finding, not an error;
    /// an error means that the scrub itself could not go on.
    fn verify(&self, progress: &mut dyn FnMut(Progress)) -> Result<Report>;
}

/// How far a scrub has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Entries done.
    pub done: u64,
    /// Entries in all, as far as known.
    pub total: u64,
}

/// What a scrub found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// How many entries were read.
    pub entries: u64,
    /// How many bytes were read.
    pub bytes: u64,
    /// What is not as it should be, also what was noticed (and healed or cut) at open.
    pub findings: Vec<Finding>,
}

/// One thing that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// Which layer found it, a short name such as "fs".
    pub store: &'static str,
    /// What it is and where, in one line; no values, no true names.
    pub what: String,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing, nothing is lost: a torn tail was cut, an orphan swept.
    Notice,
    /// One of two copies was damaged and has been replaced by the other.
    Healed,
    /// Data is lost or cannot be trusted: restore.
    Damage,
}

/// The room a store takes.
pub trait Footprint: std::fmt::Debug {
    /// Measures now; may read directories.
    fn footprint(&self) -> Result<Size>;
}

/// How much room a store takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Size {
    /// Live keys.
    pub keys: u64,
    /// Bytes of live values.
    pub value_bytes: u64,
    /// Bytes on disk, everything included.
    pub disk_bytes: u64,
    /// Bytes of memory held for values and tables, estimated.
    pub memory_bytes: u64,
}

impl Report {
    /// Adds a finding.
    pub fn push(&mut self, severity: Severity, store: &'static str, what: impl Into<String>) {
        self.findings.push(Finding { severity, store, what: what.into() });
    }

    /// Whether anything is damaged beyond healing.
    pub fn is_damaged(&self) -> bool {
        self.findings.iter().any(|f| f.severity == Severity::Damage)
    }
}
