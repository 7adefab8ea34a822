//! Moving a wallet: copy, compare, seal the old place off, put the new one in its place.

use kv_core::{
    Batch, Copied, CopyError, CopyProgress, Error as StoreError, Key, KvStore, KvStoreExt,
    Namespace,
};

use crate::{
    Error, MoveTarget, UnlockError,
    folder::{NewFile, NewFolder},
};

/// Says, in the store of a wallet that was moved, where to. It is not sealed: nobody needs a key to
/// learn that there is nothing to unlock.
const MOVED: &str = "~moved";

/// Refuses a store whose wallet lives elsewhere.
pub(crate) fn refuse(store: &dyn KvStore) -> Result<(), UnlockError> {
    let (ns, key) = place()?;
    let Some(to) = store.read(&ns, &key)? else { return Ok(()) };
    let outcome = UnlockError::Moved { to: String::from_utf8_lossy(&to).into_owned() };
    store.close()?;
    Err(outcome)
}

/// Moves what the store holds.
pub(crate) fn move_to(
    from: &dyn KvStore,
    target: &MoveTarget,
    progress: impl FnMut(CopyProgress),
) -> Result<Copied, UnlockError> {
    if from.namespaces()?.is_empty() {
        return Err(UnlockError::Empty);
    }
    let target = absolute(target)?;
    let to_name = target.path().display().to_string();
    let (ns, key) = place()?;
    // An attempt that was stopped at its very end goes on; another place is too late.
    if let Some(to) = from.read(&ns, &key)?
        && (*to != *to_name.as_bytes() || target.path().exists())
    {
        return Err(UnlockError::Moved { to: String::from_utf8_lossy(&to).into_owned() });
    }
    let new = match &target {
        MoveTarget::Fs(path) => New::Folder(NewFolder::begin_move(path)?),
        MoveTarget::Sqlite(path) => New::File(NewFile::begin_move(path)?),
    };
    let to = new.store()?;
    // A seal that an earlier attempt has copied would be no part of this copy's order.
    let copied = kv_core::copy(from, &*to, progress);
    let sealed = copied.map_err(failed).and_then(|copied| {
        from.write(&ns, &key, to_name.as_bytes())?;
        to.submit(Batch::new().remove(&ns, &key)).wait()?;
        Ok(copied)
    });
    let closed = to.close();
    drop(to);
    let copied = sealed?;
    closed?;
    new.finish()?;
    Ok(copied)
}

/// A wallet under construction.
enum New {
    Folder(NewFolder),
    File(NewFile),
}

impl New {
    fn store(&self) -> Result<std::sync::Arc<dyn KvStore>, UnlockError> {
        match self {
            Self::Folder(folder) => folder.store(),
            Self::File(file) => file.store(),
        }
    }

    fn finish(self) -> Result<(), UnlockError> {
        match self {
            Self::Folder(folder) => folder.finish(),
            Self::File(file) => file.finish(),
        }
    }
}

fn absolute(target: &MoveTarget) -> Result<MoveTarget, UnlockError> {
    let path = target.path();
    let absolute = std::path::absolute(path).map_err(|e| UnlockError::folder(path, e))?;
    Ok(match target {
        MoveTarget::Fs(_) => MoveTarget::Fs(absolute),
        MoveTarget::Sqlite(_) => MoveTarget::Sqlite(absolute),
    })
}

fn place() -> Result<(Namespace, Key), UnlockError> {
    let name = |e: kv_core::InvalidName| StoreError::from(e);
    Ok((Namespace::reserved(MOVED, "").map_err(name)?, Key::new("to").map_err(name)?))
}

fn failed(error: CopyError) -> UnlockError {
    match error {
        CopyError::Store { source, .. } => source.into(),
        CopyError::NotEmpty => UnlockError::NotEmpty,
        other => UnlockError::Other(Error::Copy(other)),
    }
}
