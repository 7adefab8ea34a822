//! Time as a dependency: nothing below the program reads a wall clock itself.

use std::fmt;

/// Milliseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub u64);

/// Where the time comes from. Tests move it by hand.
pub trait Clock: fmt::Debug + Send + Sync {
    /// The time now. It may stand still or jump back: callers must not rely on its progress.
    fn now(&self) -> Timestamp;
}

impl Timestamp {
    /// The time in whole milliseconds that has passed since `earlier`, 0 if the clock went back.
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}
