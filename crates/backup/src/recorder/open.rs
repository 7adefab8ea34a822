//! Opening a recorder: the log that survived becomes the memory.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex},
};

use kv_core::{Batch, Clock, Error, KvStore, Namespace, Result, Value};

use super::{
    NotYetReplicated, Order, Recorder, STORE, Waiting,
    fence::FenceKeeper,
    journal::Journal,
    memory::{Held, Memory},
};
use crate::{
    BackupState, EntryName, Rule, Rules, Stamp, WriterId,
    log::{self, DirtyKey, DirtyPage, DirtySpace, LogEntry, Note, Noted, Places},
    others::Others,
    stamp::StampClock,
    state::STATE_VERSION,
    tombstones::Tombstones,
};

/// Settings of a [`Recorder`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecorderSettings {
    /// How many bytes of values to hold until they are backed up; beyond it they are read again
    /// from the store. Default 64 MiB.
    pub memory_budget: u64,
    /// With so many bytes of changed values a backup is called for at once. Default 1 MiB.
    pub segment_bytes: u64,
    /// A cloud that lags by more changed keys than this is dropped from the log and catches up from
    /// a dump. Default 500,000.
    pub max_lag_records: u64,
    /// The same by bytes of their values. Default 256 MiB.
    pub max_lag_bytes: u64,
}

impl Default for RecorderSettings {
    fn default() -> Self {
        Self {
            memory_budget: 64 << 20,
            segment_bytes: 1 << 20,
            max_lag_records: 500_000,
            max_lag_bytes: 256 << 20,
        }
    }
}

/// How many keys to list at once.
const PAGE: usize = 1000;

impl Recorder {
    /// Opens the log in `inner`, or begins one for a new installation. What is durable here and not
    /// yet in the cloud is told by [`Recorder::not_yet_replicated`].
    ///
    /// [`Error::Corrupt`] also if a restore into `inner` did not finish: restore again, into an
    /// empty store.
    pub fn open(
        inner: Arc<dyn KvStore>,
        rules: Rules,
        clock: Arc<dyn Clock>,
        settings: RecorderSettings,
    ) -> Result<Arc<Self>> {
        let places = Places::new()?;
        let state = match inner.read(&places.state, &log::state())? {
            Some(bytes) => read_state(&bytes)?,
            None => begin(&*inner, &places)?,
        };
        let fence = FenceKeeper::open(&*inner, &places)?;
        let order =
            Order::load(&*inner, &places, &rules, state, (settings.memory_budget, clock.now().0))?;
        let waiting = Waiting::new(order.state.backed_up);
        Ok(Arc::new(Self {
            inner,
            rules,
            clock,
            settings,
            places,
            order: Mutex::new(order),
            cutting: Mutex::new(()),
            merging: Mutex::new(()),
            fence,
            waiting,
        }))
    }

    /// What is durable here and not yet in the cloud, or not passed by the fence; `None` if the cloud
    /// has everything.
    pub fn not_yet_replicated(self: &Arc<Self>) -> Option<NotYetReplicated> {
        let (lag, place) = (self.lag(), self.place_owed());
        let recorder = Arc::downgrade(self);
        let is_any = lag.records > 0 || self.fence_state().owed().is_some();
        is_any.then_some(NotYetReplicated { lag, place, recorder })
    }
}

