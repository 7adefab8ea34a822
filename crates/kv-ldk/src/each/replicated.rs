//! Monitors that let a channel go on only when the cloud has them.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    future::{Future, poll_fn},
    ops::Deref,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use super::{
    Locator,
    ldk::{
        chain::{
            ChannelMonitorUpdateStatus,
            chaininterface::{BroadcasterInterface, FeeEstimator},
            chainmonitor::Persist,
            channelmonitor::{ChannelMonitor, ChannelMonitorUpdate},
        },
        io::{self, ErrorKind},
        ln::types::ChannelId,
        sign::{EntropySource, SignerProvider, ecdsa::EcdsaChannelSigner},
        util::{
            persist::{
                ARCHIVED_CHANNEL_MONITOR_PERSISTENCE_PRIMARY_NAMESPACE as ARCHIVED,
                CHANNEL_MONITOR_PERSISTENCE_PRIMARY_NAMESPACE as MONITORS,
                CHANNEL_MONITOR_UPDATE_PERSISTENCE_PRIMARY_NAMESPACE as UPDATES, KVStoreSync,
                MonitorName,
            },
            ser::Writeable,
        },
    },
    monitors::{Folded, Unreadable, WITH_UPDATES, read_monitor},
    quiet::Quiet,
};
use crate::{OpenError, StrongroomStore, trouble::io_error};
use kv_core::{Batch, Commit, Error, Key, KvStore, Namespace, Result, Value};

/// Persists channel monitors so that no state is revoked before the cloud has the one
/// that replaces it.
///
/// Each call submits the monitor, durable here first and then in the cloud, and answers
/// `InProgress` at once: LDK then keeps back every message that depends on it. When the cloud has
/// it, [`ReplicatedPersister::next_completed`] tells, once for each update, and whoever owns the
/// loop around it passes that on to `ChainMonitor::channel_monitor_updated`.
///
/// It is not a `KVStoreSync` on purpose: LDK would persist through that and go on at once. Manager,
/// graph and scorer go through a [`StrongroomStore`] over the same wallet's local store; the order
/// of changes is one, so a restore point holds a manager and monitors that belong together.
///
/// Monitors lie where LDK's own persister puts them, and are stored whole; those of
/// `MonitorUpdatingPersister` become whole when they are read. LDK calls persistence that is completed
/// later a beta feature.
pub struct ReplicatedPersister {
    store: Arc<dyn KvStore>,
    monitors: Namespace,
    archived: Namespace,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    /// In the order of the calls, which is the order in which the cloud gets them.
    waiting: VecDeque<Waiting>,
    /// How many there were before the first one that waits.
    done: u64,
    /// What the monitors on their way will be, the newest one of each name alone, and the place in the
    /// queue that it came with; `None`: archived.
    on_their_way: HashMap<Key, (u64, Option<Value>)>,
    /// Who waits for the next one.
    waker: Option<Waker>,
    /// Something failed: nothing is completed any more, and nothing waits.
    failed: Option<Error>,
}

struct Waiting {
    commit: Commit,
    /// What LDK wants to be told; chain data needs no answer.
    update: Option<(ChannelId, u64)>,
    /// Whose monitor it is.
    key: Option<Key>,
}

impl ReplicatedPersister {
    /// Over a store whose commits wait for the cloud, such as `Session::kv_replicated`.
    ///
    /// As long as the cloud lacks something that is durable here, monitors must not reach LDK, since a
    /// channel would go on from a state that a restore would not find. So the store is asked, and it is
    /// an error.
    ///
    /// # Errors
    /// [`OpenError::NotReplicated`], [`OpenError::Merges`], [`OpenError::NotYetReplicated`].
    pub fn open(store: Arc<dyn KvStore>) -> std::result::Result<Self, OpenError> {
        let persister = Self::over(store)?;
        let replication = persister.store.capabilities().replication;
        match replication.and_then(|replication| replication.lag()) {
            Some(lag) => Err(OpenError::NotYetReplicated { lag }),
            None => Ok(persister),
        }
    }

    /// As [`ReplicatedPersister::open`], but waits until the cloud has everything that was durable here
    /// when this was called.
    ///
    /// # Errors
    /// [`OpenError::NotReplicated`], [`OpenError::Merges`], or why the store will never have it:
    /// [`OpenError::Store`].
    pub async fn open_when_replicated(
        store: Arc<dyn KvStore>,
    ) -> std::result::Result<Self, OpenError> {
        let persister = Self::over(store)?;
        let caught_up = {
            let replication = persister.store.capabilities().replication;
            replication.ok_or(OpenError::NotReplicated)?.caught_up()
        };
        caught_up.await?;
        Ok(persister)
    }

