//! From entries back to a store: newest layer first, everything or be seen as unfinished.
//!
//! Segments, delta dumps and the full dump below them are *layers*. They are applied newest first,
//! and of each key the first layer that names it decides; so a value is written once, and what must
//! be remembered is 16 bytes for each key that changed since the full dump.

mod mark;
mod names;
mod pieces;
mod worker;

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use kv_core::{Batch, Change, Commit, KvStore};

pub(crate) use self::mark::Mark;
pub use self::{
    names::NameSet,
    worker::{Applied, RestoreWorker},
};
use self::{
    pieces::Assembler,
    worker::{Layer, Target},
};
use crate::{
    BackupState, Entry, EntryDigest, Error, FenceState, Head, ObjectRef, Position, Result, Rule,
    Rules, WriterId,
    digest::add_sums,
    log::{self, Places},
    others::Others,
    recorder::no_randomness,
};

/// Writes entries into the store of a new installation.
#[derive(Debug)]
pub struct Restorer {
    worker: RestoreWorker,
    in_flight: VecDeque<Commit>,
    pieces: Assembler,
    /// Keys that the present layer decided.
    names: Vec<names::NameHash>,
    mark: Mark,
    others: Others,
    /// The restore point that the single-writer data comes from.
    point: Option<Position>,
    restored: Restored,
}

/// How much came back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Restored {
    /// Changes applied: live entries and removals that older objects must not undo.
    pub changes: u64,
    /// Bytes of their values.
    pub bytes: u64,
}

/// How many batches may wait for the disk.
const IN_FLIGHT: usize = 8;

impl Restorer {
    /// Writes below the [`crate::Recorder`]: into the sealed store, values in their frames.
    ///
    /// Begins with a mark, which [`Restorer::finish`] takes away: until then no
    /// [`crate::Recorder`] opens the store. [`Error::NotEmpty`] if there is more in it than
    /// settings of this installation.
    pub fn new(store: Arc<dyn KvStore>, rules: Rules) -> Result<Self> {
        Self::in_empty(store, rules, Mark::default())
    }

    /// The mark alone with which [`Restorer::begin`] begins: for whoever makes the store that it goes
    /// into, in the same batch. A store without it would be taken for a wallet in which nothing is.
    pub fn first_mark(base: &ObjectRef, to: (WriterId, u64)) -> Result<Batch> {
        let mark = Mark::leading(base, to);
        Ok(Batch::new().put(&Places::new()?.state, &log::restoring(), mark.write()))
    }

    /// Begins a restore of the dump `base` and the layers above it up to a restore point `to` (whose,
    /// and its last change); or goes on where an earlier one was interrupted, if that led to the same
    /// or an earlier point of the same chain over the same dump: all upper layers must be given again,
    /// then the parts of the base that are not there yet. What any other interrupted restore has left
    /// is removed first, as it would mix with this one.
    pub fn begin(
        store: Arc<dyn KvStore>,
        rules: Rules,
        base: &ObjectRef,
        to: (WriterId, u64),
    ) -> Result<Self> {
        match Mark::read(&*store, &Places::new()?)? {
            None => Self::in_empty(store, rules, Mark::leading(base, to)),
            Some(mark) if mark.leads_to(base, to) => {
                Self::with_mark(store, rules, Mark { to: Some(to), ..mark }, true)?.begun()
            }
            Some(_) => {
                let mark = Mark::leading(base, to);
                clear(&*store, &rules, &mark)?;
                Self::with_mark(store, rules, mark, false)
            }
        }
    }

    fn in_empty(store: Arc<dyn KvStore>, rules: Rules, mark: Mark) -> Result<Self> {
        if store.namespaces()?.iter().any(|ns| rules.of(ns) != Rule::LocalOnly) {
            return Err(Error::NotEmpty);
        }
        Self::with_mark(store, rules, mark, false)?.begun()
    }

    /// Where this leads must be known before the first change is written.
    fn begun(self) -> Result<Self> {
        self.put_mark().wait()?;
        Ok(self)
    }

    fn with_mark(store: Arc<dyn KvStore>, rules: Rules, mark: Mark, resumed: bool) -> Result<Self> {
        let target = Target {
            store,
            rules,
            places: Places::new()?,
            tombstones: AtomicU64::new(mark.tombstones),
            resumed,
        };
        let target = Arc::new(target);
        let worker = RestoreWorker { target, newer: Arc::default(), layer: Layer::Upper };
        Ok(Self {
            worker,
            in_flight: VecDeque::new(),
            pieces: Assembler::default(),
            names: Vec::new(),
            mark,
            others: Others::new(),
            point: None,
            restored: Restored::default(),
        })
    }

    /// For applying entries of the present layer on any thread.
    pub fn worker(&self) -> RestoreWorker {
        self.worker.clone()
    }

    /// Takes what a worker did. In the order of the entries: large values are put together here.
    pub fn applied(&mut self, mut applied: Applied) -> Result<()> {
        let whole = self.pieces.take(std::mem::take(&mut applied.pieces))?;
        self.worker.apply_whole(whole, &mut applied)?;
        self.restored.changes += applied.changes;
        self.restored.bytes += applied.bytes;
        self.mark.last_stamp = self.mark.last_stamp.max(applied.last_stamp);
        self.names.append(&mut applied.names);
        self.in_flight.extend(applied.commits);
        self.wait_for_all_but(IN_FLIGHT)
    }

