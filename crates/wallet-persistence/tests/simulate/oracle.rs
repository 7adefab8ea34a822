//! What must be true: every batch and change ever submitted, who acknowledged it, and what may
//! therefore be seen.

use std::collections::{BTreeMap, BTreeSet};

use wallet_persistence::RestoreReport;

use super::content::{Content, MERGE_KEYS, MergeKey};

/// A broken promise, in words.
pub(crate) type Broken = String;

/// One installation of the wallet: from its creation or restore until its device is lost.
#[derive(Debug, Default)]
pub(crate) struct Life {
    /// The last single-writer batch that was submitted, acknowledged, and surely in every cloud.
    pub(crate) submitted: usize,
    pub(crate) acknowledged: usize,
    pub(crate) replicated: usize,
    /// The last change of each mergeable key that this device knows of, removals included.
    pub(crate) known: BTreeMap<MergeKey, usize>,
    /// Whether its device is gone.
    pub(crate) lost: bool,
    /// Whether another one may have taken over: then its single-writer data counts up to that moment
    /// only, and what merges goes on.
    pub(crate) deposed: bool,
}

#[derive(Debug, Default)]
struct Submitted {
    parent: usize,
    life: usize,
    keys: BTreeMap<u8, usize>,
    /// How many changes there were before it, of all devices.
    changes: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Ack {
    /// It failed and is not there: as if it had never been.
    Void,
    None,
    Local,
    Replicated,
}

#[derive(Debug)]
struct Change {
    key: MergeKey,
    parent: Option<usize>,
    life: usize,
    put: bool,
    ack: Ack,
    /// The batch that was the newest on its device.
    batch: usize,
}

#[derive(Debug, Default)]
pub(crate) struct Oracle {
    /// Batch 0 is the empty wallet.
    batches: Vec<Submitted>,
    changes: Vec<Change>,
    pub(crate) lives: Vec<Life>,
    /// The newest single-writer batch that the fence has passed.
    fenced: usize,
    /// Which installation each writer id belongs to.
    pub(crate) writers: BTreeMap<String, usize>,
    /// Whether clouds may show different states to different devices.
    clouds_lie: bool,
    /// Changes that another installation than their own has had: they may come from its chain, too.
    spread: BTreeSet<usize>,
}

impl Oracle {
    pub(crate) fn new(clouds_lie: bool) -> Self {
        let batches = vec![Submitted::default()];
        Self { batches, clouds_lie, ..Self::default() }
    }

    /// A new installation that begins with this content.
    pub(crate) fn begin(&mut self, content: &Content) -> usize {
        let mut life = Life::default();
        (life.submitted, life.acknowledged) = (content.batch, content.batch);
        life.known = content.merge.clone();
        self.spread.extend(content.merge.values());
        self.lives.push(life);
        self.lives.len() - 1
    }

    /// Numbers a single-writer batch that is about to be submitted.
    pub(crate) fn batch(&mut self, life: usize, changes: &BTreeMap<u8, bool>) -> usize {
        let number = self.batches.len();
        let parent = self.lives[life].submitted;
        let mut keys = self.batches[parent].keys.clone();
        for (key, put) in changes {
            if *put {
                keys.insert(*key, number);
            } else {
                keys.remove(key);
            }
        }
        self.batches.push(Submitted { parent, life, keys, changes: self.changes.len() });
        self.lives[life].submitted = number;
        number
    }

    /// The batch was refused, and surely changed nothing.
    pub(crate) fn withdraw(&mut self, life: usize, batch: usize) {
        self.lives[life].submitted = self.batches[batch].parent;
    }

    /// A device tries to take over: whatever it is told, it may have.
    pub(crate) fn takes_over(&mut self, life: usize) {
        for (number, other) in self.lives.iter_mut().enumerate() {
            other.deposed |= number != life;
        }
    }

    /// Numbers a mergeable change that is about to be submitted.
    pub(crate) fn change(&mut self, life: usize, key: MergeKey, put: bool) -> usize {
        let number = self.changes.len();
        let parent = self.lives[life].known.insert(key, number);
        let batch = self.lives[life].submitted;
        self.changes.push(Change { key, parent, life, put, ack: Ack::None, batch });
        number
    }

    /// Everything this device submitted so far is durable on it.
    pub(crate) fn acknowledge(&mut self, life: usize) {
        self.lives[life].acknowledged = self.lives[life].submitted;
        self.raise(life, Ack::Local);
    }

    /// Everything this device submitted before is in every cloud; what has a single writer counts only
    /// once the fence has passed it.
    pub(crate) fn replicate(&mut self, life: usize, fenced: bool) {
        self.acknowledge(life);
        if fenced {
            self.lives[life].replicated = self.lives[life].acknowledged;
        }
        self.raise(life, Ack::Replicated);
    }

