//! One process with a thousand open wallets: how many threads and descriptors they take. Nothing else
//! runs in this process.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test panics")]

use std::{fs, path::Path, sync::Arc, time::Duration};

use cloud::MemCloud;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::task::JoinSet;
use wallet_persistence::{ProfileField, RootSecret, Session, Settings, WalletPersistence};

const WALLETS: usize = 1000;

/// How many wallets are opened or used at the same time.
const AT_ONCE: usize = 32;

/// What the stores have for all of them together, and some for the async runtime.
const THREADS: usize = 64;

/// What this process has.
#[derive(Debug)]
struct Counted {
    descriptors: usize,
    threads: usize,
}

impl Counted {
    fn now() -> Self {
        let count = |what: &str| fs::read_dir(Path::new("/proc/self").join(what)).unwrap().count();
        Self { descriptors: count("fd"), threads: count("task") }
    }
}

async fn open(folder: &Path, i: usize) -> Session {
    let mut settings = Settings::default();
    // So that they do not all back up while they are being counted; the tasks are there.
    settings.replicate_every = Some(Duration::from_secs(3600));
    let wallet = WalletPersistence::builder(folder.join(i.to_string()))
        .cloud(Arc::new(MemCloud::new()))
        .settings(settings)
        .build();
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&i.to_le_bytes());
    wallet.create(&RootSecret::from_bytes(bytes)).await.unwrap()
}

/// Does something with each of them, some at a time.
async fn each<T, F>(items: impl IntoIterator<Item = T>, work: impl Fn(T) -> F) -> Vec<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    let (mut running, mut done) = (JoinSet::new(), Vec::new());
    for item in items {
        if running.len() == AT_ONCE {
            done.push(running.join_next().await.unwrap().unwrap());
        }
        running.spawn(work(item));
    }
    while let Some(outcome) = running.join_next().await {
        done.push(outcome.unwrap());
    }
    done
}

#[test]
fn a_thousand_wallets_need_few_threads_and_three_descriptors_each() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .max_blocking_threads(AT_ONCE)
        .enable_all()
        .build()
        .unwrap();
    // As a program for so many wallets would do: 1,024 are usual.
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
    let (before, folder) = (Counted::now(), tempfile::tempdir().unwrap());
    let sessions = runtime.block_on(open_all(folder.path()));
    let opened = Counted::now();
    runtime.block_on(use_all(&sessions));
    let used = Counted::now();
    runtime.block_on(lock_all(sessions));
    let locked = Counted::now();
    println!("before {before:?}, opened {opened:?}, in use {used:?}, locked {locked:?}");
    for counted in [&opened, &used] {
        assert!(counted.descriptors <= before.descriptors + 3 * WALLETS, "{counted:?}");
        assert!(counted.threads <= THREADS, "{counted:?}");
    }
    assert_eq!(locked.descriptors, before.descriptors, "descriptors are left open");
}

async fn open_all(folder: &Path) -> Vec<Session> {
    let folder: Arc<Path> = folder.into();
    each(0..WALLETS, |i| {
        let folder = folder.clone();
        async move { open(&folder, i).await }
    })
    .await
}

/// Each is written to and backs up.
async fn use_all(sessions: &[Session]) {
    each(sessions.to_vec(), |session| async move {
        session.set_profile(ProfileField::GivenName, "Ada").await.unwrap();
        session.post_backup().await.unwrap();
    })
    .await;
}

async fn lock_all(sessions: Vec<Session>) {
    each(sessions, |session| async move {
        assert_eq!(session.profile(ProfileField::GivenName).unwrap().as_deref(), Some("Ada"));
        session.lock().await.unwrap();
    })
    .await;
}
