//! Writers at work: some threads that write one value after the other, and how long each took.

use std::{
    sync::{
        Barrier, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use crate::{
    Result,
    contestants::Writer,
    histogram::Histogram,
    names::Name,
    values::{Random, Values},
};

/// What the threads write.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load<'a> {
    pub(crate) values: &'a Values,
    pub(crate) keys: Keys<'a>,
    pub(crate) threads: usize,
    pub(crate) value_len: usize,
    /// Changes from round to round.
    pub(crate) seed: u64,
}

/// Which keys the threads write.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Keys<'a> {
    /// Any of these, over and over.
    Hot(&'a [Name]),
    /// Each once; the counter says which is next.
    New(&'a AtomicUsize),
}

/// What the threads have done.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) time: Duration,
    pub(crate) latency: Histogram,
}

impl Done {
    pub(crate) fn per_second(&self) -> f64 {
        self.latency.count() as f64 / self.time.as_secs_f64()
    }
}

impl Load<'_> {
    /// Writes for a while. Whatever was begun is finished, and counts with the time it took.
    pub(crate) fn run(&self, store: &dyn Writer, time: Duration) -> Result<Done> {
        self.watch(store, time, time, &mut |_, _| true)
    }

    /// As [`Load::run`]; hands what was done to `each` at every `tick`, with the time since the
    /// beginning, until it answers `false`.
    pub(crate) fn watch(
        &self,
        store: &dyn Writer,
        time: Duration,
        tick: Duration,
        each: &mut dyn FnMut(Duration, &Histogram) -> bool,
    ) -> Result<Done> {
        let slots: Vec<Mutex<Histogram>> = (0..self.threads).map(|_| Mutex::default()).collect();
        let stop = AtomicBool::new(false);
        let together = Barrier::new(self.threads + 1);
        thread::scope(|scope| {
            let writers: Vec<_> = (0..)
                .zip(&slots)
                .map(|(number, slot)| {
                    let (stop, together) = (&stop, &together);
                    scope.spawn(move || {
                        together.wait();
                        let outcome = self.write(store, number, stop, slot);
                        stop.store(true, Relaxed);
                        outcome
                    })
                })
                .collect();
            together.wait();
            let start = Instant::now();
            let mut latency = Histogram::default();
            let mut drain = || {
                let mut now = Histogram::default();
                for slot in &slots {
                    let slot = &mut *slot.lock().unwrap_or_else(PoisonError::into_inner);
                    now.add(&std::mem::take(slot));
                }
                latency.add(&now);
                now
            };
            let mut next = tick;
            while start.elapsed() < time && !stop.load(Relaxed) {
                thread::sleep(next.min(time).saturating_sub(start.elapsed()));
                next += tick;
                if !each(start.elapsed(), &drain()) {
                    break;
                }
            }
            stop.store(true, Relaxed);
            for writer in writers {
                writer.join().map_err(|_| "a writer panicked")??;
            }
            let time = start.elapsed();
            drain();
            Ok(Done { time, latency })
        })
    }

    fn write(
        &self,
        store: &dyn Writer,
        number: u64,
        stop: &AtomicBool,
        slot: &Mutex<Histogram>,
    ) -> Result<()> {
        let mut random = Random::seeded(self.seed << 32 | number);
        while !stop.load(Relaxed) {
            let new;
            let name = match self.keys {
                Keys::Hot(names) => names.get(random.below(names.len())).ok_or("no keys")?,
                Keys::New(next) => {
                    new = Name::new(next.fetch_add(1, Relaxed))?;
                    &new
                }
            };
            let value = self.values.fresh(&mut random, self.value_len);
            let start = Instant::now();
            store.write(name, value)?;
            let latency = start.elapsed();
            slot.lock().unwrap_or_else(PoisonError::into_inner).record(latency);
        }
        Ok(())
    }
}
