//! A wallet in five minutes: create, use, back up, lose the device, restore.
//!
//! `cargo run -p wallet-persistence --example quickstart`

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;

use wallet_persistence::{
    AccountId, CloudUrl, Key, KvStoreExt, Namespace, ProfileField, RootSecret, WalletPersistence,
    Words,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    let folder = dir.path().join("wallet");
    let cloud = CloudUrl::parse(&format!("dir:{}", dir.path().join("cloud").display()))?;

    // The words are the wallet: whoever has them has everything, and nothing else is needed.
    let words = Words::generate()?;
    let root = RootSecret::from_words(&words);
    let wallet = WalletPersistence::builder(&folder).cloud_url(cloud).build();
    let session = wallet.create(&root).await?;

    // Each call that changes something returns when the change is durable.
    let account: AccountId = "eip155:1:0x974CaA59e49682CdA0AD2bbe82983419A2ECC400".parse()?;
    session.add_account(account, Some("exchange")).await?;
    session.set_profile(ProfileField::GivenName, "Ada").await?;

    // An application's own data goes into the same store, under names of its own.
    let ns = Namespace::new("my-app", "")?;
    session.kv()?.write(&ns, &Key::new("theme")?, "dark")?;

    // What is not yet in the cloud is always known.
    println!("not yet in the cloud: {} changes", session.status()?.lag_records);
    session.post_backup().await?;
    println!("not yet in the cloud: {} changes", session.status()?.lag_records);
    let before = session.digest().await?;
    session.lock().await?;

    // The device is lost. The words and the cloud are enough.
    std::fs::remove_dir_all(&folder)?;
    let report = wallet.restore(&root, |_| ()).await?;
    let session = wallet.unlock(&root).await?;
    println!("restored {} changes from {} objects", report.changes, report.objects);
    assert_eq!(session.digest().await?, before);
    session.lock().await?;
    Ok(())
}
