//! The conformance suite is only worth what it catches: a store that breaks one law at a time, and
//! the test of that law must fail.

#![expect(clippy::unwrap_used, reason = "a test panics")]

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    thread,
    time::Duration,
};

use kv_core::{
    Batch, Capabilities, Change, Commit, Durability, Error, Key, KvStore, Namespace, Pending,
    Result, Value,
    testing::{
        Damage, Testbed,
        conformance::{
            law_1_atomic, law_2_ordered, law_3_durable_once_resolved, law_4_awaitable_and_waitable,
            law_5_reads_see_what_is_durable, law_6_an_error_means_unknown_until_reopened,
            law_6_refusals_are_decided_at_submit, law_7_loud_about_damage, law_8_one_owner,
            law_9_preconditions_hold,
        },
    },
};

const STORE: &str = "broken";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Broken {
    Nothing,
    /// A failing batch leaves its first change behind.
    HalfABatch,
    /// Batches take effect in the order in which they are waited for.
    OrderOfWaiting,
    /// What is acknowledged is durable only after a clean close.
    DurableAtCloseOnly,
    /// A batch whose commit is dropped is forgotten.
    DroppedIsCancelled,
    /// Reads see a batch before it is durable.
    ReadsAhead,
    /// After a failed write the store goes on.
    GoesOnAfterFailure,
    /// A refusal is known only when it is waited for.
    LateRefusal,
    /// Damaged bytes are returned as a value.
    SilentDamage,
    /// A second open is let in.
    TwoOwners,
    /// Preconditions are checked before the place in the order is taken.
    CheckThenAct,
}

type Map = BTreeMap<(Namespace, Key), Value>;

#[derive(Debug, Default)]
struct Disk {
    durable: Map,
    /// What reads see; lost at a crash.
    visible: Map,
    opened: u64,
    owned: bool,
    countdown: u64,
    fired: bool,
    poisoned: bool,
}

#[derive(Debug, Clone)]
struct Bed {
    disk: Arc<Mutex<Disk>>,
    broken: Broken,
}

#[derive(Debug)]
struct Store {
    bed: Bed,
    opening: u64,
}

impl Bed {
    fn new(broken: Broken) -> Self {
        Self { disk: Arc::default(), broken }
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Testbed for Bed {
    fn open(&self) -> Result<Arc<dyn KvStore>> {
        let mut disk = self.disk();
        if disk.owned && self.broken != Broken::TwoOwners {
            return Err(Error::InUse { store: STORE });
        }
        disk.opened += 1;
        (disk.owned, disk.poisoned) = (true, false);
        disk.visible = disk.durable.clone();
        let opening = disk.opened;
        Ok(Arc::new(Store { bed: self.clone(), opening }))
    }

    fn crash(&self) {
        let mut disk = self.disk();
        disk.owned = false;
        disk.visible.clear();
    }

    fn fail_nth(&self, nth: u64) {
        let mut disk = self.disk();
        (disk.countdown, disk.fired) = (nth, false);
    }

    fn fired(&self) -> bool {
        self.disk().fired
    }

    fn damage(&self, what: Damage, ns: &Namespace, key: &Key) -> bool {
        let silent = self.broken == Broken::SilentDamage && what == Damage::Value;
        if silent {
            self.disk().durable.insert((ns.clone(), key.clone()), b"damaged".into());
        }
        silent
    }
}

impl Store {
    fn open(&self) -> Result<MutexGuard<'_, Disk>> {
        let disk = self.bed.disk();
        let mine =
            disk.owned && (disk.opened == self.opening || self.bed.broken == Broken::TwoOwners);
        if mine { Ok(disk) } else { Err(Error::Closed { store: STORE }) }
    }
}

impl Disk {
    fn fails(&mut self) -> bool {
        let now = self.countdown == 1;
        self.countdown = self.countdown.saturating_sub(1);
        self.fired |= now;
        now
    }

    fn refuses(&self, batch: &Batch) -> bool {
        batch.absent_keys().any(|(ns, key)| self.visible.contains_key(&(ns.clone(), key.clone())))
    }

    fn apply(&mut self, batch: &Batch, durable: bool) {
        for map in
            [Some(&mut self.visible), durable.then_some(&mut self.durable)].into_iter().flatten()
        {
            for (ns, key, change) in batch.changes() {
                let name = (ns.clone(), key.clone());
                match change {
                    Change::Put(value) => map.insert(name, value.clone()),
                    Change::Remove => map.remove(&name),
                };
            }
        }
    }
}

/// A batch that takes effect when somebody asks for its outcome.
#[derive(Debug)]
struct Asked {
    bed: Bed,
    batch: Batch,
    done: Mutex<bool>,
}

impl Asked {
    fn ask(&self) -> Result<()> {
        let mut done = self.done.lock().unwrap();
        if self.bed.broken == Broken::LateRefusal {
            return Err(Error::Precondition { store: STORE });
        }
        if !std::mem::replace(&mut *done, true) {
            self.bed.disk().apply(&self.batch, true);
        }
        Ok(())
    }
}

impl Pending for Asked {
    fn outcome(&self) -> Option<Result<()>> {
        self.done.lock().unwrap().then_some(Ok(()))
    }

