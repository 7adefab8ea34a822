//! Objects in tiles: a small one in a tile of its own, a larger one cut over several.

use std::sync::Arc;

use backup::ObjectName;
use bytes::{Bytes, BytesMut};
use data_encoding::BASE64_NOPAD;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{cid::StreamId, node::Node};
use crate::{CloudError, Progress, Result};

/// A commit may have 256,000 bytes. Base64 makes four bytes of three, and a commit has some hundred
/// bytes beside its data.
pub(super) const CHUNK: usize = 190_000;
/// The names of so many tiles fit into one.
const MOST_CHUNKS: usize = 3_900;
/// The largest object.
pub(super) const LARGEST: u64 = CHUNK as u64 * MOST_CHUNKS as u64;
/// Tiles on their way at one time.
const AT_ONCE: usize = 8;

/// Where an object is and how large.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Stored {
    pub(super) root: StreamId,
    pub(super) size: u64,
}

/// Puts bytes into new tiles.
pub(super) async fn upload(node: &Arc<Node>, bytes: &Bytes) -> Result<Stored> {
    let size = bytes.len() as u64;
    if bytes.len() <= CHUNK {
        return Ok(Stored { root: node.create(&data(bytes)).await?, size });
    }
    let chunks = (0..bytes.len()).step_by(CHUNK);
    let chunks = chunks.map(|at| bytes.slice(at..bytes.len().min(at + CHUNK)));
    let tiles = each(chunks, |chunk| {
        let node = node.clone();
        async move { node.create(&data(&chunk)).await }
    });
    let names: Vec<String> = tiles.await?.iter().map(ToString::to_string).collect();
    let root = node.create(&json!({ "tiles": names.join(" ") })).await?;
    Ok(Stored { root, size })
}

/// The bytes of an object, whole or not at all.
pub(super) async fn download(
    node: &Arc<Node>,
    name: &ObjectName,
    stored: &Stored,
) -> Result<Bytes> {
    let damaged = || CloudError::Damaged { name: name.clone() };
    let root = node.load(&stored.root).await?;
    let bytes = match (chunk(root.content()), tiles(root.content())) {
        (Some(bytes), _) => Bytes::from(bytes),
        (None, Some(tiles)) => {
            let chunks = each(tiles.into_iter(), |tile| {
                let node = node.clone();
                async move { Ok(chunk(node.load(&tile).await?.content())) }
            });
            let mut whole = BytesMut::new();
            for chunk in chunks.await? {
                whole.extend_from_slice(&chunk.ok_or_else(damaged)?);
            }
            whole.freeze()
        }
        (None, None) => return Err(damaged()),
    };
    if bytes.len() as u64 == stored.size { Ok(bytes) } else { Err(damaged()) }
}

/// Lets go of an object that the index names no more. What cannot be let go stays on the node and
/// costs nothing but room.
pub(super) async fn discard(node: &Arc<Node>, stored: &Stored) {
    if let Err(error) = try_discard(node, stored).await {
        tracing::warn!(%error, "tiles that are not needed any more stay pinned");
    }
}

async fn try_discard(node: &Arc<Node>, stored: &Stored) -> Result<()> {
    if stored.size > CHUNK as u64 {
        let parts = tiles(node.load(&stored.root).await?.content()).unwrap_or_default();
        each(parts.into_iter(), |tile| {
            let node = node.clone();
            async move { node.unpin(&tile).await }
        })
        .await?;
    }
    node.unpin(&stored.root).await
}

/// Runs an action for each item, some at a time, and gives the results in the order of the items.
/// After the first error, or when dropped, the rest is not done.
async fn each<I, T, F>(items: impl Iterator<Item = I>, action: impl Fn(I) -> F) -> Result<Vec<T>>
where
    F: Future<Output = Result<T>> + Send + 'static,
    T: Send + 'static,
{
    let mut items = items.enumerate();
    let watcher = Progress::current();
    let mut running = JoinSet::new();
    let mut done = Vec::new();
    loop {
        while running.len() < AT_ONCE
            && let Some((i, item)) = items.next()
        {
            let action = action(item);
            let watcher = watcher.clone();
            running.spawn(async move {
                match watcher {
                    Some(watcher) => (i, watcher.watch(action).await),
                    None => (i, action.await),
                }
            });
        }
        match running.join_next().await {
            None => break,
            Some(Ok((i, result))) => done.push((i, result?)),
            Some(Err(stopped)) => match stopped.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => return Err(CloudError::unavailable("the runtime is shutting down")),
            },
        }
    }
    done.sort_by_key(|(i, _)| *i);
    Ok(done.into_iter().map(|(_, result)| result).collect())
}

fn data(bytes: &[u8]) -> Value {
    json!({ "data": BASE64_NOPAD.encode(bytes) })
}

fn chunk(content: &Value) -> Option<Vec<u8>> {
    BASE64_NOPAD.decode(content.get("data")?.as_str()?.as_bytes()).ok()
}

fn tiles(content: &Value) -> Option<Vec<StreamId>> {
    content.get("tiles")?.as_str()?.split(' ').map(StreamId::parse).collect()
}
