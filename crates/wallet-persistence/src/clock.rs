//! The one place that reads the wall clock, and how wrong one may be.

use std::time::{SystemTime, UNIX_EPOCH};

use kv_core::{Clock, Timestamp};

/// How far two clocks may differ before a person is told. Clocks that follow the network are seconds
/// apart, and ones that do not drift by minutes in a year; one that was set by hand, to another zone or
/// another day, is off by an hour or more.
const TOLERANCE_MS: u64 = 60 * 60 * 1000;

/// How far a clock is ahead, if somebody should hear of it.
pub(crate) fn is_wrong(ahead_ms: u64) -> Option<u64> {
    (ahead_ms >= TOLERANCE_MS).then_some(ahead_ms)
}

/// The operating system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        #[expect(
            clippy::disallowed_methods,
            reason = "this is the clock that all others are given"
        )]
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(u64::try_from(now.as_millis()).unwrap_or(u64::MAX))
    }
}
