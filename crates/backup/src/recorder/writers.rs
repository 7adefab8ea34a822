//! The recorder among several writers: who is merged, who no longer counts, and leaving a writer id.

use kv_core::{Batch, Change, Key, KvStore};

use super::{Order, Recorder, open::no_randomness};
use crate::{
    Error, Head, ObjectRef, Result, Retired, WriterId, log, others::Others, stamp::StampClock,
    state::Dumps,
};

impl Recorder {
    /// The newest heads of the other writers whose changes are all in a restore point of ours at
    /// `sequence`: what our head names as seen.
    pub fn seen_at(&self, sequence: u64) -> Vec<ObjectRef> {
        self.order().others.seen_at(sequence)
    }

    /// What a head at `sequence` tells of the others beside [`Recorder::seen_at`].
    pub fn head_extensions(&self, sequence: u64) -> Vec<(u32, Vec<u8>)> {
        vec![self.order().others.extension(sequence)]
    }

    /// The newest head of a writer whose changes are all here.
    pub fn merged_to(&self, writer: WriterId) -> Option<ObjectRef> {
        self.order().others.newest(writer).map(|applied| applied.head)
    }

    /// The writers that no longer count.
    pub fn retired(&self) -> Vec<Retired> {
        self.order().others.retired().to_vec()
    }

    /// Whether this installation no longer counts: it must take the state of the others first. See
    /// [`Recorder::rejoin`].
    pub fn is_retired(&self) -> Option<Retired> {
        let order = self.order();
        order.others.retired_writer(order.state.writer)
    }

    /// Takes over which writers the others no longer count; whether something was new.
    pub fn adopt_retired(&self, head: &Head) -> Result<bool> {
        let mut order = self.order();
        let mut others = order.others.clone();
        let news: Vec<bool> = head.retired().into_iter().map(|r| others.retire(r)).collect();
        if !news.contains(&true) {
            return Ok(false);
        }
        self.write_others(&mut order, others)?;
        Ok(true)
    }

    /// No longer counts writers of whom nothing new was seen for `unseen_for` milliseconds and of
    /// whom everything is merged; those it retired.
    pub fn retire_unseen(&self, unseen_for: u64) -> Result<Vec<Retired>> {
        let now = self.clock.now().0;
        self.retire(now, |time| now.saturating_sub(time) > unseen_for)
    }

    /// Retires every other writer: what they have put is about to be deleted.
    pub fn retire_others(&self) -> Result<Vec<Retired>> {
        self.retire(self.clock.now().0, |_| true)
    }

    /// Retires those whose newest head is of such a time.
    fn retire(&self, now: u64, is_due: impl Fn(u64) -> bool) -> Result<Vec<Retired>> {
        let mut order = self.order();
        let retired: Vec<Retired> = order
            .others
            .waiting_for()
            .filter(|a| is_due(a.time))
            .map(|a| Retired { writer: a.head.id.writer, sequence: a.head.id.to, since: now })
            .collect();
        if !retired.is_empty() {
            let mut others = order.others.clone();
            retired.iter().for_each(|retired| others.decide_to_retire(*retired));
            self.write_others(&mut order, others)?;
        }
        Ok(retired)
    }

    /// Whether this installation has retired somebody and no head of its own in the cloud says so:
    /// then it must put one, though nothing else has changed.
    pub fn retirement_is_untold(&self) -> bool {
        self.order().others.is_untold()
    }

    /// A head of ours is in the cloud.
    pub fn told(&self, head: &Head) -> Result<()> {
        let mut order = self.order();
        let mut others = order.others.clone();
        if others.told(head) {
            self.write_others(&mut order, others)?;
        }
        Ok(())
    }

    /// Whether merging a head would retire nobody: its writer counts, and it has seen all removals
    /// that are forgotten here.
    pub fn counts(&self, object: &ObjectRef, head: &Head) -> bool {
        let order = self.order();
        let is_retired = order.others.retired_writer(object.id.writer).is_some();
        !is_retired && order.others.knows_trimmed(object, head)
    }

