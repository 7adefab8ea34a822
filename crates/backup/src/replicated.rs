//! Replicated acknowledgement: commits that resolve only when the cloud has the change, and the fence
//! has passed it where only one may write.

use std::{
    collections::{BTreeMap, VecDeque},
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use kv_core::{
    Batch, Capabilities, Commit, Durability, Error, Key, KvStore, Lag, Namespace, Pending, Receipt,
    Replication, Result, Value,
};

use crate::{Recorder, WaitForCloud, Watch, recorder::Place};

const STORE: &str = "backup";

/// When a synced commit resolves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Policy {
    /// When the change survives power loss on this device.
    #[default]
    Local,
    /// When the cloud has it too, and every change before it; single-writer data when the fence has
    /// passed it.
    Replicated,
}

/// The policies by primary namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policies {
    others: Policy,
    by_primary: BTreeMap<String, Policy>,
}

/// A recorder as a store whose commits also wait for the cloud, where the policy says so.
///
/// A change is durable on this device, and can be read, before its commit resolves. While no cloud
/// is in reach such commits wait; beyond a number of them further batches are refused with
/// [`Error::Backlog`]. Single-writer data that another writer has taken over meanwhile answers
/// [`Error::NotReplicated`] with the [`crate::Refusal`]. A commit that is dropped, or whose store is closed, loses nothing: the
/// change goes up later, and [`Recorder::not_yet_replicated`] tells at the next opening.
#[derive(Debug)]
pub struct Replicated {
    recorder: Arc<Recorder>,
    policies: Policies,
    /// Those that waited when last looked, in their order.
    in_flight: Mutex<VecDeque<Place>>,
    max_in_flight: usize,
}

impl Policies {
    /// One policy for everything.
    pub fn all(policy: Policy) -> Self {
        Self { others: policy, by_primary: BTreeMap::new() }
    }

    /// Another policy for one primary namespace.
    #[must_use]
    pub fn with(mut self, primary: &str, policy: Policy) -> Self {
        self.by_primary.insert(primary.to_owned(), policy);
        self
    }

    /// The policy of a namespace.
    pub fn of(&self, ns: &Namespace) -> Policy {
        self.by_primary.get(ns.primary()).copied().unwrap_or(self.others)
    }

    /// A batch waits for the cloud if one of its keys does. An empty one is a flush, and does what
    /// its namespace-less policy says.
    fn of_batch(&self, batch: &Batch) -> Policy {
        if is_flush(batch) {
            return self.others;
        }
        let waits = batch.changes().any(|(ns, ..)| self.of(ns) == Policy::Replicated);
        if waits { Policy::Replicated } else { Policy::Local }
    }
}

impl Replicated {
    /// How many batches may wait for the cloud at once, unless said otherwise.
    pub const MAX_IN_FLIGHT: usize = 10_000;

    /// Over a recorder; at most `max_in_flight` batches wait for the cloud at once.
    pub fn new(recorder: Arc<Recorder>, policies: Policies, max_in_flight: usize) -> Arc<Self> {
        Arc::new(Self { recorder, policies, in_flight: Mutex::default(), max_in_flight })
    }

    /// How many batches wait for the cloud now.
    pub fn waiting(&self) -> usize {
        let mut in_flight = self.in_flight();
        self.forget_over(&mut in_flight);
        in_flight.len()
    }

    /// What merges may be over before single-writer data that waits for the fence.
    fn forget_over(&self, in_flight: &mut VecDeque<Place>) {
        in_flight.retain(|place| !self.recorder.is_over(*place));
    }