    /// What it holds is for nobody before the cloud has caught up.
    fn over(store: Arc<dyn KvStore>) -> std::result::Result<Self, OpenError> {
        let name = |primary| Namespace::new(primary, "").map_err(Error::from);
        let (monitors, archived) = (name(MONITORS)?, name(ARCHIVED)?);
        let capabilities = store.capabilities();
        if capabilities.merges {
            return Err(OpenError::Merges);
        }
        if !capabilities.replication.is_some_and(|replication| replication.waits(&monitors)) {
            return Err(OpenError::NotReplicated);
        }
        Ok(Self { store, monitors, archived, queue: Mutex::default() })
    }

    /// The monitors, to be given to LDK before its manager is read.
    ///
    /// Those that `MonitorUpdatingPersister` has stored are read with their updates, which may ask for a
    /// transaction to be sent, and are stored whole.
    ///
    /// # Errors
    /// The store's, or `InvalidData` if one of them does not read as a monitor.
    #[expect(clippy::type_complexity, reason = "what LDK's own function of this name answers")]
    pub fn read_channel_monitors<ES, SP, B, F>(
        &self,
        entropy_source: ES,
        signer_provider: SP,
        broadcaster: B,
        fee_estimator: F,
    ) -> io::Result<Vec<(Locator, ChannelMonitor<<SP::Target as SignerProvider>::EcdsaSigner>)>>
    where
        ES: Deref<Target: EntropySource + Sized>,
        SP: Deref<Target: SignerProvider + Sized>,
        B: Deref<Target: BroadcasterInterface>,
        F: Deref<Target: FeeEstimator>,
    {
        let store = StrongroomStore::new(self.store.clone());
        let mut monitors = Vec::new();
        for name in KVStoreSync::list(&store, MONITORS, "")? {
            let keys = (&*entropy_source, &*signer_provider);
            let read = read_monitor(&store, &name, keys, &*broadcaster, &*fee_estimator, &Quiet);
            let read = read.map_err(|why| match why {
                Unreadable::Store(error) => error,
                Unreadable::Monitor(why) => {
                    io::Error::new(ErrorKind::InvalidData, format!("monitor {name}: {why}"))
                }
            })?;
            let Some(folded) = read else { continue };
            self.store_whole(&name, &folded).map_err(io_error)?;
            monitors.push(folded.monitor);
        }
        Ok(monitors)
    }

    /// In one batch, so that it is there with its updates or as a whole.
    fn store_whole<S: EcdsaChannelSigner>(&self, name: &str, folded: &Folded<S>) -> Result<()> {
        if !folded.in_parts {
            return Ok(());
        }
        let (key, updates) = (Key::new(name)?, Namespace::new(UPDATES, name)?);
        let value = Value::from(folded.monitor.1.encode());
        let mut batch = Batch::new().put(&self.monitors, &key, value.clone());
        for update in &folded.updates {
            batch = batch.remove(&updates, &Key::new(update)?);
        }
        let mut queue = self.queue();
        let commit = self.store.submit(batch);
        queue.push(commit, None, Some((key, Some(value))));
        Ok(())
    }

