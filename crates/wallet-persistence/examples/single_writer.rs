//! Data that must never fork, such as the state of Lightning channels: one device writes, each change
//! is in the cloud before it is acknowledged, and another device has to take over before it may write.
//!
//! `cargo run -p wallet-persistence --example single_writer`

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{error::Error, path::Path, time::Duration};

use wallet_persistence::{
    Batch, CloudUrl, Key, KvStore, Namespace, RootSecret, Settings, WalletPersistence,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    let cloud = CloudUrl::parse(&format!("dir:{}", dir.path().join("cloud").display()))?;
    let root = RootSecret::from_bytes([3; 32]);
    let wallet = |folder: &Path| {
        let mut settings = Settings::default();
        settings.replicate_every = Some(Duration::from_millis(50));
        let builder = WalletPersistence::builder(folder).cloud_url(cloud.clone());
        builder.settings(settings).build()
    };
    let (ns, key) = (Namespace::new("channels", "")?, Key::new("channel-1")?);

    let old = wallet(&dir.path().join("old")).create(&root).await?;
    // A commit of this store resolves when the cloud has the change, and not before.
    let channels = old.kv_replicated()?;
    for state in 1..=3_u8 {
        channels.submit(Batch::new().put(&ns, &key, vec![state])).await?;
        println!("state {state} is in the cloud: it may be signed now");
    }

    // The device is lost. The new one has what was acknowledged, and may not write yet.
    let new = wallet(&dir.path().join("new"));
    new.restore(&root, |_| ()).await?;
    let new = new.unlock(&root).await?;
    println!("the new device has state {:?}", new.kv()?.read(&ns, &key)?);
    println!("single-writer data is {}", new.status()?.single_writer);
    let refused = new.kv()?.submit(Batch::new().put(&ns, &key, vec![4])).await;
    println!("writing before the takeover: {}", refused.is_err());
    let taken = new.take_over().await?;
    println!("taken over, in epoch {}", taken.epoch);
    new.kv_replicated()?.submit(Batch::new().put(&ns, &key, vec![4])).await?;

    // It was not lost after all: what it writes does not count any more, and it is told.
    match channels.submit(Batch::new().put(&ns, &key, vec![5])).await {
        Ok(()) => return Err("two devices were acknowledged".into()),
        Err(error) => println!("the old device: {error}"),
    }
    old.lock().await?;
    Ok(new.lock().await?)
}
