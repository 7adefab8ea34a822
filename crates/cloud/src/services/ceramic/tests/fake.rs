//! A node in memory that behaves as the versions of js-ceramic do, as far as we depend on it:
//! signatures and names are checked, commits have a limit, two commits upon one state meet as in
//! each version, unpinned streams are forgotten at a restart.

mod streams;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    sync::{Arc, Mutex, MutexGuard},
};

use async_trait::async_trait;
use serde_json::{Value, json};
use tokio::sync::Notify;

pub(super) use self::streams::patch;
use super::super::{
    CeramicCloud,
    identity::Identity,
    transport::{Reply, Request, Transport},
};
use crate::{CloudError, Result};

/// What a node does that others do otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    /// Pins for everybody; takes two commits upon one state, and the longer log wins, or chance.
    One,
    /// Pins for administrators; refuses a commit upon a state that is not the newest.
    Two,
}

/// A node. Clones are connections to it.
#[derive(Clone)]
pub(super) struct FakeNode(Arc<Mutex<Inner>>);

struct Inner {
    version: Version,
    admins: Vec<String>,
    codes: BTreeSet<String>,
    codes_given: usize,
    streams: BTreeMap<String, Stream>,
    commits: HashMap<String, Commit>,
    pins: BTreeSet<String>,
    requests: Vec<String>,
    largest_commit: usize,
    /// What happens to a request, by its number from 0.
    fate: Box<dyn FnMut(usize) -> Fate + Send>,
    held: Option<(&'static str, Held)>,
}

/// A request that is held back.
#[derive(Clone)]
pub(super) struct Held(Arc<(Notify, Notify)>);

impl Held {
    /// It has been sent.
    pub(super) async fn arrived(&self) {
        self.0.0.notified().await;
    }

    /// It goes on.
    pub(super) fn release(&self) {
        self.0.1.notify_one();
    }
}

/// What happens to a request.
#[derive(Debug, Clone, Default)]
pub(super) enum Fate {
    #[default]
    Answered,
    /// The others go first: it yields so many times.
    Late(u32),
    /// It does not arrive.
    Lost,
    /// Its answer does not arrive.
    AnswerLost,
    /// The node answers this error.
    Says(&'static str),
}

#[derive(Clone)]
struct Stream {
    controller: String,
    header: Value,
    genesis: Value,
    log: Vec<String>,
}

#[derive(Clone)]
struct Commit {
    prev: String,
    patch: Value,
}

impl FakeNode {
    pub(super) fn new(version: Version) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            version,
            admins: Vec::new(),
            codes: BTreeSet::new(),
            codes_given: 0,
            streams: BTreeMap::new(),
            commits: HashMap::new(),
            pins: BTreeSet::new(),
            requests: Vec::new(),
            largest_commit: 0,
            fate: Box::new(|_| Fate::Answered),
            held: None,
        })))
    }

    /// A device of its own, with pages of so many commits; on version 2 as an administrator.
    pub(super) fn device(&self, seed: u8, commits_per_page: usize) -> CeramicCloud {
        let identity = Identity::from_seed(&[seed; 32]);
        self.inner().admins.push(identity.did().to_owned());
        CeramicCloud::over(Box::new(self.clone()), identity, commits_per_page)
    }

    /// One that is no administrator.
    pub(super) fn stranger(&self, seed: u8) -> CeramicCloud {
        CeramicCloud::over(Box::new(self.clone()), Identity::from_seed(&[seed; 32]), 300)
    }

    /// Decides what happens to the requests from now.
    pub(super) fn fate(&self, fate: impl FnMut(usize) -> Fate + Send + 'static) {
        let mut inner = self.inner();
        inner.requests.clear();
        inner.fate = Box::new(fate);
    }

    /// The requests since the last change of fate.
    pub(super) fn requests(&self) -> Vec<String> {
        self.inner().requests.clone()
    }

    pub(super) fn pins(&self) -> BTreeSet<String> {
        self.inner().pins.clone()
    }

    pub(super) fn largest_commit(&self) -> usize {
        self.inner().largest_commit
    }

    /// The streams that are no index.
    pub(super) fn tiles(&self) -> usize {
        self.inner().streams.values().filter(|stream| stream.header.get("tags").is_none()).count()
    }

    /// What is not pinned loses all but its beginning.
    pub(super) fn restart(&self) {
        let mut inner = self.inner();
        let pins = inner.pins.clone();
        for (name, stream) in &mut inner.streams {
            if !pins.contains(name) {
                stream.log.truncate(1);
            }
        }
    }

    /// Holds back the next request to a path until it is released.
    pub(super) fn hold(&self, path: &'static str) -> Held {
        let held = Held(Arc::new((Notify::new(), Notify::new())));
        self.inner().held = Some((path, held.clone()));
        held
    }

    /// As if its disk had been replaced by an empty one.
    pub(super) fn forget_everything(&self) {
        self.inner().streams.clear();
    }

    /// Cuts off the ends of all objects.
    pub(super) fn tamper(&self) {
        for stream in self.inner().streams.values_mut() {
            if stream.genesis.get("data").is_some() {
                stream.genesis = json!({"data": "AAAA"});
            }
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }
}

impl fmt::Debug for FakeNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FakeNode")
    }
}

#[async_trait]
impl Transport for FakeNode {
    async fn send(&self, request: Request) -> Result<Reply> {
        let held = {
            let mut inner = self.inner();
            inner.held.take_if(|(path, _)| request.path == *path)
        };
        if let Some((_, held)) = held {
            held.0.0.notify_one();
            held.0.1.notified().await;
        }
        let fate = {
            let mut inner = self.inner();
            let number = inner.requests.len();
            inner.requests.push(format!("{request:?}"));
            (inner.fate)(number)
        };
        match fate {
            Fate::Answered => {}
            Fate::Late(turns) => {
                for _ in 0..turns {
                    tokio::task::yield_now().await;
                }
            }
            Fate::Lost => return Err(CloudError::unavailable("lost")),
            Fate::Says(text) => return Ok(failure(500, text)),
            Fate::AnswerLost => {
                drop(self.inner().answer(&request));
                return Err(CloudError::unavailable("the answer is lost"));
            }
        }
        let reply = self.inner().answer(&request);
        // An answer takes its time, too.
        tokio::task::yield_now().await;
        Ok(match reply {
            Ok(body) => Reply { body: body.to_string().into(), failure: None },
            Err((status, text)) => failure(status, &text),
        })
    }
}

fn failure(status: u16, text: &str) -> Reply {
    let failure = match status {
        401 => CloudError::Unauthorized { source: crate::error::boxed("the service answered 401") },
        404 => CloudError::BadAddress { source: crate::error::boxed("the service answered 404") },
        _ => CloudError::unavailable(text),
    };
    Reply { body: json!({ "error": text }).to_string().into(), failure: Some(failure) }
}