    /// Whether a head may be merged.
    pub(super) fn check_counts(&self, object: &ObjectRef, head: &Head) -> Result<()> {
        let mut order = self.order();
        let writer = object.id.writer;
        let mine = order.others.retired_writer(order.state.writer);
        if let Some(retired) = mine.or_else(|| order.others.retired_writer(writer)) {
            return Err(Error::Retired(retired));
        }
        if order.others.knows_trimmed(object, head) {
            return Ok(());
        }
        // It may hold what we have removed and forgotten: it must take the state of the others.
        let sequence = order.others.newest(writer).map_or(0, |applied| applied.head.id.to);
        let retired = Retired { writer, sequence, since: self.clock.now().0 };
        let mut others = order.others.clone();
        others.decide_to_retire(retired);
        self.write_others(&mut order, others)?;
        Err(Error::Retired(retired))
    }

    /// Forgets tombstones that are older than `age` milliseconds and that every one of `writers`,
    /// the other writers there are, has merged; how many batches of them.
    pub fn trim_tombstones(&self, writers: &[WriterId], age: u64) -> Result<u64> {
        let before = self.clock.now().0.saturating_sub(age);
        let mut order = self.order();
        let others = &order.others;
        let is_merged = |writer: &WriterId| {
            others.newest(*writer).is_some() || others.retired_writer(*writer).is_some()
        };
        if !writers.iter().all(|writer| *writer == order.state.writer || is_merged(writer)) {
            return Ok(0);
        }
        let passed = others.waiting_for().map(|applied| applied.has_ours_to).min();
        let to = passed.unwrap_or(u64::MAX).min(order.state.backed_up);
        let numbers = order.tombstones.older(to, before);
        let Some(last) = numbers.last() else { return Ok(0) };
        let mut others = others.clone();
        others.trim(order.state.writer, *last);
        let mut batch = Batch::new().lazy();
        for number in &numbers {
            batch = batch.remove(&self.places.tombstones, &Key::number(*number));
        }
        let put = Change::Put(log::write(&others));
        batch.insert(self.places.state.clone(), log::others(), put);
        let commit = self.inner.submit(batch);
        if let Some(Err(error)) = commit.receipt().outcome() {
            return Err(error.into());
        }
        order.others = others;
        numbers.iter().for_each(|number| order.tombstones.forget(*number));
        Ok(numbers.len() as u64)
    }

    /// How many batches of removals are remembered.
    pub fn tombstones(&self) -> u64 {
        self.order().tombstones.len()
    }

    /// Goes on under a new writer id, with a chain of its own that begins with a dump: for a folder
    /// that is an old copy of one that went on. What is not yet in the cloud stays in the log. From
    /// now on the old id is another writer's, merged up to our newest head.
    ///
    /// Resolved when it is durable. No backup may be under way: what it acknowledges later belongs
    /// to the chain that was left and is passed over.
    pub fn continue_as_new_writer(&self) -> Result<WriterId> {
        let order = self.order();
        let mut others = order.others.clone();
        others.left(order.state.head, order.state.last_backup.unwrap_or(0));
        drop(order);
        self.continue_with(others)
    }

    pub(super) fn continue_with(&self, others: Others) -> Result<WriterId> {
        let writer = WriterId::random().map_err(no_randomness)?;
        let mut order = self.order();
        let mut state = order.state.clone();
        state.writer = writer;
        (state.newest, state.dump, state.head, state.last_backup) = (None, None, None, None);
        (state.dump_bytes, state.segments_since_dump) = (0, (0, 0));
        state.dumps = Dumps::default();
        // A head has a time and no counter: those to come are later than those of the old id.
        state.last_stamp = (order.stamps.last().0, u32::MAX);
        let batch = Batch::new().put(&self.places.state, &log::state(), log::write(&state)).put(
            &self.places.state,
            &log::others(),
            log::write(&others),
        );
        let commit = self.inner.submit(batch);
        if let Some(Err(error)) = commit.receipt().outcome() {
            return Err(error.into());
        }
        order.stamps = StampClock::after(writer, state.last_stamp);
        order.state = state;
        order.others = others;
        drop(order);
        commit.wait()?;
        Ok(writer)
    }

    fn write_others(&self, order: &mut Order, others: Others) -> Result<()> {
        let put = Batch::new().put(&self.places.state, &log::others(), log::write(&others));
        let commit = self.inner.submit(put.lazy());
        if let Some(Err(error)) = commit.receipt().outcome() {
            return Err(error.into());
        }
        order.others = others;
        Ok(())
    }
}
