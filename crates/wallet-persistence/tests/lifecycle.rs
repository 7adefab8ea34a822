//! A wallet's life: create, fill, back up, lose the device, restore from the key and the cloud alone.

#![expect(clippy::unwrap_used, reason = "a test panics")]

use std::path::Path;

use wallet_persistence::{
    AccountId, Batch, CloudUrl, EMPTY_DIGEST, Error, Key, KvStoreExt, Namespace, ProfileField,
    Reaction, RootSecret, Session, Settings, UnlockError, WalletPersistence, parse_block,
};

const BLOCK: &str = include_str!("../../strongroom/data/eth-mainnet-block-15571241.json");

fn wallet(folder: &Path, cloud: &Path) -> WalletPersistence {
    let mut settings = Settings::default();
    settings.replicate_every = None;
    let url = CloudUrl::parse(&format!("dir:{}", cloud.display())).unwrap();
    WalletPersistence::builder(folder).cloud_url(url).settings(settings).build()
}

fn root(byte: u8) -> RootSecret {
    RootSecret::from_bytes([byte; 32])
}

async fn fill(session: &Session) -> Vec<AccountId> {
    let transactions = parse_block(BLOCK, None).unwrap();
    let imported = session.import(&transactions).await.unwrap();
    assert_eq!((imported.new, imported.known), (58, 0));
    let accounts: Vec<AccountId> = transactions
        .iter()
        .take(3)
        .map(|tx| format!("eip155:1:{}", tx.from).parse().unwrap())
        .collect();
    for id in &accounts {
        session.add_account(id.clone(), Some("from the block")).await.unwrap();
    }
    session.set_profile(ProfileField::GivenName, "Ada").await.unwrap();
    let kv = session.kv().unwrap();
    let ns = Namespace::new("monitors", "").unwrap();
    kv.write(&ns, &Key::new("channel").unwrap(), vec![7; 5_000_000]).unwrap();
    kv.write(&Namespace::new("", "").unwrap(), &Key::new("manager").unwrap(), b"state").unwrap();
    accounts
}

#[tokio::test]
async fn a_wallet_survives_the_loss_of_its_device() {
    let dir = tempfile::tempdir().unwrap();
    let (folder, cloud) = (dir.path().join("wallet"), dir.path().join("cloud"));
    let wallet = wallet(&folder, &cloud);
    let session = wallet.create(&root(1)).await.unwrap();
    assert_eq!(session.digest().await.unwrap().hex, EMPTY_DIGEST);
    let accounts = fill(&session).await;
    let listing = session.transactions(Some(&accounts[0]), 100).unwrap();
    assert!(!listing.is_empty());
    assert!(session.transactions(None, 1000).unwrap().is_sorted_by_key(|tx| std::cmp::Reverse((
        tx.timestamp,
        tx.block_number,
        tx.hash
    ))));

    assert!(session.status().unwrap().lag_records > 60);
    let report = session.post_backup().await.unwrap();
    assert!(report.dumped.is_some());
    assert_eq!(session.status().unwrap().lag_records, 0);
    // After the dump: changes and removals travel in segments.
    assert!(session.remove_account(&accounts[2]).await.unwrap());
    session.set_profile(ProfileField::GivenName, "Augusta Ada").await.unwrap();
    let second = session.post_backup().await.unwrap();
    assert_eq!((second.dumped, second.changes), (None, 2));
    let nothing = session.post_backup().await.unwrap();
    assert_eq!(nothing.objects, 0);
    assert!(!session.verify(true).await.unwrap().is_damaged());
    let digest = session.digest().await.unwrap();
    session.lock().await.unwrap();
    assert!(matches!(session.accounts(), Err(Error::Locked)));
    drop(session);

    std::fs::remove_dir_all(&folder).unwrap();
    let report = wallet.restore(&root(1), |_| ()).await.unwrap();
    assert_eq!(report.clouds_agreeing, 1);
    let session = wallet.unlock(&root(1)).await.unwrap();
    assert_eq!(session.digest().await.unwrap(), digest);
    assert_eq!(session.transactions(Some(&accounts[0]), 100).unwrap(), listing);
    assert_eq!(session.accounts().unwrap().len(), 2);
    assert_eq!(session.profile(ProfileField::GivenName).unwrap().as_deref(), Some("Augusta Ada"));
    // The new installation goes on with a chain of its own, and can be restored again.
    session.set_profile(ProfileField::Location, "London").await.unwrap();
    let third = session.post_backup().await.unwrap();
    assert!(third.dumped.is_some());
    assert_eq!(session.poll_backups().await.unwrap().heads.len(), 2);
    assert!(!session.verify(true).await.unwrap().is_damaged());
    let digest = session.digest().await.unwrap();
    session.lock().await.unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    wallet.restore(&root(1), |_| ()).await.unwrap();
    let session = wallet.unlock(&root(1)).await.unwrap();
    assert_eq!(session.digest().await.unwrap(), digest);
    session.lock().await.unwrap();
}

#[tokio::test]
async fn importing_again_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let wallet = wallet(&dir.path().join("wallet"), &dir.path().join("cloud"));
    let session = wallet.create(&root(1)).await.unwrap();
    fill(&session).await;
    let before = session.digest().await.unwrap();
    let again = session.import(&parse_block(BLOCK, None).unwrap()).await.unwrap();
    assert_eq!((again.new, again.known), (0, 58));
    assert_eq!(session.digest().await.unwrap(), before);
    session.lock().await.unwrap();
}