impl Order {
    fn load(
        inner: &dyn KvStore,
        places: &Places,
        rules: &Rules,
        state: BackupState,
        (budget, now): (u64, u64),
    ) -> Result<Self> {
        let entries = Entries::read(inner, places, &state)?;
        let mut stamps = StampClock::new(state.writer);
        let writer = state.writer;
        for (time, counter) in [state.last_stamp, entries.stamp] {
            stamps.saw(&Stamp { time, counter, writer });
        }
        let others = Others::load(inner, places)?;
        stamps.saw_time(others.latest());
        let tombstones = Tombstones::load(inner, places)?;
        let mut memory = Memory::new(budget, state.backed_up, entries.sequence);
        let (newest, open) = (entries.sequence, &mut memory.open);
        let mut last_change = entries.time;
        let mut last: Option<(String, String, Namespace)> = None;
        let mut take_in = |Note { name, noted }: Note| -> Result<()> {
            // Neighbours share their namespace, in memory, too.
            let ns = match &last {
                Some((primary, secondary, ns))
                    if *primary == name.primary && *secondary == name.secondary =>
                {
                    ns.clone()
                }
                _ => name.place()?.0,
            };
            let place = (ns.clone(), name.checked_key()?);
            if matches!(noted, Noted::Value(_)) && rules.of(&place.0) != Rule::Mergeable {
                // Once noted, it may have changed again without an entry: at any time up to now.
                last_change = last_change.max(now);
            }
            let held = match noted {
                Noted::Value(_) => Held::Dropped,
                Noted::Removed if rules.of(&place.0) == Rule::Mergeable => {
                    let stamp = tombstones.stamp(&name);
                    Held::Removed(Some(stamp.ok_or_else(|| broken("a tombstone is missing"))?))
                }
                Noted::Removed => Held::Removed(None),
            };
            last = Some((name.primary, name.secondary, ns));
            open.load(newest, place, noted, held);
            Ok(())
        };
        let (mut notes, mut time, mut numbers) = (0, None, Vec::new());
        let mut pages = Vec::new();
        each(inner, &places.dirty, |number, bytes| {
            let page: DirtyPage = log::read_small("dirty page", &bytes)?;
            numbers.push(number);
            pages.push(page);
            Ok(())
        })?;
        let mut unpaged = Vec::new();
        if state.dropped.is_none() {
            for page in pages {
                notes += page.spaces.iter().map(|space| space.keys.len()).sum::<usize>();
                time = time.or(Some(page.time));
                time = time.map(|(first, last): (u64, u64)| {
                    (first.min(page.time.0), last.max(page.time.1))
                });
                for space in page.spaces {
                    let DirtySpace { primary, secondary, keys } = space;
                    for DirtyKey { key, noted } in keys {
                        let (primary, secondary) = (primary.clone(), secondary.clone());
                        take_in(Note { name: EntryName { primary, secondary, key }, noted })?;
                    }
                }
            }
            for entry in entries.needed {
                if !entry.notes.is_empty() {
                    let (first, last) = time.unwrap_or((entry.time, entry.time));
                    time = Some((first.min(entry.time), last.max(entry.time)));
                }
                for note in entry.notes {
                    unpaged.push(note.name.place()?);
                    take_in(note)?;
                }
            }
        }
        let next_page = numbers.last().copied().unwrap_or(0);
        open.saw_time(time.map(|(first, last)| (first, last.max(last_change))));
        open.paging.unpaged = unpaged;
        open.paging.notes = notes;
        open.paging.pages = numbers;
        let journal = Journal::new(entries.newest, newest, entries.in_use, entries.free, next_page);
        // Without a log nothing says whether more changed since a dump took the newest number along.
        // (No number leaves before there is an entry.)
        let unsure = state.dropped.is_some() && entries.newest > 0;
        let taken = newest.checked_add(u64::from(unsure));
        let next = taken.and_then(|taken| taken.checked_add(1));
        let next = next.ok_or_else(|| broken("no sequence number is left"))?;
        Ok(Self {
            next,
            stamps,
            memory,
            journal,
            state,
            resumed: false,
            drops: 0,
            others,
            tombstones,
            touched: None,
            single_writer: 0,
        })
    }
}

/// What the slots hold.
struct Entries {
    /// The number of the newest entry.
    newest: u64,
    /// The newest sequence number that is taken.
    sequence: u64,
    /// The newest stamp.
    stamp: (u64, u32),
    /// When the newest entry was written.
    time: u64,
    /// What is neither folded nor in the cloud, oldest first.
    needed: Vec<LogEntry>,
    /// Their sequence numbers and slots.
    in_use: VecDeque<(u64, u64)>,
    free: Vec<u64>,
}

