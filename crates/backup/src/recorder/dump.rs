//! Reading the full state for a dump, by any number of threads, while others go on writing.

use std::{
    collections::VecDeque,
    sync::{Arc, PoisonError},
};

use kv_core::{Error, Key, KvStore, Namespace, Result, Show, Value};

use super::Recorder;
use crate::{
    Content, Entry, EntryName, PartMaker, Rule, UnsealedPart, log,
    segment::{ContentRef, EntryRef, NameRef},
    tombstones::Removals,
};

/// How many keys to list at once.
const PAGE: usize = 512;

/// How many bytes of values to hand out at once, about.
const PAGE_BYTES: usize = 4 << 20;

/// A namespace with more keys than this is bulk, and comes after those that have fewer: accounts,
/// fields, managers and monitors before a million transactions.
const SMALL: usize = 1000;

/// Walks over every entry of the store. What it reads between its first and its last step is one
/// moment only together with the segments that cover [`DumpReader::from`] to the sequence number
/// at its end.
#[derive(Debug)]
pub struct DumpReader {
    recorder: Arc<Recorder>,
    from: u64,
    /// Still to read, next one last.
    namespaces: Vec<Namespace>,
    /// How many of them are bulk.
    bulk: usize,
    after: Option<Key>,
    /// What was listed and not yet handed out.
    chunk: Option<DumpChunk>,
}

/// Keys whose values are to be read.
#[derive(Debug, Clone)]
pub struct DumpChunk {
    recorder: Arc<Recorder>,
    ns: Namespace,
    keys: Vec<Key>,
    /// How many were read.
    read: usize,
}

impl Recorder {
    /// Begins a dump: everything submitted so far is flushed and will be in it.
    pub fn dump(self: &Arc<Self>) -> Result<DumpReader> {
        let from = self.begin_dump()?;
        self.flush()?;
        let mut namespaces = Vec::new();
        for ns in self.inner.namespaces()? {
            let tombstones = ns == self.places.tombstones;
            if self.rules.of(&ns) == Rule::LocalOnly || (Self::is_own(&ns) && !tombstones) {
                continue;
            }
            let bulk = !tombstones && self.inner.list(&ns, None, SMALL + 1)?.len() > SMALL;
            // Tombstones first: where a key was written again after its removal, the value must win.
            namespaces.push((!tombstones, bulk, ns));
        }
        namespaces.sort();
        let bulk = namespaces.iter().filter(|(_, bulk, _)| *bulk).count();
        let namespaces = namespaces.into_iter().rev().map(|(.., ns)| ns).collect();
        let recorder = Arc::clone(self);
        Ok(DumpReader { recorder, from, namespaces, bulk, after: None, chunk: None })
    }

    /// Ends a generation, so that what the dump covers can be forgotten at once. After the log was
    /// dropped, changes are noted again from here on.
    fn begin_dump(&self) -> Result<u64> {
        let _no_cut = self.cutting.lock().unwrap_or_else(PoisonError::into_inner);
        let mut order = self.order();
        let from = order.mark(self)?;
        // Once: what was noted since an earlier dump is needed if that is the one to be acknowledged.
        if order.state.dropped.is_some() && !order.resumed {
            order.resume(self, from)?;
        } else {
            order.memory.freeze(from);
        }
        Ok(from)
    }

    /// Of entries that a chain holds as of sequence number `sequence`: the names of those that this
    /// store holds otherwise, though they were not changed since. Pieces of large values count, too.
    ///
    /// It knows of changes that are not backed up yet; those that were backed up since `sequence`
    /// are the caller's to know.
    pub fn differing(&self, entries: &[Entry], sequence: u64) -> Result<Vec<EntryName>> {
        let drops = self.log_drops();
        let mut differing = Vec::new();
        let mut last: Option<(EntryName, Option<Value>)> = None;
        let mut ahead = ReadAhead::new(self);
        let mut rest = entries;
        while let [entry, after @ ..] = rest {
            // All pieces of a value are compared with one look at it.
            let value = match (&entry.content, &last) {
                (Content::Piece { .. }, Some((name, value))) if *name == entry.name => {
                    value.clone()
                }
                (Content::Piece { .. }, _) => {
                    let (ns, key) = entry.name.place()?;
                    let value = self.inner.read(&ns, &key)?;
                    last = Some((entry.name.clone(), value.clone()));
                    value
                }
                _ => ahead.next(rest)?,
            };
            rest = after;
            let same = match (&entry.content, &value) {
                (Content::Value(expected), Some(value)) => **value == **expected,
                (Content::Piece { offset, total, bytes }, Some(value)) => {
                    let begin = usize::try_from(*offset).unwrap_or(usize::MAX);
                    value.len() as u64 == *total
                        && value.get(begin..begin.saturating_add(bytes.len())) == Some(&**bytes)
                }
                (Content::Removed(_), None) => true,
                _ => false,
            };
            if !same && differing.last() != Some(&entry.name) {
                differing.push(entry.name.clone());
            }
        }
        if !differing.is_empty() {
            // Only after the reads: what is changed later cannot have been read.
            let order = self.order();
            if !order.is_tracking() || order.drops != drops {
                // Anything may have changed meanwhile.
                return Ok(Vec::new());
            }
            let mut unchanged = Vec::new();
            for name in differing {
                if !order.memory.changed_after(&name.place()?, sequence) {
                    unchanged.push(name);
                }
            }
            return Ok(unchanged);
        }
        Ok(differing)
    }
}

impl DumpReader {
    /// The sequence number up to which the dump surely holds everything.
    pub fn from(&self) -> u64 {
        self.from
    }

