//! Records of an application: with the same rights as the wallet's own, on several devices, too.

use std::{collections::BTreeSet, sync::Arc};

use cloud::MemCloud;

use serde::{Deserialize, Serialize};
use tokio::sync::broadcast::Receiver;
use wallet_persistence::{
    Account, Error, Event, Found, Index, Query, Record, RecordKey, Session, Severity, records,
};

use crate::common::{Device, account, first, restored, two};

/// A contact of the person, with a nickname that nobody else may have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Contact {
    id: String,
    nick: String,
}

impl Record for Contact {
    const STORE: &'static str = "my-app-contacts";
    const VERSION: u32 = 1;
    const INDEXES: &'static [Index<Self>] =
        &[Index::unique("nick", |contact| Some(contact.nick.as_str().into()))];

    fn key(&self) -> RecordKey {
        self.id.as_str().into()
    }
}

fn contact(id: &str, nick: &str) -> Contact {
    Contact { id: id.to_owned(), nick: nick.to_owned() }
}

async fn put(device: &Device, id: &str, nick: &str) -> records::Result<()> {
    let store = device.session.records::<Contact>().await.unwrap();
    store.put(&contact(id, nick))?.await.unwrap();
    Ok(())
}

async fn by_nick(session: &Session) -> Vec<Contact> {
    let store = session.records::<Contact>().await.unwrap();
    store.query(&Query::index("nick")).unwrap().map(Found::into_record).collect()
}

#[tokio::test]
async fn own_records_merge_and_are_restored() {
    let (a, b) = two().await;
    put(&a, "1", "ada").await.unwrap();
    put(&b, "2", "bob").await.unwrap();
    a.post().await;
    b.post().await;
    a.poll().await;
    b.poll().await;
    let both = [contact("1", "ada"), contact("2", "bob")];
    assert_eq!(by_nick(&a.session).await, both);
    assert_eq!(by_nick(&b.session).await, both);
    assert_eq!(a.session.status().unwrap().records["my-app-contacts"], 2);
    let a = a.reopen().await;
    assert_eq!(by_nick(&a.session).await, both);
}

#[tokio::test]
async fn a_record_of_an_application_is_restored() {
    let cloud = Arc::new(MemCloud::new());
    let a = first(&cloud).await;
    put(&a, "1", "ada").await.unwrap();
    a.session.fields().unwrap().set("my-app-theme", "dark").unwrap().await.unwrap();
    a.post().await;
    let b = restored(&cloud).await;
    assert_eq!(by_nick(&b.session).await, [contact("1", "ada")]);
    let theme: Option<String> = b.session.fields().unwrap().get("my-app-theme").unwrap();
    assert_eq!(theme.as_deref(), Some("dark"));
}

/// The wallet's own types are open already, and another type cannot take their place.
#[tokio::test]
async fn two_types_cannot_share_an_object_store() {
    #[derive(Serialize, Deserialize)]
    struct Impostor;
    impl Record for Impostor {
        const STORE: &'static str = "accounts";
        const VERSION: u32 = 1;
        fn key(&self) -> RecordKey {
            1_u64.into()
        }
    }
    let (a, _) = two().await;
    let refused = a.session.records::<Impostor>().await;
    let is_schema = |error| matches!(error, Error::Records(records::Error::Schema { .. }));
    assert!(refused.is_err_and(is_schema));
    let accounts = a.session.records::<wallet_persistence::Account>().await.unwrap();
    a.session.add_account(crate::common::account(1, 1), None).await.unwrap();
    assert_eq!(accounts.count(&Query::all()).unwrap(), 1, "it is the same store");
}

#[tokio::test]
async fn changes_of_several_kinds_are_one_batch() {
    let (a, _) = two().await;
    let contacts = a.session.records::<Contact>().await.unwrap();
    let before = a.session.status().unwrap().sequence;
    let mut transaction = a.session.transaction().unwrap();
    transaction.put(&contacts, &contact("1", "ada")).unwrap();
    transaction.set_field(&a.session.fields().unwrap(), "my-app-theme", "dark").unwrap();
    transaction.submit().unwrap().await.unwrap();
    assert_eq!(a.session.status().unwrap().sequence, before + 1);
}