    /// Applies entries of the present layer; of one name the last counts.
    pub fn apply(&mut self, entries: Vec<Entry>) -> Result<()> {
        let applied = self.worker.apply(entries.into())?;
        self.applied(applied)
    }

    /// Ends a layer: what follows is older, and undoes nothing of it.
    pub fn end_layer(&mut self) -> Result<()> {
        self.pieces.finish()?;
        let names = std::mem::take(&mut self.names);
        if !names.is_empty() {
            // Workers of the layer that ends may still hold the set.
            Arc::make_mut(&mut self.worker.newer).extend(names);
        }
        Ok(())
    }

    /// What follows is the full dump `base`, below all other layers: how many of its parts an
    /// earlier restore has already written; their entries must not be given again.
    pub fn begin_base(&mut self, base: &ObjectRef) -> Result<u64> {
        self.end_layer()?;
        self.worker.layer = Layer::Base;
        if self.mark.base != Some(*base) {
            self.mark.base = Some(*base);
            self.mark.parts = 0;
            self.mark.digest = Default::default();
        }
        Ok(self.mark.parts)
    }

    /// Notes that one more part of the base was applied, whose entries fold into `digest`.
    pub fn end_part(&mut self, digest: &EntryDigest) {
        add_sums(&mut self.mark.digest, &digest.sum());
        self.mark.parts += 1;
        self.mark.tombstones = self.worker.target.tombstones.load(Ordering::Relaxed);
        // A part in the middle of a large value is done when that is.
        if self.pieces.finish().is_ok() {
            let commit = self.put_mark();
            self.in_flight.push_back(commit);
        }
    }

    /// The digest of all parts of the base, also of those that an earlier restore wrote.
    pub fn base_digest(&self, sealer: &crate::ObjectSealer) -> Result<EntryDigest> {
        let mut digest = EntryDigest::new(sealer)?;
        digest.merge_sum(&self.mark.digest);
        Ok(digest)
    }

    /// Makes all stamps and heads of the new installation later than this head, whatever its clock
    /// says. Call it for every head found, or the next restore may take an old one for the newest.
    pub fn saw_head(&mut self, head: &Head) {
        self.mark.last_stamp = self.mark.last_stamp.max((head.time, u32::MAX));
    }

    /// Says which head it is: what its writer had merged of others need not be merged again.
    pub fn based_on_head(&mut self, object: ObjectRef, head: &Head) {
        self.others = Others::restored(object, head);
    }

    /// Says which restore point the single-writer data comes from. The new installation then takes
    /// such data only after a takeover, which is based on that restore point.
    pub fn based_on(&mut self, point: Position) {
        self.point = Some(point);
    }

    /// Writes the rest and the state of a new installation, which will begin its chain with a dump
    /// of its own.
    pub fn finish(mut self, seen: Vec<ObjectRef>) -> Result<Restored> {
        self.pieces.finish()?;
        let Target { store, places, tombstones, .. } = &*self.worker.target;
        let writer = WriterId::random().map_err(no_randomness)?;
        let mut state = BackupState::new(writer);
        state.last_stamp = self.mark.last_stamp;
        state.seen = seen;
        // The sequence of the new installation begins behind the numbers of the tombstones.
        state.backed_up = tombstones.load(Ordering::Relaxed);
        let mut batch = Batch::new().put(&places.state, &log::state(), log::write(&state));
        batch.insert(places.state.clone(), log::others(), Change::Put(log::write(&self.others)));
        if let Some(point) = self.point {
            let fence = Change::Put(log::write(&FenceState::restored(point)));
            batch.insert(places.state.clone(), log::fence(), fence);
        }
        batch.insert(places.state.clone(), log::restoring(), Change::Remove);
        let last = store.submit(batch);
        self.in_flight.push_back(last);
        self.wait_for_all_but(0)?;
        Ok(self.restored)
    }

    fn put_mark(&self) -> Commit {
        let Target { store, places, .. } = &*self.worker.target;
        store.submit(Batch::new().put(&places.state, &log::restoring(), self.mark.write()))
    }

    fn wait_for_all_but(&mut self, left: usize) -> Result<()> {
        while self.in_flight.len() > left
            && let Some(oldest) = self.in_flight.pop_front()
        {
            oldest.wait()?;
        }
        Ok(())
    }
}

/// Removes everything that is backed up. A mark stays all the time, at last the new one: this is no
/// wallet.
fn clear(store: &dyn KvStore, rules: &Rules, new: &Mark) -> Result<()> {
    let places = Places::new()?;
    for ns in store.namespaces()? {
        if rules.of(&ns) == Rule::LocalOnly || ns == places.state {
            continue;
        }
        loop {
            let keys = store.list(&ns, None, CLEAR_AT_ONCE)?;
            if keys.is_empty() {
                break;
            }
            let mut batch = Batch::new();
            keys.into_iter().for_each(|key| batch.insert(ns.clone(), key, Change::Remove));
            store.submit(batch).wait()?;
        }
    }
    let batch = Batch::new().remove(&places.state, &log::state());
    store.submit(batch.put(&places.state, &log::restoring(), new.write())).wait()?;
    Ok(())
}

/// How many keys to remove in one batch.
const CLEAR_AT_ONCE: usize = 1000;
