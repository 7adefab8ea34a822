//! The read cache: values by name, so that a hot key needs neither the table nor the disk.
//!
//! **Never old.** A key is forgotten here, with the state locked, before a change of it enters the
//! table. A reader puts in what it has read only with the [`Missed`] it was given *before* it
//! looked into the table, and only if nothing in the same shard was forgotten since. So what is
//! here is what the table says, and what the table says is durable. All keys of a flush are
//! forgotten before any of them can be read anew: who has seen one change of a batch finds no
//! value here from before it.
//!
//! Values leave by second chance (the CLOCK algorithm, Corbató 1968): a hand goes round and takes
//! out what was not read since it came by last. What is read once, say by a dump, comes without
//! that mark and leaves before what is read often.

use std::{
    collections::HashMap,
    hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState},
    sync::{Mutex, MutexGuard, PoisonError},
};

use kv_core::{Key, Namespace, Value};

use crate::block::{Block, FullName};

/// Shards at most: so many threads can read at a time without waiting for each other.
const SHARDS: usize = 8;
/// A shard has at least this many bytes, so that it can hold values of some size.
const SHARD: usize = 1 << 20;
/// A value may take one part in this many of its shard.
const PART: usize = 4;
/// Bytes an entry costs beside its block: its share of the map and of the ring.
const ENTRY: usize = 160;

/// Values by name, at most so many bytes of them.
#[derive(Debug)]
pub(crate) struct Cache {
    /// A power of two, or none: then nothing is kept.
    shards: Vec<Mutex<Shard>>,
    hasher: RandomState,
    /// Bytes of each shard.
    budget: usize,
}

/// A value was not there: the right to put it in, unless its key has changed since.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Missed {
    hash: u64,
    generation: u64,
}

#[derive(Debug, Default)]
struct Shard {
    /// By the hash of the name. Of two names with one hash only the last one read is here.
    entries: HashMap<u64, Entry, BuildHasherDefault<Hashed>>,
    /// Each entry's hash, in the order in which the hand comes by.
    ring: Vec<u64>,
    hand: usize,
    bytes: usize,
    /// How often anything was forgotten.
    generation: u64,
}

#[derive(Debug)]
struct Entry {
    block: Block,
    /// Its place in the ring.
    at: u32,
    /// Read since the hand came by.
    again: bool,
}

impl Cache {
    pub(crate) fn new(bytes: usize) -> Self {
        let shards = match (bytes / SHARD).min(SHARDS) {
            0 => usize::from(bytes > 0),
            some => 1 << some.ilog2(),
        };
        let budget = bytes.checked_div(shards).unwrap_or_default();
        let shards = std::iter::repeat_with(Mutex::default).take(shards).collect();
        Self { shards, hasher: RandomState::new(), budget }
    }

    /// The value if it is here.
    pub(crate) fn get(&self, ns: &Namespace, key: &Key) -> Result<Value, Missed> {
        let name = FullName::of(ns, key);
        let hash = self.hash(&name);
        let Some(mut shard) = self.shard(hash) else { return Err(Missed { hash, generation: 0 }) };
        let generation = shard.generation;
        let entry = shard.entries.get_mut(&hash);
        let entry = entry.filter(|entry| entry.block.name() == name.bytes());
        let entry = entry.ok_or(Missed { hash, generation })?;
        entry.again = true;
        Ok(entry.block.value())
    }

    /// Puts in what the table, read after the miss, has led to. Answers the value, which may have
    /// moved.
    pub(crate) fn fill(&self, missed: Missed, ns: &Namespace, key: &Key, value: Value) -> Value {
        let name = FullName::of(ns, key);
        if ENTRY + Block::cost_of(&name, &value) > self.budget / PART {
            return value;
        }
        let block = Block::new(&name, value);
        let value = block.value();
        let Some(mut shard) = self.shard(missed.hash) else { return value };
        if shard.generation != missed.generation {
            return value;
        }
        shard.remove(missed.hash);
        let entry = Entry { block, at: 0, again: false };
        while shard.bytes + entry.cost() > self.budget {
            shard.evict();
        }
        shard.insert(missed.hash, entry);
        value
    }

    /// The key is about to change in the table. The state is locked.
    pub(crate) fn forget(&self, ns: &Namespace, key: &Key) {
        let hash = self.hash(&FullName::of(ns, key));
        if let Some(mut shard) = self.shard(hash) {
            shard.generation += 1;
            shard.remove(hash);
        }
    }

    /// Forgets everything, and lets nothing in that was missed before.
    pub(crate) fn clear(&self) {
        for shard in &self.shards {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            *shard = Shard { generation: shard.generation + 1, ..Shard::default() };
        }
    }

    /// Bytes taken, overhead included.
    pub(crate) fn bytes(&self) -> usize {
        let bytes =
            |shard: &Mutex<Shard>| shard.lock().unwrap_or_else(PoisonError::into_inner).bytes;
        self.shards.iter().map(bytes).sum()
    }

    fn shard(&self, hash: u64) -> Option<MutexGuard<'_, Shard>> {
        // Other bits than those by which the map places an entry.
        let at = (hash >> 40) as usize & self.shards.len().wrapping_sub(1);
        self.shards.get(at).map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Keyed, so that nobody can choose names that collide.
    fn hash(&self, name: &FullName) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(name.bytes());
        hasher.finish()
    }
}

impl Entry {
    fn cost(&self) -> usize {
        ENTRY + self.block.cost()
    }
}

