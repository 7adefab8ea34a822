//! A wallet in a folder with clouds, and its data of one writer.

use std::{path::Path, sync::Arc};

use cloud::{
    CloudBackend, CloudError, MemCloud,
    testing::{Fault, HostileCloud, Malice, Weather},
};
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

/// Clouds whose calls a test can make fail, each by itself.
pub(crate) struct Clouds {
    pub(crate) malice: Vec<Arc<Malice>>,
    truth: Vec<MemCloud>,
    clock: Arc<ManualClock>,
}

impl Clouds {
    pub(crate) fn new(count: usize) -> Self {
        let malice = (0..count).map(|_| Malice::none()).collect();
        let truth = (0..count).map(|_| MemCloud::new()).collect();
        Self { malice, truth, clock: Arc::default() }
    }

    /// The wallet in `folder`, on the device of this number, with some of the clouds; a change counts
    /// when so many of them have it.
    pub(crate) fn wallet(
        &self,
        (folder, device): (&Path, u8),
        clouds: &[usize],
        acknowledged_by: usize,
    ) -> WalletPersistence {
        let mut settings = settings();
        settings.acknowledged_by = Some(acknowledged_by);
        let mut builder = WalletPersistence::builder(folder).settings(settings);
        for cloud in clouds {
            let truth = Arc::new(self.truth[*cloud].clone());
            builder = builder.cloud(Arc::new(HostileCloud::new(
                truth,
                self.malice[*cloud].clone(),
                device,
            )));
        }
        builder.clock(self.clock.clone()).build()
    }

    /// The calls of a device that put or get a fencing head in a cloud are refused from now on.
    pub(crate) fn refuse_fences(&self, cloud: usize, device: u8, act: &'static str) {
        self.malice[cloud].plan(move |call| {
            let is_fence = call.act == act && call.name.as_str().ends_with("/f");
            (is_fence && call.device == device).then_some(Fault::Forbidden)
        });
    }

    /// The objects in a cloud whose names say so, oldest first.
    pub(crate) fn named(&self, cloud: usize, what: &str) -> Vec<backup::ObjectName> {
        let mut names = self.malice[cloud].names();
        names.retain(|name| name.as_str().contains(what) && name.as_str().starts_with("sr1/"));
        names
    }

    /// From now on a cloud is there for nobody, or again for everybody.
    pub(crate) fn is_away(&self, cloud: usize, is_away: bool) {
        self.malice[cloud].plan(move |_| is_away.then_some(Fault::Forbidden));
    }
}

/// A folder as it is now.
pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}
