//! Adding a cloud to a wallet that exists, and removing one.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests panic")]

use std::{
    fs,
    path::{Path, PathBuf},
};

use wallet_persistence::{
    AccountId, CloudUrl, Error, Key, KvStoreExt, Namespace, Reaction, RootSecret, Session,
    Settings, UnlockError, WalletPersistence, check_cloud,
};

struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn url(&self, cloud: &str) -> CloudUrl {
        CloudUrl::parse(&format!("dir:{}", self.path(cloud).display())).unwrap()
    }

    /// A wallet in a folder. Clouds are remembered when it is made or restored.
    fn wallet(&self, folder: &str, clouds: &[&str]) -> WalletPersistence {
        let mut settings = Settings::default();
        settings.replicate_every = None;
        let mut builder = WalletPersistence::builder(self.path(folder)).settings(settings);
        for cloud in clouds {
            builder = builder.cloud_url(self.url(cloud));
        }
        builder.build()
    }

    /// One that has made a full dump, a delta dump and segments.
    async fn backed_up(&self, clouds: &[&str]) -> WalletPersistence {
        let wallet = self.wallet("wallet", clouds);
        let session = wallet.create(&root()).await.unwrap();
        for n in 0..4 {
            change(&session, n).await;
            session.post_backup().await.unwrap();
            if n == 1 {
                session.dump(wallet_persistence::DumpKind::Delta).await.unwrap();
            }
        }
        session.lock().await.unwrap();
        wallet
    }

    /// Whether the wallet comes back from this cloud alone, with all its restore points whole.
    async fn check_alone(&self, cloud: &str, expected: &str) -> u64 {
        let folder = format!("from-{cloud}");
        let wallet = self.wallet(&folder, &[cloud]);
        wallet.restore(&root(), |_| ()).await.unwrap();
        let session = wallet.unlock(&root()).await.unwrap();
        assert_eq!(session.digest().await.unwrap().hex, expected);
        let report = session.verify(true).await.unwrap();
        assert!(!report.is_damaged(), "{report:?}");
        session.lock().await.unwrap();
        fs::remove_dir_all(self.path(&folder)).unwrap();
        report.clouds[0].restore_points
    }
}

fn root() -> RootSecret {
    RootSecret::from_bytes([5; 32])
}

async fn change(session: &Session, n: u8) {
    let id = format!("eip155:1:0x{n:040x}").parse::<AccountId>().unwrap();
    session.add_account(id, None).await.unwrap();
    let ns = Namespace::new("channels", "").unwrap();
    session.kv().unwrap().write(&ns, &Key::new("state").unwrap(), vec![n; 10]).unwrap();
}

/// Backs a change up, and gives the digest.
async fn go_on(wallet: &WalletPersistence, n: u8) -> String {
    let session = wallet.unlock(&root()).await.unwrap();
    change(&session, n).await;
    session.post_backup().await.unwrap();
    let report = session.verify(true).await.unwrap();
    assert!(!report.is_damaged(), "{report:?}");
    let digest = session.digest().await.unwrap().hex;
    session.lock().await.unwrap();
    digest
}

/// Every file of the wallet's objects below a cloud's folder, by its path in it.
fn objects(cloud: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    if cloud.join("sr1").is_dir() {
        walk(&cloud.join("sr1"), cloud, &mut found);
    }
    found.sort();
    found
}

fn walk(folder: &Path, root: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, root, found);
        } else {
            found.push(path.strip_prefix(root).unwrap().to_owned());
        }
    }
}

#[tokio::test]
async fn a_cloud_that_is_added_holds_all_that_the_others_hold() {
    let home = Home::new();
    let wallet = home.backed_up(&["a"]).await;
    let mut told = Vec::new();
    let added = wallet.add_cloud(&root(), &home.url("b"), |now| told.push(now.objects)).await;
    let added = added.unwrap().unwrap();
    assert!(added.objects > 5 && !added.begins_anew, "{added:?}");
    assert_eq!(told.last(), Some(&added.objects));
    // All but the fencing head, which follows with the next backup.
    assert_eq!(objects(&home.path("b")).len(), objects(&home.path("a")).len() - 1);
    let digest = go_on(&wallet, 9).await;
    assert_eq!(objects(&home.path("b")), objects(&home.path("a")));
    let points = home.check_alone("b", &digest).await;
    assert_eq!(points, home.check_alone("a", &digest).await);
}

