//! How often a far cloud is waited for. Time is tokio's and moved by it: a call costs exactly the
//! time that its round trip takes, and what the processor does costs none.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic")]

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use cloud::{
    CloudBackend, CloudError, Limits, MemCloud, ObjectMeta, ObjectName, PutMode, Tag, fetch_many,
    poll_backups,
};
use tokio::{
    sync::Mutex,
    time::{Instant, sleep},
};
use wallet_persistence::{
    Batch, DumpKind, Key, KvStore, KvStoreExt, Namespace, RootSecret, Settings, WalletPersistence,
};

const ROUND_TRIP: Duration = Duration::from_millis(50);

/// A cloud at the end of a long line, of which all calls share the width.
#[derive(Debug)]
struct Distant {
    inner: MemCloud,
    /// Bytes in a second.
    width: u64,
    line: Mutex<()>,
}

impl Distant {
    fn new(inner: MemCloud, width: u64) -> Arc<Self> {
        Arc::new(Self { inner, width, line: Mutex::default() })
    }

    async fn pass(&self, bytes: usize) {
        let _turn = self.line.lock().await;
        sleep(Duration::from_secs_f64(bytes as f64 / self.width as f64)).await;
    }
}

#[async_trait]
impl CloudBackend for Distant {
    async fn put(&self, name: &ObjectName, bytes: Bytes, how: PutMode) -> Result<Tag, CloudError> {
        self.pass(bytes.len()).await;
        sleep(ROUND_TRIP).await;
        self.inner.put(name, bytes, how).await
    }

    async fn get(&self, name: &ObjectName) -> Result<Option<(Bytes, Tag)>, CloudError> {
        sleep(ROUND_TRIP).await;
        let found = self.inner.get(name).await?;
        self.pass(found.as_ref().map_or(0, |(bytes, _)| bytes.len())).await;
        Ok(found)
    }

    async fn list(
        &self,
        prefix: &ObjectName,
        after: Option<&ObjectName>,
    ) -> Result<Vec<ObjectMeta>, CloudError> {
        sleep(ROUND_TRIP).await;
        self.inner.list(prefix, after).await
    }

    async fn delete(&self, name: &ObjectName) -> Result<(), CloudError> {
        sleep(ROUND_TRIP).await;
        self.inner.delete(name).await
    }

    fn limits(&self) -> Limits {
        self.inner.limits()
    }
}

const MEGABYTE: usize = 1_000_000;

fn root() -> RootSecret {
    RootSecret::from_bytes([9; 32])
}

fn wallet(cloud: Arc<dyn CloudBackend>) -> WalletPersistence {
    let mut settings = Settings::default();
    settings.replicate_every = None;
    WalletPersistence::in_memory().settings(settings).cloud(cloud).build()
}

/// Bytes that do not compress.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    (0..length.div_ceil(8)).flat_map(|_| next().to_le_bytes()).take(length).collect()
}

fn fill(kv: &dyn KvStore, megabytes: u64) {
    let ns = Namespace::new("bulk", "").unwrap();
    for n in 0..megabytes {
        kv.write(&ns, &Key::new(&format!("{n}")).unwrap(), noise(n + 1, MEGABYTE)).unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_changes_take_few_round_trips() {
    // So wide that only round trips count.
    let wallet = wallet(Distant::new(MemCloud::new(), u64::MAX));
    let session = wallet.create(&root()).await.unwrap();
    let kv = session.kv().unwrap();
    // Much else is there, so that no dump is due.
    fill(&*kv, 16);
    session.post_backup().await.unwrap();
    for round in 0..3 {
        let ns = Namespace::new("changes", "").unwrap();
        let batch = (0..10_000).fold(Batch::new(), |batch, n| {
            let key = Key::new(&format!("{n}")).unwrap();
            batch.put(&ns, &key, noise(n * 3 + round, 40))
        });
        kv.submit(batch).await.unwrap();
        let begin = Instant::now();
        let report = session.post_backup().await.unwrap();
        let trips = begin.elapsed().as_secs_f64() / ROUND_TRIP.as_secs_f64();
        assert_eq!((report.changes, report.dumped), (10_000, None));
        println!("10,000 changes: {trips:.2} round trips, {} bytes", report.bytes);
        assert!(trips <= 1.0 + 4.0, "{trips} round trips");
    }
    session.lock().await.unwrap();
}

/// The line is as wide as it takes to be busy for seconds.
#[tokio::test(start_paused = true)]
async fn a_restore_keeps_the_line_busy() {
    // Nothing is far while it is filled.
    let memory = MemCloud::new();
    let session = wallet(Arc::new(memory.clone())).create(&root()).await.unwrap();
    fill(&*session.kv().unwrap(), 100);
    session.post_backup().await.unwrap();
    session.dump(DumpKind::Full).await.unwrap();
    session.lock().await.unwrap();

    let line = Distant::new(memory, 10_000_000);
    let restored = wallet(line.clone());
    let begin = Instant::now();
    let report = restored.restore(&root(), |_| ()).await.unwrap();
    let took = begin.elapsed();
    // A plain download of as many bytes, of the largest objects that there are.
    let all = poll_backups(&*line, &ObjectName::new("sr1").unwrap()).await.unwrap();
    let mut left = report.bytes;
    let names = all.iter().filter(|meta| meta.size > 100_000).take_while(|meta| {
        let wanted = left > 0;
        left = left.saturating_sub(meta.size);
        wanted
    });
    let names: Vec<ObjectName> = names.map(|meta| meta.name.clone()).collect();
    let begin = Instant::now();
    let mut download = fetch_many(line, names, Settings::default().fetch_at_once);
    let mut bytes = 0;
    while let Some((_, fetched)) = download.next().await {
        bytes += fetched.unwrap().len();
    }
    let plain = begin.elapsed();
    let speed = |bytes: f64, took: Duration| bytes / took.as_secs_f64();
    let share = speed(report.bytes as f64, took) / speed(bytes as f64, plain);
    println!(
        "a restore of {} bytes in {} objects took {took:?}, a download of {bytes} bytes {plain:?}: \
         {:.0} %",
        report.bytes,
        report.objects,
        share * 100.0
    );
    assert!(report.bytes > 90_000_000 && share >= 0.8, "{share}");
}
