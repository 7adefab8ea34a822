//! A linearizability check for concurrent histories of single keys.
//!
//! After J. Wing and C. Gong, "Testing and Verifying Concurrent Objects" (1993), with the
//! memoisation of G. Lowe (2017). Keys are independent, so each key's history is checked alone.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

/// One call on one key and what it answered. Values are numbers to keep histories small.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// Stored this value.
    Write(u64),
    /// Removed the key.
    Remove,
    /// Read this (`None`: absent).
    Read(Option<u64>),
    /// Stored this value on condition that the key is absent, and whether it was.
    WriteIfAbsent(u64, bool),
}

/// A call with the moments it began and ended, in ticks of the history's own counter.
#[derive(Debug, Clone, Copy)]
pub struct Event {
    key: u32,
    call: Call,
    began: u64,
    ended: u64,
}

/// Collects the events of several threads.
#[derive(Debug, Default)]
pub struct History {
    tick: AtomicU64,
    events: Mutex<Vec<Event>>,
}

impl History {
    /// Runs `call` and records what it says it did.
    pub fn record(&self, key: u32, call: impl FnOnce() -> Call) {
        let began = self.tick.fetch_add(1, Ordering::SeqCst);
        let call = call();
        let ended = self.tick.fetch_add(1, Ordering::SeqCst);
        let event = Event { key, call, began, ended };
        self.events.lock().unwrap_or_else(PoisonError::into_inner).push(event);
    }

    /// All events.
    pub fn into_events(self) -> Vec<Event> {
        self.events.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether each key's calls can be ordered so that every answer is explained and no call moves
/// outside the time it took. Keys are absent at first. At most 64 calls per key.
///
/// # Panics
/// If a key has more than 64 calls.
pub fn check_linearizable(events: &[Event]) -> Result<(), String> {
    let mut keys: BTreeMap<u32, Vec<Event>> = BTreeMap::new();
    for event in events {
        keys.entry(event.key).or_default().push(*event);
    }
    for (key, events) in keys {
        assert!(events.len() <= 64, "at most 64 calls per key");
        if !search(&events, 0, None, &mut HashSet::new()) {
            return Err(format!("no order explains the calls on key {key}: {events:?}"));
        }
    }
    Ok(())
}

fn search(
    events: &[Event],
    done: u64,
    state: Option<u64>,
    seen: &mut HashSet<(u64, Option<u64>)>,
) -> bool {
    let pending = || events.iter().enumerate().filter(move |(i, _)| done & (1 << i) == 0);
    let Some(first_end) = pending().map(|(_, e)| e.ended).min() else {
        return true;
    };
    if !seen.insert((done, state)) {
        return false;
    }
    pending().any(|(i, event)| {
        // A call that began after another had ended cannot come before it.
        event.began <= first_end
            && apply(event.call, state)
                .is_some_and(|next| search(events, done | (1 << i), next, seen))
    })
}

/// The state after the call; `None` if the call cannot have answered so in this state.
fn apply(call: Call, state: Option<u64>) -> Option<Option<u64>> {
    match call {
        Call::Write(value) => Some(Some(value)),
        Call::Remove => Some(None),
        Call::Read(seen) => (seen == state).then_some(state),
        Call::WriteIfAbsent(value, won) => {
            (won == state.is_none()).then_some(if won { Some(value) } else { state })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(call: Call, began: u64, ended: u64) -> Event {
        Event { key: 0, call, began, ended }
    }

    #[test]
    fn a_stale_read_is_found() {
        let write = event(Call::Write(1), 0, 1);
        assert!(check_linearizable(&[write, event(Call::Read(Some(1)), 2, 3)]).is_ok());
        assert!(check_linearizable(&[write, event(Call::Read(None), 2, 3)]).is_err());
        // While the write is under way both answers are fine, but not new-then-old.
        let write = event(Call::Write(1), 0, 9);
        let new = event(Call::Read(Some(1)), 1, 2);
        assert!(check_linearizable(&[write, event(Call::Read(None), 3, 4)]).is_ok());
        assert!(check_linearizable(&[write, new, event(Call::Read(None), 3, 4)]).is_err());
    }

    #[test]
    fn two_winners_are_found() {
        let a = event(Call::WriteIfAbsent(1, true), 0, 5);
        let b = event(Call::WriteIfAbsent(2, true), 1, 6);
        assert!(check_linearizable(&[a, b]).is_err());
    }
}