    /// The batches that wait for the cloud, without the first ones that are over.
    fn in_flight(&self) -> MutexGuard<'_, VecDeque<Place>> {
        let mut in_flight = self.in_flight.lock().unwrap_or_else(PoisonError::into_inner);
        while in_flight.pop_front_if(|place| self.recorder.is_over(*place)).is_some() {}
        in_flight
    }

    /// Submits a batch, unless something was written into its namespaces since the watch began: then
    /// it is refused with [`Error::Precondition`]. Read again, and decide again.
    pub fn submit_unless_changed(&self, batch: Batch, watch: &Watch<'_>) -> Commit {
        match (batch.durability(), self.policies.of_batch(&batch)) {
            (Durability::Synced, Policy::Replicated) => self.submit_replicated(batch, Some(watch)),
            _ => self.recorder.submit_recorded(batch, Some(watch)).0,
        }
    }

    fn submit_replicated(&self, batch: Batch, watch: Option<&Watch<'_>>) -> Commit {
        if let Some(source) = self.recorder.unfenceable(&batch) {
            return Commit::done(Err(Error::Refused { store: STORE, source }));
        }
        // Held across the submit below, so that the numbers come in order and none too many.
        let mut in_flight = self.in_flight();
        if in_flight.len() >= self.max_in_flight {
            self.forget_over(&mut in_flight);
        }
        if in_flight.len() >= self.max_in_flight {
            return Commit::done(Err(Error::Backlog { store: STORE }));
        }
        let (local, place) = self.recorder.submit_recorded(batch, watch);
        // Refused, or never backed up.
        let Some(place) = place else { return local };
        in_flight.push_back(place);
        drop(in_flight);
        self.and_cloud(local, place)
    }

    fn and_cloud(&self, local: Commit, place: Place) -> Commit {
        let receipt = local.receipt();
        let cloud = self.recorder.replicated(place);
        Commit::pending(Arc::new(Both { receipt, local: Mutex::new(Some(local)), cloud }))
    }
}

/// Whether it asks for nothing but that all before it is safe. One of preconditions only changes
/// nothing, so no cloud is waited for, but they must hold.
fn is_flush(batch: &Batch) -> bool {
    batch.is_empty() && batch.absent_keys().len() == 0
}

/// A commit that is here first, then in the cloud.
#[derive(Debug)]
struct Both {
    receipt: Receipt,
    /// `None` once it has resolved.
    local: Mutex<Option<Commit>>,
    cloud: WaitForCloud,
}

impl Both {
    fn local(&self) -> MutexGuard<'_, Option<Commit>> {
        self.local.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pending for Both {
    /// What can be read is decided by this device alone.
    fn outcome(&self) -> Option<Result<()>> {
        self.receipt.outcome()
    }

    fn poll(&self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let mut local = self.local();
        if let Some(commit) = local.as_mut() {
            match Pin::new(commit).poll(cx) {
                Poll::Ready(Ok(())) => *local = None,
                other => return other,
            }
        }
        drop(local);
        self.cloud.poll_ref(cx)
    }

    fn wait(&self) -> Result<()> {
        let local = self.local().take();
        if let Some(commit) = local {
            commit.wait()?;
        }
        self.cloud.wait()
    }
}

impl KvStore for Replicated {
    fn read(&self, ns: &Namespace, key: &Key) -> Result<Option<Value>> {
        self.recorder.read(ns, key)
    }

    fn list(&self, ns: &Namespace, after: Option<&Key>, limit: usize) -> Result<Vec<Key>> {
        self.recorder.list(ns, after, limit)
    }

    fn namespaces(&self) -> Result<Vec<Namespace>> {
        self.recorder.namespaces()
    }

    fn submit(&self, batch: Batch) -> Commit {
        // A lazy batch asks for nothing but its place in the order.
        match (batch.durability(), self.policies.of_batch(&batch)) {
            (Durability::Synced, Policy::Replicated) if is_flush(&batch) => self.caught_up(),
            (Durability::Synced, Policy::Replicated) => self.submit_replicated(batch, None),
            _ => self.recorder.submit(batch),
        }
    }

    fn capabilities(&self) -> Capabilities<'_> {
        let mut capabilities = self.recorder.capabilities();
        let mut all = self.policies.by_primary.values().chain([&self.policies.others]).copied();
        capabilities.replication =
            all.any(|policy| policy == Policy::Replicated).then_some(self as &dyn Replication);
        capabilities
    }

    fn close(&self) -> Result<()> {
        self.recorder.close()
    }
}

impl Replication for Replicated {
    fn waits(&self, ns: &Namespace) -> bool {
        self.policies.of(ns) == Policy::Replicated
    }

    fn lag(&self) -> Option<Lag> {
        self.recorder.not_yet_replicated().map(|left| left.lag)
    }

    /// Everything submitted so far, by whomever.
    fn caught_up(&self) -> Commit {
        let place = self.recorder.place_owed();
        self.and_cloud(self.durable_here(), place)
    }

    fn durable_here(&self) -> Commit {
        KvStore::submit(&*self.recorder, Batch::new())
    }
}
