//! Random numbers and fresh, incompressible values, made cheaply enough not to be what is measured.

use std::sync::Arc;

/// SplitMix64: seeded, so that every run asks for the same keys in the same order.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

/// Random bytes that values are cut from.
#[derive(Debug, Clone)]
pub(crate) struct Values(Arc<[u8]>);

/// Room for the largest value and then some.
const POOL: usize = 16 << 20;

impl Random {
    pub(crate) fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`, which is not 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }
}

impl Values {
    pub(crate) fn new() -> Self {
        let mut random = Random::seeded(1);
        let words = std::iter::repeat_with(|| random.next().to_le_bytes());
        Self(words.take(POOL / 8).flatten().collect())
    }

    /// A value nobody has seen yet: a random piece of the pool that begins with a random number.
    pub(crate) fn fresh(&self, random: &mut Random, len: usize) -> Vec<u8> {
        let start = random.below(POOL.saturating_sub(len));
        let mut value = self.0.get(start..start + len).unwrap_or_default().to_vec();
        for (byte, new) in value.iter_mut().zip(random.next().to_le_bytes()) {
            *byte = new;
        }
        value
    }
}
