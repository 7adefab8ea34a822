//! Submitting: the frame of mergeable values, the note of what changes, and the order of both.

use kv_core::{Batch, Change, Commit, Error, InvalidName, Key, KvStore, Value};

use super::{
    Order, Place, Recorder, STORE, Watch,
    memory::{Held, Name},
};
use crate::{
    EntryName, Rule, Stamp, frame,
    log::{self, Note, Noted},
    tombstones::Removals,
};

/// A batch as it goes to the store below, without the bookkeeping, and what it changes.
#[derive(Debug, Default)]
pub(super) struct Recorded {
    pub(super) batch: Batch,
    changes: Vec<Recording>,
    removals: Removals,
    /// Whether it has mergeable keys: their stamps must be known after a crash.
    mergeable: bool,
}

/// One change that is backed up.
#[derive(Debug)]
struct Recording {
    name: Name,
    noted: Noted,
    held: Held,
}

impl Recorder {
    /// Submits a batch; also its place, unless it was refused or is never backed up.
    ///
    /// With a watch it is refused with [`Error::Precondition`] if anything was written into its
    /// namespaces since that began.
    pub(crate) fn submit_recorded(
        &self,
        batch: Batch,
        watch: Option<&Watch<'_>>,
    ) -> (Commit, Option<Place>) {
        if batch.changes().any(|(ns, ..)| Self::is_own(ns))
            || batch.absent_keys().any(|(ns, _)| Self::is_own(ns))
        {
            return (Commit::done(Err(InvalidName::Taken.into())), None);
        }
        let rules = batch.changes().map(|(ns, ..)| self.rules.of(ns));
        let (mut recorded, mut mergeable, mut single) = (false, false, false);
        for rule in rules {
            recorded |= rule != Rule::LocalOnly;
            mergeable |= rule == Rule::Mergeable;
            single |= rule == Rule::SingleWriter;
        }
        if let Some(refusal) = self.refusal(single) {
            return (Commit::done(Err(refusal.into())), None);
        }
        if !recorded {
            return (self.inner.submit(batch), None);
        }
        // What needs no stamp is made, and sealed below, before the order is fixed.
        let plain = (!mergeable).then(|| self.record(&batch));
        let batch = match self.inner.capabilities().prepare {
            Some(below) if !mergeable => below.prepare(batch),
            _ => batch,
        };
        let mut order = self.order();
        // Closed meanwhile: nothing comes behind the closing of the gate.
        if let Some(refusal) = self.refusal(single) {
            return (Commit::done(Err(refusal.into())), None);
        }
        if watch.is_some() && order.was_changed(&batch) {
            return (Commit::done(Err(Error::Precondition { store: STORE })), None);
        }
        let recorded = match plain {
            Some(changes) => Recorded { batch, changes, ..Recorded::default() },
            None => {
                let stamp = order.stamps.next(&*self.clock);
                self.record_framed(batch, &stamp)
            }
        };
        let (commit, sequence) = order.append(self, recorded);
        if let Some(sequence) = sequence.filter(|_| single) {
            order.single_writer = sequence;
        }
        let urged = sequence.is_some() && order.memory.open.is_large(self.settings.segment_bytes);
        drop(order);
        if urged {
            self.waiting.urge();
        }
        tracing::trace!(sequence, "recorded a batch");
        let single_writer = |sequence| if single { sequence } else { 0 };
        let place = |sequence| Place { sequence, single_writer: single_writer(sequence) };
        (commit, sequence.map(place))
    }

    fn record(&self, batch: &Batch) -> Vec<Recording> {
        let backed_up = batch.changes().filter(|(ns, ..)| self.rules.of(ns) != Rule::LocalOnly);
        backed_up
            .map(|(ns, key, change)| Recording::plain((ns.clone(), key.clone()), change))
            .collect()
    }