#[tokio::test]
async fn each_way_to_fail_has_its_own_answer() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("wallet");
    let wallet = wallet(&folder, &dir.path().join("cloud"));
    assert!(matches!(wallet.unlock(&root(1)).await, Err(UnlockError::Empty)));
    let typo = wallet.restore(&root(1), |_| ()).await.unwrap_err();
    assert_eq!(typo.reaction(), Reaction::CheckCloud);
    assert!(!dir.path().join("cloud").exists(), "a restore made the cloud it looked for");
    std::fs::create_dir(dir.path().join("cloud")).unwrap();
    let missing = wallet.restore(&root(1), |_| ()).await.unwrap_err();
    assert_eq!(missing.reaction(), Reaction::Missing);
    assert!(!folder.exists(), "a failed restore left a folder");

    let session = wallet.create(&root(1)).await.unwrap();
    assert!(matches!(wallet.unlock(&root(1)).await, Err(UnlockError::InUse)));
    assert!(matches!(wallet.create(&root(1)).await, Err(UnlockError::NotEmpty)));
    session.post_backup().await.unwrap();
    assert!(matches!(wallet.restore(&root(1), |_| ()).await, Err(UnlockError::NotEmpty)));
    session.lock().await.unwrap();
    assert!(matches!(wallet.unlock(&root(2)).await, Err(UnlockError::OtherWallet)));

    let marker = folder.join("wallet.json");
    let good = std::fs::read(&marker).unwrap();
    for i in 0..good.len() {
        let mut bad = good.clone();
        bad[i] ^= 0x10;
        std::fs::write(&marker, &bad).unwrap();
        let outcome = wallet.unlock(&root(1)).await.map(drop).unwrap_err();
        assert!(
            matches!(outcome, UnlockError::Damaged { .. } | UnlockError::TooNew { .. }),
            "byte {i}: {outcome:?}"
        );
    }
    std::fs::write(&marker, "{\"format\":2,\"store\":\"fs\"}\n").unwrap();
    assert!(matches!(wallet.unlock(&root(1)).await, Err(UnlockError::TooNew { found: 2, .. })));
    std::fs::remove_file(&marker).unwrap();
    assert!(matches!(wallet.unlock(&root(1)).await, Err(UnlockError::Damaged { .. })));
    std::fs::write(&marker, &good).unwrap();
    wallet.unlock(&root(1)).await.unwrap().lock().await.unwrap();
}

#[tokio::test]
async fn the_digest_sees_every_change() {
    let dir = tempfile::tempdir().unwrap();
    let wallet = wallet(&dir.path().join("wallet"), &dir.path().join("cloud"));
    let session = wallet.create(&root(1)).await.unwrap();
    let accounts = fill(&session).await;
    let mut seen = vec![session.digest().await.unwrap().hex];
    let kv = session.kv().unwrap();
    let (ns, key) = (Namespace::new("a", "b").unwrap(), Key::new("c").unwrap());
    let mut see = async |what: &str| {
        let hex = session.digest().await.unwrap().hex;
        assert!(!seen.contains(&hex), "{what} did not change the digest");
        seen.push(hex);
    };
    kv.write(&ns, &key, b"1").unwrap();
    see("adding a key").await;
    kv.write(&ns, &key, b"2").unwrap();
    see("changing a byte").await;
    kv.submit(Batch::new().remove(&ns, &key).put(&ns, &Key::new("d").unwrap(), b"2"))
        .wait()
        .unwrap();
    see("renaming a key").await;
    session.set_profile(ProfileField::Email, "a@b").await.unwrap();
    see("setting a field").await;
    session.clear_profile(ProfileField::GivenName).await.unwrap();
    see("clearing a field").await;
    session.add_account(accounts[0].clone(), Some("renamed")).await.unwrap();
    see("renaming an account").await;
    session.remove_account(&accounts[1]).await.unwrap();
    see("removing an account").await;
    let mut tx = parse_block(BLOCK, None).unwrap().remove(0);
    tx.chain_id = 5;
    session.import(&[tx]).await.unwrap();
    see("adding a transaction").await;
    // A backup is bookkeeping.
    let before = session.digest().await.unwrap();
    session.post_backup().await.unwrap();
    assert_eq!(session.digest().await.unwrap(), before);
    session.lock().await.unwrap();
}

#[tokio::test]
async fn a_slow_clock_does_not_lose_what_was_written_after_a_restore() {
    use std::sync::Arc;

    use wallet_persistence::Timestamp;

    let dir = tempfile::tempdir().unwrap();
    let cloud = CloudUrl::parse(&format!("dir:{}", dir.path().join("cloud").display())).unwrap();
    let device = |name: &str, time| {
        let clock = Arc::new(kv_core::testing::ManualClock::at(Timestamp(time)));
        let builder = WalletPersistence::builder(dir.path().join(name)).clock(clock);
        let mut settings = Settings::default();
        settings.replicate_every = None;
        builder.cloud_url(cloud.clone()).settings(settings).build()
    };
    let session = device("old", 1_000_000).create(&root(1)).await.unwrap();
    session.set_profile(ProfileField::GivenName, "Ada").await.unwrap();
    session.post_backup().await.unwrap();
    session.lock().await.unwrap();

    // The clock of the new device is far behind that of the old one.
    let new = device("new", 1_000);
    new.restore(&root(1), |_| ()).await.unwrap();
    let session = new.unlock(&root(1)).await.unwrap();
    session.set_profile(ProfileField::GivenName, "Augusta").await.unwrap();
    session.post_backup().await.unwrap();
    session.lock().await.unwrap();

    let newest = device("newest", 1_000);
    newest.restore(&root(1), |_| ()).await.unwrap();
    let session = newest.unlock(&root(1)).await.unwrap();
    assert_eq!(session.profile(ProfileField::GivenName).unwrap().as_deref(), Some("Augusta"));
    session.lock().await.unwrap();
}
