//! One of several devices of a wallet: a store that loses what is not durable, a clock of its own.

use std::sync::Arc;

use backup::{Merged, Recorder, Result, WriterId};
use kv_core::{KvStore, KvStoreExt, Timestamp, Value, testing::ManualClock};

use super::{
    Contents, backed_up,
    cloud::{self, Cloud},
    key, ns, recorder_with,
    stores::Slow,
};

pub struct Device {
    pub store: Slow,
    pub clock: Arc<ManualClock>,
    pub recorder: Arc<Recorder>,
}

impl Device {
    pub fn new(time: u64) -> Self {
        let clock = Arc::new(ManualClock::at(Timestamp(time)));
        Self::over(Slow::default(), clock)
    }

    /// Restored from the cloud.
    pub fn restored(cloud: &Cloud, time: u64) -> Self {
        let store = Slow::default();
        cloud::restore(cloud, &super::sealer(), Arc::new(store.clone())).unwrap();
        Self::over(store, Arc::new(ManualClock::at(Timestamp(time))))
    }

    /// The same folder, copied while nothing is under way.
    pub fn copy(&self, time: u64) -> Self {
        let store = Slow::default();
        for ((ns, key), value) in super::contents(&self.store) {
            store.write(&ns, &key, value).unwrap();
        }
        Self::over(store, Arc::new(ManualClock::at(Timestamp(time))))
    }

    fn over(store: Slow, clock: Arc<ManualClock>) -> Self {
        let recorder = recorder_with(Arc::new(store.clone()), clock.clone(), 64);
        Self { store, clock, recorder }
    }

    /// Power cut and restart.
    pub fn crash(&mut self) {
        self.store.crash();
        self.recorder = recorder_with(Arc::new(self.store.clone()), self.clock.clone(), 64);
    }

    pub fn set(&self, name: &str, value: &str) {
        self.recorder.write(&ns("m"), &key(name), value.as_bytes()).unwrap();
    }

    pub fn remove(&self, name: &str) {
        self.recorder.remove(&ns("m"), &key(name)).unwrap();
    }

    pub fn get(&self, name: &str) -> Option<String> {
        let value: Option<Value> = self.recorder.read(&ns("m"), &key(name)).unwrap();
        value.map(|value| String::from_utf8(value.to_vec()).unwrap())
    }

    pub fn back_up(&self, cloud: &mut Cloud) {
        cloud::back_up(&self.recorder, cloud, false);
    }

    pub fn poll(&self, cloud: &Cloud) -> Merged {
        self.try_poll(cloud).unwrap()
    }

    pub fn try_poll(&self, cloud: &Cloud) -> Result<Merged> {
        cloud::poll(&self.recorder, cloud)
    }

    pub fn writer(&self) -> WriterId {
        self.recorder.state().writer
    }

    pub fn contents(&self) -> Contents {
        backed_up(&*self.recorder)
    }

    /// The same below the recorder: with stamps.
    pub fn framed(&self) -> Contents {
        let mut contents = backed_up(&self.store);
        contents.retain(|(ns, _), _| ns.primary().starts_with('m'));
        contents
    }
}
