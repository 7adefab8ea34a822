//! A node: what can be asked of it, and what its answers mean.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use bytes::Bytes;
use data_encoding::BASE64_NOPAD;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{
    cbor::NoForm,
    cid::{Cid, StreamId},
    commit::{self, Deterministic, Header},
    identity::Identity,
    transport::{Reply, Request, Transport},
    wire::{
        self, AdminCode, AdminRequest, Answer, Apply, Create, CreateOpts, Failure, Genesis,
        MultiQuery, Pinned, State,
    },
};
use crate::{CloudError, Result, error::boxed};

/// The `family` of all our tiles, so that an owner of a node sees whose they are.
const FAMILY: &str = "strongroom";
/// What an administrator's signature is about.
const ADMIN_PINS: &str = "/api/v0/admin/pins";
/// How often a request about one of many tiles is sent: else an object of a hundred tiles would have
/// to begin anew for one that is lost. All else is tried again by the layer above, with waits.
const TRIES: usize = 4;
/// After this time (in milliseconds) the node leaves a stream out of an answer about several.
const PATIENCE: u32 = 20_000;

/// A node and the identity with which we write there.
#[derive(Debug)]
pub(super) struct Node {
    transport: Box<dyn Transport>,
    identity: Identity,
    /// Found out at the first pin.
    dialect: Mutex<Dialect>,
}

/// How a node is told to keep a tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dialect {
    Unknown,
    /// Version 1: anybody may, also by an option of the request that makes the tile.
    Direct,
    /// Version 2 and later: administrators only, with a signed request.
    Admin,
}

/// What became of a commit.
#[derive(Debug)]
pub(super) enum Applied {
    /// It is part of the stream, whose state is now this.
    Landed(State),
    /// Somebody else's commit took its place.
    Displaced,
}

/// A tile whose name follows from our identity and a tag.
#[derive(Debug)]
pub(super) struct Fixed {
    pub(super) stream: StreamId,
    pub(super) genesis: Cid,
    pub(super) state: State,
}

impl Node {
    pub(super) fn new(transport: Box<dyn Transport>, identity: Identity) -> Self {
        Self { transport, identity, dialect: Mutex::new(Dialect::Unknown) }
    }

    pub(super) fn did(&self) -> &str {
        self.identity.did()
    }

    /// Makes a tile of its own for this content, pinned.
    pub(super) async fn create(&self, data: &Value) -> Result<StreamId> {
        let mut random = [0; 12];
        getrandom::fill(&mut random).map_err(|e| CloudError::unavailable(e.to_string()))?;
        let unique = BASE64_NOPAD.encode(&random);
        let header = Header { family: Some(FAMILY), unique: Some(&unique), ..Header::default() };
        let (signed, stream) = commit::genesis(&self.identity, &header, data).map_err(no_form)?;
        let request = Create::new(Genesis::Signed(&signed), CreateOpts::pinned());
        let request = Request::post("streams", to_json(&request)?);
        // Sent again it is the same commit, so the same tile.
        let mut tries = TRIES;
        let answer: Answer = loop {
            match self.ask(request.clone()).await {
                Err(error) if is_brief(&error) && tries > 1 => tries -= 1,
                answer => break answer?,
            }
        };
        expect(&stream, &answer)?;
        let mut tries = TRIES;
        while self.dialect() != Dialect::Direct {
            match self.pin(&stream).await {
                Err(error) if is_brief(&error) && tries > 1 => tries -= 1,
                pinned => {
                    pinned?;
                    break;
                }
            }
        }
        Ok(stream)
    }

    /// The tile of a tag in its current state; it is made if it is not there. To be kept with what
    /// is written there it must be pinned.
    pub(super) async fn fixed(&self, tag: &str) -> Result<Fixed> {
        let begin = Deterministic::new(&self.identity, FAMILY, &[tag]);
        let genesis = begin.cid().map_err(no_form)?;
        let stream = StreamId::of_tile(&genesis);
        let request = Create::new(Genesis::Deterministic(&begin), CreateOpts::pinned());
        let answer: Answer = self.ask(Request::post("streams", to_json(&request)?)).await?;
        expect(&stream, &answer)?;
        Ok(Fixed { stream, genesis, state: answer.state })
    }

    /// The current state of a tile.
    pub(super) async fn load(&self, stream: &StreamId) -> Result<State> {
        let mut tries = TRIES;
        let answer: Answer = loop {
            match self.ask(Request::get(wire::stream_path(stream))).await {
                Err(error) if is_brief(&error) && tries > 1 => tries -= 1,
                answer => break answer?,
            }
        };
        expect(stream, &answer)?;
        Ok(answer.state)
    }

    /// The current states of some tiles, in one request.
    pub(super) async fn load_all<const N: usize>(
        &self,
        streams: [&StreamId; N],
    ) -> Result<[State; N]> {
        let request = to_json(&MultiQuery::new(&streams, PATIENCE))?;
        let mut states: HashMap<String, State> =
            self.ask(Request::post("multiqueries", request)).await?;
        let found = streams.map(|stream| states.remove(stream.as_str()));
        // What is left out is not empty: the node had it and cannot load it now.
        let all: Option<Vec<State>> = found.into_iter().collect();
        all.and_then(|all| all.try_into().ok())
            .ok_or_else(|| CloudError::unavailable("the node cannot load the index"))
    }

