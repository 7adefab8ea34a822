//! Bookkeeping of a decorator that waits, without blocking, for the store below.

use std::collections::VecDeque;

use crate::{Receipt, Result};

/// What a decorator wants to do once the batches it passed on are decided, in their order.
///
/// Push beside every `submit`; call [`Unsettled::settle`] before reading the bookkeeping.
#[derive(Debug)]
pub struct Unsettled<T>(VecDeque<(Receipt, T)>);

impl<T> Default for Unsettled<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T> Unsettled<T> {
    /// Remembers `item` until the batch of `receipt` is decided.
    pub fn push(&mut self, receipt: Receipt, item: T) {
        self.0.push_back((receipt, item));
    }

    /// Hands every decided item to `apply`, oldest first, up to the first undecided one.
    pub fn settle(&mut self, mut apply: impl FnMut(T, Result<()>)) {
        while let Some(outcome) = self.0.front().and_then(|(receipt, _)| receipt.outcome()) {
            if let Some((_, item)) = self.0.pop_front() {
                apply(item, outcome);
            }
        }
    }

    /// The undecided items, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|(_, item)| item)
    }

    /// Whether everything is decided (as of the last [`Unsettled::settle`]).
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
