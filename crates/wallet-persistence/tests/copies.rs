//! Copies of a wallet's folder: a virtual machine that was cloned, an old folder put back. Data that
//! merges goes on, data with a single writer stops, and everybody is told.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic")]

use std::{fs, path::Path, sync::Arc, time::Duration};

use cloud::{
    CloudBackend, DirCloud,
    testing::{Fault, HostileCloud, Malice},
};
use kv_core::{Key, KvStoreExt, Namespace, testing::ManualClock};
use wallet_persistence::{
    AccountId, Refusal, RootSecret, Session, Settings, SingleWriter, WalletPersistence,
};

struct Home {
    dir: tempfile::TempDir,
    cloud: Arc<dyn CloudBackend>,
    clock: Arc<ManualClock>,
}

impl Home {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let cloud = Arc::new(DirCloud::open(dir.path().join("cloud")).unwrap());
        Self { dir, cloud, clock: Arc::default() }
    }

    fn wallet(&self, name: &str) -> WalletPersistence {
        let mut settings = Settings::default();
        settings.replicate_every = None;
        WalletPersistence::builder(self.dir.path().join(name))
            .settings(settings)
            .clock(self.clock.clone())
            .cloud(self.cloud.clone())
            .build()
    }

    /// With a cloud of which each call can be made to fail or to hang.
    fn with(&self, name: &str, cloud: Arc<dyn CloudBackend>) -> WalletPersistence {
        let mut settings = Settings::default();
        settings.replicate_every = None;
        WalletPersistence::builder(self.dir.path().join(name))
            .settings(settings)
            .clock(self.clock.clone())
            .cloud(cloud)
            .build()
    }

    async fn open(&self, name: &str) -> Session {
        self.wallet(name).unlock(&root()).await.unwrap()
    }

    async fn heads_of(&self, writer: &str) -> usize {
        let all = cloud::ObjectName::new("sr1").unwrap();
        let listed = cloud::poll_backups(&*self.cloud, &all).await.unwrap();
        let names = listed.iter().map(|meta| meta.name.as_str());
        names.filter(|name| name.contains("/h/") && name.contains(writer)).count()
    }

    fn copy(&self, from: &str, to: &str) {
        copy(&self.dir.path().join(from), &self.dir.path().join(to));
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

fn root() -> RootSecret {
    RootSecret::from_bytes([3; 32])
}

fn write(session: &Session, value: &str) -> Result<(), kv_core::Error> {
    let (ns, key) = (Namespace::new("channels", "").unwrap(), Key::new("one").unwrap());
    session.kv().unwrap().write(&ns, &key, value)
}

async fn account(session: &Session, n: u8) {
    let id = format!("eip155:1:0x{n:040x}").parse::<AccountId>().unwrap();
    session.add_account(id, None).await.unwrap();
}

fn kinds(session: &Session) -> Vec<&'static str> {
    session.status().unwrap().findings.iter().map(|finding| finding.kind).collect()
}

/// A wallet that has backed up and was locked, and a copy of its folder.
async fn copied(home: &Home) {
    let first = home.wallet("wallet").create(&root()).await.unwrap();
    account(&first, 1).await;
    write(&first, "1").unwrap();
    first.post_backup().await.unwrap();
    first.lock().await.unwrap();
    drop(first);
    home.copy("wallet", "copy");
}

