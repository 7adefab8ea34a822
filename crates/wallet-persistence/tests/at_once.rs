//! Two who change one thing at once: in a folder, where a change takes a moment to be durable, and in
//! a store that lets something happen between two reads.

#![expect(clippy::unwrap_used, reason = "a test panics")]

use std::{
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use kv_core::{Capabilities, Clock as _, Commit, Value, testing::ManualClock};
use kv_mem::{Medium, MemStore};
use wallet_persistence::{
    AccountId, Batch, EarnedReward, Error, Key, KvClass, KvStore, KvStoreExt as _, Namespace,
    RootSecret, Session, Settings, Timestamp, WalletPersistence,
};

async fn in_a_folder() -> (tempfile::TempDir, Session, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(Timestamp(1_700_000_000_000)));
    let dir = tempfile::tempdir().unwrap();
    let mut settings = Settings::default();
    settings.replicate_every = None;
    let builder = WalletPersistence::builder(dir.path().join("wallet"));
    let wallet = builder.settings(settings).clock(clock.clone()).build();
    let session = wallet.create(&RootSecret::from_bytes([7; 32])).await.unwrap();
    (dir, session, clock)
}

#[tokio::test]
async fn of_two_who_add_an_account_at_once_neither_undoes_the_other() {
    let (_dir, session, _) = in_a_folder().await;
    for n in 0..20 {
        let id: AccountId = format!("eip155:{n}:0x{}", "11".repeat(20)).parse().unwrap();
        let (a, b) = tokio::join!(
            session.add_account(id.clone(), Some("mine")),
            session.add_account(id.clone(), None)
        );
        a.and(b).unwrap();
        let account = session.accounts().unwrap().into_iter().find(|known| known.id == id);
        assert_eq!(account.unwrap().label.as_deref(), Some("mine"), "{n}");
    }
}

#[tokio::test]
async fn of_two_who_note_one_thing_at_once_the_first_date_stays() {
    let (_dir, session, clock) = in_a_folder().await;
    let mut first = Vec::new();
    for n in 0..20 {
        let id = format!("it {n:02}");
        let reward = || EarnedReward::new(&id, "it");
        first.push(clock.now().0);
        let later = async {
            clock.advance(1000);
            tokio::join!(session.add_rewards([reward()]), session.reject_cohorts([id.as_str()]))
        };
        let (a, b, (c, d)) = tokio::join!(
            session.add_rewards([reward()]),
            session.reject_cohorts([id.as_str()]),
            later
        );
        a.and(b).and(c).and(d).unwrap();
    }
    let rejected: Vec<u64> =
        session.rejected_cohorts().unwrap().iter().map(|cohort| cohort.rejected).collect();
    let mut earned: Vec<u64> =
        session.rewards().unwrap().iter().map(|reward| reward.earned).collect();
    earned.sort_unstable();
    assert_eq!((earned, rejected), (first.clone(), first));
}

#[tokio::test]
async fn of_two_first_writes_at_once_one_chooses_the_class() {
    let (_dir, session, _) = in_a_folder().await;
    let key = |name| Key::new(name).unwrap();
    for n in 0..20 {
        let ns = Namespace::new(&format!("of-{n}"), "").unwrap();
        let (a, b, c) = (key("a"), key("b"), key("c"));
        let put = |key, class| session.put_kv(&ns, key, "1", Some(class));
        let merges = session.kv_mergeable().unwrap();
        let (first, second, third) = tokio::join!(
            put(&a, KvClass::Mergeable),
            put(&b, KvClass::SingleWriter),
            put(&c, KvClass::Mergeable),
        );
        assert_eq!(first.unwrap(), KvClass::Mergeable);
        assert!(
            matches!(second, Err(Error::OtherClass { class: KvClass::Mergeable, .. })),
            "{second:?}"
        );
        assert_eq!(third.unwrap(), KvClass::Mergeable);
        assert_eq!(session.kv_class(&ns).unwrap(), Some(KvClass::Mergeable));
        assert_eq!(merges.list_all(&ns).unwrap(), [a, c]);

        // The same with the store of what merges, which comes second here.
        let ns = Namespace::new(&format!("of-{n}"), "again").unwrap();
        let (first, second) =
            tokio::join!(session.put_kv(&ns, &b, "1", Some(KvClass::SingleWriter)), async {
                merges.submit(Batch::new().put(&ns, &b, "1")).await
            },);
        assert_eq!(first.unwrap(), KvClass::SingleWriter);
        assert!(second.is_err(), "{second:?}");
        assert_eq!(session.kv_class(&ns).unwrap(), Some(KvClass::SingleWriter));
    }
}

