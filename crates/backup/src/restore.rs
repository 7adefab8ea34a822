//! From entries back to a store: put the pieces together, write everything, or be seen as unfinished.

use std::{collections::VecDeque, sync::Arc};

use kv_core::{Batch, Change, Commit, Key, KvStore, Value};

use crate::{
    BackupState, Entry, Error, FenceState, Head, ObjectRef, Position, Result, Rule, Rules, Stamp,
    WriterId, frame,
    log::{self, Places},
    others::Others,
    pieces::{Pieces, Whole},
    recorder::no_randomness,
    tombstones::Removals,
};

/// Writes entries into the empty store of a new installation.
#[derive(Debug)]
pub struct Restorer {
    store: Arc<dyn KvStore>,
    rules: Rules,
    places: Places,
    batch: Batch,
    batch_bytes: usize,
    in_flight: VecDeque<Commit>,
    pieces: Pieces,
    tombstones: u64,
    last_stamp: (u64, u32),
    others: Others,
    /// The restore point that the single-writer data comes from.
    base: Option<Position>,
    restored: Restored,
}

/// How much came back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Restored {
    /// Changes applied: live entries and those that a later segment replaced or removed.
    pub changes: u64,
    /// Bytes of their values.
    pub bytes: u64,
}

/// How large a batch may grow before it is written.
const BATCH_BYTES: usize = 1 << 20;
const BATCH_ENTRIES: usize = 1000;
/// How many batches may wait for the disk.
const IN_FLIGHT: usize = 4;

impl Restorer {
    /// Writes below the [`crate::Recorder`]: into the sealed store, values in their frames.
    ///
    /// Begins with a mark, which [`Restorer::finish`] takes away: until then no
    /// [`crate::Recorder`] opens the store. [`Error::NotEmpty`] if there is more in it than
    /// settings of this installation.
    pub fn new(store: Arc<dyn KvStore>, rules: Rules) -> Result<Self> {
        if store.namespaces()?.iter().any(|ns| rules.of(ns) != Rule::LocalOnly) {
            return Err(Error::NotEmpty);
        }
        let places = Places::new()?;
        store
            .submit(Batch::new().put(&places.state, &log::restoring(), Value::default()))
            .wait()?;
        Ok(Self {
            store,
            rules,
            places,
            batch: Batch::new(),
            batch_bytes: 0,
            in_flight: VecDeque::new(),
            pieces: Pieces::default(),
            others: Others::new(),
            tombstones: 0,
            last_stamp: (0, 0),
            base: None,
            restored: Restored::default(),
        })
    }

    /// Applies entries: those of the dump's parts in order, then those of the segments, oldest first.
    pub fn apply(&mut self, entries: Vec<Entry>) -> Result<()> {
        for entry in entries {
            self.apply_one(entry)?;
        }
        Ok(())
    }

    /// Makes all stamps and heads of the new installation later than this head, whatever its clock
    /// says. Call it for every head found, or the next restore may take an old one for the newest.
    pub fn saw_head(&mut self, head: &Head) {
        self.last_stamp = self.last_stamp.max((head.time, u32::MAX));
    }

    /// Says which head it is: what its writer had merged of others need not be merged again.
    pub fn based_on_head(&mut self, object: ObjectRef, head: &Head) {
        self.others = Others::restored(object, head);
    }

    /// Says which restore point the single-writer data comes from. The new installation then takes
    /// such data only after a takeover, which is based on that restore point.
    pub fn based_on(&mut self, base: Position) {
        self.base = Some(base);
    }

    /// Writes the rest and the state of a new installation, which will begin its chain with a dump
    /// of its own.
    pub fn finish(mut self, seen: Vec<ObjectRef>) -> Result<Restored> {
        self.pieces.finish()?;
        let writer = WriterId::random().map_err(no_randomness)?;
        let mut state = BackupState::new(writer);
        state.last_stamp = self.last_stamp;
        state.seen = seen;
        // The sequence of the new installation begins behind the numbers of the tombstones.
        state.backed_up = self.tombstones;
        let put = Change::Put(log::write(&state));
        self.batch.insert(self.places.state.clone(), log::state(), put);
        let others = Change::Put(log::write(&self.others));
        self.batch.insert(self.places.state.clone(), log::others(), others);
        if let Some(base) = self.base {
            let fence = Change::Put(log::write(&FenceState::restored(base)));
            self.batch.insert(self.places.state.clone(), log::fence(), fence);
        }
        self.batch.insert(self.places.state.clone(), log::restoring(), Change::Remove);
        self.submit();
        for commit in self.in_flight {
            commit.wait()?;
        }
        Ok(self.restored)
    }

    fn apply_one(&mut self, entry: Entry) -> Result<()> {
        let Some((name, whole)) = self.pieces.push(entry)? else {
            return Ok(());
        };
        let place = name.place().ok().filter(|(ns, _)| ns.primary() != log::PRIMARY);
        let (ns, key) = place
            .ok_or(Error::BrokenChain { what: "an entry has a name that is never backed up" })?;
        self.restored.changes += 1;
        match whole {
            Whole::Value(value) => {
                self.restored.bytes += value.len() as u64;
                self.batch_bytes += value.len();
                let value = Value::from(value);
                if self.rules.of(&ns) == Rule::Mergeable {
                    let (stamp, _) = frame::unwrap(value.clone())
                        .ok_or(Error::BrokenChain { what: "a mergeable value has no frame" })?;
                    self.saw(&stamp);
                }
                self.batch.insert(ns, key, Change::Put(value));
            }
            Whole::Removed(stamp) => {
                if let Some(stamp) = stamp {
                    self.saw(&stamp);
                    self.tombstones += 1;
                    let tombstone = log::write(&Removals(vec![(stamp, vec![name])]));
                    let number = Key::number(self.tombstones);
                    self.batch.insert(
                        self.places.tombstones.clone(),
                        number,
                        Change::Put(tombstone),
                    );
                }
                self.batch.insert(ns, key, Change::Remove);
            }
        }
        if self.batch.len() >= BATCH_ENTRIES || self.batch_bytes >= BATCH_BYTES {
            self.submit();
            if self.in_flight.len() > IN_FLIGHT
                && let Some(oldest) = self.in_flight.pop_front()
            {
                oldest.wait()?;
            }
        }
        Ok(())
    }

    fn saw(&mut self, stamp: &Stamp) {
        self.last_stamp = self.last_stamp.max((stamp.time, stamp.counter));
    }

    fn submit(&mut self) {
        self.batch_bytes = 0;
        self.in_flight.push_back(self.store.submit(std::mem::take(&mut self.batch)));
    }
}
