//! Suspending a session for a while, as phones ask of programs: everything durable, nothing locked,
//! nothing running; and going on without asking anybody for words.

use std::{future::Future, sync::Arc};

use vault::Keys;

use crate::{
    Error, Result, Session, UnlockError, builder::Parts, hub::Hub, replicate, wallet::reopen_tower,
};

/// Random: one suspending.
pub(crate) type Mark = [u8; 16];

/// A wallet that is put aside. Its keys stay in memory: drop it to forget them.
#[must_use = "dropping it forgets the keys"]
pub struct Suspended {
    keys: Keys,
    parts: Parts,
    hub: Arc<Hub>,
    /// What was left in the store.
    mark: Mark,
}

/// A wallet that goes on.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Resumed {
    /// The new session.
    pub session: Session,
    /// Whether somebody else has used the wallet meanwhile: read again what you show.
    pub changed: bool,
}

impl Session {
    /// Puts the wallet aside: ends background work and what was asked of the clouds, makes
    /// everything durable, and releases the store with its lock, so that the system may stop this
    /// process or another one may use the wallet. A cloud that does not answer does not hold it up;
    /// a takeover or a rejoining that is under way is cut short: ask for it again.
    ///
    /// The session is locked then, for all its clones; what was asked of it meanwhile answers
    /// [`Error::Locked`]. Whoever waits in [`crate::WalletPersistence::unlocked`] gets the next one.
    ///
    /// Once begun it goes on, also where this is dropped. Call it again for the outcome; until then,
    /// or until [`Session::lock`], the keys are kept.
    pub async fn suspend(&self) -> Result<Suspended> {
        let inner = &self.inner;
        let keep = || {
            let (keys, mark) = (inner.tower.sealed.keys()?, replicate::random()?);
            let (parts, hub) = (inner.parts.clone(), inner.hub.clone());
            Ok((Suspended { keys, parts, hub, mark }, mark))
        };
        inner.put_aside(keep).await
    }

    /// Does what was asked for, unless the session is locked or suspended meanwhile. Only for what may
    /// be dropped at any moment.
    pub(crate) async fn unless_suspended<T>(
        &self,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let mut suspending = self.inner.suspending.subscribe();
        tokio::select! {
            biased;
            _ = suspending.wait_for(|is_so| *is_so) => Err(Error::Locked),
            outcome = work => outcome,
        }
    }
}

impl Suspended {
    /// Goes on with a new session, from local data alone and without a secret. Errors as for
    /// [`crate::WalletPersistence::unlock`]; the wallet can be resumed again after one.
    pub async fn resume(&self) -> Result<Resumed, UnlockError> {
        let tower = reopen_tower(self.parts.clone(), self.keys.clone()).await?;
        let changed = tower.left_mark.as_deref() != Some(&self.mark[..]);
        let session = Session::start(tower, self.parts.clone(), self.hub.clone());
        Ok(Resumed { session, changed })
    }
}

// Not even that there are keys shows.
impl std::fmt::Debug for Suspended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Suspended").finish_non_exhaustive()
    }
}
