//! Moving a wallet: there is never a second one that could go on, and always one.

#![expect(clippy::unwrap_used, reason = "a test panics")]

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use kv_fs::FsStore;
use kv_sqlite::SqliteStore;
use rusqlite::Connection;
use tempfile::TempDir;
use wallet_persistence::{
    Copied, CopyProgress, KvStore, MoveTarget, ProfileField, Reaction, RootSecret, Settings,
    UnlockError, WalletPersistence,
};

struct Bed(TempDir);

impl Bed {
    /// A folder with a wallet `w` in it.
    async fn new() -> Self {
        let bed = Self(tempfile::tempdir().unwrap());
        let session = bed.wallet("w").create(&root()).await.unwrap();
        session.set_profile(ProfileField::GivenName, "Ada").await.unwrap();
        session.lock().await.unwrap();
        bed
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn wallet(&self, name: &str) -> WalletPersistence {
        let mut settings = Settings::default();
        settings.replicate_every = None;
        WalletPersistence::builder(self.path(name)).settings(settings).build()
    }

    /// Moves from a name to something like `fs:NAME`.
    async fn moves(&self, from: &str, to: &str) -> Result<Copied, UnlockError> {
        self.moves_with(from, to, |_| ()).await
    }

    async fn moves_with(
        &self,
        from: &str,
        to: &str,
        progress: impl FnMut(CopyProgress) + Send + 'static,
    ) -> Result<Copied, UnlockError> {
        self.wallet(from).move_to(&self.target(to), progress).await
    }

    fn target(&self, to: &str) -> MoveTarget {
        let (kind, name) = to.split_once(':').unwrap();
        MoveTarget::parse(&format!("{kind}:{}", self.path(name).display())).unwrap()
    }

    /// Moves, but stops when everything is copied.
    async fn stops(&self, from: &str, to: &str) {
        let stop = |at: CopyProgress| assert!(!at.comparing && at.done < at.total, "stop");
        assert!(self.moves_with(from, to, stop).await.is_err());
    }

    /// Moves until the old place is sealed; the new one has no name yet.
    async fn is_killed_at_the_end(&self, to: &str) {
        let sealed = self.target(to);
        self.moves("w", to).await.unwrap();
        let path = sealed.path();
        let name = path.file_name().unwrap().to_str().unwrap();
        fs::rename(path, path.with_file_name(format!(".{name}.moving-here"))).unwrap();
    }

    async fn given_name(&self, wallet: &str) -> String {
        let session = self.wallet(wallet).unlock(&root()).await.unwrap();
        let name = session.profile(ProfileField::GivenName).unwrap().unwrap();
        session.lock().await.unwrap();
        name
    }

    async fn is_moved(&self, wallet: &str) -> bool {
        matches!(self.wallet(wallet).unlock(&root()).await, Err(UnlockError::Moved { .. }))
    }
}

fn root() -> RootSecret {
    RootSecret::from_bytes([7; 32])
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_wallet_that_was_moved_is_not_moved_again_though_its_new_place_has_another_name() {
    for (to, new) in [("sqlite:new", "new"), ("fs:new", "new")] {
        let bed = Bed::new().await;
        bed.moves("w", to).await.unwrap();
        fs::rename(bed.path(new), bed.path("final")).unwrap();
        let before = names(bed.0.path());
        let again = bed.moves("w", to).await;
        assert!(matches!(again, Err(UnlockError::Moved { .. })), "{again:?}");
        assert_eq!(names(bed.0.path()), before);
        assert_eq!(bed.given_name("final").await, "Ada");
    }
}

#[tokio::test]
async fn a_wallet_that_came_back_does_not_come_to_life_where_it_was() {
    let bed = Bed::new().await;
    bed.moves("w", "sqlite:x").await.unwrap();
    bed.moves("x", "fs:back").await.unwrap();
    fs::remove_file(bed.path("x")).unwrap();
    let again = bed.moves("w", "sqlite:x").await;
    assert!(matches!(again, Err(UnlockError::Moved { .. })), "{again:?}");
    assert!(!bed.path("x").exists());
    assert_eq!(bed.given_name("back").await, "Ada");
}

/// A program that reads the new file keeps its log there, so the file alone would not be whole.
#[tokio::test]
async fn what_is_in_the_way_of_the_new_wallet_leaves_the_old_one_open() {
    let bed = Bed::new().await;
    let reader: Arc<Mutex<Option<Connection>>> = Arc::default();
    let (opens, file) = (reader.clone(), bed.path(".x.moving-here"));
    let open = move |_| {
        opens.lock().unwrap().get_or_insert_with(|| {
            let reader = Connection::open(&file).unwrap();
            reader.query_row("SELECT count(*) FROM kv", [], |_| Ok(())).unwrap();
            reader
        });
    };
    let error = bed.moves_with("w", "sqlite:x", open).await.unwrap_err();
    assert!(matches!(error, UnlockError::Folder { .. }), "{error:?}");
    assert_eq!(bed.given_name("w").await, "Ada");
    reader.lock().unwrap().take();
    bed.moves("w", "sqlite:x").await.unwrap();
    assert_eq!(bed.given_name("x").await, "Ada");
    assert!(bed.is_moved("w").await);
}

#[tokio::test]
async fn a_move_that_was_stopped_goes_on_though_the_wallet_was_used_since() {
    for to in ["sqlite:x", "fs:x"] {
        let bed = Bed::new().await;
        bed.stops("w", to).await;
        let session = bed.wallet("w").unlock(&root()).await.unwrap();
        session.set_profile(ProfileField::GivenName, "Grace").await.unwrap();
        session.set_profile(ProfileField::Age, "36").await.unwrap();
        session.lock().await.unwrap();
        bed.moves("w", to).await.unwrap();
        assert_eq!(bed.given_name("x").await, "Grace");
        assert!(bed.is_moved("w").await);
        assert!(!names(bed.0.path()).iter().any(|name| name.starts_with('.')));
    }
}

#[tokio::test]
async fn a_wallet_is_not_moved_into_itself() {
    let bed = Bed::new().await;
    for to in ["fs:w/inside", "sqlite:w/inside.db", "fs:w/store/deep/er", "fs:w/../w/inside"] {
        let before = names(&bed.path("w"));
        let error = bed.moves("w", to).await.unwrap_err();
        assert_eq!(error.reaction(), Reaction::Correct, "{error:?}");
        assert_eq!(names(&bed.path("w")), before);
    }
    assert_eq!(bed.given_name("w").await, "Ada");
}

/// Killed between the seal and the new name: the same move ends it, and no other does.
#[tokio::test]
async fn a_move_that_was_killed_at_its_end_is_ended_by_the_same_move() {
    for (to, other_kind) in [("sqlite:x", "fs:x"), ("fs:x", "sqlite:x")] {
        let bed = Bed::new().await;
        bed.is_killed_at_the_end(to).await;
        let unfinished = |outcome: Result<Copied, UnlockError>| {
            assert!(matches!(outcome, Err(UnlockError::MoveUnfinished { .. })), "{outcome:?}");
        };
        let opened = bed.wallet("w").unlock(&root()).await;
        assert!(matches!(opened, Err(UnlockError::MoveUnfinished { .. })), "{opened:?}");
        unfinished(bed.moves("w", other_kind).await);
        unfinished(bed.moves("w", "sqlite:elsewhere").await);
        fs::write(bed.path("x"), "in the way").unwrap();
        unfinished(bed.moves("w", to).await);
        fs::remove_file(bed.path("x")).unwrap();
        bed.moves("w", to).await.unwrap();
        assert_eq!(bed.given_name("x").await, "Ada");
        assert!(bed.is_moved("w").await);
    }
}

/// What lies where a move was made need not be what it left: all of it must be there.
#[tokio::test]
async fn a_moved_wallet_does_not_go_on_in_what_is_not_whole() {
    for to in ["sqlite:x", "fs:x"] {
        let bed = Bed::new().await;
        bed.moves("w", to).await.unwrap();
        fs::rename(bed.path("x"), bed.path("final")).unwrap();
        let begun = bed.path(".x.moving-here");
        let empty: Arc<dyn KvStore> = if to == "sqlite:x" {
            Arc::new(SqliteStore::open(&begun, kv_sqlite::Settings::default()).unwrap())
        } else {
            Arc::new(FsStore::open(&begun.join("store"), kv_fs::Settings::default()).unwrap())
        };
        empty.close().unwrap();
        drop(empty);
        let error = bed.moves("w", to).await.unwrap_err();
        assert!(matches!(error, UnlockError::MoveUnfinished { .. }), "{error:?}");
        assert!(!bed.path("x").exists());
        assert_eq!(bed.given_name("final").await, "Ada");
    }
}

/// Nor need it be of this wallet.
#[tokio::test]
async fn a_moved_wallet_does_not_go_on_in_what_another_one_has_begun() {
    let bed = Bed::new().await;
    bed.moves("w", "sqlite:x").await.unwrap();
    fs::rename(bed.path("x"), bed.path("final")).unwrap();
    let session = bed.wallet("v").create(&RootSecret::from_bytes([8; 32])).await.unwrap();
    session.lock().await.unwrap();
    bed.stops("v", "sqlite:x").await;
    bed.moves("w", "sqlite:x").await.unwrap_err();
    assert!(!bed.path("x").exists());
    bed.moves("v", "sqlite:x").await.unwrap();
    assert_eq!(bed.given_name("final").await, "Ada");
}

#[tokio::test]
async fn a_move_that_cannot_end_is_given_up() {
    for to in ["sqlite:x", "fs:x"] {
        let bed = Bed::new().await;
        bed.is_killed_at_the_end(to).await;
        fs::write(bed.path("x"), "in the way").unwrap();
        let instead = |to: &str| {
            let (wallet, target) = (bed.wallet("w"), bed.target(to));
            async move { wallet.move_to_instead(&target, |_| ()).await }
        };
        instead("sqlite:other").await.unwrap();
        assert_eq!(bed.given_name("other").await, "Ada");
        assert!(bed.is_moved("w").await);
        // Nothing is left that could come to life.
        assert!(!names(bed.0.path()).iter().any(|name| name.starts_with('.')));
        // There is a wallet where it says: nothing to give up.
        let error = instead("fs:third").await.unwrap_err();
        assert!(matches!(error, UnlockError::Moved { .. }), "{error:?}");
        assert!(!bed.path("third").exists());
    }
}

/// Of two that move to one place at a time one has it, until it has its name.
#[tokio::test]
async fn a_place_is_moved_to_by_one_at_a_time() {
    let bed = Bed::new().await;
    let session = bed.wallet("v").create(&RootSecret::from_bytes([8; 32])).await.unwrap();
    session.lock().await.unwrap();
    let (other, target) = (Arc::new(bed.wallet("v")), bed.target("fs:x"));
    let outcome: Arc<Mutex<Option<UnlockError>>> = Arc::default();
    let (seen, handle) = (outcome.clone(), tokio::runtime::Handle::current());
    let meanwhile = move |_| {
        let moved = handle.block_on(other.move_to(&target, |_| ()));
        seen.lock().unwrap().get_or_insert(moved.unwrap_err());
    };
    bed.moves_with("w", "fs:x", meanwhile).await.unwrap();
    assert!(matches!(outcome.lock().unwrap().take(), Some(UnlockError::InUse)));
    assert_eq!(bed.given_name("x").await, "Ada");
    assert!(!bed.path("x/building.lock").exists());
}
