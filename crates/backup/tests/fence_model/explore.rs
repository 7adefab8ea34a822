//! Breadth first over all states, each once.

use std::{
    collections::{HashSet, VecDeque},
    hash::{DefaultHasher, Hash, Hasher},
};

use crate::world::World;

/// What was found, and that the model is not empty talk.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) states: usize,
    pub(crate) ends: usize,
    pub(crate) violation: Option<String>,
    pub(crate) both_finished: bool,
    pub(crate) first_was_fenced: bool,
    pub(crate) second_was_refused: bool,
    pub(crate) was_copied: bool,
}

pub(crate) fn explore(start: World) -> Found {
    let mut found = Found::default();
    let mut seen = HashSet::new();
    let mut queue = VecDeque::from([start]);
    while let Some(world) = queue.pop_front() {
        if !seen.insert(fingerprint(&world)) {
            continue;
        }
        found.states += 1;
        found.note(&world);
        if let Some(violation) = world.violation() {
            found.violation = Some(violation);
            return found;
        }
        let next = world.successors();
        found.ends += usize::from(next.is_empty());
        queue.extend(next);
    }
    found
}

impl Found {
    fn note(&mut self, world: &World) {
        let [first, second] = &world.devices;
        self.both_finished |= first.has_finished() && second.has_finished();
        self.first_was_fenced |= first.was_fenced;
        self.second_was_refused |= second.was_refused;
        self.was_copied |= first.was_copied || second.was_copied;
    }
}

/// 128 bits: two states share one by accident with a chance of 2^-80 at millions of states.
fn fingerprint(world: &World) -> (u64, u64) {
    let hash = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        salt.hash(&mut hasher);
        world.hash(&mut hasher);
        hasher.finish()
    };
    (hash(0), hash(1))
}
