//! Wallets as they are measured: in memory, and what is written into them.

use std::sync::Arc;

use bench_report::{Result, random::Random};
use cloud::CloudBackend;
use kv_core::{Batch, Key, KvStore, KvStoreExt, Namespace};
use vault::RootSecret;
use wallet_persistence::{Session, Settings, WalletPersistence};

/// How many bytes a large value has.
pub(crate) const MEGABYTE: usize = 1_000_000;

/// The key of every wallet here.
pub(crate) fn root() -> RootSecret {
    RootSecret::from_bytes([7; 32])
}

/// A wallet in memory that does nothing unless it is asked.
pub(crate) fn wallet(cloud: Arc<dyn CloudBackend>) -> WalletPersistence {
    let mut settings = Settings::default();
    settings.replicate_every = None;
    WalletPersistence::in_memory().settings(settings).cloud(cloud).build()
}

/// Bytes that do not compress; another seed gives others.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut random = Random::seeded(seed);
    let words = std::iter::repeat_with(|| random.next().to_le_bytes());
    words.take(length.div_ceil(8)).flatten().take(length).collect()
}

/// Writes a value of a megabyte; another number is another key.
pub(crate) async fn write_megabyte(session: &Session, number: usize) -> Result<()> {
    let (kv, namespace) = (session.kv()?, Namespace::new("bulk", "")?);
    let value = noise(number as u64, MEGABYTE);
    let key = Key::new(&number.to_string())?;
    Ok(tokio::task::spawn_blocking(move || kv.write(&namespace, &key, value)).await??)
}

/// Changes so many keys in one batch, each to 300 bytes of which the most part repeats.
pub(crate) async fn change(session: &Session, changes: usize, version: usize) -> Result<()> {
    let namespace = Namespace::new("changes", "")?;
    let mut batch = Batch::new();
    for number in 0..changes {
        let mut value = noise((number << 8 | version) as u64, 100);
        value.resize(300, b'0');
        batch = batch.put(&namespace, &Key::new(&number.to_string())?, value);
    }
    Ok(session.kv()?.submit(batch).await?)
}
