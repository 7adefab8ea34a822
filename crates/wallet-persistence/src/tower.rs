//! The layers of one open wallet, stacked: records over recorder over sealed store over a store.

use std::sync::{Arc, Mutex};

use backup::{
    History, ObjectSealer, Policies, Policy, Recorder, RecorderSettings, Replicated, Watch,
};
use cloud::CloudUrl;
use kv_core::{Batch, Clock, Commit, Key, KvStore, KvStoreExt, Namespace, Value};
use records::Fields;
use vault::{Keys, RootSecret, SealedStore, Secret};

use crate::{
    Result, Settings, UnlockError, data::Data, follow::Follower, registry, replicate::Noted,
    stores::Stores,
};

#[derive(Debug)]
pub(crate) struct Tower {
    pub(crate) sealed: Arc<SealedStore>,
    pub(crate) recorder: Arc<Recorder>,
    /// The recorder with the policies of the settings, and with that of replication for all.
    by_policies: Arc<Replicated>,
    replicated: Arc<Replicated>,
    pub(crate) sealer: ObjectSealer,
    pub(crate) stores: Arc<Stores>,
    pub(crate) data: Data,
    pub(crate) fields: Fields,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) settings: Settings,
    /// What was seen in the clouds.
    pub(crate) history: Arc<Mutex<History>>,
    /// Random: this opening of the folder.
    pub(crate) session: [u8; 16],
    /// Whether somebody had suspended the wallet and nobody has opened it since: what they left.
    pub(crate) left_mark: Option<Value>,
    /// What of that is remembered.
    pub(crate) noted: Arc<Noted>,
}

impl Tower {
    /// Makes a new wallet in an empty store.
    pub(crate) fn create(
        store: Arc<dyn KvStore>,
        root: &RootSecret,
        clock: Arc<dyn Clock>,
        settings: &Settings,
    ) -> Result<Self, UnlockError> {
        Self::over(SealedStore::create(store, root)?, clock, settings)
    }

    /// Unlocks the wallet in a store.
    pub(crate) fn open(
        store: Arc<dyn KvStore>,
        secret: &Secret,
        clock: Arc<dyn Clock>,
        settings: &Settings,
    ) -> Result<Self, UnlockError> {
        Self::over(SealedStore::open(store, secret.clone())?, clock, settings)
    }

    /// The same with the keys of a session that was suspended.
    pub(crate) fn reopen(
        store: Arc<dyn KvStore>,
        keys: &Keys,
        clock: Arc<dyn Clock>,
        settings: &Settings,
    ) -> Result<Self, UnlockError> {
        Self::over(SealedStore::reopen(store, keys)?, clock, settings)
    }

    fn over(
        sealed: Arc<SealedStore>,
        clock: Arc<dyn Clock>,
        settings: &Settings,
    ) -> Result<Self, UnlockError> {
        let mut recorder_settings = RecorderSettings::default();
        recorder_settings.memory_budget = settings.memory_budget;
        recorder_settings.segment_bytes = settings.segment_bytes;
        recorder_settings.max_lag_records = settings.max_lag_records;
        recorder_settings.max_lag_bytes = settings.max_lag_bytes;
        let below: Arc<dyn KvStore> = sealed.clone();
        let recorder = Recorder::open(below, registry::rules(), clock.clone(), recorder_settings)?;
        let by_policy =
            |policies| Replicated::new(recorder.clone(), policies, settings.max_waiting);
        let by_policies = by_policy(settings.policies.clone());
        let replicated = by_policy(Policies::all(Policy::Replicated));
        let kv: Arc<dyn KvStore> = by_policies.clone();
        let stores = Arc::new(Stores::new(kv.clone()));
        let data = Data::open(&stores)?;
        let fields = Fields::open(kv)?;
        let sealer = ObjectSealer::new(sealed.keys()?);
        let history = Arc::new(Mutex::new(recorder.history()?));
        let left_mark = take_mark(&*recorder)?;
        Ok(Self {
            sealed,
            recorder,
            by_policies,
            replicated,
            sealer,
            stores,
            data,
            fields,
            clock,
            settings: settings.clone(),
            history,
            session: crate::replicate::random()?,
            left_mark,
            noted: Arc::default(),
        })
    }

    /// Leaves a mark for whoever opens the wallet next, durably.
    pub(crate) fn leave_mark(&self, mark: &[u8]) -> Result<()> {
        let (ns, key) = settings_place(SUSPENDED)?;
        Ok(self.recorder.write(&ns, &key, mark.to_vec())?)
    }

    /// Who tells the records what merging has changed.
    pub(crate) fn follower(&self) -> Follower {
        Follower(self.stores.clone())
    }

    pub(crate) fn kv(&self) -> Arc<dyn KvStore> {
        self.by_policies.clone()
    }

    /// Submits what was read and is replaced, as [`Self::kv`] does.
    pub(crate) fn submit_unless_changed(&self, batch: Batch, watch: &Watch<'_>) -> Commit {
        self.by_policies.submit_unless_changed(batch, watch)
    }

    pub(crate) fn kv_replicated(&self) -> Arc<dyn KvStore> {
        self.replicated.clone()
    }

    /// How many commits wait for the clouds.
    pub(crate) fn waiting(&self) -> usize {
        self.by_policies.waiting() + self.replicated.waiting()
    }

    /// The addresses of the clouds this device backs up to.
    pub(crate) fn cloud_urls(&self) -> Result<Vec<CloudUrl>> {
        let (ns, key) = settings_place(CLOUDS)?;
        let Some(stored) = self.recorder.read(&ns, &key)? else { return Ok(Vec::new()) };
        let urls: Vec<String> =
            serde_json::from_slice(&stored).map_err(|e| kv_core::Error::corrupt("settings", e))?;
        urls.iter().map(|url| Ok(CloudUrl::parse(url)?)).collect()
    }

    pub(crate) fn set_cloud_urls(&self, urls: &[CloudUrl]) -> Result<()> {
        write_cloud_urls(&*self.recorder, urls)
    }
}

/// Remembers the clouds of this device. Settings are neither framed nor logged, so it does not
/// matter whether they are written above or below the recorder.
pub(crate) fn write_cloud_urls(kv: &dyn KvStore, urls: &[CloudUrl]) -> Result<()> {
    let (ns, key) = settings_place(CLOUDS)?;
    let urls: Vec<String> = urls.iter().map(ToString::to_string).collect();
    let json = serde_json::to_vec(&urls).map_err(|e| kv_core::Error::corrupt("settings", e))?;
    Ok(kv.write(&ns, &key, json)?)
}

/// What the settings are called.
const CLOUDS: &str = "clouds";
const SUSPENDED: &str = "suspended";

/// The mark of the last one who suspended the wallet, if nobody has opened it since. It is gone before
/// anything that this opening will make durable.
fn take_mark(kv: &dyn KvStore) -> Result<Option<Value>> {
    let (ns, key) = settings_place(SUSPENDED)?;
    let mark = kv.read(&ns, &key)?.filter(|mark| !mark.is_empty());
    if mark.is_some() {
        drop(kv.submit(Batch::new().put(&ns, &key, Vec::new()).lazy()));
    }
    Ok(mark)
}

fn settings_place(key: &str) -> Result<(Namespace, Key)> {
    let name = |e: kv_core::InvalidName| kv_core::Error::from(e);
    Ok((Namespace::reserved(registry::SETTINGS, "").map_err(name)?, Key::new(key).map_err(name)?))
}
