//! What goes over the wire: requests and answers of the HTTP API (`/api/v0`) of js-ceramic.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    cid::{Cid, StreamId},
    commit::{Deterministic, Signed},
};

/// Begins a tile. Asked for a deterministic one that exists, the node answers its current state.
#[derive(Debug, Serialize)]
pub(super) struct Create<'a> {
    /// A tile.
    r#type: u8,
    genesis: Genesis<'a>,
    opts: CreateOpts,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Genesis<'a> {
    Signed(&'a Signed),
    Deterministic(&'a Deterministic),
}

/// How a tile is begun: without anchor and without telling other nodes, which takes the node no time
/// and shows nobody anything.
#[derive(Debug, Default, Serialize)]
pub(super) struct CreateOpts {
    pub(super) anchor: bool,
    pub(super) publish: bool,
    pub(super) sync: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pin: Option<bool>,
    /// Zero: do not wait for what other nodes may know.
    #[serde(rename = "syncTimeoutSeconds", skip_serializing_if = "Option::is_none")]
    pub(super) sync_timeout: Option<u32>,
}

/// Changes a tile.
#[derive(Debug, Serialize)]
pub(super) struct Apply<'a> {
    #[serde(rename = "streamId")]
    stream: &'a str,
    commit: &'a Signed,
    opts: ApplyOpts,
}

#[derive(Debug, Serialize)]
struct ApplyOpts {
    anchor: bool,
    publish: bool,
    sync: u8,
    #[serde(rename = "throwOnInvalidCommit")]
    throw_on_invalid_commit: bool,
}

/// Asks for several streams at once.
#[derive(Debug, Serialize)]
pub(super) struct MultiQuery<'a> {
    queries: Vec<Query<'a>>,
    timeout: u32,
}

#[derive(Debug, Serialize)]
struct Query<'a> {
    #[serde(rename = "streamId")]
    stream: &'a str,
}

/// The state of a stream.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct State {
    #[serde(default)]
    content: Value,
    #[serde(default)]
    next: Option<Next>,
    log: Vec<LogEntry>,
}

#[derive(Debug, Clone, Deserialize)]
struct Next {
    #[serde(default)]
    content: Option<Value>,
}

#[derive(Debug, Clone, Deserialize)]
struct LogEntry {
    cid: String,
}

/// The answer to most requests about one stream.
#[derive(Debug, Deserialize)]
pub(super) struct Answer {
    #[serde(rename = "streamId")]
    pub(super) stream: String,
    pub(super) state: State,
}

/// The answer to a request to pin.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Pinned {
    #[serde(rename = "isPinned", default)]
    pub(super) is_pinned: bool,
    /// Versions that answer with this have done nothing.
    #[serde(default)]
    pub(super) warn: Option<Value>,
}

/// A code for one request of an administrator.
#[derive(Debug, Deserialize)]
pub(super) struct AdminCode {
    pub(super) code: String,
}

/// What an administrator signs for a request.
#[derive(Debug, Serialize)]
pub(super) struct AdminRequest<'a> {
    pub(super) code: &'a str,
    #[serde(rename = "requestPath")]
    pub(super) path: &'a str,
}

/// Any failure.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Failure {
    #[serde(default)]
    pub(super) error: String,
}

impl<'a> Create<'a> {
    pub(super) fn new(genesis: Genesis<'a>, opts: CreateOpts) -> Self {
        Self { r#type: 0, genesis, opts }
    }
}

impl CreateOpts {
    /// Pinned, and answered from what the node has.
    pub(super) fn pinned() -> Self {
        Self { pin: Some(true), sync_timeout: Some(0), ..Self::default() }
    }
}

impl<'a> Apply<'a> {
    pub(super) fn new(stream: &'a StreamId, commit: &'a Signed) -> Self {
        let opts =
            ApplyOpts { anchor: false, publish: false, sync: 0, throw_on_invalid_commit: true };
        Self { stream: stream.as_str(), commit, opts }
    }
}

impl<'a> MultiQuery<'a> {
    /// Streams that the node cannot load in this time (in milliseconds) are left out of its answer.
    pub(super) fn new(streams: &[&'a StreamId], timeout: u32) -> Self {
        let queries = streams.iter().map(|stream| Query { stream: stream.as_str() }).collect();
        Self { queries, timeout }
    }
}

impl State {
    /// The content as of the newest commit.
    pub(super) fn content(&self) -> &Value {
        let next = self.next.as_ref().and_then(|next| next.content.as_ref());
        next.unwrap_or(&self.content)
    }

    /// The newest commit.
    pub(super) fn tip(&self) -> Option<Cid> {
        self.log.last().and_then(|entry| Cid::parse(&entry.cid))
    }

    /// Whether a commit is part of the stream.
    pub(super) fn contains(&self, commit: &Cid) -> bool {
        let wanted = commit.to_string();
        self.log.iter().any(|entry| entry.cid == wanted)
    }

    /// The number of commits.
    pub(super) fn len(&self) -> usize {
        self.log.len()
    }
}

/// The path of a stream's state, answered from what the node has.
pub(super) fn stream_path(stream: &StreamId) -> String {
    format!("streams/{stream}?sync=0&syncTimeoutSeconds=0")
}
