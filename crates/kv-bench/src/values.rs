//! Fresh, incompressible values, made cheaply enough not to be what is measured.

use std::sync::Arc;

pub(crate) use crate::random::Random;

/// Random bytes that values are cut from.
#[derive(Debug, Clone)]
pub(crate) struct Values(Arc<[u8]>);

/// Room for the largest value and then some.
const POOL: usize = 16 << 20;

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