    /// Changes a tile by a patch upon the commit `prev`, and looks whether the change is there.
    pub(super) async fn apply(
        &self,
        stream: &StreamId,
        genesis: &Cid,
        prev: &Cid,
        patch: &Value,
    ) -> Result<Applied> {
        let (signed, tip) =
            commit::update(&self.identity, genesis, prev, patch).map_err(no_form)?;
        let request = Request::post("commits", to_json(&Apply::new(stream, &signed))?);
        let reply = self.transport.send(request).await?;
        if reply.failure.is_some() && error_text(&reply.body).contains("stale state") {
            return Ok(Applied::Displaced);
        }
        let answer: Answer = parse(&understand(reply)?)?;
        expect(stream, &answer)?;
        // Version 1 answers 200 whatever it does with the commit: what counts is the log. Another
        // one may stand upon ours already.
        Ok(if answer.state.contains(&tip) {
            Applied::Landed(answer.state)
        } else {
            Applied::Displaced
        })
    }

    /// Makes the node keep a tile.
    pub(super) async fn pin(&self, stream: &StreamId) -> Result<()> {
        if self.dialect() != Dialect::Admin {
            let request = Request::post(format!("pins/{stream}"), "{}".to_owned());
            let reply = self.transport.send(request).await?;
            let direct: Pinned = match reply.failure {
                None => parse(&reply.body)?,
                // A version that has removed this route altogether.
                Some(CloudError::BadAddress { .. }) => Pinned::default(),
                Some(_) => parse(&understand(reply)?)?,
            };
            if direct.is_pinned && direct.warn.is_none() {
                self.speaks(Dialect::Direct);
                return Ok(());
            }
            self.speaks(Dialect::Admin);
        }
        let request = Request::post(format!("admin/pins/{stream}"), "{}".to_owned());
        let pinned: Pinned = self.ask_as_admin(request).await?;
        if pinned.is_pinned && pinned.warn.is_none() {
            return Ok(());
        }
        Err(CloudError::TooOld { source: boxed("the node does not pin, so it would forget") })
    }

    /// Lets the node forget a tile.
    pub(super) async fn unpin(&self, stream: &StreamId) -> Result<()> {
        if self.dialect() == Dialect::Unknown {
            self.pin(stream).await?;
        }
        if self.dialect() == Dialect::Admin {
            let request = Request::delete(format!("admin/pins/{stream}"));
            return self.ask_as_admin(request).await.map(|_: Value| ());
        }
        self.ask(Request::delete(format!("pins/{stream}"))).await.map(|_: Value| ())
    }

    /// Whether it refuses a commit upon a state that is no longer the newest: the versions that pin
    /// for administrators only do. `false` also as long as nobody knows, before the first put.
    pub(super) fn checks_what_a_commit_is_based_on(&self) -> bool {
        self.dialect() == Dialect::Admin
    }

    fn dialect(&self) -> Dialect {
        *self.dialect.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn speaks(&self, dialect: Dialect) {
        *self.dialect.lock().unwrap_or_else(PoisonError::into_inner) = dialect;
    }

    async fn ask_as_admin<T: DeserializeOwned>(&self, request: Request) -> Result<T> {
        let AdminCode { code } = self.ask(Request::get("admin/getCode")).await?;
        let payload = to_json(&AdminRequest { code: &code, path: ADMIN_PINS })?;
        let signed = self.identity.compact(payload.as_bytes());
        self.ask(request.authorized(format!("Basic {signed}"))).await.map_err(|e| match e {
            CloudError::Unauthorized { .. } => CloudError::Unauthorized {
                source: boxed(format!(
                    "the node pins for its administrators only: add {} to \"admin-dids\" of its \
                     \"http-api\" settings",
                    self.identity.did()
                )),
            },
            other => other,
        })
    }

    async fn ask<T: DeserializeOwned>(&self, request: Request) -> Result<T> {
        parse(&understand(self.transport.send(request).await?)?)
    }
}

/// The body of a success. The node answers 500 to everything that fails; its text tells what to do.
fn understand(reply: Reply) -> Result<Bytes> {
    let Some(failure) = reply.failure else { return Ok(reply.body) };
    let text = error_text(&reply.body);
    let says = |any: &[&str]| any.iter().any(|part| text.contains(part));
    let source = || boxed(shorten(&text));
    Err(if says(&["no space left", "ENOSPC"]) {
        CloudError::Full { source: source() }
    } else if says(&["Unauthorized access", "read only", "Can not verify signature", "invalid_jws"])
    {
        CloudError::Unauthorized { source: source() }
    } else if says(&["maximum block size", "maximum size", "entity too large"]) {
        CloudError::TooOld { source: source() }
    } else {
        failure
    })
}

/// Whether a request may be sent again at once.
fn is_brief(error: &CloudError) -> bool {
    matches!(error, CloudError::Unavailable { retry_after: None, .. })
}

fn error_text(body: &[u8]) -> String {
    serde_json::from_slice::<Failure>(body).unwrap_or_default().error
}

/// The beginning of what a node says: more does not help.
fn shorten(text: &str) -> String {
    text.chars().take(200).collect()
}

/// A page of a proxy with status 200, for instance, is no answer; it will pass.
fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T> {
    serde_json::from_slice(body)
        .map_err(|_| CloudError::unavailable("the answer is not one of a Ceramic node"))
}

fn to_json(request: &impl Serialize) -> Result<String> {
    serde_json::to_string(request).map_err(|e| CloudError::BadAddress { source: boxed(e) })
}

/// The answer must be about what was asked for: names are computed here, not believed.
fn expect(stream: &StreamId, answer: &Answer) -> Result<()> {
    if answer.stream == stream.as_str() {
        return Ok(());
    }
    Err(CloudError::TooOld { source: boxed("the node names streams in another way") })
}

fn no_form(error: NoForm) -> CloudError {
    CloudError::BadAddress { source: boxed(error) }
}