    /// The fence has passed what this device wrote, by compare-and-swap in clouds that do not lie: it
    /// was written on top of whatever the fence had passed before, by whomever, or below that (who
    /// took over did so on top of it).
    pub(crate) fn fence(&mut self, life: usize) -> Result<(), Broken> {
        let (before, now) = (self.fenced, self.lives[life].acknowledged);
        if self.descends(now, before) {
            self.fenced = now;
        } else if !self.descends(before, now) {
            return Err(format!("batches {before} and {now} were both acknowledged by the fence"));
        }
        Ok(())
    }

    /// This batch, and so all that was submitted before it, is in every cloud.
    pub(crate) fn replicate_batch(&mut self, life: usize, batch: usize) {
        let life = &mut self.lives[life];
        life.acknowledged = life.acknowledged.max(batch);
        life.replicated = life.replicated.max(batch);
    }

    fn raise(&mut self, life: usize, ack: Ack) {
        for change in &mut self.changes {
            if change.life == life && change.ack != Ack::Void {
                change.ack = change.ack.max(ack);
            }
        }
    }

    /// Whether a device knows of a value there that it could remove.
    pub(crate) fn knows(&self, life: usize, key: MergeKey) -> bool {
        self.lives[life].known.get(&key).is_some_and(|change| self.changes[*change].put)
    }

    /// What a device shows while it runs or after it was reopened.
    pub(crate) fn check_device(&self, life: usize, content: &Content) -> Result<(), Broken> {
        self.check_batch(content)?;
        let Life { acknowledged, submitted, .. } = self.lives[life];
        if !self.descends(content.batch, acknowledged) {
            return Err(format!(
                "batch {acknowledged} was acknowledged, and batch {} is there",
                content.batch
            ));
        }
        if !self.descends(submitted, content.batch) {
            return Err(format!("batch {} was not submitted here", content.batch));
        }
        let own: Vec<usize> = self.held(|change| change.life == life && change.ack >= Ack::Local);
        self.check_merge(content, &own)
    }

    /// The device was reopened: what it shows is what it has.
    pub(crate) fn reopened(&mut self, life: usize, content: &Content) {
        self.lives[life].submitted = content.batch;
        self.lives[life].acknowledged = content.batch;
        for (number, change) in self.changes.iter_mut().enumerate() {
            // One change at most was under way; what it did is seen now.
            let there = content.merge.get(&change.key);
            let landed = if change.put { there == Some(&number) } else { there.is_none() };
            if change.life == life && change.ack == Ack::None {
                change.ack = if landed { Ack::Local } else { Ack::Void };
            }
        }
        self.merged(life, content);
    }

    /// The device may have merged what others did: it knows what it shows.
    pub(crate) fn merged(&mut self, life: usize, content: &Content) {
        let gone: Vec<MergeKey> =
            (0..MERGE_KEYS).filter(|k| !content.merge.contains_key(k)).collect();
        for key in gone {
            // A removal that is known stays known; a change that was lost was never acknowledged.
            let known = self.lives[life].known.get(&key).copied();
            if known.is_some_and(|change| self.changes[change].put) {
                self.lives[life].known.remove(&key);
            }
        }
        self.lives[life].known.extend(content.merge.clone());
        let others = content.merge.values().filter(|change| self.changes[**change].life != life);
        self.spread.extend(others);
    }

    /// What was restored is one moment of one chain, and not before what any installation had
    /// replicated if `strict`.
    pub(crate) fn check_restored(
        &self,
        content: &Content,
        report: &RestoreReport,
        strict: bool,
    ) -> Result<(), Broken> {
        self.check_batch(content)?;
        let life = self.writers.get(&report.writer).ok_or("restored from an unknown writer")?;
        self.check_one_moment(content, *life, !report.merged.is_empty())?;
        if !strict {
            return Ok(());
        }
        let Life { replicated, deposed, .. } = self.lives[*life];
        // One cloud that is all that a takeover and an acknowledgement have in common, and has two faces,
        // lets both pass: what the takeover counts is restored. Out of reach, see T6 in the book.
        let is_contested = self.clouds_lie && deposed;
        if !is_contested && !self.descends(content.batch, replicated) {
            return Err(format!("batch {replicated} was replicated, {} restored", content.batch));
        }
        // What could not be merged is told, and comes with the next poll.
        if report.merged.iter().any(|writer| writer.failure.is_some()) {
            return Ok(());
        }
        self.check_merge(content, &self.held(|change| change.ack == Ack::Replicated))
    }