    /// Ends the walk: the sequence number up to which segments are needed beside the dump. What it
    /// counts is durable.
    pub fn end(self) -> Result<u64> {
        let to = self.recorder.order().mark(&self.recorder)?;
        self.recorder.flush()?;
        Ok(to)
    }

    /// Whether only bulk is left.
    pub fn is_bulk(&self) -> bool {
        self.chunk.is_none() && self.namespaces.len() <= self.bulk
    }

    /// The next keys to read, `None` at the end. What is handed out may be read on any thread.
    pub fn next_chunk(&mut self) -> Result<Option<DumpChunk>> {
        while let Some(ns) = self.namespaces.last() {
            let keys = self.recorder.inner.list(ns, self.after.as_ref(), PAGE)?;
            let ns = ns.clone();
            self.after = keys.last().cloned();
            if keys.len() < PAGE {
                self.namespaces.pop();
                self.after = None;
            }
            if !keys.is_empty() {
                let recorder = Arc::clone(&self.recorder);
                return Ok(Some(DumpChunk { recorder, ns, keys, read: 0 }));
            }
        }
        Ok(None)
    }

    /// The next entries, `None` at the end.
    pub fn next_page(&mut self) -> Result<Option<Vec<Entry>>> {
        loop {
            if self.chunk.is_none() {
                self.chunk = self.next_chunk()?;
            }
            let Some(chunk) = &mut self.chunk else { return Ok(None) };
            match chunk.next_entries()? {
                Some(entries) => return Ok(Some(entries)),
                None => self.chunk = None,
            }
        }
    }
}

impl DumpChunk {
    /// The next entries of these keys, a few MiB at a time; `None` at the end.
    pub fn next_entries(&mut self) -> Result<Option<Vec<Entry>>> {
        let mut entries = Vec::new();
        let each = |entry: EntryRef<'_>| {
            entries.push(entry.to_owned());
            Ok::<_, Error>(())
        };
        self.read_some(each)?;
        Ok(Some(entries).filter(|entries| !entries.is_empty()))
    }

    /// Adds the entries of these keys, a few MiB at a time; the parts that are full then, `None` at
    /// the end.
    pub fn add_to(&mut self, maker: &mut PartMaker) -> crate::Result<Option<Vec<UnsealedPart>>> {
        let read = self.read_some(|entry| maker.push(entry))?;
        Ok(read.then(|| maker.full()))
    }

    /// Shows the next entries, about [`PAGE_BYTES`]; `false` at the end.
    fn read_some<E: From<Error>>(
        &mut self,
        mut each: impl FnMut(EntryRef<'_>) -> Result<(), E>,
    ) -> Result<bool, E> {
        let (mut any, mut bytes) = (false, 0);
        while let keys @ [_, ..] = self.keys.get(self.read..).unwrap_or_default()
            && bytes < PAGE_BYTES
        {
            let (ns, mut outcome) = (&self.ns, Ok(()));
            self.read += self.recorder.read_below(ns, keys, PAGE_BYTES, &mut |at, value| {
                // Removed since it was listed: a segment will say so.
                let (Some(key), Some(value), Ok(())) = (keys.get(at), value, &outcome) else {
                    return Ok(());
                };
                any = true;
                if !Recorder::is_own(ns) {
                    bytes += value.len();
                    let (name, content) = (NameRef::new(ns, key), ContentRef::Value(value));
                    outcome = each(EntryRef { name, content });
                    return Ok(());
                }
                let Removals(removals) = log::read("tombstones", value)?;
                for (stamp, names) in &removals {
                    let content = ContentRef::Removed(Some(*stamp));
                    let mut names = names.iter().map(NameRef::of);
                    outcome = names.try_for_each(|name| each(EntryRef { name, content }));
                    if outcome.is_err() {
                        break;
                    }
                }
                Ok(())
            })?;
            outcome?;
        }
        Ok(any)
    }
}

impl Recorder {
    /// Shows values as they lie below: see [`kv_core::ReadMany`].
    fn read_below(
        &self,
        ns: &Namespace,
        keys: &[Key],
        enough: usize,
        show: &mut Show<'_>,
    ) -> Result<usize> {
        if let Some(many) = self.inner.capabilities().read_many {
            return many.read_many(ns, keys, enough, show);
        }
        let Some(first) = keys.first() else { return Ok(0) };
        show(0, self.inner.read(ns, first)?.as_deref())?;
        Ok(1)
    }
}

/// Reads what lies below under the names of entries, several at once.
struct ReadAhead<'a> {
    recorder: &'a Recorder,
    values: VecDeque<Option<Value>>,
}

impl<'a> ReadAhead<'a> {
    fn new(recorder: &'a Recorder) -> Self {
        Self { recorder, values: VecDeque::new() }
    }

    /// The value under the name of the first of these entries; what was not taken yet belongs to
    /// those that follow.
    fn next(&mut self, entries: &[Entry]) -> Result<Option<Value>> {
        if self.values.is_empty()
            && let Some(first) = entries.first()
        {
            let (ns, key) = first.name.place()?;
            let mut keys = vec![key];
            let alike = entries.iter().skip(1).take(PAGE - 1).take_while(|entry| {
                let name = &entry.name;
                name.primary == first.name.primary
                    && name.secondary == first.name.secondary
                    && !matches!(entry.content, Content::Piece { .. })
            });
            for entry in alike {
                keys.push(entry.name.checked_key()?);
            }
            let mut values = vec![None; keys.len()];
            let read = self.recorder.read_below(&ns, &keys, PAGE_BYTES, &mut |at, value| {
                if let Some(place) = values.get_mut(at) {
                    *place = value.map(Value::from);
                }
                Ok(())
            })?;
            values.truncate(read);
            self.values = values.into();
        }
        Ok(self.values.pop_front().flatten())
    }
}
