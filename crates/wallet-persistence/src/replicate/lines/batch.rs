//! What goes up together, and what is to be done once it counts.

use backup::{BackupState, Head, ObjectRef, Sealed};

/// What goes up together: the objects, then the head.
#[derive(Debug)]
pub(in crate::replicate) struct Batch {
    pub(in crate::replicate) objects: Vec<Sealed>,
    pub(in crate::replicate) head: Sealed,
    /// The same head: which it is, and its time.
    pub(in crate::replicate) at: (ObjectRef, u64),
}

/// A dump that goes with the next head, and the clouds that have it.
#[derive(Debug, Clone)]
pub(in crate::replicate) struct NewDump {
    pub(in crate::replicate) holders: Vec<usize>,
    /// The chain begins with it: nothing that was put before it is needed.
    pub(in crate::replicate) is_beginning: bool,
}

/// What is to be said and done once it counts.
#[derive(Debug, Clone)]
pub(in crate::replicate) struct Sent {
    /// The state to acknowledge.
    pub(in crate::replicate) state: BackupState,
    pub(in crate::replicate) head: Head,
    pub(in crate::replicate) counts: Counts,
}

/// What went up.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::replicate) struct Counts {
    /// Changed keys.
    pub(in crate::replicate) changes: usize,
    /// Objects and their bytes, those of a dump included.
    pub(in crate::replicate) objects: u64,
    pub(in crate::replicate) bytes: u64,
    /// Live entries of a new dump.
    pub(in crate::replicate) dumped: Option<u64>,
    /// Whether it has single-writer data.
    pub(in crate::replicate) single_writer: bool,
}

impl Batch {
    pub(super) fn bytes(&self) -> u64 {
        self.objects.iter().chain([&self.head]).map(|object| object.bytes().len() as u64).sum()
    }
}

impl Sent {
    /// The same, with what came before it.
    pub(super) fn after(self, before: &Self) -> Self {
        let mut counts = before.counts;
        counts.add(&self.counts);
        Self { counts, ..self }
    }
}

impl Counts {
    /// Takes in what came later.
    pub(in crate::replicate) fn add(&mut self, later: &Self) {
        self.changes += later.changes;
        self.objects += later.objects;
        self.bytes += later.bytes;
        self.dumped = later.dumped.or(self.dumped);
        self.single_writer |= later.single_writer;
    }
}
