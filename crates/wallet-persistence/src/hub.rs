//! Where those listen who outlive a session, or come before one: the events of a wallet, and who is
//! unlocked now.

use std::sync::{Arc, Weak, atomic::Ordering};

use tokio::sync::{broadcast, watch};

use crate::{
    Event, Session, WalletPersistence,
    session::{EVENTS, Inner},
};

/// One for each [`WalletPersistence`], shared with its sessions.
#[derive(Debug)]
pub(crate) struct Hub {
    events: broadcast::Sender<Event>,
    /// Not held: who drops the last session ends it.
    current: watch::Sender<Weak<Inner>>,
}

impl Hub {
    pub(crate) fn new() -> Arc<Self> {
        let (events, current) = (broadcast::channel(EVENTS).0, watch::channel(Weak::new()).0);
        Arc::new(Self { events, current })
    }

    pub(crate) fn tell(&self, event: Event) {
        // No listener is no error.
        let _ = self.events.send(event);
    }

    pub(crate) fn events(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    pub(crate) fn unlocked(&self, session: &Arc<Inner>) {
        self.current.send_replace(Arc::downgrade(session));
        self.tell(Event::Unlocked);
    }
}

impl WalletPersistence {
    /// What happens to this wallet from now on, in whichever session.
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.hub.events()
    }

    /// The session of whoever has unlocked this wallet; waits until somebody does. For parts of a
    /// program that need the wallet and do not have its key.
    pub async fn unlocked(&self) -> Session {
        let mut current = self.hub.current.subscribe();
        loop {
            let session = current.borrow_and_update().upgrade();
            if let Some(inner) = session.filter(|inner| !inner.locked.load(Ordering::SeqCst)) {
                return Session { inner };
            }
            // Its sender is ours, so there will be no end.
            if current.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}