impl Shard {
    /// Puts an entry just behind the hand, so that a whole round goes by before it is looked at.
    fn insert(&mut self, hash: u64, mut entry: Entry) {
        let last = self.ring.len();
        let at = self.hand.min(last);
        self.hand = at + 1;
        self.bytes += entry.cost();
        entry.at = at as u32;
        self.ring.push(hash);
        self.ring.swap(at, last);
        self.tell_place(last);
        self.entries.insert(hash, entry);
    }

    /// Moves the hand on, and takes out what it finds if that was not read since the last time.
    fn evict(&mut self) {
        if self.hand >= self.ring.len() {
            self.hand = 0;
        }
        let Some(hash) = self.ring.get(self.hand).copied() else { return };
        match self.entries.get_mut(&hash).filter(|entry| entry.again) {
            Some(entry) => {
                entry.again = false;
                self.hand += 1;
            }
            None => self.remove(hash),
        }
    }

    fn remove(&mut self, hash: u64) {
        let Some(entry) = self.entries.remove(&hash) else { return };
        self.bytes -= entry.cost();
        let at = entry.at as usize;
        if at < self.ring.len() {
            self.ring.swap_remove(at);
            self.tell_place(at);
        }
    }

    /// Tells an entry where in the ring it is now.
    fn tell_place(&mut self, at: usize) {
        if let Some(entry) = self.ring.get(at).and_then(|hash| self.entries.get_mut(hash)) {
            entry.at = at as u32;
        }
    }
}

/// Hashes what is a hash already.
#[derive(Debug, Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

#[cfg(test)]
mod tests {
    use kv_core::testing::Random;

    use super::*;

    fn name(n: u64) -> (Namespace, Key) {
        (Namespace::new(["a", "b"][n as usize % 2], "").unwrap(), Key::number(n / 2))
    }

    fn value(n: u64, len: usize) -> Value {
        Value::from([&n.to_le_bytes()[..], &vec![n as u8; len]].concat())
    }

    /// Reads as a store does, from a table that has every key.
    fn read(cache: &Cache, n: u64, len: usize) -> bool {
        let (ns, key) = name(n);
        match cache.get(&ns, &key) {
            Ok(found) => {
                assert_eq!(found[..8], n.to_le_bytes());
                true
            }
            Err(missed) => {
                cache.fill(missed, &ns, &key, value(n, len));
                false
            }
        }
    }

    fn check(cache: &Cache) {
        for shard in &cache.shards {
            let shard = shard.lock().unwrap();
            assert!(shard.bytes <= cache.budget);
            assert_eq!(shard.bytes, shard.entries.values().map(Entry::cost).sum::<usize>());
            assert_eq!(shard.ring.len(), shard.entries.len());
            for (at, hash) in shard.ring.iter().enumerate() {
                assert_eq!(shard.entries[hash].at as usize, at);
            }
        }
    }

    #[test]
    fn it_never_holds_more_than_it_may() {
        for budget in [0, 1, 300, 5_000, 1 << 20, 3 << 20, 64 << 20] {
            let cache = Cache::new(budget);
            assert!(cache.shards.len() * cache.budget <= budget);
            let mut random = Random::seeded(budget as u64);
            for _ in 0..20_000 {
                let (n, len) = (random.below(5_000), random.below(2_000) as usize);
                match random.below(10) {
                    0 => cache.forget(&name(n).0, &name(n).1),
                    _ => {
                        read(&cache, n, len);
                    }
                }
            }
            check(&cache);
            assert!(cache.bytes() <= budget);
            assert_eq!(cache.bytes() > 0, budget >= 5_000, "{budget}");
            cache.clear();
            assert_eq!(cache.bytes(), 0);
        }
    }

    #[test]
    fn what_is_read_often_stays_and_what_is_not_leaves() {
        // Room for about a thousand.
        let cache = Cache::new(1_000 * (ENTRY + 240));
        for round in 0..50 {
            for n in 0..500 {
                read(&cache, n, 100);
            }
            // A dump that reads everything once.
            for n in 0..400 {
                read(&cache, 1_000 + 400 * round + n, 100);
            }
        }
        let kept = (0..500).filter(|n| read(&cache, *n, 100)).count();
        assert!(kept >= 490, "{kept} of what is read often");
        // Other keys are read now.
        for _ in 0..5 {
            for n in 0..500 {
                read(&cache, 100_000 + n, 100);
            }
        }
        let kept = (0..500).filter(|n| read(&cache, 100_000 + *n, 100)).count();
        assert!(kept >= 490, "{kept} of what is read now");
        check(&cache);
    }

    #[test]
    fn a_value_read_before_a_change_is_not_put_in_after_it() {
        let cache = Cache::new(1 << 20);
        let (ns, key) = name(1);
        let missed = cache.get(&ns, &key).unwrap_err();
        cache.forget(&ns, &key);
        cache.fill(missed, &ns, &key, value(1, 0));
        let missed = cache.get(&ns, &key).unwrap_err();
        cache.clear();
        cache.fill(missed, &ns, &key, value(1, 0));
        let missed = cache.get(&ns, &key).unwrap_err();
        cache.fill(missed, &ns, &key, value(1, 0));
        assert!(cache.get(&ns, &key).is_ok());
    }

    #[test]
    fn names_are_told_apart_even_if_their_hashes_are_not() {
        let cache = Cache::new(1 << 20);
        let (one, other) = (name(1), name(2));
        let missed = cache.get(&one.0, &one.1).unwrap_err();
        // As if both had this hash.
        cache.fill(missed, &other.0, &other.1, value(2, 0));
        let missed = cache.get(&one.0, &one.1).unwrap_err();
        cache.fill(missed, &one.0, &one.1, value(1, 0));
        assert_eq!(*cache.get(&one.0, &one.1).unwrap(), *value(1, 0));
        check(&cache);
    }
}