#[tokio::test]
async fn an_old_copy_of_a_folder_goes_on_under_a_new_id_and_stops_single_writer_data() {
    let home = Home::new();
    copied(&home).await;
    let wallet = home.open("wallet").await;
    let writer = wallet.status().unwrap().writer;
    account(&wallet, 2).await;
    write(&wallet, "2").unwrap();
    wallet.post_backup().await.unwrap();

    let old = home.open("copy").await;
    assert_eq!(old.status().unwrap().writer, writer, "it does not know yet");
    account(&old, 3).await;
    write(&old, "stale").unwrap();
    let report = old.post_backup().await.unwrap();
    assert_eq!(report.single_writer, Some(SingleWriter::Stopped));
    assert_ne!(old.status().unwrap().writer, writer, "its backups are nobody else's");
    assert_eq!(old.status().unwrap().single_writer, "copied");
    assert_eq!(kinds(&old), ["copied"]);
    let refused = write(&old, "staler").unwrap_err();
    assert_eq!(Refusal::behind(&refused), Some(Refusal::Copied));
    assert!(old.take_over().await.is_err(), "a copy never takes over");

    // Nothing that merges is lost, and the other one is not disturbed.
    for session in [&wallet, &old] {
        session.poll_backups().await.unwrap();
    }
    for session in [&wallet, &old] {
        assert_eq!(session.accounts().unwrap().len(), 3);
    }
    write(&wallet, "3").unwrap();
    let report = wallet.post_backup().await.unwrap();
    assert_eq!(report.single_writer, Some(SingleWriter::Acknowledged));
    for session in [wallet, old] {
        session.lock().await.unwrap();
    }
}

/// The same when the folder it was copied from is gone: an old folder is put back and runs.
#[tokio::test]
async fn an_old_folder_put_back_is_found_before_it_puts_anything() {
    let home = Home::new();
    copied(&home).await;
    let wallet = home.open("wallet").await;
    write(&wallet, "2").unwrap();
    let report = wallet.post_backup().await.unwrap();
    wallet.lock().await.unwrap();
    drop(wallet);
    fs::remove_dir_all(home.dir.path().join("wallet")).unwrap();

    let old = home.open("copy").await;
    write(&old, "stale").unwrap();
    let mut waits = old.kv_replicated().unwrap().submit(kv_core::Batch::new().put(
        &Namespace::new("channels", "").unwrap(),
        &Key::new("two").unwrap(),
        "stale",
    ));
    old.post_backup().await.unwrap();
    assert_eq!(kinds(&old), ["copied"]);
    let finding = old.status().unwrap().findings.remove(0);
    assert!(finding.what.contains(&format!("change {}", report.sequence)), "{finding:?}");
    let refused = (&mut waits).await.unwrap_err();
    assert_eq!(Refusal::behind(&refused), Some(Refusal::Copied), "{refused:?}");
    old.lock().await.unwrap();
    // What was acknowledged is what comes back.
    let new = home.wallet("new");
    new.restore(&root(), |_| ()).await.unwrap();
    let session = new.unlock(&root()).await.unwrap();
    let (ns, key) = (Namespace::new("channels", "").unwrap(), Key::new("one").unwrap());
    assert_eq!(session.kv().unwrap().read(&ns, &key).unwrap().unwrap().to_vec(), b"2");
    session.take_over().await.unwrap();
    session.lock().await.unwrap();
}

/// Both copies were running and had looked before either put anything: a third device sees one
/// writer with two histories.
#[tokio::test]
async fn two_histories_of_one_writer_are_reported_as_a_fork() {
    let home = Home::new();
    copied(&home).await;
    let watcher = home.wallet("watcher");
    watcher.restore(&root(), |_| ()).await.unwrap();
    let watcher = watcher.unlock(&root()).await.unwrap();
    watcher.poll_backups().await.unwrap();
    let (one, two) = (home.open("wallet").await, home.open("copy").await);
    for session in [&one, &two] {
        session.poll_backups().await.unwrap();
    }
    let writer = one.status().unwrap().writer;
    account(&one, 2).await;
    one.post_backup().await.unwrap();
    watcher.poll_backups().await.unwrap();
    assert_eq!(kinds(&watcher), Vec::<&str>::new());
    account(&two, 3).await;
    account(&two, 4).await;
    two.post_backup().await.unwrap();
    watcher.poll_backups().await.unwrap();
    assert_eq!(kinds(&watcher), ["forked"]);
    let finding = watcher.status().unwrap().findings.remove(0);
    assert!(finding.what.contains(&writer), "{finding:?}");
    // The one that is behind finds out that there is another one.
    one.poll_backups().await.unwrap();
    assert_eq!(kinds(&one), ["copied"]);
    assert_ne!(one.status().unwrap().writer, writer);
    for session in [one, two, watcher] {
        session.lock().await.unwrap();
    }
}

