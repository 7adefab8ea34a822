//! Suspending a session for a while, as phones ask of programs: everything durable, nothing locked,
//! nothing running; and going on without asking anybody for words.

use std::{future::Future, sync::Arc};

use vault::Keys;

use crate::{
    Error, Result, Session, UnlockError,
    builder::Parts,
    error::chain,
    hub::Hub,
    replicate,
    wallet::{blocking, reopen_tower},
};

/// A wallet that is put aside. Its keys stay in memory: drop it to forget them.
#[must_use = "dropping it forgets the keys"]
pub struct Suspended {
    keys: Keys,
    parts: Parts,
    hub: Arc<Hub>,
    /// What was left in the store.
    mark: [u8; 16],
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
    pub async fn suspend(&self) -> Result<Suspended> {
        let tower = self.tower()?;
        let suspended = Suspended {
            keys: tower.sealed.keys()?,
            parts: self.inner.parts.clone(),
            hub: self.inner.hub.clone(),
            mark: replicate::random()?,
        };
        self.inner.suspending.send_replace(true);
        let (inner, mark) = (self.inner.clone(), suspended.mark);
        let marked = blocking(move || inner.tower.leave_mark(&mark)).await;
        if let Err(error) = marked {
            // Whoever resumes reads everything again; and locking says it if something is wrong.
            tracing::debug!(error = chain(&error), "suspended without a mark");
        }
        self.lock().await.map(|()| suspended)
    }

    /// Does what was asked for, unless the session is suspended meanwhile. Only for what may be
    /// dropped at any moment.
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