/// The rule of the book: both stay, the one with the lesser primary key owns the index key, on both
/// devices, and the other one is refused until it has another.
#[tokio::test]
async fn two_devices_that_take_one_unique_key_keep_both_records() {
    let (a, b) = two().await;
    put(&b, "1", "ada").await.unwrap();
    put(&a, "2", "ada").await.unwrap();
    a.post().await;
    b.post().await;
    let (mut at_a, mut at_b) = (a.session.events(), b.session.events());
    assert_eq!(a.poll().await.writers[0].unique_conflicts, 1);
    assert_eq!(b.poll().await.writers[0].unique_conflicts, 1);
    let mut told = Vec::new();
    for events in [&mut at_a, &mut at_b] {
        let Ok(Event::NotUnique { store, index, keys }) = events.try_recv() else {
            panic!("no event");
        };
        assert_eq!((store.as_str(), index.as_str()), (Contact::STORE, "nick"));
        told.push(keys);
    }
    assert_eq!(told[0], told[1], "the same on both");
    for device in [&a, &b] {
        assert_eq!(by_nick(&device.session).await, [contact("1", "ada"), contact("2", "ada")]);
        for holder in ["1", "2"] {
            put(device, holder, "ada").await.unwrap();
        }
        let refused = put(device, "3", "ada").await;
        assert!(matches!(refused, Err(records::Error::NotUnique { .. })), "{refused:?}");
    }
    put(&a, "2", "eve").await.unwrap();
    a.post().await;
    b.poll().await;
    assert_eq!(by_nick(&b.session).await, [contact("1", "ada"), contact("2", "eve")]);
}

/// The background task polls soon after unlocking, and the application may open its types later.
#[tokio::test]
async fn who_opens_a_type_after_a_poll_hears_of_the_keys_that_are_shared() {
    let (a, b) = two().await;
    put(&b, "1", "ada").await.unwrap();
    put(&a, "2", "ada").await.unwrap();
    a.post().await;
    b.post().await;
    let a = a.reopen().await;
    let mut events = a.session.events();
    a.poll().await;
    let not_unique = |events: &mut Receiver<Event>| {
        std::iter::from_fn(|| events.try_recv().ok())
            .filter(|event| matches!(event, Event::NotUnique { index, .. } if index == "nick"))
            .count()
    };
    assert_eq!(not_unique(&mut events), 0, "nobody knows of the index yet");
    for told in [1, 0] {
        by_nick(&a.session).await;
        assert_eq!(not_unique(&mut events), told, "once in a session");
    }
}

#[tokio::test]
async fn a_closed_store_of_an_application_harms_no_other() {
    let (a, b) = two().await;
    put(&a, "1", "ada").await.unwrap();
    a.session.records::<Contact>().await.unwrap().close();
    a.session.records::<Account>().await.unwrap().close();
    let status = a.session.status().unwrap();
    assert_eq!((status.records[Contact::STORE], status.accounts), (1, 0));
    put(&b, "2", "bob").await.unwrap();
    b.session.add_account(account(1, 1), None).await.unwrap();
    b.post().await;
    a.poll().await;
    assert_eq!(a.session.accounts().unwrap().len(), 1);
    assert_eq!(by_nick(&a.session).await, [contact("1", "ada"), contact("2", "bob")]);
}

/// The same object store in a newer version of the application, and in one that writes nonsense.
#[derive(Debug, Serialize, Deserialize)]
struct Newer<const VERSION: u32> {
    id: String,
    #[serde(skip_serializing_if = "String::is_empty", default)]
    nick: String,
}

impl<const VERSION: u32> Record for Newer<VERSION> {
    const STORE: &'static str = Contact::STORE;
    const VERSION: u32 = VERSION;

