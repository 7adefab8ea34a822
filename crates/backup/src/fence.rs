//! The fencing head: the one object of a wallet that is replaced, and only if unchanged.
//!
//! Single-writer data is acknowledged by a replacement of this object, and a takeover is a
//! replacement of the same object, so the two are totally ordered. `head-v1` has the bytes.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{Error, ObjectHash, ObjectName, ObjectRef, ObjectSealer, Result, Sealed, WriterId};

/// A restore point of one writer, up to which single-writer data counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Position {
    /// Whose chain.
    pub writer: WriterId,
    /// The last sequence number that counts.
    pub sequence: u64,
    /// [`crate::Link::hash`] of the segment that ends there; [`ObjectHash::NONE`] while the dump
    /// holds everything.
    pub segment: ObjectHash,
    /// The head that names this restore point.
    pub head: ObjectRef,
}

/// A writer that was fenced off, and how far its single-writer sections count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Deposed {
    /// Who.
    pub writer: WriterId,
    /// In which epoch it wrote; 0 if it never held the fence.
    pub epoch: u32,
    /// The last sequence number whose single-writer section counts.
    pub sequence: u64,
}

/// The plaintext of the fencing head.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Fence {
    /// Grows by one with each takeover; the first is 1.
    pub epoch: u32,
    /// Who may write single-writer data.
    pub writer: WriterId,
    /// Random, new for each put: tells whose put landed, and gives each its own tag.
    pub put: [u8; 16],
    /// Random, new for each opening of the writer's folder: tells a copy of the folder.
    pub session: [u8; 16],
    /// When it was put, in milliseconds since the Unix epoch, by the writer's clock.
    pub time: u64,
    /// How many clouds the writer uses.
    pub clouds: u32,
    /// How many of them must have a change before it counts as replicated.
    pub acknowledged_by: u32,
    /// What is acknowledged: of the writer, or of the one it took over from until it has written.
    pub at: Option<Position>,
    /// Who wrote before, oldest first.
    pub deposed: Vec<Deposed>,
    /// Reserved for what later versions add; readers of version 1 skip it.
    pub extensions: Vec<(u32, Vec<u8>)>,
}

/// How far a fencing head is: epochs first, then whether the holder has written, then what is
/// acknowledged. (Numbers of two writers cannot be compared, hence the second.)
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct FenceProgress {
    /// The epoch.
    pub epoch: u32,
    /// Whether what is acknowledged is the holder's own.
    pub has_written: bool,
    /// The last sequence number that is acknowledged.
    pub sequence: u64,
}

impl Fence {
    /// Up to which sequence number the single-writer sections of `writer` count; `None` if it never
    /// held the fence, so none of them does.
    pub fn counts_for(&self, writer: WriterId) -> Option<u64> {
        if let Some(at) = self.at.filter(|at| at.writer == writer) {
            return Some(at.sequence);
        }
        let of = |deposed: &&Deposed| deposed.writer == writer;
        self.deposed.iter().rev().find(of).map(|deposed| deposed.sequence)
    }

    /// Whether state as of `base` holds everything that this fence acknowledges.
    pub fn is_covered_by(&self, base: Option<&Position>) -> bool {
        match (&self.at, base) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(at), Some(base)) => base.writer == at.writer && base.sequence >= at.sequence,
        }
    }

    /// How far it is. It only grows, so a smaller one than before was put back.
    pub fn progress(&self) -> FenceProgress {
        FenceProgress {
            epoch: self.epoch,
            has_written: self.at.is_some_and(|at| at.writer == self.writer),
            sequence: self.at.map_or(0, |at| at.sequence),
        }
    }

    /// How many of `clouds` a takeover must succeed on, so that what it deposes can never again
    /// reach as many as it needs: n - k + 1.
    pub fn takeover_quorum(&self, clouds: u32) -> u32 {
        let n = self.clouds.max(clouds).max(1);
        let k = self.acknowledged_by.clamp(1, n);
        n - k + 1
    }
}

/// The name of the fencing head: `sr1/TAG/f`.
pub fn fence_name(tag: &[u8; 16]) -> ObjectName {
    let name = format!("{}/f", crate::wallet_prefix(tag));
    ObjectName::trusted(&name)
}

impl ObjectSealer {
    /// Seals a fencing head. Unlike all others its name does not depend on its bytes.
    pub fn seal_fence(&self, fence: &Fence) -> Result<Sealed> {
        let bytes = self.seal_fixed("fence", fence)?;
        Ok(Sealed::new(fence_name(&self.tag()), bytes))
    }

    /// Opens the fencing head. That it is the newest is not said: compare [`Fence::progress`] with
    /// what was seen before.
    pub fn open_fence(&self, sealed: &Bytes) -> Result<Fence> {
        let fence: Fence = self.open_fixed("fence", &fence_name(&self.tag()), sealed)?;
        let own = fence.at.is_none_or(|at| at.head.id.writer == at.writer);
        if fence.epoch == 0 || !own {
            return Err(Error::BrokenChain { what: "the fencing head contradicts itself" });
        }
        Ok(fence)
    }
}
