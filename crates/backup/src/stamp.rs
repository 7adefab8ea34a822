//! Hybrid logical clock: stamps that order changes across devices.

use kv_core::{Clock, Timestamp};
use serde::{Deserialize, Serialize};

use crate::WriterId;

/// When and by whom a mergeable value was written. Ordered by time, then counter, then writer: the
/// greater one wins.
///
/// S. Kulkarni et al., "Logical Physical Clocks" (2014).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Stamp {
    /// Milliseconds since the Unix epoch, or later than that if a later stamp had been seen.
    pub time: u64,
    /// Tells stamps within one millisecond apart.
    pub counter: u32,
    /// Who wrote.
    pub writer: WriterId,
}

/// Makes stamps that exceed every stamp made or seen before.
#[derive(Debug)]
pub(crate) struct StampClock {
    writer: WriterId,
    last: (u64, u32),
}

impl StampClock {
    pub(crate) fn new(writer: WriterId) -> Self {
        Self { writer, last: (0, 0) }
    }

    /// A later stamp was seen; ours must exceed it. Never clamped: a wrong clock elsewhere costs
    /// order by wall time, never a change.
    pub(crate) fn saw(&mut self, stamp: &Stamp) {
        self.last = self.last.max((stamp.time, stamp.counter));
    }

    /// Goes on behind `last` under another writer id.
    pub(crate) fn after(writer: WriterId, last: (u64, u32)) -> Self {
        Self { writer, last }
    }

    /// Something of that time was seen; stamps from now on exceed every stamp of that time.
    pub(crate) fn saw_time(&mut self, time: u64) {
        self.last = self.last.max((time, u32::MAX));
    }

    /// The time of the latest stamp made or seen.
    pub(crate) fn last(&self) -> (u64, u32) {
        self.last
    }

    pub(crate) fn next(&mut self, clock: &dyn Clock) -> Stamp {
        let Timestamp(now) = clock.now();
        let (time, counter) = self.last;
        self.last = if now > time {
            (now, 0)
        } else if let Some(counter) = counter.checked_add(1) {
            (time, counter)
        } else {
            // At the end of time stamps stand still.
            time.checked_add(1).map_or(self.last, |time| (time, 0))
        };
        Stamp { time: self.last.0, counter: self.last.1, writer: self.writer }
    }
}

#[cfg(test)]
mod tests {
    use kv_core::testing::ManualClock;

    use super::*;

    #[test]
    fn stamps_only_grow() {
        let clock = ManualClock::at(Timestamp(100));
        let mut stamps = StampClock::new(WriterId::from_bytes([1; 16]));
        let a = stamps.next(&clock);
        let b = stamps.next(&clock);
        assert!(b > a, "two stamps within one millisecond must differ");
        clock.set(Timestamp(50));
        let c = stamps.next(&clock);
        assert!(c > b, "the clock went back, the stamp must not");
        let mut far = c;
        far.time = 10_000;
        stamps.saw(&far);
        assert!(stamps.next(&clock) > far);
        stamps.saw(&a);
        assert!(stamps.next(&clock) > far, "an older stamp must not pull ours back");
        far.counter = u32::MAX;
        stamps.saw(&far);
        assert!(stamps.next(&clock) > far);
        far.time = u64::MAX;
        stamps.saw(&far);
        assert!(stamps.next(&clock) >= far, "the end of time is no way back");
    }
}
