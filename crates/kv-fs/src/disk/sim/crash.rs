//! A power cut: which pending units there are, and what becomes of each.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    content::SECTOR,
    medium::Medium,
    names::{Node, reachable},
};

/// What a power cut does to one pending unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fate {
    /// It never reached the disk.
    Lost,
    /// It did.
    Kept,
    /// Only so many sectors of the block did, counted from its beginning. A change of names is
    /// never torn: it is kept.
    Torn(u8),
    /// The block was given to the file, or rewritten, but its new bytes are zeros. A change of
    /// names is kept.
    Zeroed,
}

/// One thing that a power cut may keep or lose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Block {
        file: usize,
        block: usize,
        sectors: u8,
    },
    /// A change of names, by its place among the pending ones.
    Name(usize),
}

impl Medium {
    /// Everything pending that could matter, oldest first.
    pub(super) fn units(&self) -> Vec<Unit> {
        let mut units = BTreeMap::new();
        for (at, change) in self.changes.iter().enumerate() {
            units.insert((change.order, 0), Unit::Name(at));
        }
        let names = self.durable.values().chain(self.live.values()).copied();
        let named: BTreeSet<usize> = names
            .chain(self.changes.iter().filter_map(|change| change.node()))
            .filter_map(|node| match node {
                Node::File(file) => Some(file),
                Node::Dir => None,
            })
            .collect();
        let sectors = (self.block / SECTOR) as u8;
        for file in named {
            let Some(pending) = self.files.get(file) else { continue };
            for (block, order) in pending.dirty.iter().chain(&pending.limbo) {
                let unit = Unit::Block { file, block: *block, sectors };
                units.insert((*order, block + 1), unit);
            }
        }
        units.into_values().collect()
    }

    /// Cuts the power. Units beyond the given fates are lost.
    pub(super) fn crash(&mut self, fates: &[Fate]) {
        let units = self.units();
        for (unit, fate) in units.iter().zip(fates).filter(|(_, fate)| **fate != Fate::Lost) {
            match *unit {
                Unit::Block { file, block, .. } => self.keep_block(file, block, *fate),
                Unit::Name(at) => {
                    if let Some(change) = self.changes.get(at) {
                        change.apply(&mut self.durable);
                    }
                }
            }
        }
        self.durable = reachable(&self.durable);
        self.live = self.durable.clone();
        self.changes.clear();
        for file in &mut self.files {
            let changed = !file.dirty.is_empty() || !file.limbo.is_empty();
            if changed || file.modified != file.durable_modified {
                let file = Arc::make_mut(file);
                file.dirty.clear();
                file.limbo.clear();
                file.live = file.durable.clone();
                file.modified = file.durable_modified;
            }
        }
    }

    fn keep_block(&mut self, file: usize, block: usize, fate: Fate) {
        let Some(file) = self.files.get_mut(file).map(Arc::make_mut) else { return };
        let found = match fate {
            Fate::Lost => return,
            Fate::Kept => file.live.block(block),
            Fate::Torn(sectors) => file.durable.torn_block(block, &file.live, sectors.into()),
            Fate::Zeroed => file.durable.zeroed_block(block, &file.live),
        };
        file.durable.set_block(block, found, file.live.len());
    }
}
