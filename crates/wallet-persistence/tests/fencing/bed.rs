//! A wallet in a folder with clouds, and its data of one writer.

use std::{path::Path, sync::Arc};

use cloud::{CloudBackend, CloudError, MemCloud, testing::Weather};
use kv_core::{Key, KvStoreExt, Namespace, testing::ManualClock};
use wallet_persistence::{AccountId, Refusal, RootSecret, Session, Settings, WalletPersistence};

pub(crate) type Cloud = Arc<dyn CloudBackend>;

pub(crate) fn root() -> RootSecret {
    RootSecret::from_bytes([7; 32])
}

pub(crate) fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.replicate_every = None;
    settings
}

pub(crate) fn wallet(folder: &Path, clouds: &[Cloud]) -> WalletPersistence {
    let mut builder = WalletPersistence::builder(folder).settings(settings());
    for cloud in clouds {
        builder = builder.cloud(cloud.clone());
    }
    builder.clock(Arc::new(ManualClock::default())).build()
}

pub(crate) fn place(key: &str) -> (Namespace, Key) {
    (Namespace::new("channels", "").unwrap(), Key::new(key).unwrap())
}

pub(crate) fn write(session: &Session, key: &str, value: &[u8]) -> Result<(), kv_core::Error> {
    let (ns, key) = place(key);
    session.kv().unwrap().write(&ns, &key, value)
}

pub(crate) fn read(session: &Session, key: &str) -> Option<Vec<u8>> {
    let (ns, key) = place(key);
    session.kv().unwrap().read(&ns, &key).unwrap().map(|value| value.to_vec())
}

pub(crate) fn refusal(outcome: Result<(), kv_core::Error>) -> Option<Refusal> {
    Refusal::behind(&outcome.unwrap_err())
}

pub(crate) async fn account(session: &Session, n: u8) {
    let id = format!("eip155:1:0x{n:040x}").parse::<AccountId>().unwrap();
    session.add_account(id, None).await.unwrap();
}

pub(crate) async fn restored(folder: &Path, clouds: &[Cloud]) -> Session {
    let wallet = wallet(folder, clouds);
    wallet.restore(&root(), |_| ()).await.unwrap();
    wallet.unlock(&root()).await.unwrap()
}

/// A memory cloud, once open as a service.
pub(crate) fn memory() -> Cloud {
    Arc::new(MemCloud::new())
}

/// No call comes through, and it is of no use to try again.
pub(crate) fn signed_out(weather: &Weather) {
    let why = Box::<dyn std::error::Error + Send + Sync>::from("signed out");
    weather.answer(CloudError::Unauthorized { source: Arc::from(why) });
}

/// What a future says when it is looked at once.
pub(crate) fn now<T>(future: &mut (impl Future<Output = T> + Unpin)) -> Option<T> {
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::Pin::new(future).poll(&mut cx) {
        std::task::Poll::Ready(value) => Some(value),
        std::task::Poll::Pending => None,
    }
}
