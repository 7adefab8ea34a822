//! Moving a wallet: copy, compare, seal the old place off, put the new one in its place.

use std::path::Path;

use kv_core::{
    Batch, Copied, CopyError, CopyProgress, Error as StoreError, Key, KvStore, KvStoreExt,
    Namespace, Side,
};

use crate::{
    Error, MoveTarget, StoreKind, UnlockError,
    folder::{self, Moving},
};

/// Says, in the store of a wallet that was moved, where to. It is not sealed: nobody needs a key to
/// learn that there is nothing to unlock.
const MOVED: &str = "~moved";

/// Refuses a store whose wallet lives elsewhere.
pub(crate) fn refuse(store: &dyn KvStore) -> Result<(), UnlockError> {
    let Some(to) = read(store)? else { return Ok(()) };
    let outcome = if folder::moving_there(Path::new(&to)).is_some() {
        UnlockError::MoveUnfinished { to }
    } else {
        UnlockError::Moved { to }
    };
    store.close()?;
    Err(outcome)
}

/// What becomes of a move that has begun and not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Begun {
    /// It goes on, if it is the same move.
    GoesOn,
    /// It is given up.
    GivenUp,
}

/// Moves what the store holds. `place` is where it lies, if that is known.
pub(crate) fn move_to(
    from: &dyn KvStore,
    place: Option<&Path>,
    target: &MoveTarget,
    begun: Begun,
    mut progress: impl FnMut(CopyProgress),
) -> Result<Copied, UnlockError> {
    if from.namespaces()?.is_empty() {
        return Err(UnlockError::Empty);
    }
    let target = absolute(target)?;
    if let Some(place) = place {
        folder::refuse_inside(place, target.path())?;
    }
    let to_name = target.path().display().to_string();
    let ends = match read(from)? {
        None => false,
        Some(to) if begun == Begun::GivenUp => {
            give_up(to)?;
            false
        }
        Some(to) => {
            may_end(&to, &to_name, &target)?;
            true
        }
    };
    let new = Moving::begin(&target)?;
    let copied = match fill(from, &new, ends, &mut progress) {
        // The wallet was used since an attempt that was stopped, or it was another wallet's.
        Err(Unfilled::Stuck(_)) if !ends => {
            new.discard()?;
            fill(from, &new, ends, &mut progress)
        }
        other => other,
    };
    let copied = copied.map_err(|unfilled| match unfilled {
        Unfilled::Stuck(error) | Unfilled::Failed(error) => error,
    })?;
    // From the next step on the wallet here is over: what can fail comes before.
    new.prepare()?;
    let (ns, key) = seal()?;
    from.write(&ns, &key, to_name.as_bytes())?;
    new.put_in_place().map_err(|error| match error {
        UnlockError::NotEmpty => UnlockError::MoveUnfinished { to: to_name },
        other => other,
    })?;
    Ok(copied)
}

/// A move that was stopped at its very end goes on; it is told by what it has left, since that has
/// its final name once the move has ended. Anything else is too late.
fn may_end(to: &str, to_name: &str, target: &MoveTarget) -> Result<(), UnlockError> {
    let kind = match target {
        MoveTarget::Fs(_) => StoreKind::Fs,
        MoveTarget::Sqlite(_) => StoreKind::Sqlite,
    };
    let to = to.to_owned();
    match folder::moving_there(Path::new(&to)) {
        None => Err(UnlockError::Moved { to }),
        Some(found) if found == kind && to == to_name && !target.path().exists() => Ok(()),
        Some(_) => Err(UnlockError::MoveUnfinished { to }),
    }
}

/// Gives up the move to this place, unless there is a wallet.
fn give_up(to: String) -> Result<(), UnlockError> {
    match folder::open_even_if_moved(Path::new(&to)) {
        Ok(store) => {
            store.close()?;
            return Err(UnlockError::Moved { to });
        }
        Err(UnlockError::InUse | UnlockError::TooNew { .. }) => {
            return Err(UnlockError::Moved { to });
        }
        Err(_) => {}
    }
    folder::remove_moving(Path::new(&to))
}

/// Why there is no copy.
enum Unfilled {
    /// What is there already is no part of it.
    Stuck(UnlockError),
    Failed(UnlockError),
}

impl<E: Into<UnlockError>> From<E> for Unfilled {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// Copies everything, and closes the copy. `ends`: it must be there already.
fn fill(
    from: &dyn KvStore,
    new: &Moving,
    ends: bool,
    progress: &mut dyn FnMut(CopyProgress),
) -> Result<Copied, Unfilled> {
    let to = new.store().map_err(|error| match error {
        UnlockError::Damaged { .. } => Unfilled::Stuck(error),
        other => Unfilled::Failed(other),
    })?;
    let copied = copy(from, &*to, ends, progress);
    let closed = to.close();
    drop(to);
    let copied = copied?;
    closed?;
    Ok(copied)
}

fn copy(
    from: &dyn KvStore,
    to: &dyn KvStore,
    ends: bool,
    progress: &mut dyn FnMut(CopyProgress),
) -> Result<Copied, Unfilled> {
    let (ns, key) = seal()?;
    if ends {
        for known in from.namespaces()?.iter().filter(|known| **known != ns) {
            if from.list_all(known)? != to.list_all(known)? {
                let to = read(from)?.unwrap_or_default();
                return Err(Unfilled::Failed(UnlockError::MoveUnfinished { to }));
            }
        }
    }
    let copied = kv_core::copy(from, to, progress).map_err(failed)?;
    // The seal of what is copied from is none of the copy.
    to.submit(Batch::new().remove(&ns, &key)).wait()?;
    Ok(copied)
}

/// Where a wallet was moved to.
fn read(store: &dyn KvStore) -> Result<Option<String>, UnlockError> {
    let (ns, key) = seal()?;
    Ok(store.read(&ns, &key)?.map(|to| String::from_utf8_lossy(&to).into_owned()))
}

fn absolute(target: &MoveTarget) -> Result<MoveTarget, UnlockError> {
    let path = target.path();
    let absolute = std::path::absolute(path).map_err(|e| UnlockError::folder(path, e))?;
    Ok(match target {
        MoveTarget::Fs(_) => MoveTarget::Fs(absolute),
        MoveTarget::Sqlite(_) => MoveTarget::Sqlite(absolute),
    })
}

fn seal() -> Result<(Namespace, Key), UnlockError> {
    let name = |e: kv_core::InvalidName| StoreError::from(e);
    Ok((Namespace::reserved(MOVED, "").map_err(name)?, Key::new("to").map_err(name)?))
}

fn failed(error: CopyError) -> Unfilled {
    match error {
        CopyError::Store { side: Side::To, source: source @ StoreError::Corrupt { .. } } => {
            Unfilled::Stuck(source.into())
        }
        CopyError::Store { source, .. } => Unfilled::Failed(source.into()),
        CopyError::NotEmpty => Unfilled::Stuck(UnlockError::NotEmpty),
        other => Unfilled::Stuck(UnlockError::Other(Error::Copy(other))),
    }
}
