//! One process with a thousand open wallets: how many threads and descriptors they take. Nothing else
//! runs in this process.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test panics")]

use std::{fs, path::Path, sync::Arc, time::Duration};

use cloud::MemCloud;
use tokio::task::JoinSet;
use wallet_persistence::{ProfileField, RootSecret, Session, Settings, WalletPersistence};

const WALLETS: usize = 1000;

/// How many wallets are opened or used at the same time.
const AT_ONCE: usize = 32;

/// What the stores have for all of them together, and some for the async runtime.
const THREADS: usize = 64;

fn count(what: &str) -> usize {
    fs::read_dir(Path::new("/proc/self").join(what)).unwrap().count()
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
    runtime.block_on(thousand());
}

async fn thousand() {
    let folder = tempfile::tempdir().unwrap();
    let (descriptors, threads) = (count("fd"), count("task"));
    let path: Arc<Path> = folder.path().into();
    let sessions: Vec<Session> = each(0..WALLETS, |i| {
        let path = path.clone();
        async move { open(&path, i).await }
    })
    .await;
    let opened = (count("fd") - descriptors, count("task"));
    println!("{WALLETS} wallets: {} descriptors, {} threads, {threads} before", opened.0, opened.1);
    assert!(opened.0 <= 3 * WALLETS, "{} descriptors", opened.0);
    assert!(opened.1 <= THREADS, "{} threads", opened.1);

    // In use they need no more: each is written to and backs up.
    each(sessions.clone(), |session| async move {
        session.set_profile(ProfileField::GivenName, "Ada").await.unwrap();
        session.post_backup().await.unwrap();
    })
    .await;
    let used = (count("fd") - descriptors, count("task"));
    println!("in use: {} descriptors, {} threads", used.0, used.1);
    assert!(used.0 <= 3 * WALLETS, "{} descriptors", used.0);
    assert!(used.1 <= THREADS, "{} threads", used.1);

    each(sessions, |session| async move {
        assert_eq!(session.profile(ProfileField::GivenName).unwrap().as_deref(), Some("Ada"));
        session.lock().await.unwrap();
    })
    .await;
    let left = (count("fd") - descriptors, count("task"));
    assert_eq!(left.0, 0, "descriptors are left open");
    println!("locked: {} threads", left.1);
}
