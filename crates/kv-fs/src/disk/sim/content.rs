//! The bytes of a simulated file, in blocks that copies share until they change.

use std::{
    ops::Range,
    sync::{Arc, OnceLock},
};

/// Bytes of a sector: a sector is never torn.
pub(super) const SECTOR: usize = 512;

/// Blocks that are `None` hold zeros.
#[derive(Debug, Clone)]
pub(super) struct Content {
    block: usize,
    len: usize,
    blocks: Vec<Block>,
}

pub(super) type Block = Option<Arc<Bytes>>;

#[derive(Debug)]
pub(super) struct Bytes {
    bytes: Box<[u8]>,
    /// Made once, however many copies share the block. 0 if all bytes are.
    hash: OnceLock<u64>,
}

impl Bytes {
    fn shared(bytes: Vec<u8>) -> Block {
        Some(Arc::new(Self { bytes: bytes.into(), hash: OnceLock::new() }))
    }

    fn hash(&self) -> u64 {
        *self.hash.get_or_init(|| {
            if self.bytes.iter().all(|byte| *byte == 0) {
                return 0;
            }
            let (words, _) = self.bytes.as_chunks();
            words.iter().fold(1, |hash, word| mix(hash, u64::from_le_bytes(*word)))
        })
    }
}

impl Content {
    pub(super) fn new(block: usize) -> Self {
        Self { block, len: 0, blocks: Vec::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn read(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.blocks.len() * self.block);
        for block in &self.blocks {
            match block {
                Some(block) => bytes.extend_from_slice(&block.bytes),
                None => bytes.resize(bytes.len() + self.block, 0),
            }
        }
        bytes.truncate(self.len);
        bytes
    }

    /// Writes, and answers the numbers of the blocks written to.
    pub(super) fn write(&mut self, offset: usize, bytes: &[u8]) -> Range<usize> {
        let end = offset + bytes.len();
        self.grow(end);
        let first = offset / self.block;
        let mut rest = bytes;
        let mut at = offset;
        while !rest.is_empty() {
            let within = at % self.block;
            let (now, later) = rest.split_at(rest.len().min(self.block - within));
            self.write_block(at / self.block, within, now);
            at += now.len();
            rest = later;
        }
        first..end.div_ceil(self.block)
    }

    fn write_block(&mut self, number: usize, within: usize, bytes: &[u8]) {
        let size = self.block;
        let Some(block) = self.blocks.get_mut(number) else { return };
        if block.is_none() && bytes.iter().all(|byte| *byte == 0) {
            return;
        }
        let mut new = block.as_deref().map_or_else(|| vec![0; size], |block| block.bytes.to_vec());
        if let Some(place) = new.get_mut(within..within + bytes.len()) {
            place.copy_from_slice(bytes);
        }
        *block = Bytes::shared(new);
    }

    pub(super) fn grow(&mut self, len: usize) {
        self.len = self.len.max(len);
        let blocks = self.len.div_ceil(self.block);
        if self.blocks.len() < blocks {
            self.blocks.resize(blocks, None);
        }
    }

    pub(super) fn block(&self, number: usize) -> Block {
        self.blocks.get(number).cloned().flatten()
    }

    /// Takes a whole block over from `other`, and as much of its length as that block shows.
    pub(super) fn take_block(&mut self, number: usize, other: &Self) {
        self.set_block(number, other.block(number), other.len);
    }

    /// Sets a block of a file that may have this length.
    pub(super) fn set_block(&mut self, number: usize, block: Block, len: usize) {
        self.grow(len.min((number + 1) * self.block));
        if let Some(place) = self.blocks.get_mut(number) {
            *place = block;
        }
    }

    /// The block with only its first `sectors` taken over from `other`.
    pub(super) fn torn_block(&self, number: usize, other: &Self, sectors: usize) -> Block {
        let mut bytes = self.block_bytes(number);
        let cut = (sectors * SECTOR).min(self.block);
        let new = other.block_bytes(number);
        for (byte, new) in bytes.iter_mut().zip(new).take(cut) {
            *byte = new;
        }
        Bytes::shared(bytes)
    }

    /// The block with zeros wherever it would have changed.
    pub(super) fn zeroed_block(&self, number: usize, other: &Self) -> Block {
        let mut bytes = self.block_bytes(number);
        let new = other.block_bytes(number);
        let differs = |(old, new): (&u8, &u8)| old != new;
        let first = bytes.iter().zip(&new).position(differs);
        let last = bytes.iter().zip(&new).rposition(differs);
        if let (Some(first), Some(last)) = (first, last)
            && let Some(written) = bytes.get_mut(first..=last)
        {
            written.fill(0);
        }
        Bytes::shared(bytes)
    }

    fn block_bytes(&self, number: usize) -> Vec<u8> {
        self.block(number).map_or_else(|| vec![0; self.block], |block| block.bytes.to_vec())
    }

    /// Mixes the contents into a fingerprint.
    pub(super) fn mix(&self, mut hash: u64) -> u64 {
        hash = mix(hash, self.len as u64);
        for (number, block) in self.blocks.iter().enumerate() {
            let block = block.as_ref().map_or(0, |block| block.hash());
            if block != 0 {
                hash = mix(mix(hash, number as u64), block);
            }
        }
        hash
    }
}

/// One step of a fingerprint: two rounds of multiply and shift.
pub(super) fn mix(hash: u64, word: u64) -> u64 {
    let mixed = (hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9).rotate_left(23)
}