    /// The same with the frames of mergeable values.
    fn record_framed(&self, batch: Batch, stamp: &Stamp) -> Recorded {
        let mut recorded = Recorded::default();
        recorded.batch.set_durability(batch.durability());
        for (ns, key) in batch.absent_keys() {
            recorded.batch.insert_require_absent(ns.clone(), key.clone());
        }
        for (ns, key, change) in batch.into_changes() {
            match (self.rules.of(&ns), change) {
                (Rule::Mergeable, change) => {
                    let framed = match change {
                        Change::Put(value) => Some(frame::wrap(stamp, &value)),
                        Change::Remove => None,
                    };
                    recorded.merge((ns, key), framed, stamp);
                }
                (Rule::SingleWriter, change) => {
                    recorded.changes.push(Recording::plain((ns.clone(), key.clone()), &change));
                    recorded.batch.insert(ns, key, change);
                }
                (Rule::LocalOnly, change) => recorded.batch.insert(ns, key, change),
            }
        }
        recorded
    }
}

impl Recorded {
    /// Adds a mergeable key: its value in its frame, or `None` to remove it.
    pub(super) fn merge(&mut self, name: Name, framed: Option<Value>, stamp: &Stamp) {
        self.mergeable = true;
        let (ns, key) = name.clone();
        match framed {
            Some(value) => {
                self.changes.push(Recording::value(name, value.clone()));
                self.batch.insert(ns, key, Change::Put(value));
            }
            None => {
                self.removals.push(stamp, EntryName::new(&ns, &key));
                let (noted, held) = (Noted::Removed, Held::Removed(Some(*stamp)));
                self.changes.push(Recording { name, noted, held });
                self.batch.insert(ns, key, Change::Remove);
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }
}

impl Recording {
    fn plain(name: Name, change: &Change) -> Self {
        match change {
            Change::Put(value) => Self::value(name, value.clone()),
            Change::Remove => {
                let (noted, held) = (Noted::Removed, Held::Removed(None));
                Self { name, noted, held }
            }
        }
    }

    fn value(name: Name, value: Value) -> Self {
        let noted = Noted::Value(value.len() as u64);
        Self { name, noted, held: Held::Value(value) }
    }

    fn entry_name(&self) -> EntryName {
        EntryName::new(&self.name.0, &self.name.1)
    }
}

impl Order {
    /// Gives a batch its place in the order, with the bookkeeping it needs; its number, unless it
    /// was refused.
    pub(super) fn append(
        &mut self,
        recorder: &Recorder,
        recorded: Recorded,
    ) -> (Commit, Option<u64>) {
        let Recorded { mut batch, changes, removals, mergeable } = recorded;
        let sequence = self.next;
        let time = recorder.clock.now().0;
        if !removals.is_empty() {
            let put = Change::Put(log::write(&removals));
            batch.insert(recorder.places.tombstones.clone(), Key::number(sequence), put);
        }
        let tracking = self.is_tracking();
        let needed = |r: &&Recording| tracking && self.memory.needs_note(&r.name, &r.noted);
        let notes: Vec<Note> = changes
            .iter()
            .filter(needed)
            .map(|r| Note { name: r.entry_name(), noted: r.noted })
            .collect();
        let noted = !notes.is_empty();
        // Without a note nothing need be written, but stamps must be known after a crash.
        if noted || mergeable {
            self.journal.fold(&mut self.memory, &recorder.places, &*recorder.inner);
            let (ns, key, put) =
                self.journal.entry(&recorder.places, sequence, time, self.stamps.last(), notes);
            batch.insert(ns, key, put);
        }
        let commit = recorder.inner.submit(batch);
        // A refusal is decided when `submit` returns and wrote nothing: the number is still free.
        if matches!(commit.receipt().outcome(), Some(Err(_))) {
            return (commit, None);
        }
        self.next += 1;
        if noted || mergeable {
            self.journal.accept(sequence);
        }
        self.tombstones.insert(sequence, removals);
        if let Some(touched) = &mut self.touched {
            touched.extend(changes.iter().map(Recording::entry_name));
        }
        if tracking {
            self.memory.saw(time);
            for Recording { name, noted, held } in changes {
                self.memory.push(sequence, name, noted, held);
            }
            if self.memory.exceeds(&recorder.settings) {
                self.drop_log(recorder);
            }
        } else {
            self.count_dropped(changes.iter().map(|recording| recording.noted.len()));
        }
        (commit, Some(sequence))
    }
}