impl Entries {
    fn read(inner: &dyn KvStore, places: &Places, state: &BackupState) -> Result<Self> {
        let mut slots: BTreeMap<u64, (u64, LogEntry)> = BTreeMap::new();
        each(inner, &places.log, |slot, bytes| {
            let entry: LogEntry = log::read_small("log entry", &bytes)?;
            match slots.insert(entry.index, (slot, entry)) {
                Some(_) => Err(broken("two log entries have one number")),
                None => Ok(()),
            }
        })?;
        let mut entries = Self {
            newest: 0,
            sequence: state.backed_up,
            stamp: (0, 0),
            time: 0,
            needed: Vec::new(),
            in_use: VecDeque::new(),
            free: Vec::new(),
        };
        let Some((_, (_, newest))) = slots.last_key_value() else { return Ok(entries) };
        let (folded, mut expected) = (newest.folded, newest.folded);
        entries.newest = newest.index;
        entries.sequence = entries.sequence.max(newest.sequence);
        (entries.stamp, entries.time) = (newest.stamp, newest.time);
        for (index, (slot, entry)) in slots {
            if index <= folded {
                entries.free.push(slot);
                continue;
            }
            // Every number is taken by an entry, so the log has no holes.
            expected += 1;
            if index != expected {
                return Err(broken("a log entry is missing"));
            }
            // What the cloud has is not needed, but only at the beginning: none goes from the middle.
            if entry.sequence <= state.backed_up && entries.needed.is_empty() {
                entries.free.push(slot);
            } else {
                entries.in_use.push_back((entry.sequence, slot));
                entries.needed.push(entry);
            }
        }
        if expected != entries.newest {
            return Err(broken("a log entry is missing"));
        }
        Ok(entries)
    }
}

/// Reads everything of a bookkeeping namespace, ascending.
fn each(
    inner: &dyn KvStore,
    ns: &Namespace,
    mut take: impl FnMut(u64, Value) -> Result<()>,
) -> Result<()> {
    let mut listed = None;
    loop {
        let page = inner.list(ns, listed.as_ref(), PAGE)?;
        for key in &page {
            let number = key.as_number().ok_or_else(|| broken("a name that is no number"))?;
            let value = inner.read(ns, key)?.ok_or_else(|| broken("a part of the log vanished"))?;
            take(number, value)?;
        }
        listed = page.last().cloned();
        if page.len() < PAGE {
            return Ok(());
        }
    }
}

/// Writes the state of a new installation, so that its writer id is the same after a crash.
fn begin(inner: &dyn KvStore, places: &Places) -> Result<BackupState> {
    if inner.read(&places.state, &log::restoring())?.is_some() {
        return Err(broken("a restore did not finish"));
    }
    for ns in [&places.log, &places.dirty, &places.tombstones] {
        if !inner.list(ns, None, 1)?.is_empty() {
            return Err(broken("there is a log, but no state"));
        }
    }
    let state = BackupState::new(WriterId::random().map_err(no_randomness)?);
    inner.submit(Batch::new().put(&places.state, &log::state(), log::write(&state))).wait()?;
    Ok(state)
}

fn broken(what: &'static str) -> Error {
    Error::corrupt(STORE, what)
}

fn read_state(bytes: &[u8]) -> Result<BackupState> {
    let found = bytes.first_chunk().map_or(0, |version| u32::from_le_bytes(*version));
    if found == 0 {
        return Err(broken("a state without a version"));
    }
    if found > STATE_VERSION {
        return Err(Error::TooNew { store: STORE, found, newest: STATE_VERSION });
    }
    log::read("backup state", bytes)
}

pub(crate) fn no_randomness(source: getrandom::Error) -> Error {
    let source = std::io::Error::other(source);
    Error::Io { store: STORE, during: kv_core::Operation::Open, source: Arc::new(source) }
}