    fn key(&self) -> RecordKey {
        self.id.as_str().into()
    }
}

async fn put_newer<const VERSION: u32>(device: &Device, id: &str, nick: &str) {
    let store = device.session.records::<Newer<VERSION>>().await.unwrap();
    let newer = Newer { id: id.to_owned(), nick: nick.to_owned() };
    store.put(&newer).unwrap().await.unwrap();
}

#[tokio::test]
async fn what_no_listing_shows_is_in_the_status_whoever_wrote_it() {
    let (a, b) = two().await;
    assert!(by_nick(&a.session).await.is_empty());
    let unusable = |device: &Device| {
        let unusable = device.session.status().unwrap().unusable;
        (unusable.too_new, unusable.damaged)
    };
    put_newer::<1>(&b, "1", "").await; // a contact has a nickname
    b.post().await;
    let b = b.reopen().await;
    put_newer::<2>(&b, "2", "bob").await;
    put_newer::<2>(&b, "3", "eve").await;
    b.post().await;
    a.poll().await;
    assert_eq!((unusable(&a), by_nick(&a.session).await), ((2, 1), vec![]));
    let a = a.reopen().await;
    by_nick(&a.session).await;
    assert_eq!(unusable(&a), (2, 1), "as opening finds it");
    let found = a.session.verify(false).await.unwrap().local.findings;
    let count = |severity, what| {
        found.iter().filter(|f| f.severity == severity && f.what.contains(what)).count()
    };
    assert_eq!((count(Severity::Notice, "upgrade"), count(Severity::Damage, "damaged")), (2, 1));
    // Whoever knows better writes it again.
    let b = b.reopen().await;
    put(&b, "1", "ada").await.unwrap();
    b.post().await;
    a.poll().await;
    assert_eq!(unusable(&a), (2, 0));
    assert!(!a.session.verify(false).await.unwrap().is_damaged(), "too new is no damage");
}

/// A type that is opened while polls run misses nothing of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_type_that_is_opened_while_a_poll_runs_misses_nothing() {
    let (a, b) = two().await;
    for round in 0_u32..20 {
        let ids: BTreeSet<String> = (0..50).map(|n| format!("{round}-{n}")).collect();
        let store = a.session.records::<Contact>().await.unwrap();
        store.clear().unwrap().await.unwrap();
        let all: Vec<Contact> = ids.iter().map(|id| contact(id, id)).collect();
        store.put_many(&all).unwrap().await.unwrap();
        a.post().await;
        b.session.lock().await.unwrap();
        let session = b.wallet.unlock(&crate::common::root()).await.unwrap();
        let opening = session.clone();
        let opened = tokio::spawn(async move { opening.records::<Contact>().await.unwrap() });
        session.poll_backups().await.unwrap();
        let opened = opened.await.unwrap();
        let found: BTreeSet<String> =
            opened.query(&Query::index("nick")).unwrap().map(|c| c.id.clone()).collect();
        assert_eq!(found, ids, "round {round}");
        session.lock().await.unwrap();
    }
}

#[tokio::test]
async fn a_locked_session_has_forgotten_own_records() {
    let (a, _) = two().await;
    put(&a, "1", "ada").await.unwrap();
    let store = a.session.records::<Contact>().await.unwrap();
    a.session.lock().await.unwrap();
    assert!(matches!(store.get("1"), Err(records::Error::Store { .. })));
    assert!(matches!(a.session.records::<Contact>().await, Err(Error::Locked)));
    assert!(matches!(a.session.transaction(), Err(Error::Locked)));
}

/// A record that merged while the object store was shut is there when it opens.
#[tokio::test]
async fn what_is_merged_before_a_type_is_opened_is_there() {
    let (a, b) = two().await;
    put(&a, "1", "ada").await.unwrap();
    a.post().await;
    assert_eq!(b.poll().await.writers[0].changes, 1);
    assert_eq!(by_nick(&b.session).await, [contact("1", "ada")]);
}
