//! From objects back to a store: walk the chain, put the pieces together, write everything.

use std::{collections::VecDeque, sync::Arc};

use kv_core::{Batch, Change, Commit, Key, KvStore, Value};

use crate::{
    BackupState, Content, Entry, Error, Head, Link, ObjectRef, Result, Rule, Rules, SegmentBody,
    Stamp, WriterId, frame,
    log::{self, Places},
    recorder::no_randomness,
};

/// Follows a chain backwards from a head to the dump it builds on.
#[derive(Debug)]
pub struct ChainWalk {
    /// The dump holds everything up to here.
    dump_from: u64,
    /// The segment to open next.
    next: Option<Link>,
    /// The first sequence number of the segment opened last.
    expected_to: Option<u64>,
}

impl ChainWalk {
    /// Begins at `head`, whose dump has this index object.
    pub fn new(head: &Head) -> Result<Self> {
        let dump = head.dump.id;
        let newest = head.newest.as_ref().map(|link| link.range().1);
        if dump.to > dump.from && newest.is_none_or(|to| to < dump.to) {
            return Err(Error::BrokenChain { what: "a dump lacks the segments it needs" });
        }
        if head.sequence != newest.unwrap_or(0).max(dump.from) {
            return Err(Error::BrokenChain {
                what: "a head names another restore point than its objects",
            });
        }
        Ok(Self { dump_from: dump.from, next: head.newest.clone(), expected_to: None })
    }

    /// The segment to fetch next; `None` when the dump covers the rest.
    pub fn next_link(&self) -> Result<Option<&Link>> {
        let Some(link) = &self.next else {
            return match self.expected_to {
                Some(from) if from > self.dump_from + 1 => {
                    Err(Error::BrokenChain { what: "a segment is missing between dump and head" })
                }
                _ => Ok(None),
            };
        };
        let (_, to) = link.range();
        if self.expected_to.is_some_and(|from| to + 1 != from) && to > self.dump_from {
            return Err(Error::BrokenChain { what: "two segments do not follow each other" });
        }
        Ok((to > self.dump_from).then_some(link))
    }

    /// Takes the opened parts of the segment that [`ChainWalk::next_link`] named; its entries, in order.
    pub fn opened(&mut self, bodies: Vec<SegmentBody>) -> Result<Vec<Entry>> {
        let broken = || Error::BrokenChain { what: "the parts of a segment differ" };
        let link = self.next.take().ok_or_else(broken)?;
        let first = bodies.first().ok_or_else(broken)?;
        let previous = first.previous.clone();
        let same = |body: &SegmentBody| {
            body.parts as usize == link.parts.len()
                && body.previous == previous
                && body.time == first.time
        };
        if bodies.len() != link.parts.len() || !bodies.iter().all(same) {
            return Err(broken());
        }
        if previous.as_ref().map_or(crate::ObjectHash::NONE, Link::hash) != link.previous {
            return Err(Error::BrokenChain {
                what: "a segment names another one before it than its successor",
            });
        }
        self.expected_to = Some(link.range().0);
        self.next = previous;
        Ok(bodies
            .into_iter()
            .flat_map(|body| body.mergeable.into_iter().chain(body.single_writer))
            .collect())
    }
}

/// Writes entries into the empty store of a new installation.
#[derive(Debug)]
pub struct Restorer {
    store: Arc<dyn KvStore>,
    rules: Rules,
    places: Places,
    batch: Batch,
    batch_bytes: usize,
    in_flight: VecDeque<Commit>,
    /// A large value under construction.
    pieces: Option<(Entry, Vec<u8>)>,
    tombstones: u64,
    last_stamp: (u64, u32),
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
    pub fn new(store: Arc<dyn KvStore>, rules: Rules) -> Result<Self> {
        Ok(Self {
            store,
            rules,
            places: Places::new()?,
            batch: Batch::new(),
            batch_bytes: 0,
            in_flight: VecDeque::new(),
            pieces: None,
            tombstones: 0,
            last_stamp: (0, 0),
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

    /// Writes the rest and the state of a new installation, which will begin its chain with a dump
    /// of its own.
    pub fn finish(mut self, seen: Vec<ObjectRef>) -> Result<Restored> {
        if self.pieces.is_some() {
            return Err(Error::BrokenChain { what: "a large value is incomplete" });
        }
        let writer = WriterId::random().map_err(no_randomness)?;
        let mut state = BackupState::new(writer);
        state.last_stamp = self.last_stamp;
        state.seen = seen;
        // The sequence of the new installation begins behind the numbers of the tombstones.
        state.backed_up = self.tombstones;
        self.batch.insert(
            self.places.state.clone(),
            Key::number(0),
            Change::Put(log::write(&state)),
        );
        self.submit();
        for commit in self.in_flight {
            commit.wait()?;
        }
        Ok(self.restored)
    }

    fn apply_one(&mut self, entry: Entry) -> Result<()> {
        let Some((entry, value)) = self.assemble(entry)? else {
            return Ok(());
        };
        let (ns, key) = entry.name.place()?;
        self.restored.changes += 1;
        match value {
            Some(value) => {
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
            None => {
                if let Content::Removed(Some(stamp)) = &entry.content {
                    self.saw(stamp);
                    self.tombstones += 1;
                    let tombstone = log::write(&(*stamp, vec![&entry.name]));
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

    /// The entry with its whole value (`None`: removed), once the last piece is there.
    fn assemble(&mut self, mut entry: Entry) -> Result<Option<(Entry, Option<Vec<u8>>)>> {
        let broken = Error::BrokenChain { what: "the pieces of a large value do not fit together" };
        match (&mut entry.content, self.pieces.take()) {
            (Content::Value(value), None) => {
                let value = std::mem::take(value);
                Ok(Some((entry, Some(value))))
            }
            (Content::Removed(_), None) => Ok(Some((entry, None))),
            (Content::Piece { offset, total, bytes }, begun) => {
                let mut value = match begun {
                    None if *offset == 0 => Vec::new(),
                    Some((first, value))
                        if first.name == entry.name && value.len() as u64 == *offset =>
                    {
                        value
                    }
                    _ => return Err(broken),
                };
                value.extend_from_slice(bytes);
                let total = *total;
                if (value.len() as u64) < total {
                    self.pieces = Some((entry, value));
                    return Ok(None);
                }
                if value.len() as u64 == total {
                    Ok(Some((entry, Some(value))))
                } else {
                    Err(broken)
                }
            }
            (_, Some(_)) => Err(broken),
        }
    }

    fn saw(&mut self, stamp: &Stamp) {
        self.last_stamp = self.last_stamp.max((stamp.time, stamp.counter));
    }

    fn submit(&mut self) {
        self.batch_bytes = 0;
        self.in_flight.push_back(self.store.submit(std::mem::take(&mut self.batch)));
    }
}
