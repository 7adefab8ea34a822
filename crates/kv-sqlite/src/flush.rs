//! Group commit: one thread at a time takes all queued batches to the database in one transaction.

use std::{
    collections::{BTreeMap, VecDeque},
    panic::{self, AssertUnwindSafe},
    sync::MutexGuard,
    task::Waker,
    time::{Duration, Instant},
};

use kv_core::{Change, Result, Value};

use crate::{
    queue::{Name, Queued, Shared, State},
    row::{self, StateRow},
    writer::{Effect, Plan, Writer},
};

/// How long a synced batch may lie while nobody waits for it, so that one who submits and then
/// waits can lead the flush without a change of threads.
pub(crate) const PATIENCE: Duration = Duration::from_millis(5);

/// How long nothing is written before a log is moved that is used up and may still grow.
const PAUSE: Duration = Duration::from_millis(100);

/// Bytes of the disk from which on nobody asks what is free inside the database.
const PLENTY: u64 = 256 << 20;

/// What a group of batches does to one name.
#[derive(Debug)]
struct Folded {
    before: Option<u64>,
    /// The creation number afterwards, and the value if it is another.
    now: Option<(u64, Option<Value>)>,
}

impl Shared {
    /// Returns once the batch is decided; leads the flush if no one else does.
    pub(crate) fn flush_to(&self, sequence: u64) -> Result<()> {
        let mut state = self.lock();
        loop {
            if let Some(outcome) = state.outcome(sequence) {
                return outcome;
            }
            state = if state.writer.is_some() {
                drop(state);
                self.flush();
                self.lock()
            } else {
                self.wait(state)
            };
        }
    }

    /// Takes all queued batches to the database, unless someone else is at it.
    pub(crate) fn flush(&self) {
        self.flush_while(|_| false);
    }

    /// The same, and again as long as more is due. Nobody else leads in between, so that who submits
    /// batch after batch makes the next one while this one is written.
    pub(crate) fn flush_on(&self) {
        self.flush_while(State::is_due);
    }

    fn flush_while(&self, goes_on: impl Fn(&State) -> bool) {
        let mut state = self.lock();
        if state.queue.is_empty() || state.poison.is_some() {
            return;
        }
        let Some(writer) = state.writer.take() else { return };
        let decided = loop {
            let decided;
            (state, decided) = self.flush_group(state, &writer);
            if !decided.is_empty() || !goes_on(&state) {
                break decided;
            }
            self.done.notify_all();
        };
        let due = state.log_is_due;
        self.give_back(state, writer);
        // A task may do anything where it is woken: wait for its next commit, or close the store.
        wake(decided);
        if due {
            self.move_log_now();
        }
    }

    /// Takes what is queued to the database; gives the tasks to be woken.
    fn flush_group<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        writer: &Writer,
    ) -> (MutexGuard<'a, State>, BTreeMap<u64, Vec<Waker>>) {
        if std::mem::take(&mut state.log_is_due) {
            let keep = self.log_most(&state);
            drop(state);
            move_log(writer, keep);
            state = self.lock();
        }
        let group = std::mem::take(&mut state.queue);
        state.flush_due = None;
        state.flushing = true;
        let (folded, next_created) = state.fold(&group);
        let sequence = group.back().map_or(state.durable, |last| last.sequence);
        let plan = state.plan(&folded, sequence, next_created);
        drop(state);

        let outcome = writer.write(&plan);
        let free = self.free(writer);
        let log = outcome.is_ok().then(|| log_bytes(writer));

        let mut state = self.lock();
        state.flushing = false;
        state.free = free;
        let decided = match outcome {
            Ok(()) => {
                state.take_effect(&group, folded, &plan);
                let later = state.durable + 1;
                let rest = state.wakers.split_off(&later);
                std::mem::replace(&mut state.wakers, rest)
            }
            Err(error) => {
                tracing::error!(%error, "the database cannot be written, no further change is taken");
                state.poison = Some(error);
                std::mem::take(&mut state.wakers)
            }
        };
        self.plan_move(&mut state, log.unwrap_or_default());
        (state, decided)
    }

    /// How long the log may become. What is in it may take as much again in the database.
    fn log_most(&self, state: &State) -> u64 {
        let is_plenty = state.free.is_some_and(|free| free >= PLENTY);
        if is_plenty { self.settings.wal_most() } else { self.settings.wal_len() }
    }

    /// Decides when the log, of which so many bytes are not in the database, is moved.
    fn plan_move(&self, state: &mut State, log: u64) {
        let (len, most) = (self.settings.wal_len(), self.log_most(state));
        state.log_is_due = log >= most;
        state.move_due = (log >= len && log < most).then(|| Instant::now() + PAUSE);
        if let Some(due) = state.move_due {
            self.wake_flusher_by(state, due);
        }
    }

    /// Moves the log while nobody leads a flush; else whoever leads the next one does it first.
    fn move_log_now(&self) {
        let state = self.lock();
        if state.log_is_due {
            let keep = self.log_most(&state);
            self.move_log(state, keep);
        }
    }

    /// The same once nothing was written for a while. Its file is not to stay as long as it has grown.
    pub(crate) fn move_log_in_pause(&self) {
        let state = self.lock();
        if state.move_due.is_some_and(|due| due <= Instant::now()) {
            self.move_log(state, self.settings.wal_len());
        }
    }

    fn move_log(&self, mut state: MutexGuard<'_, State>, keep: u64) {
        let Some(writer) = state.writer.take() else { return };
        (state.log_is_due, state.move_due) = (false, None);
        drop(state);
        move_log(&writer, keep);
        self.give_back(self.lock(), writer);
    }

    fn give_back(&self, mut state: MutexGuard<'_, State>, writer: Writer) {
        state.writer = Some(writer);
        if !state.queue.is_empty() {
            self.work.notify_one();
        }
        self.done.notify_all();
    }

    /// Bytes free for us, outside and, where that may matter, inside the database.
    fn free(&self, writer: &Writer) -> Option<u64> {
        let free = self.files.free()?;
        Some(if free < PLENTY { free + writer.free_inside() } else { free })
    }
}

