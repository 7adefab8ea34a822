//! When each change was made, as it is stored below the wallet, and what the rule says of that: of
//! each thing the change with the greatest stamp counts, by time, counter and writer.

use std::{collections::BTreeMap, sync::Arc};

use kv_core::{Key, KvStoreExt, Namespace};
use vault::{Keys, SealedStore};
use wallet_persistence::{Account, Record};

use crate::{
    content::{Contact, Content, MARK, MERGE_KEYS},
    device::root,
    oracle::Broken,
    world::World,
};

/// Milliseconds since the Unix epoch, a counter, and the writer: in this order the greater wins.
pub(crate) type Stamp = (u64, u32, [u8; 16]);

/// A stored value with its stamp, by where it is.
pub(super) type Frames = BTreeMap<(Namespace, Key), (Stamp, Vec<u8>)>;

/// The stamps of the changes of one schedule, by their numbers.
#[derive(Debug, Default)]
pub(crate) struct Stamps {
    of: BTreeMap<usize, Stamp>,
    /// The last one of each installation.
    last: BTreeMap<usize, Stamp>,
}

impl Stamps {
    /// The time of the latest one.
    pub(super) fn latest(&self) -> Option<u64> {
        self.of.values().max().map(|(time, ..)| *time)
    }

    /// Of how many keys two changes have the same time and counter, so that the writer decides.
    pub(super) fn ties(&self) -> u64 {
        let mut moments: Vec<_> = self.of.values().map(|(time, count, _)| (time, count)).collect();
        moments.sort_unstable();
        moments.windows(2).filter(|two| two[0] == two[1]).count() as u64
    }
}

fn read_stamp(bytes: &[u8]) -> Option<(Stamp, &[u8])> {
    let (time, rest) = bytes.split_first_chunk()?;
    let (counter, rest) = rest.split_first_chunk()?;
    let (writer, rest) = rest.split_first_chunk()?;
    Some(((u64::from_le_bytes(*time), u32::from_le_bytes(*counter), *writer), rest))
}

impl World {
    /// The sealed store of a running device, to be read beside the wallet.
    fn sealed(&self, d: usize) -> Result<Arc<SealedStore>, Broken> {
        let below = self.devices[d].medium.as_ref().and_then(super::super::medium::Medium::below);
        let below = below.ok_or("a running device has no store")?;
        SealedStore::reopen(below, &Keys::derive(&root())).map_err(|e| format!("below: {e:?}"))
    }

    /// Everything that merges, as it is stored.
    pub(super) fn frames(&self, d: usize) -> Result<Frames, Broken> {
        let store = self.sealed(d)?;
        let mut frames = Frames::new();
        for (primary, secondary) in
            [("~records", Account::STORE), ("~records", Contact::STORE), ("~fields", "")]
        {
            let ns = Namespace::reserved(primary, secondary).map_err(|e| e.to_string())?;
            for key in store.list_all(&ns).map_err(|e| format!("below: {e:?}"))? {
                let value = store.read_required(&ns, &key).map_err(|e| format!("below: {e:?}"))?;
                let (version, rest) = value.split_first().ok_or("a value without a frame")?;
                let (stamp, bytes) = read_stamp(rest).ok_or("a value without a stamp")?;
                if *version != 1 {
                    return Err(format!("a frame of version {version}"));
                }
                frames.insert((ns.clone(), key), (stamp, bytes.to_vec()));
            }
        }
        Ok(frames)
    }

    /// The stamp of what was removed last.
    fn newest_tombstone(&self, d: usize) -> Result<Option<Stamp>, Broken> {
        let store = self.sealed(d)?;
        let ns = Namespace::reserved("~backup", "tombstones").map_err(|e| e.to_string())?;
        let keys = store.list_all(&ns).map_err(|e| format!("below: {e:?}"))?;
        let Some(key) = keys.last() else { return Ok(None) };
        let value = store.read_required(&ns, key).map_err(|e| format!("below: {e:?}"))?;
        // A list of pairs: a stamp, and a list of names. A change here removes one thing.
        Ok(value.get(8..).and_then(read_stamp).map(|(stamp, _)| stamp))
    }

    /// A change was made: it must be later than everything its device knew.
    pub(crate) fn stamped(&mut self, d: usize, number: usize) -> Result<(), Broken> {
        let life = self.devices[d].life;
        if !self.is_three() || !self.oracle.is_acknowledged(number) {
            return Ok(());
        }
        if self.stamps.of.contains_key(&number) || self.devices[d].session.is_none() {
            return Ok(());
        }
        let frames = self.frames(d)?;
        let (_, put) = self.oracle.deed(number);
        let text = format!("{MARK} change {number}\"");
        let is_it = |bytes: &[u8]| bytes.windows(text.len()).any(|part| part == text.as_bytes());
        let stamp = if put {
            frames.values().find(|(_, bytes)| is_it(bytes)).map(|(stamp, _)| *stamp)
        } else {
            self.newest_tombstone(d)?
        };
        let stamp = stamp.ok_or(format!("change {number} was acknowledged and has no stamp"))?;
        let known = frames.values().filter(|(_, bytes)| !put || !is_it(bytes));
        let known = known.map(|(stamp, _)| *stamp).chain(self.stamps.last.get(&life).copied());
        let now = kv_core::Clock::now(&*self.devices[d].clock).0;
        if stamp.0 < now || known.clone().any(|known| known >= stamp) {
            let known = known.max();
            return Err(format!("change {number}: {stamp:?} at {now}, after {known:?}"));
        }
        self.stamps.of.insert(number, stamp);
        self.stamps.last.insert(life, stamp);
        Ok(())
    }

    /// A change that was under way when its device crashed may be there now, with a stamp.
    pub(crate) fn reopened_of_three(&mut self, d: usize) -> Result<(), Broken> {
        if self.is_three() {
            for number in self.oracle.acknowledged_by(self.devices[d].life) {
                self.stamped(d, number)?;
            }
        }
        Ok(())
    }

    /// At the end: of each thing the latest change is there of those that must not be lost, unless it
    /// is a later one still.
    pub(super) fn check_rule(&mut self, content: &Content) -> Result<(), Broken> {
        for key in 0..MERGE_KEYS {
            let stamp = |number: usize| self.stamps.of.get(&number).copied();
            let held: Vec<usize> = self.oracle.held_at_the_end(key);
            let Some(latest) = held.iter().copied().max_by_key(|number| stamp(*number)) else {
                continue;
            };
            // What was never acknowledged may be there nevertheless.
            let may_be = |number: usize| {
                number == latest || stamp(number).is_none_or(|other| Some(other) > stamp(latest))
            };
            let there = content.merge.get(&key).copied();
            let good = match there {
                Some(number) => may_be(number),
                None => self.oracle.removals(key).into_iter().any(may_be),
            };
            if !good {
                let at = stamp(latest);
                return Err(format!(
                    "key {key}: change {latest} is the latest, of {at:?}; {there:?} is there, of {:?}",
                    there.and_then(stamp)
                ));
            }
            self.tally.decided += 1;
        }
        Ok(())
    }
}
