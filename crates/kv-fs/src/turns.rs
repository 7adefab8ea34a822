//! Waiting for a flush. Whoever waits is in the flush under way or in the next one; the end of a
//! flush wakes those who were in it, each once, and one of the others, to lead the next.
//!
//! A condition variable would wake everybody for each flush, and let each take the lock again.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

#[derive(Debug, Default)]
pub(crate) struct Turns {
    /// Count the ends of flushes. Those who are in the flush under way wait for one of them to
    /// change, those who are in the next for the other.
    words: [AtomicU32; 2],
    /// As `State::durable`, to be read without the lock.
    durable: AtomicU64,
}

/// Which flush there is, as the state knows under its lock.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    /// Flushes so far.
    number: usize,
    /// Sequence of the last batch in the flush under way.
    last: u64,
}

/// What to wait for, taken under the lock, so that what happens after it is not missed.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    word: &'a AtomicU32,
    seen: u32,
}

impl Turn {
    pub(crate) fn begin(&mut self, last: u64) {
        self.last = last;
    }

    pub(crate) fn end(&mut self) {
        self.number = self.number.wrapping_add(1);
    }
}

impl Turns {
    pub(crate) fn new(durable: u64) -> Self {
        Self { durable: AtomicU64::new(durable), ..Self::default() }
    }

    pub(crate) fn is_durable(&self, sequence: u64) -> bool {
        sequence <= self.durable.load(Ordering::Acquire)
    }

    pub(crate) fn set_durable(&self, sequence: u64) {
        self.durable.store(sequence, Ordering::Release);
    }

    /// A flush is under way: the place of whoever waits for this batch.
    pub(crate) fn place(&self, turn: &Turn, sequence: u64) -> Place<'_> {
        let number = if sequence <= turn.last { turn.number } else { turn.number.wrapping_add(1) };
        let word = self.word(number);
        Place { word, seen: word.load(Ordering::Acquire) }
    }

    /// The flush before this turn has ended.
    pub(crate) fn wake(&self, turn: &Turn) {
        let next = self.word(turn.number);
        next.fetch_add(1, Ordering::Release);
        // First, as the disk is idle until it comes.
        atomic_wait::wake_one(next);
        let ended = self.word(turn.number.wrapping_add(1));
        ended.fetch_add(1, Ordering::Release);
        atomic_wait::wake_all(ended);
    }

    /// Nothing will be decided any more.
    pub(crate) fn wake_all(&self) {
        for word in &self.words {
            word.fetch_add(1, Ordering::Release);
            atomic_wait::wake_all(word);
        }
    }

    fn word(&self, number: usize) -> &AtomicU32 {
        let [even, odd] = &self.words;
        if number.is_multiple_of(2) { even } else { odd }
    }
}

impl Place<'_> {
    pub(crate) fn wait(self) {
        atomic_wait::wait(self.word, self.seen);
    }
}