    /// Both classes of data are from the same moment of the chain of this installation. (What was
    /// merged into it from other chains may be newer.)
    fn check_one_moment(
        &self,
        content: &Content,
        life: usize,
        is_merged: bool,
    ) -> Result<(), Broken> {
        let batch = &self.batches[content.batch];
        if batch.life == life {
            // What this device did before the batch is there with it.
            let before = self.changes.iter().enumerate().take(batch.changes);
            let before =
                before.filter(|(_, change)| change.life == life && change.ack != Ack::Void);
            let before: Vec<usize> = before.map(|(number, _)| number).collect();
            self.check_merge(content, &before).map_err(|e| format!("two cuts are mixed: {e}"))?;
        }
        for number in content.merge.values() {
            // And the batch with what this device did after it.
            let change = &self.changes[*number];
            let from_others = is_merged && self.spread.contains(number);
            let one_moment = !self.lives[life].deposed && !from_others;
            if one_moment && change.life == life && !self.descends(content.batch, change.batch) {
                return Err(format!(
                    "two cuts are mixed: change {number} was made after batch {}, batch {} is there",
                    change.batch, content.batch
                ));
            }
        }
        Ok(())
    }

    /// After all devices have met: nothing that a remaining device acknowledged is lost, nor
    /// anything that was replicated.
    pub(crate) fn check_together(&self, content: &Content) -> Result<(), Broken> {
        let held = self.held(|change| self.must_be_there(change));
        self.check_merge(content, &held)
    }

    /// The single-writer data is that of one batch: no two cuts are mixed.
    fn check_batch(&self, content: &Content) -> Result<(), Broken> {
        match self.batches.get(content.batch) {
            Some(batch) if batch.keys == content.single => Ok(()),
            Some(batch) => Err(format!(
                "two cuts are mixed: batch {} has {:?}, there is {:?}",
                content.batch, batch.keys, content.single
            )),
            None => Err(format!("batch {} was never written", content.batch)),
        }
    }

    /// No change of `held` was replaced by one that it replaced itself.
    fn check_merge(&self, content: &Content, held: &[usize]) -> Result<(), Broken> {
        for key in 0..MERGE_KEYS {
            let held: Vec<usize> =
                held.iter().copied().filter(|change| self.changes[*change].key == key).collect();
            let justified = |change: usize| held.iter().all(|held| !self.precedes(change, *held));
            let good = match content.merge.get(&key) {
                Some(change) => self.changes[*change].key == key && justified(*change),
                None if held.is_empty() => true,
                None => {
                    let removals =
                        self.changes.iter().enumerate().filter(|(_, c)| c.key == key && !c.put);
                    removals.map(|(number, _)| number).any(justified)
                }
            };
            if !good {
                let there = content.merge.get(&key);
                return Err(format!("key {key}: changes {held:?} are held, {there:?} is there"));
            }
        }
        Ok(())
    }

    /// Which key a change is of, and whether it puts it.
    pub(crate) fn deed(&self, change: usize) -> (MergeKey, bool) {
        (self.changes[change].key, self.changes[change].put)
    }

    pub(crate) fn is_acknowledged(&self, change: usize) -> bool {
        self.changes[change].ack >= Ack::Local
    }

    /// The acknowledged changes of one installation.
    pub(crate) fn acknowledged_by(&self, life: usize) -> Vec<usize> {
        self.held(|change| change.life == life && change.ack >= Ack::Local)
    }

    /// The changes of a key that nobody may have lost once all devices have met.
    pub(crate) fn held_at_the_end(&self, key: MergeKey) -> Vec<usize> {
        self.held(|change| change.key == key && self.must_be_there(change))
    }

    /// The changes that remove a key, acknowledged or not.
    pub(crate) fn removals(&self, key: MergeKey) -> Vec<usize> {
        self.held(|change| change.key == key && !change.put && change.ack != Ack::Void)
    }

    /// Whether anything that has a single writer was ever written.
    pub(crate) fn has_batches(&self) -> bool {
        self.batches.len() > 1
    }

    fn must_be_there(&self, change: &Change) -> bool {
        match change.ack {
            Ack::Void | Ack::None => false,
            Ack::Local => !self.lives[change.life].lost,
            Ack::Replicated => true,
        }
    }

    fn held(&self, which: impl Fn(&Change) -> bool) -> Vec<usize> {
        let held = self.changes.iter().enumerate().filter(|(_, change)| which(change));
        held.map(|(number, _)| number).collect()
    }

    /// Whether `later` is `earlier` or was written on top of it.
    fn descends(&self, later: usize, earlier: usize) -> bool {
        let mut at = later;
        while at > earlier {
            at = self.batches[at].parent;
        }
        at == earlier
    }

    /// Whether `later` replaced `earlier`, directly or not.
    fn precedes(&self, earlier: usize, later: usize) -> bool {
        let mut at = self.changes[later].parent;
        while let Some(number) = at {
            if number == earlier {
                return true;
            }
            at = self.changes[number].parent;
        }
        false
    }
}
