//! The log in memory: which keys changed, and their values as long as there is room.

use std::{collections::BTreeMap, ops::Bound};

use kv_core::Value;

use crate::{EntryName, Lag, Stamp, log::LogEntry};

/// The log entries that are not yet in the cloud, oldest first.
#[derive(Debug)]
pub(super) struct Memory {
    batches: BTreeMap<u64, Logged>,
    records: u64,
    /// Wide enough for any sum of lengths that a damaged log may claim.
    bytes: u128,
    held_bytes: u64,
    /// Batches up to this sequence number hold no values any more.
    dropped_to: u64,
    /// How many bytes of values to hold.
    budget: u64,
    /// While a cut is being read no value may be dropped: see [`super::Recorder::cut`].
    pub(super) pinned: bool,
}

#[derive(Debug)]
pub(super) struct Logged {
    pub(super) time: u64,
    pub(super) changes: Vec<(EntryName, Option<u64>, Held)>,
}

/// What is known of a change without asking the store.
#[derive(Debug, Clone)]
pub(super) enum Held {
    /// The value, as stored.
    Value(Value),
    /// A value that must be read from the store.
    Dropped,
    /// The key was removed.
    Removed(Option<Stamp>),
}

impl Memory {
    pub(super) fn new(budget: u64) -> Self {
        Self {
            batches: BTreeMap::new(),
            records: 0,
            bytes: 0,
            held_bytes: 0,
            dropped_to: 0,
            budget,
            pinned: false,
        }
    }

    pub(super) fn push(&mut self, sequence: u64, entry: LogEntry, held: Vec<Held>) {
        self.records += entry.changes.len() as u64;
        self.bytes += entry.changes.iter().filter_map(|c| c.len).map(u128::from).sum::<u128>();
        self.held_bytes += held.iter().map(Held::bytes).sum::<u64>();
        let changes = entry.changes.into_iter().zip(held).map(|(c, held)| (c.name, c.len, held));
        let logged = Logged { time: entry.time, changes: changes.collect() };
        self.batches.insert(sequence, logged);
        if !self.pinned {
            self.shrink();
        }
    }

    /// Drops the oldest values until the rest fits the budget.
    pub(super) fn shrink(&mut self) {
        let batches = self.batches.range_mut(self.dropped_to.saturating_add(1)..);
        for (sequence, batch) in batches {
            if self.held_bytes <= self.budget {
                return;
            }
            for (.., held) in &mut batch.changes {
                if let Held::Value(value) = held {
                    self.held_bytes -= value.len() as u64;
                    *held = Held::Dropped;
                }
            }
            self.dropped_to = *sequence;
        }
    }

    /// The batches after `from` up to `to`, oldest first.
    pub(super) fn range(&self, from: u64, to: u64) -> impl Iterator<Item = (u64, &Logged)> {
        let batches = self.batches.range((Bound::Excluded(from), Bound::Unbounded));
        batches.map(|(sequence, batch)| (*sequence, batch)).take_while(move |(s, _)| *s <= to)
    }

    pub(super) fn sequences_to(&self, to: u64) -> Vec<u64> {
        self.batches.range(..=to).map(|(sequence, _)| *sequence).collect()
    }

    pub(super) fn forget_to(&mut self, to: u64) {
        let rest = self.batches.split_off(&to.saturating_add(1));
        for batch in std::mem::replace(&mut self.batches, rest).into_values() {
            self.records -= batch.changes.len() as u64;
            let lengths = batch.changes.iter().filter_map(|(_, len, _)| *len);
            self.bytes -= lengths.map(u128::from).sum::<u128>();
            self.held_bytes -= batch.changes.iter().map(|(.., held)| held.bytes()).sum::<u64>();
        }
    }

    pub(super) fn lag(&self) -> Lag {
        let oldest = self.batches.first_key_value().map(|(_, batch)| batch.time);
        let bytes = u64::try_from(self.bytes).unwrap_or(u64::MAX);
        Lag { records: self.records, bytes, oldest }
    }
}

impl Held {
    fn bytes(&self) -> u64 {
        match self {
            Self::Value(value) => value.len() as u64,
            Self::Dropped | Self::Removed(_) => 0,
        }
    }
}