type Hook = Box<dyn FnOnce() + Send>;

/// A store in memory that lets something happen after its nth read from now.
struct Between {
    inner: MemStore,
    hook: Arc<Mutex<Option<(u32, Hook)>>>,
}

impl fmt::Debug for Between {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Between").finish_non_exhaustive()
    }
}

impl KvStore for Between {
    fn read(&self, ns: &Namespace, key: &Key) -> kv_core::Result<Option<Value>> {
        let value = self.inner.read(ns, key);
        let due = {
            let mut hook = self.hook.lock().unwrap();
            hook.iter_mut().for_each(|(left, _)| *left -= 1);
            hook.take_if(|(left, _)| *left == 0)
        };
        due.into_iter().for_each(|(_, hook)| hook());
        value
    }

    fn list(&self, ns: &Namespace, after: Option<&Key>, limit: usize) -> kv_core::Result<Vec<Key>> {
        self.inner.list(ns, after, limit)
    }

    fn namespaces(&self) -> kv_core::Result<Vec<Namespace>> {
        self.inner.namespaces()
    }

    fn submit(&self, batch: Batch) -> Commit {
        self.inner.submit(batch)
    }

    fn capabilities(&self) -> Capabilities<'_> {
        let mut capabilities = self.inner.capabilities();
        capabilities.read_many = None;
        capabilities
    }

    fn close(&self) -> kv_core::Result<()> {
        self.inner.close()
    }
}

/// Wherever between the reads of the move something is written: it is where the namespace is read
/// from then on.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_is_written_while_a_class_is_changed_is_lost() {
    let (medium, hook) = (Medium::default(), Arc::default());
    let between: Arc<Mutex<Option<(u32, Hook)>>> = Arc::clone(&hook);
    let open = move || {
        let (inner, hook) = (MemStore::open(medium.clone())?, hook.clone());
        Ok(Arc::new(Between { inner, hook }) as Arc<dyn KvStore>)
    };
    let mut settings = Settings::default();
    settings.replicate_every = None;
    let wallet = WalletPersistence::over(open).settings(settings).build();
    let session = wallet.create(&RootSecret::from_bytes([7; 32])).await.unwrap();
    let key = |name| Key::new(name).unwrap();
    for (name, to) in [("merges", KvClass::Mergeable), ("single", KvClass::SingleWriter)] {
        let mut nth = 0;
        loop {
            nth += 1;
            let ns = Namespace::new(&format!("{name}-{nth}"), "").unwrap();
            for entry in ["a", "b", "c"] {
                session.put_kv(&ns, &key(entry), "old", Some(to.other())).await.unwrap();
            }
            let fired = Arc::new(AtomicBool::new(false));
            let write = {
                let (kv, ns, fired) =
                    (session.kv_of(to.other()).unwrap(), ns.clone(), fired.clone());
                move || {
                    fired.store(true, Ordering::SeqCst);
                    for entry in ["a", "b", "c", "d"] {
                        kv.write(&ns, &Key::new(entry).unwrap(), "new").unwrap();
                    }
                }
            };
            *between.lock().unwrap() = Some((nth, Box::new(write)));
            let moved = session.reclass_kv(&ns, to).await.unwrap();
            if !fired.load(Ordering::SeqCst) {
                break;
            }
            assert_eq!(moved, 4, "{name} {nth}");
            for entry in ["a", "b", "c", "d"] {
                let value = session.kv_of(to).unwrap().read(&ns, &key(entry)).unwrap();
                assert_eq!(value.as_deref(), Some(&b"new"[..]), "{name} {nth}: {entry}");
            }
            assert_eq!(session.kv_class(&ns).unwrap(), Some(to));
        }
        assert!(nth > 3, "{nth}");
        *between.lock().unwrap() = None;
    }
}
