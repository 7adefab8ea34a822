//! A node in memory that behaves as the versions of js-ceramic do, as far as we depend on it:
//! signatures and names are checked, commits have a limit, two commits upon one state meet as in
//! each version, unpinned streams are forgotten at a restart.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    sync::{Arc, Mutex, MutexGuard},
};

use async_trait::async_trait;
use data_encoding::{BASE64_NOPAD, BASE64URL_NOPAD};
use ed25519_dalek::{Verifier, VerifyingKey};
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::{
    super::{
        CeramicCloud,
        cid::{Cid, StreamId},
        commit::{Deterministic, name_of},
        identity::{Identity, Signature},
        transport::{Method, Reply, Request, Transport},
    },
    decode::decode,
    vectors::public_key,
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

type Outcome = std::result::Result<Value, (u16, String)>;

fn refuse<T>(text: impl Into<String>) -> std::result::Result<T, (u16, String)> {
    Err((500, text.into()))
}

impl Inner {
    fn answer(&mut self, request: &Request) -> Outcome {
        let path = request.path.split('?').next().unwrap();
        let body = request.body.as_ref().map(|body| serde_json::from_str(body).unwrap());
        let body: Value = body.unwrap_or_default();
        match (request.method, path.split('/').collect::<Vec<_>>().as_slice()) {
            (Method::Post, ["streams"]) => self.create(&body),
            (Method::Get, ["streams", name]) => self.state(name),
            (Method::Post, ["commits"]) => self.apply(&body),
            (Method::Post, ["multiqueries"]) => {
                let names = body["queries"].as_array().unwrap().iter();
                let names = names.map(|query| query["streamId"].as_str().unwrap());
                let states = names.filter_map(|name| {
                    Some((name.to_owned(), self.state(name).ok()?["state"].clone()))
                });
                Ok(states.collect())
            }
            (Method::Post, ["pins", _]) if self.version == Version::Two => {
                Ok(json!({"warn": "no operation: moved to the admin API"}))
            }
            (method, ["pins", name]) if self.version == Version::One => self.pin(method, name),
            (Method::Get, ["admin", "getCode"]) if self.version == Version::Two => {
                self.codes_given += 1;
                let code = format!("code {}", self.codes_given);
                self.codes.insert(code.clone());
                Ok(json!({ "code": code }))
            }
            (method, ["admin", "pins", name]) if self.version == Version::Two => {
                self.admit(request.authorization.as_deref())?;
                self.pin(method, name)
            }
            _ => Err((404, format!("Cannot {request:?}"))),
        }
    }

    fn create(&mut self, body: &Value) -> Outcome {
        assert_eq!(body["type"], 0);
        let genesis = &body["genesis"];
        let (cid, payload) = if genesis.get("jws").is_some() {
            self.open(genesis, None)?
        } else {
            let controller = genesis["header"]["controllers"][0].as_str().unwrap();
            let tag = genesis["header"]["tags"][0].as_str().unwrap();
            let family = genesis["header"]["family"].as_str().unwrap();
            // Only the controller's name counts here.
            let cid = Deterministic::of(controller, family, &[tag]).cid().unwrap();
            (cid, genesis.clone())
        };
        let name = StreamId::of_tile(&cid).to_string();
        self.streams.entry(name.clone()).or_insert_with(|| Stream {
            controller: payload["header"]["controllers"][0].as_str().unwrap().to_owned(),
            header: payload["header"].clone(),
            genesis: payload.get("data").cloned().unwrap_or_else(|| json!({})),
            log: vec![cid.to_string()],
        });
        if body["opts"]["pin"] == json!(true) && self.version == Version::One {
            self.pins.insert(name.clone());
        }
        self.state(&name)
    }

    fn apply(&mut self, body: &Value) -> Outcome {
        let name = body["streamId"].as_str().unwrap();
        let Some(stream) = self.streams.get(name).cloned() else { return refuse("no stream") };
        let (cid, payload) = self.open(&body["commit"], Some(&stream.controller))?;
        let link = |key: &str| payload[key]["/"].as_str().unwrap().to_owned();
        if link("id") != stream.log[0] {
            return refuse("Invalid streamId");
        }
        let commit = Commit { prev: link("prev"), patch: payload["data"].clone() };
        self.commits.insert(cid.to_string(), commit);
        if let Some(log) = self.choose(&stream.log, &cid)? {
            self.streams.get_mut(name).unwrap().log = log;
        }
        self.state(name)
    }

    /// The log after a commit has come, if it is another one.
    fn choose(
        &self,
        log: &[String],
        cid: &Cid,
    ) -> std::result::Result<Option<Vec<String>>, (u16, String)> {
        if log.contains(&cid.to_string()) {
            return Ok(None);
        }
        let mut theirs = vec![cid.to_string()];
        let fork = loop {
            let Some(commit) = self.commits.get(&theirs[0]) else { return refuse("no commit") };
            match log.iter().position(|cid| *cid == commit.prev) {
                Some(fork) => break fork,
                None => theirs.insert(0, commit.prev.clone()),
            }
        };
        let whole = [&log[..=fork], &theirs].concat();
        if fork + 1 == log.len() {
            return Ok(Some(whole));
        }
        if self.version == Version::Two {
            return refuse("Commit to stream rejected because it builds on stale state");
        }
        // The bytes are compared as JavaScript compares arrays: as their decimal text.
        let text = |cid: &String| {
            let cid = Cid::parse(cid).unwrap();
            cid.as_bytes().iter().map(u8::to_string).collect::<Vec<_>>().join(",")
        };
        let theirs_wins = match whole.len().cmp(&log.len()) {
            std::cmp::Ordering::Equal => text(&log[log.len() - 1]) >= text(&whole[whole.len() - 1]),
            order => order.is_gt(),
        };
        Ok(theirs_wins.then_some(whole))
    }

    /// Checks a signed commit; its name and its payload.
    fn open(
        &mut self,
        commit: &Value,
        controller: Option<&str>,
    ) -> std::result::Result<(Cid, Value), (u16, String)> {
        let block = commit["linkedBlock"].as_str().unwrap();
        let block = BASE64_NOPAD.decode(block.as_bytes()).unwrap();
        self.largest_commit = self.largest_commit.max(block.len());
        if block.len() > 256_000 {
            return refuse("commit size exceeds the maximum block size of 256000");
        }
        let payload = decode(&block);
        let link = Cid::of_cbor(&block);
        let jws = &commit["jws"];
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let signature = Signature {
            protected: text(&jws["signatures"][0]["protected"]),
            signature: text(&jws["signatures"][0]["signature"]),
        };
        assert_eq!(text(&jws["link"]), link.to_string());
        assert_eq!(text(&jws["payload"]), BASE64URL_NOPAD.encode(link.as_bytes()));
        let owner = controller.map(str::to_owned);
        let owner = owner.unwrap_or_else(|| text(&payload["header"]["controllers"][0]));
        check(&owner, &signature, &text(&jws["payload"]))?;
        Ok((name_of(&link, &signature).unwrap(), payload))
    }

    fn admit(&mut self, authorization: Option<&str>) -> std::result::Result<(), (u16, String)> {
        let Some(compact) = authorization.and_then(|text| text.strip_prefix("Basic ")) else {
            return Err((401, "Missing authorization header".to_owned()));
        };
        let [protected, payload, signature] =
            compact.split('.').map(str::to_owned).collect::<Vec<_>>().try_into().unwrap();
        let json = |text: &str| -> Value {
            serde_json::from_slice(&BASE64URL_NOPAD.decode(text.as_bytes()).unwrap()).unwrap()
        };
        let kid = json(&protected)["kid"].as_str().unwrap().to_owned();
        let did = kid.split('#').next().unwrap();
        check(did, &Signature { protected, signature }, &payload)?;
        let payload = json(&payload);
        assert_eq!(payload["requestPath"], "/api/v0/admin/pins");
        let known = self.codes.remove(payload["code"].as_str().unwrap());
        if known && self.admins.iter().any(|admin| admin == did) {
            return Ok(());
        }
        let text = format!("Unauthorized access: DID '{kid}' does not have admin access");
        Err((401, text))
    }

    fn pin(&mut self, method: Method, name: &str) -> Outcome {
        let is_pinned = method == Method::Post;
        if is_pinned {
            self.pins.insert(name.to_owned());
        } else {
            self.pins.remove(name);
        }
        Ok(json!({"streamId": name, "isPinned": is_pinned}))
    }

    fn state(&self, name: &str) -> Outcome {
        let Some(stream) = self.streams.get(name) else { return refuse("no stream") };
        let mut content = stream.genesis.clone();
        for cid in &stream.log[1..] {
            patch(&mut content, &self.commits[cid].patch);
        }
        let log: Value = stream.log.iter().map(|cid| json!({"cid": cid, "type": 1})).collect();
        let mut state = json!({"type": 0, "content": stream.genesis, "log": log});
        if stream.log.len() > 1 {
            state["next"] = json!({ "content": content });
        }
        Ok(json!({"streamId": name, "state": state}))
    }
}

fn check(
    did: &str,
    signature: &Signature,
    payload: &str,
) -> std::result::Result<(), (u16, String)> {
    let key = VerifyingKey::from_bytes(&public_key(did)).unwrap();
    let bytes = BASE64URL_NOPAD.decode(signature.signature.as_bytes()).unwrap();
    let bytes: [u8; 64] = bytes.try_into().unwrap();
    let signed = format!("{}.{payload}", signature.protected);
    key.verify(signed.as_bytes(), &bytes.into())
        .or_else(|_| refuse("Can not verify signature for commit"))
}

/// A patch by RFC 6902 that only adds members.
pub(super) fn patch(content: &mut Value, operations: &Value) {
    for operation in operations.as_array().unwrap() {
        assert_eq!(operation["op"], "add");
        let (parent, key) = operation["path"].as_str().unwrap().rsplit_once('/').unwrap();
        let parent = content.pointer_mut(parent).unwrap();
        let key = key.replace("~1", "/").replace("~0", "~");
        parent.as_object_mut().unwrap().insert(key, operation["value"].clone());
    }
}