/// Where it breaks off, no head is there that names what is not.
#[tokio::test]
async fn adding_goes_on_after_an_interruption() {
    let home = Home::new();
    let wallet = home.backed_up(&["a"]).await;
    // A folder where an object should be: the last that is not a head.
    let all = objects(&home.path("a"));
    let part = all.iter().rfind(|path| !is_head(path) && !path.ends_with("f")).unwrap();
    let in_the_way = home.path("b").join(part).join("x");
    fs::create_dir_all(&in_the_way).unwrap();
    let failed = wallet.add_cloud(&root(), &home.url("b"), |_| ()).await;
    assert!(failed.is_err(), "{failed:?}");
    assert!(!objects(&home.path("b")).iter().any(|path| is_head(path)));
    fs::remove_dir_all(in_the_way.parent().unwrap()).unwrap();

    let added = wallet.add_cloud(&root(), &home.url("b"), |_| ()).await.unwrap();
    assert!(added.is_some());
    let digest = go_on(&wallet, 9).await;
    home.check_alone("b", &digest).await;
}

fn is_head(path: &Path) -> bool {
    path.components().nth(2).is_some_and(|class| class.as_os_str() == "h")
}

#[tokio::test]
async fn a_cloud_in_place_of_the_only_one_gets_everything_anew() {
    let home = Home::new();
    let wallet = home.backed_up(&["a"]).await;
    assert!(wallet.remove_cloud(&root(), &home.url("a")).await.unwrap());
    let session = wallet.unlock(&root()).await.unwrap();
    assert!(session.cloud_urls().unwrap().is_empty());
    assert!(matches!(session.post_backup().await, Err(Error::NoCloud)));
    change(&session, 7).await;
    session.lock().await.unwrap();
    drop(session);
    let added = wallet.add_cloud(&root(), &home.url("b"), |_| ()).await.unwrap().unwrap();
    assert!(added.begins_anew && added.objects == 0, "{added:?}");
    let digest = go_on(&wallet, 8).await;
    home.check_alone("b", &digest).await;
}

#[tokio::test]
async fn the_only_cloud_may_be_removed_and_added_again() {
    let home = Home::new();
    let wallet = home.backed_up(&["a"]).await;
    assert!(wallet.remove_cloud(&root(), &home.url("a")).await.unwrap());
    let added = wallet.add_cloud(&root(), &home.url("a"), |_| ()).await.unwrap().unwrap();
    assert!(!added.begins_anew, "all is there");
    let digest = go_on(&wallet, 8).await;
    assert!(home.check_alone("a", &digest).await >= 4, "older restore points are still there");
}

#[tokio::test]
async fn clouds_are_added_and_removed_once_and_only_while_the_wallet_is_locked() {
    let home = Home::new();
    let wallet = home.backed_up(&["a"]).await;
    assert_eq!(wallet.add_cloud(&root(), &home.url("a"), |_| ()).await.unwrap(), None);
    assert!(!wallet.remove_cloud(&root(), &home.url("b")).await.unwrap());
    let session = wallet.unlock(&root()).await.unwrap();
    let known = session.known_clouds().unwrap();
    assert_eq!(known.len(), 1);
    assert_eq!((&known[0].url, known[0].can_fence()), (&home.url("a").to_string(), Some(true)));
    let meanwhile = wallet.add_cloud(&root(), &home.url("b"), |_| ()).await;
    assert!(matches!(meanwhile, Err(UnlockError::InUse)), "{meanwhile:?}");
    session.lock().await.unwrap();
}

#[tokio::test]
async fn trying_a_cloud_out_leaves_nothing_behind() {
    let home = Home::new();
    let typo = check_cloud(&home.url("typo"), None).await.unwrap_err();
    assert_eq!(typo.reaction(), Reaction::CheckCloud);
    assert!(!home.path("typo").exists());
    fs::create_dir(home.path("a")).unwrap();
    let check = check_cloud(&home.url("a"), None).await.unwrap();
    assert!(check.failure().is_none(), "{check:?}");
    let names: Vec<_> = check.steps.iter().map(|step| step.name).collect();
    assert_eq!(names, ["put", "get", "list", "delete", "conditions"]);
    assert!(check.probe.unwrap().is_compare_and_swap());
    let mut found = Vec::new();
    walk(&home.path("a"), &home.path("a"), &mut found);
    found.retain(|path| !path.starts_with(".strongroom"));
    assert!(found.is_empty(), "{found:?}");
}