/// What a device wrote after it was deposed, and had put before it heard of that.
#[tokio::test]
async fn a_deposed_writer_that_goes_on_is_reported_and_not_taken() {
    let home = Home::new();
    let old = home.wallet("old").create(&root()).await.unwrap();
    write(&old, "1").unwrap();
    let counts = old.post_backup().await.unwrap().sequence;
    let wallet = home.wallet("new");
    wallet.restore(&root(), |_| ()).await.unwrap();
    let new = wallet.unlock(&root()).await.unwrap();
    new.take_over().await.unwrap();
    write(&new, "2").unwrap();
    new.post_backup().await.unwrap();
    new.poll_backups().await.unwrap();
    assert_eq!(kinds(&new), Vec::<&str>::new());

    write(&old, "late").unwrap();
    let has = old.post_backup().await.unwrap().sequence;
    new.poll_backups().await.unwrap();
    assert_eq!(kinds(&new), ["stale-writer"]);
    let what = new.status().unwrap().findings.remove(0).what;
    let writer = old.status().unwrap().writer;
    assert!(what.contains(&format!("after {counts}, up to {has}")), "{what}");
    assert!(what.contains(&writer), "{what}");
    let (ns, key) = (Namespace::new("channels", "").unwrap(), Key::new("one").unwrap());
    assert_eq!(new.kv().unwrap().read(&ns, &key).unwrap().unwrap().to_vec(), b"2");
    for session in [old, new] {
        session.lock().await.unwrap();
    }
}

/// A look that failed, or was dropped, was none: the copy looks again before it puts anything.
#[tokio::test]
async fn an_old_copy_whose_first_look_did_not_end_looks_again_before_it_puts_anything() {
    for how in ["polls", "posts", "is dropped", "is dropped while it polls"] {
        let home = Home::new();
        copied(&home).await;
        let wallet = home.open("wallet").await;
        write(&wallet, "2").unwrap();
        wallet.post_backup().await.unwrap();
        wallet.lock().await.unwrap();

        let malice = Malice::none();
        let cloud = Arc::new(HostileCloud::new(home.cloud.clone(), malice.clone(), 1));
        let old = home.with("copy", cloud).unlock(&root()).await.unwrap();
        account(&old, 3).await;
        match how {
            "polls" | "posts" => {
                malice.plan(|_| Some(Fault::Forbidden));
                let is_err = match how {
                    "polls" => old.poll_backups().await.is_err(),
                    _ => old.post_backup().await.is_err(),
                };
                assert!(is_err);
            }
            _ => {
                // The listing is answered, what it names never is.
                let hangs = |act| (act == "get").then_some(Fault::Late(Duration::from_secs(3600)));
                malice.plan(move |call| hangs(call.act));
                let looking = async {
                    match how {
                        "is dropped" => drop(old.post_backup().await),
                        _ => drop(old.poll_backups().await),
                    }
                };
                let asked = async {
                    while !malice.deeds().iter().any(|deed| deed.call.act == "get") {
                        tokio::task::yield_now().await;
                    }
                };
                tokio::select! {
                    () = looking => panic!("it has ended"),
                    () = asked => {}
                }
            }
        }
        malice.be_honest();
        let writer = old.status().unwrap().writer;
        let before = home.heads_of(&writer).await;
        old.post_backup().await.unwrap();
        assert_eq!(kinds(&old), ["copied"], "{how}");
        assert_ne!(old.status().unwrap().writer, writer, "{how}");
        assert_eq!((before, home.heads_of(&writer).await), (2, 2), "{how}");
        old.lock().await.unwrap();
    }
}
