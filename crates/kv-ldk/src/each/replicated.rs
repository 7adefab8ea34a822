//! Monitors that let a channel go on only when the cloud has them.

use std::{
    collections::VecDeque,
    fmt,
    future::{Future, poll_fn},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use super::{
    Locator,
    ldk::{
        chain::{
            ChannelMonitorUpdateStatus,
            chainmonitor::Persist,
            channelmonitor::{ChannelMonitor, ChannelMonitorUpdate},
        },
        io,
        ln::types::ChannelId,
        sign::{EntropySource, SignerProvider, ecdsa::EcdsaChannelSigner},
        util::{
            persist::{
                ARCHIVED_CHANNEL_MONITOR_PERSISTENCE_PRIMARY_NAMESPACE as ARCHIVED,
                CHANNEL_MONITOR_PERSISTENCE_PRIMARY_NAMESPACE as MONITORS, MonitorName,
                read_channel_monitors,
            },
            ser::Writeable,
        },
    },
};
use crate::{OpenError, StrongroomStore};
use backup::NotYetReplicated;
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
/// Monitors lie where LDK's own persister puts them. LDK calls persistence that is completed later
/// a beta feature.
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
    /// Who waits for the next one.
    waker: Option<Waker>,
    /// Something failed: nothing is completed any more.
    failed: Option<Error>,
}

struct Waiting {
    commit: Commit,
    /// What LDK wants to be told; chain data needs no answer.
    update: Option<(ChannelId, u64)>,
    /// What the monitor of this name will be, as long as that is on its way; `None`: archived.
    monitor: Option<(Key, Option<Value>)>,
}

impl ReplicatedPersister {
    /// Over a store all of whose commits wait for the cloud. `left` is what it says of changes
    /// that the cloud did not get before the last end of the program, such as
    /// `Session::not_yet_replicated`: as long as there are any, monitors must not reach LDK, since a
    /// channel would go on from a state that a restore would not find.
    ///
    /// # Errors
    /// [`OpenError::NotReplicated`], [`OpenError::Merges`], [`OpenError::NotYetReplicated`].
    pub fn open(
        store: Arc<dyn KvStore>,
        left: Option<NotYetReplicated>,
    ) -> std::result::Result<Self, OpenError> {
        let capabilities = store.capabilities();
        if capabilities.merges {
            return Err(OpenError::Merges);
        }
        if !capabilities.replicated {
            return Err(OpenError::NotReplicated);
        }
        if let Some(NotYetReplicated { lag, .. }) = left {
            return Err(OpenError::NotYetReplicated { lag });
        }
        let name = |primary| Namespace::new(primary, "").map_err(Error::from);
        let (monitors, archived) = (name(MONITORS)?, name(ARCHIVED)?);
        Ok(Self { store, monitors, archived, queue: Mutex::default() })
    }

    /// As [`ReplicatedPersister::open`], but waits until the cloud has what was left.
    ///
    /// # Errors
    /// [`OpenError::NotReplicated`], or why the store will never have it: [`OpenError::Store`].
    pub async fn open_when_replicated(
        store: Arc<dyn KvStore>,
        left: Option<NotYetReplicated>,
    ) -> std::result::Result<Self, OpenError> {
        if let Some(left) = left {
            left.replicated().await?;
        }
        Self::open(store, None)
    }

    /// The monitors, to be given to LDK before its manager is read.
    ///
    /// # Errors
    /// The store's, or `InvalidData` if one of them does not read as a monitor.
    #[expect(clippy::type_complexity, reason = "what LDK's own function of this name answers")]
    pub fn read_channel_monitors<ES, SP>(
        &self,
        entropy_source: ES,
        signer_provider: SP,
    ) -> io::Result<Vec<(Locator, ChannelMonitor<<SP::Target as SignerProvider>::EcdsaSigner>)>>
    where
        ES: std::ops::Deref<Target: EntropySource + Sized>,
        SP: std::ops::Deref<Target: SignerProvider + Sized>,
    {
        let store = StrongroomStore::new(self.store.clone());
        read_channel_monitors(&store, entropy_source, signer_provider)
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
                Poll::Ready(Err(error)) => queue.failed = Some(error),
                Poll::Ready(Ok(())) => {
                    let update = queue.waiting.pop_front().and_then(|waiting| waiting.update);
                    if let Some(update) = update {
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
        let waiting = match Key::new(&name.to_string()) {
            Ok(key) => {
                let batch = Batch::new().put(&self.monitors, &key, value.clone());
                Waiting {
                    commit: self.store.submit(batch),
                    update,
                    monitor: Some((key, Some(value))),
                }
            }
            Err(error) => {
                Waiting { commit: Commit::done(Err(error.into())), update, monitor: None }
            }
        };
        queue.push(waiting);
        ChannelMonitorUpdateStatus::InProgress
    }

    /// Moves a monitor to the archive, in one batch.
    fn archive(&self, key: &Key) -> Result<()> {
        let mut queue = self.queue();
        let on_its_way = queue.waiting.iter().rev().find_map(|waiting| match &waiting.monitor {
            Some((name, value)) if name == key => Some(value.clone()),
            _ => None,
        });
        let monitor = match on_its_way {
            Some(monitor) => monitor,
            None => self.store.read(&self.monitors, key)?,
        };
        // LDK asks again after a restart.
        let Some(value) = monitor else { return Ok(()) };
        let batch = Batch::new().put(&self.archived, key, value).remove(&self.monitors, key);
        let monitor = Some((key.clone(), None));
        queue.push(Waiting { commit: self.store.submit(batch), update: None, monitor });
        Ok(())
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn push(&mut self, waiting: Waiting) {
        self.waiting.push_back(waiting);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
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
            self.queue().push(Waiting {
                commit: Commit::done(Err(error)),
                update: None,
                monitor: None,
            });
        }
    }
}

impl fmt::Debug for ReplicatedPersister {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplicatedPersister").field("waiting", &self.waiting()).finish()
    }
}
