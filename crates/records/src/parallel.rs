//! Work on several processors, for as long as a call takes.

use std::{
    num::NonZero,
    panic,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

/// More than these gain little, and a program may open many stores at once.
const MOST: usize = 4;

/// How many threads to use.
pub(crate) fn threads() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get).min(MOST)
}

/// What `work` makes of each number below `count`, in their order; on several threads if `many`.
pub(crate) fn each<T: Send>(count: usize, many: bool, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let threads = if many { threads().min(count) } else { 1 };
    if threads < 2 {
        return (0..count).map(work).collect();
    }
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let take_part = || {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            if at >= count {
                break;
            }
            let made = work(at);
            done.lock().unwrap_or_else(PoisonError::into_inner).push((at, made));
        }
    };
    thread::scope(|scope| {
        let others: Vec<_> = (1..threads)
            // Where the system gives no thread this one does all.
            .map_while(|_| thread::Builder::new().spawn_scoped(scope, take_part).ok())
            .collect();
        take_part();
        for other in others {
            if let Err(panic) = other.join() {
                panic::resume_unwind(panic);
            }
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_unstable_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, made)| made).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_made_and_stand_in_their_order() {
        for many in [false, true] {
            for count in [0, 1, 2, 50] {
                let squares: Vec<usize> = (0..count).map(|at| at * at).collect();
                assert_eq!(each(count, many, |at| at * at), squares);
            }
        }
    }

    #[test]
    #[should_panic = "at 3"]
    fn a_panic_is_the_callers() {
        each(10, true, |at| assert_ne!(at, 3, "at 3"));
    }
}
