//! Events: what happens to a wallet, told to whoever listens, in whichever session.

use std::{sync::Arc, time::Duration};

use cloud::MemCloud;
use tokio::sync::broadcast::Receiver;
use wallet_persistence::{Error, Event, Session, Settings, WalletPersistence};

use crate::common::{account, alone, first, restored, root};

fn told(events: &mut Receiver<Event>) -> Vec<Event> {
    std::iter::from_fn(|| events.try_recv().ok()).collect()
}

#[tokio::test]
async fn a_wallet_tells_its_whole_life() {
    let cloud = Arc::new(MemCloud::new());
    let a = first(&cloud).await;
    a.session.lock().await.unwrap();
    let mut events = a.wallet.events();
    let session = a.wallet.unlock(&root()).await.unwrap();
    let id = account(1, 1);
    session.add_account(id.clone(), None).await.unwrap();
    session.post_backup().await.unwrap();
    assert!(session.remove_account(&id).await.unwrap());
    assert!(!session.remove_account(&id).await.unwrap());
    session.lock().await.unwrap();
    let told = told(&mut events);
    let added = Event::AccountAdded { account: id.clone() };
    let removed = Event::AccountRemoved { account: id };
    assert_eq!(told.len(), 5, "{told:?}");
    assert_eq!((&told[0], &told[1]), (&Event::Unlocked, &added));
    assert!(matches!(told[2], Event::BackedUp { .. }));
    assert_eq!((&told[3], &told[4]), (&removed, &Event::Locked));
}

#[tokio::test]
async fn a_restore_is_told_before_there_is_a_session() {
    let cloud = Arc::new(MemCloud::new());
    let a = first(&cloud).await;
    a.session.add_account(account(1, 1), None).await.unwrap();
    a.post().await;
    let writer = a.session.status().unwrap().writer;
    let wallet = WalletPersistence::in_memory().cloud(cloud).build();
    let mut events = wallet.events();
    let report = wallet.restore(&root(), |_| ()).await.unwrap();
    let Ok(Event::Restored { writer: of, sequence, changes }) = events.try_recv() else {
        panic!("no event");
    };
    assert_eq!((of, sequence, changes), (writer, report.sequence, report.changes));
}

#[tokio::test]
async fn a_backup_that_fails_is_told() {
    let wallet = WalletPersistence::in_memory().build();
    let session = wallet.create(&root()).await.unwrap();
    let mut events = session.events();
    assert!(matches!(session.post_backup().await, Err(Error::NoCloud)));
    assert!(matches!(told(&mut events).as_slice(), [Event::BackupFailed { .. }]));
}

/// Who waits gets the session of whoever unlocks, and the next one after that was locked.
#[tokio::test]
async fn who_waits_gets_the_session_of_whoever_unlocks() {
    let a = alone().await;
    a.session.lock().await.unwrap();
    let wallet = Arc::new(a.wallet);
    for label in ["first", "second"] {
        let waiting = {
            let wallet = wallet.clone();
            tokio::spawn(async move { wallet.unlocked().await })
        };
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished(), "nobody has unlocked it");
        let session = wallet.unlock(&root()).await.unwrap();
        session.add_account(account(1, 1), Some(label)).await.unwrap();
        let same: Session = waiting.await.unwrap();
        assert_eq!(same.accounts().unwrap()[0].label.as_deref(), Some(label));
        assert_eq!(wallet.unlocked().await.accounts().unwrap().len(), 1, "at once");
        same.lock().await.unwrap();
        assert!(matches!(session.accounts(), Err(Error::Locked)), "it is the same session");
    }
}

/// Waiting keeps no session alive.
#[tokio::test]
async fn a_session_that_was_dropped_is_not_given_to_those_who_wait() {
    let a = alone().await;
    drop(a.session);
    let waiting = tokio::time::timeout(Duration::from_millis(1), a.wallet.unlocked());
    assert!(waiting.await.is_err());
}

/// The lag grows with a change and is nothing once the cloud has it.
#[tokio::test]
async fn the_background_task_tells_the_lag() {
    let cloud = Arc::new(MemCloud::new());
    let mut settings = Settings::default();
    settings.replicate_every = Some(Duration::from_millis(1));
    settings.poll_every = None;
    let wallet = WalletPersistence::in_memory().cloud(cloud).settings(settings).build();
    let session = wallet.create(&root()).await.unwrap();
    let mut events = session.events();
    session.add_account(account(1, 1), None).await.unwrap();
    let mut lags = Vec::new();
    while lags.last() != Some(&0) {
        match events.recv().await.unwrap() {
            Event::Lag { records, .. } => lags.push(records),
            Event::BackupFailed { reason } => panic!("{reason}"),
            _ => {}
        }
    }
    assert_eq!(lags, [1, 0]);
    assert_eq!(session.status().unwrap().lag_records, 0);
    session.lock().await.unwrap();
}

#[tokio::test]
async fn events_speak_json() {
    let event = Event::AccountAdded { account: account(1, 1) };
    let json = serde_json::to_value(&event).unwrap();
    assert_eq!(
        (&json["event"], &json["account"]),
        (&"account-added".into(), &account(1, 1).as_str().into())
    );
    let json = serde_json::to_value(Event::Unlocked).unwrap();
    assert_eq!(json, serde_json::json!({"event": "unlocked"}));
}

/// The devices are told by their last backups.
#[tokio::test]
async fn devices_are_listed_with_their_last_backups() {
    let cloud = Arc::new(MemCloud::new());
    let a = first(&cloud).await;
    let alone = a.session.devices().await.unwrap();
    assert_eq!((alone.len(), alone[0].mine, alone[0].last_backup), (1, true, None));
    a.post().await;
    let b = restored(&cloud).await;
    b.clock.advance(60_000);
    b.session.add_account(account(1, 1), None).await.unwrap();
    b.post().await;
    let devices = b.session.devices().await.unwrap();
    assert_eq!(devices.iter().map(|device| device.mine).collect::<Vec<_>>(), [true, false]);
    assert_eq!(devices[1].writer, a.session.status().unwrap().writer);
    assert_eq!((devices[0].age_ms, devices[1].age_ms), (Some(0), Some(60_000)));
}
