//! Locking and suspending come to their end, whoever stops waiting for it.

use std::{
    future::ready,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use cloud::{CloudBackend, MemCloud};
use wallet_persistence::{
    Clock, Error, Event, Session, Settings, Timestamp, UnlockError, WalletPersistence,
};

use crate::common::{account, root};

/// A clock that ends whatever asks it, while it is told to.
#[derive(Debug, Default)]
struct Panics(AtomicBool);

impl Clock for Panics {
    fn now(&self) -> Timestamp {
        assert!(!self.0.load(Ordering::SeqCst), "told to");
        Timestamp(1_700_000_000_000)
    }
}

/// A wallet with tasks behind its session, and what it holds.
async fn wallet(cloud: Arc<dyn CloudBackend>) -> (WalletPersistence, Session) {
    let mut settings = Settings::default();
    settings.replicate_every = Some(Duration::from_millis(1));
    let wallet = WalletPersistence::in_memory().cloud(cloud).settings(settings).build();
    let session = wallet.create(&root()).await.unwrap();
    session.add_account(account(1, 1), None).await.unwrap();
    (wallet, session)
}

/// Whether it goes on after its first step; then it is dropped.
async fn first_step<T>(work: impl Future<Output = T>) -> bool {
    tokio::select! {
        biased;
        _ = work => false,
        () = ready(()) => true,
    }
}

#[tokio::test]
async fn a_lock_that_nobody_waits_for_comes_to_its_end() {
    let (wallet, session) = wallet(Arc::new(MemCloud::new())).await;
    let mut events = wallet.events();
    assert!(first_step(session.lock()).await);
    assert!(matches!(session.accounts(), Err(Error::Locked)));
    // Who asks again waits for the same end, and there it is one.
    session.lock().await.unwrap();
    let again = wallet.unlock(&root()).await.unwrap();
    assert_eq!(again.accounts().unwrap().len(), 1);
    session.lock().await.unwrap();
    assert_eq!(again.accounts().unwrap().len(), 1, "another session");
    again.lock().await.unwrap();
    let mut locked = 0;
    while let Ok(event) = events.try_recv() {
        locked += usize::from(event == Event::Locked);
    }
    assert_eq!(locked, 2, "each session was locked once");
}

#[tokio::test]
async fn of_two_who_lock_nobody_hears_of_it_before_its_end() {
    let (wallet, session) = wallet(Arc::new(MemCloud::new())).await;
    let mut first = Box::pin(session.lock());
    tokio::select! {
        biased;
        _ = &mut first => panic!("it takes its time"),
        () = ready(()) => {}
    }
    // The first one is alive, and nobody polls it.
    session.lock().await.unwrap();
    let again = wallet.unlock(&root()).await.unwrap();
    first.await.unwrap();
    again.lock().await.unwrap();
}

#[tokio::test]
async fn a_suspending_that_nobody_waited_for_can_be_asked_for_again() {
    let (wallet, session) = wallet(Arc::new(MemCloud::new())).await;
    assert!(first_step(session.suspend()).await);
    assert!(matches!(session.accounts(), Err(Error::Locked)));
    let suspended = session.suspend().await.unwrap();
    assert!(matches!(session.suspend().await, Err(Error::Locked)), "it is given once");
    let resumed = suspended.resume().await.unwrap();
    assert!(!resumed.changed);
    assert_eq!(resumed.session.accounts().unwrap().len(), 1);
    assert!(matches!(wallet.unlock(&root()).await, Err(UnlockError::InUse)));
    resumed.session.lock().await.unwrap();
}

#[tokio::test]
async fn who_locks_forgets_what_a_suspending_kept() {
    let (wallet, session) = wallet(Arc::new(MemCloud::new())).await;
    assert!(first_step(session.suspend()).await);
    session.lock().await.unwrap();
    assert!(matches!(session.suspend().await, Err(Error::Locked)));
    wallet.unlock(&root()).await.unwrap().lock().await.unwrap();
}

/// What went wrong behind the session is told by locking; it is no reason to ask for words.
#[tokio::test]
async fn a_background_task_that_panicked_takes_no_keys_along() {
    let (clock, mut settings) = (Arc::new(Panics::default()), Settings::default());
    settings.replicate_every = Some(Duration::from_millis(1));
    let cloud = Arc::new(MemCloud::new());
    let wallet = WalletPersistence::in_memory().cloud(cloud).clock(clock.clone());
    let wallet = wallet.settings(settings).build();
    let session = wallet.create(&root()).await.unwrap();
    session.add_account(account(1, 1), None).await.unwrap();
    let end_tasks = async || {
        clock.0.store(true, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(50)).await;
        clock.0.store(false, Ordering::SeqCst);
    };
    end_tasks().await;
    let suspended = session.suspend().await.unwrap();
    let resumed = suspended.resume().await.unwrap();
    assert_eq!(resumed.session.accounts().unwrap().len(), 1);
    end_tasks().await;
    for _ in 0..2 {
        let locked = resumed.session.lock().await;
        assert!(matches!(locked, Err(Error::Task)), "{locked:?}");
    }
    wallet.unlock(&root()).await.unwrap().suspend().await.map(drop).unwrap();
}