/// Wakes tasks. What one of them does to this thread is not to hit who waits for the flush.
pub(crate) fn wake(wakers: BTreeMap<u64, Vec<Waker>>) {
    for waker in wakers.into_values().flatten() {
        if panic::catch_unwind(AssertUnwindSafe(|| waker.wake())).is_err() {
            tracing::error!("a task has panicked where it was woken");
        }
    }
}

fn log_bytes(writer: &Writer) -> u64 {
    writer.log_bytes().unwrap_or_else(|error| {
        tracing::warn!(%error, "the length of the log is not known");
        0
    })
}

/// Nobody waits for this but the next flush. A failure keeps the log.
fn move_log(writer: &Writer, keep: u64) {
    if let Err(error) = writer.keep_log(keep).and_then(|()| writer.checkpoint("PASSIVE")) {
        tracing::warn!(%error, "the log could not be moved into the database");
    }
}

impl State {
    /// Whether something is queued that the flusher should take by now.
    fn is_due(&self) -> bool {
        let is_due = self.flush_due.is_some_and(|due| due <= Instant::now());
        is_due && !self.queue.is_empty() && self.poison.is_none()
    }

    /// The last effect of the group on each name, and the creation number of the next key.
    fn fold(&self, group: &VecDeque<Queued>) -> (BTreeMap<Name, Folded>, u64) {
        let mut next_created = self.next_created;
        let mut folded = BTreeMap::new();
        for (ns, key, change) in group.iter().flat_map(|queued| &queued.changes) {
            let folded: &mut Folded =
                folded.entry((ns.clone(), key.clone())).or_insert_with(|| {
                    let before = self.table.get(ns, key);
                    Folded { before, now: before.map(|created| (created, None)) }
                });
            match change {
                Change::Remove => folded.now = None,
                Change::Put(value) => {
                    let created = folded.now.as_ref().map_or(next_created, |(created, _)| *created);
                    if created == next_created {
                        next_created += 1;
                    }
                    folded.now = Some((created, Some(value.clone())));
                }
            }
        }
        (folded, next_created)
    }

    fn plan(&self, folded: &BTreeMap<Name, Folded>, sequence: u64, next_created: u64) -> Plan {
        let mut state = StateRow {
            sequence,
            next_created,
            keys: self.table.keys(),
            names: self.table.names(),
            clean: false,
        };
        let mut deletes = Vec::new();
        let mut puts = Vec::new();
        for ((ns, key), Folded { before, now }) in folded {
            let (ns, key) = (ns.clone(), key.clone());
            let after = now.as_ref().map(|(created, _)| *created);
            if let Some(created) = before.filter(|_| after != *before) {
                state.keys -= 1;
                state.names = state.names.wrapping_sub(row::name_sum(created, &ns, &key));
                deletes.push(Effect::Delete { created });
            }
            if let Some((created, Some(value))) = now {
                let (created, value) = (*created, value.clone());
                if after == *before {
                    puts.push(Effect::Update { ns, key, created, value });
                } else {
                    state.keys += 1;
                    state.names = state.names.wrapping_add(row::name_sum(created, &ns, &key));
                    puts.push(Effect::Insert { ns, key, created, value });
                }
            }
        }
        // New rows in the order of their creation go to the end of the table.
        puts.sort_by_key(Effect::created);
        deletes.append(&mut puts);
        Plan { effects: deletes, state }
    }

    /// The group is durable: from here on it is visible.
    fn take_effect(
        &mut self,
        group: &VecDeque<Queued>,
        folded: BTreeMap<Name, Folded>,
        plan: &Plan,
    ) {
        for ((ns, key), Folded { before, now }) in folded {
            let after = now.as_ref().map(|(created, _)| *created);
            if after != before {
                if before.is_some() {
                    self.table.remove(&ns, &key);
                }
                if let Some(created) = after {
                    self.table.insert(&ns, &key, created);
                }
            }
            let name = (ns, key);
            if self.pending.get(&name).is_some_and(|(last, _)| *last <= plan.state.sequence) {
                self.pending.remove(&name);
            }
        }
        for queued in group {
            self.queued_bytes -= queued.bytes;
            self.queued_room -= queued.room;
        }
        self.durable = plan.state.sequence;
        self.next_created = plan.state.next_created;
    }
}

impl Effect {
    fn created(&self) -> u64 {
        match self {
            Self::Insert { created, .. }
            | Self::Update { created, .. }
            | Self::Delete { created } => *created,
        }
    }
}