    /// The next update that the cloud has, to be passed to `ChainMonitor::channel_monitor_updated`.
    /// One task calls this in a loop as long as the node runs. Dropping the future loses nothing.
    ///
    /// # Errors
    /// The store failed or refused a monitor, for good: no update is completed any more, here and
    /// in each later call. Shut the node down, do what the error says, and start it again.
    pub fn next_completed(&self) -> impl Future<Output = Result<(ChannelId, u64)>> + Send + '_ {
        poll_fn(|cx| self.poll_completed(cx))
    }

    /// How many monitors are not in the cloud yet.
    pub fn waiting(&self) -> usize {
        self.queue().waiting.len()
    }

    fn poll_completed(&self, cx: &mut Context<'_>) -> Poll<Result<(ChannelId, u64)>> {
        let mut queue = self.queue();
        loop {
            if let Some(error) = &queue.failed {
                return Poll::Ready(Err(error.clone()));
            }
            let Some(first) = queue.waiting.front_mut() else {
                queue.waker = Some(cx.waker().clone());
                return Poll::Pending;
            };
            // A commit does no work of its own when it is polled.
            match Pin::new(&mut first.commit).poll(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(error)) => queue.fail(error),
                Poll::Ready(Ok(())) => {
                    if let Some(update) = queue.pop() {
                        return Poll::Ready(Ok(update));
                    }
                }
            }
        }
    }

    fn persist<S: EcdsaChannelSigner>(
        &self,
        name: MonitorName,
        monitor: &ChannelMonitor<S>,
        update: Option<(ChannelId, u64)>,
    ) -> ChannelMonitorUpdateStatus {
        let value = Value::from(monitor.encode());
        // The queue is in the order of the submits, so its lock is held across this one.
        let mut queue = self.queue();
        match Key::new(&name.to_string()) {
            Ok(key) => {
                let batch = Batch::new().put(&self.monitors, &key, value.clone());
                let commit = self.store.submit(batch);
                queue.push(commit, update, Some((key, Some(value))));
            }
            Err(error) => queue.push(Commit::done(Err(error.into())), update, None),
        }
        ChannelMonitorUpdateStatus::InProgress
    }

    /// Moves a monitor to the archive, in one batch.
    fn archive(&self, key: &Key) -> Result<()> {
        let mut queue = self.queue();
        // What is on its way is not known any more. LDK asks again after a restart.
        if queue.failed.is_some() {
            return Ok(());
        }
        let monitor = match queue.on_their_way.get(key) {
            Some((_, monitor)) => monitor.clone(),
            None => self.store.read(&self.monitors, key)?,
        };
        let Some(value) = monitor else { return Ok(()) };
        // Nobody has read it here, which would have made it whole: without its updates it is an old one.
        if value.starts_with(&WITH_UPDATES) {
            return Ok(());
        }
        let batch = Batch::new().put(&self.archived, key, value).remove(&self.monitors, key);
        let commit = self.store.submit(batch);
        queue.push(commit, None, Some((key.clone(), None)));
        Ok(())
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    /// Of a monitor only the newest value is kept here; a large node has many on their way while the cloud
    /// is away.
    fn push(
        &mut self,
        commit: Commit,
        update: Option<(ChannelId, u64)>,
        monitor: Option<(Key, Option<Value>)>,
    ) {
        // Nobody will be told of it any more.
        if self.failed.is_some() {
            return;
        }
        let place = self.done + self.waiting.len() as u64;
        let key = monitor.map(|(key, value)| {
            self.on_their_way.insert(key.clone(), (place, value));
            key
        });
        self.waiting.push_back(Waiting { commit, update, key });
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// The cloud has the first one; what LDK wants to be told of it.
    fn pop(&mut self) -> Option<(ChannelId, u64)> {
        let Waiting { update, key, .. } = self.waiting.pop_front()?;
        if let Some(key) = key
            && self.on_their_way.get(&key).is_some_and(|(place, _)| *place == self.done)
        {
            self.on_their_way.remove(&key);
        }
        self.done += 1;
        update
    }

    fn fail(&mut self, error: Error) {
        self.failed = Some(error);
        self.waiting.clear();
        self.on_their_way.clear();
    }
}

impl<S: EcdsaChannelSigner> Persist<S> for ReplicatedPersister {
    fn persist_new_channel(
        &self,
        name: MonitorName,
        monitor: &ChannelMonitor<S>,
    ) -> ChannelMonitorUpdateStatus {
        let update = (monitor.channel_id(), monitor.get_latest_update_id());
        self.persist(name, monitor, Some(update))
    }

    fn update_persisted_channel(
        &self,
        name: MonitorName,
        update: Option<&ChannelMonitorUpdate>,
        monitor: &ChannelMonitor<S>,
    ) -> ChannelMonitorUpdateStatus {
        let update = update.map(|update| (monitor.channel_id(), update.update_id));
        self.persist(name, monitor, update)
    }

    fn archive_persisted_channel(&self, name: MonitorName) {
        let archived = Key::new(&name.to_string()).map_err(Error::from);
        if let Err(error) = archived.and_then(|key| self.archive(&key)) {
            // LDK wants no answer; the loop tells whoever runs the node.
            self.queue().push(Commit::done(Err(error)), None, None);
        }
    }
}

impl fmt::Debug for ReplicatedPersister {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplicatedPersister").field("waiting", &self.waiting()).finish()
    }
}