    fn poll(&self, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(self.ask())
    }

    fn wait(&self) -> Result<()> {
        self.ask()
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        if self.bed.broken == Broken::OrderOfWaiting {
            let _ = self.ask();
        }
    }
}

impl KvStore for Store {
    fn read(&self, ns: &Namespace, key: &Key) -> Result<Option<Value>> {
        Ok(self.open()?.visible.get(&(ns.clone(), key.clone())).cloned())
    }

    fn list(&self, ns: &Namespace, after: Option<&Key>, limit: usize) -> Result<Vec<Key>> {
        let disk = self.open()?;
        let keys =
            disk.visible.keys().filter(|(n, key)| n == ns && after.is_none_or(|after| key > after));
        Ok(keys.map(|(_, key)| key.clone()).take(limit).collect())
    }

    fn namespaces(&self) -> Result<Vec<Namespace>> {
        let mut all: Vec<_> = self.open()?.visible.keys().map(|(ns, _)| ns.clone()).collect();
        all.dedup();
        Ok(all)
    }

    fn submit(&self, batch: Batch) -> Commit {
        let broken = self.bed.broken;
        let asked = || {
            let batch = batch.clone();
            Arc::new(Asked { bed: self.bed.clone(), batch, done: Mutex::new(false) })
        };
        let mut disk = match self.open() {
            Ok(disk) => disk,
            Err(error) => return Commit::done(Err(error)),
        };
        if disk.poisoned {
            return Commit::done(Err(Error::Poisoned { store: STORE }));
        }
        if disk.fails() {
            disk.poisoned = broken != Broken::GoesOnAfterFailure;
            if broken == Broken::HalfABatch {
                let mut half = Batch::new();
                if let Some((ns, key, change)) = batch.into_changes().next() {
                    half.insert(ns, key, change);
                }
                disk.apply(&half, true);
            }
            let source = std::io::Error::other("injected");
            return Commit::done(Err(Error::io(STORE, kv_core::Operation::Sync, source)));
        }
        if disk.refuses(&batch) {
            return match broken {
                Broken::LateRefusal => Commit::pending(asked()),
                _ => Commit::done(Err(Error::Precondition { store: STORE })),
            };
        }
        match broken {
            Broken::OrderOfWaiting | Broken::DroppedIsCancelled => {
                let lazy = batch.durability() == Durability::Lazy;
                return if lazy { Commit::lazy(asked()) } else { Commit::pending(asked()) };
            }
            Broken::CheckThenAct => {
                drop(disk);
                thread::sleep(Duration::from_millis(2));
                disk = self.bed.disk();
            }
            Broken::ReadsAhead => {
                disk.apply(&batch, false);
                return Commit::pending(asked());
            }
            _ => {}
        }
        disk.apply(&batch, broken != Broken::DurableAtCloseOnly);
        Commit::done(Ok(()))
    }

    fn capabilities(&self) -> Capabilities<'_> {
        Capabilities::default()
    }

    fn close(&self) -> Result<()> {
        if let Ok(mut disk) = self.open() {
            if self.bed.broken == Broken::DurableAtCloseOnly {
                disk.durable = disk.visible.clone();
            }
            disk.owned = false;
        }
        Ok(())
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let _ = self.close();
    }
}

type Law = fn(&dyn Fn() -> Bed);

const LAWS: [(&str, Law, Broken); 10] = [
    ("law 1", |make| law_1_atomic(&make), Broken::HalfABatch),
    ("law 2", |make| law_2_ordered(&make), Broken::OrderOfWaiting),
    ("law 3", |make| law_3_durable_once_resolved(&make), Broken::DurableAtCloseOnly),
    ("law 4", |make| law_4_awaitable_and_waitable(&make), Broken::DroppedIsCancelled),
    ("law 5", |make| law_5_reads_see_what_is_durable(&make), Broken::ReadsAhead),
    (
        "law 6",
        |make| law_6_an_error_means_unknown_until_reopened(&make),
        Broken::GoesOnAfterFailure,
    ),
    ("law 6, refusals", |make| law_6_refusals_are_decided_at_submit(&make), Broken::LateRefusal),
    ("law 7", |make| law_7_loud_about_damage(&make), Broken::SilentDamage),
    ("law 8", |make| law_8_one_owner(&make), Broken::TwoOwners),
    ("law 9", |make| law_9_preconditions_hold(&make), Broken::CheckThenAct),
];

#[test]
fn each_law_catches_the_store_that_breaks_it() {
    for (name, law, broken) in LAWS {
        // The store is right where nothing is broken, so what fails below fails for that reason.
        law(&|| Bed::new(Broken::Nothing));
        let caught = catch_unwind(AssertUnwindSafe(|| law(&|| Bed::new(broken))));
        assert!(caught.is_err(), "{name} does not notice {broken:?}");
    }
}
