//! The contract of a cloud.

use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::{Arc, OnceLock},
};

use async_trait::async_trait;
use backup::ObjectName;
use bytes::Bytes;
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use crate::{Probe, Result};

/// A service that keeps named objects, for instance a bucket or a folder.
///
/// Object-safe and without default methods, so that a decorator cannot forget one. What all clouds
/// share (retries, polling, uploads that survive a lost answer) is written once, above it.
///
/// # Contract
///
/// Each law has a test of the same name in the conformance suite (feature `testing`).
///
/// 1. **Whole.** An object holds exactly the bytes of one `put`, or it is absent: also while others
///    read and write it, when a `put` fails, when its future is dropped, and when the device dies.
/// 2. **Durable once answered.** What `put` answered with `Ok` survives reopening and power loss.
/// 3. **Reads see the last put.** After `put` answered, `get` answers these bytes with the tag that
///    `put` gave, and after `delete` it answers `None`. Absence is `None`, never an error, and an
///    unreachable cloud is an error, never `None`.
/// 4. **One creator wins.** Of concurrent [`PutMode::CreateOnly`] of one name exactly one succeeds;
///    the others answer [`Conflict`](crate::CloudError::Conflict).
/// 5. **One replacer wins.** Of concurrent [`PutMode::Replace`] with one tag exactly one succeeds.
///    With a tag that is no longer the object's, or for an absent object, the answer is `Conflict`.
///    A refused put changes nothing. Different bytes have different tags; equal bytes may have
///    equal ones, so who needs to be told apart puts something of its own into the bytes.
/// 6. **Deleting is idempotent.** An absent object is no error.
/// 7. **Listings are complete and ascending.** `list` answers the objects below the prefix (whole
///    parts: `a/b` lies below `a`, `ab` does not) whose names come after `after` (which need not
///    exist), ascending by the bytes of the name, up to a page limit the cloud chooses. An empty
///    page is the end; a page that is not full is not, unless the [`Limits`] say what is full.
///    Nothing foreign and nothing half-written shows. An object that stays as it is during a listing is in it once, whatever else comes and
///    goes, if the cloud's [`Limits`] say that listing is immediate.
/// 8. **Names and sizes are free.** Every [`ObjectName`] with parts of up to 200 bytes works, and so
///    does every size from nothing to [`Limits::largest_object`]. Callers never use a name both for
///    an object and as the beginning of others; a cloud may refuse that.
///
/// `Conflict` and `Refused` mean that nothing was changed. Any other error says nothing about the
/// effect: the put or delete may have happened, now or with a delay. Trying again is always safe.
///
/// Who moves many bytes for a call notes that they move, by [`Progress`](crate::Progress): else a call
/// that takes long looks like one that hangs.
///
/// Methods are called within a tokio runtime.
#[async_trait]
pub trait CloudBackend: fmt::Debug + Send + Sync {
    /// Stores an object and answers its new tag.
    async fn put(&self, name: &ObjectName, bytes: Bytes, how: PutMode) -> Result<Tag>;

    /// The object's bytes and tag, or `None`.
    async fn get(&self, name: &ObjectName) -> Result<Option<(Bytes, Tag)>>;

    /// A page of the objects below `prefix`, after `after`; empty at the end.
    async fn list(
        &self,
        prefix: &ObjectName,
        after: Option<&ObjectName>,
    ) -> Result<Vec<ObjectMeta>>;

    /// Removes an object.
    async fn delete(&self, name: &ObjectName) -> Result<()>;

    /// What this cloud can take.
    fn limits(&self) -> Limits;
}

/// On which condition an object is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PutMode {
    /// Whatever is there.
    Overwrite,
    /// Only if there is no object of this name.
    CreateOnly,
    /// Only if the object still has this tag.
    Replace(Tag),
}

/// Stands for the content of an object, as the service sees it. Compare it, do not read it.
#[derive(Clone)]
pub struct Tag(Arc<Text>);

/// What the service gave; or what is hashed when it is first asked for: most tags of whole dumps
/// never are.
struct Text {
    text: OnceLock<Box<str>>,
    content: Bytes,
}

/// An entry of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectMeta {
    /// The object's name.
    pub name: ObjectName,
    /// Its size in bytes.
    pub size: u64,
}

/// What a cloud can take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The size in bytes of the largest object.
    pub largest_object: u64,
    /// Whether a listing shows at once what a put or delete has answered.
    pub listing_is_immediate: bool,
    /// If a page of a listing with fewer names than this is always the last: so who has one need not
    /// ask for another, empty one. `None`: only an empty page is the end.
    pub full_page: Option<usize>,
    /// What of the conditions of a put the service itself can honour between devices, at best.
    /// Where this crate looks first and then writes nothing that one process does can show that two
    /// get through, so [`probe`](crate::probe()) believes no more than this.
    pub can_honour: Probe,
}

impl Tag {
    /// Wraps what the service gave.
    pub fn new(tag: &str) -> Self {
        Self(Arc::new(Text { text: OnceLock::from(Box::from(tag)), content: Bytes::new() }))
    }

    /// The hash of the bytes, for services that give no tag worth the name.
    pub(crate) fn of(content: Bytes) -> Self {
        Self(Arc::new(Text { text: OnceLock::new(), content }))
    }

    /// What the service gave.
    pub fn as_str(&self) -> &str {
        let Text { text, content } = &*self.0;
        text.get_or_init(|| HEXLOWER.encode(&Sha256::digest(content)).into())
    }
}

impl PartialEq for Tag {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.as_str() == other.as_str()
    }
}

impl Eq for Tag {}

impl Hash for Tag {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tag({})", self.as_str())
    }
}
