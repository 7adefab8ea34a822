//! Entries of an application's own: which merge, which have a single writer, and how that changes.

use std::sync::Arc;

use cloud::MemCloud;
use kv_core::{Batch, Key, KvStore, KvStoreExt, Namespace};
use wallet_persistence::{Error, Event, KvClass, Refusal, Session};

use crate::common::{Device, alone, first, restored, two};

use KvClass::{Mergeable, SingleWriter};

fn ns(primary: &str) -> Namespace {
    Namespace::new(primary, "of-mine").unwrap()
}

fn key(name: &str) -> Key {
    Key::new(name).unwrap()
}

async fn put(session: &Session, at: (&str, &str), value: &str, class: Option<KvClass>) {
    session.put_kv(&ns(at.0), &key(at.1), value.as_bytes(), class).await.unwrap();
}

fn get(session: &Session, class: KvClass, at: (&str, &str)) -> Option<String> {
    let value = session.kv_of(class).unwrap().read(&ns(at.0), &key(at.1)).unwrap();
    value.map(|value| String::from_utf8(value.to_vec()).unwrap())
}

fn is_refused_as(class: KvClass, outcome: Result<KvClass, Error>) -> bool {
    matches!(outcome, Err(Error::OtherClass { class: known, .. }) if known == class)
}

#[tokio::test]
async fn the_first_write_chooses_the_class_and_a_contradicting_one_is_refused() {
    let device = alone().await;
    let session = &device.session;
    for (primary, asked, chosen) in [
        ("notes", Some(Mergeable), Mergeable),
        ("plain", None, SingleWriter),
        ("strict", Some(SingleWriter), SingleWriter),
    ] {
        assert_eq!(session.kv_class(&ns(primary)).unwrap(), None);
        let put = async |key: &str, class| {
            let key = Key::new(key).unwrap();
            session.put_kv(&ns(primary), &key, key.as_str().as_bytes(), class).await
        };
        assert_eq!(put("a", asked).await.unwrap(), chosen);
        assert_eq!(put("b", None).await.unwrap(), chosen, "it is remembered");
        assert_eq!(put("c", Some(chosen)).await.unwrap(), chosen);
        let before = session.digest().await.unwrap();
        assert!(is_refused_as(chosen, put("d", Some(chosen.other())).await), "{primary}");
        assert_eq!(session.digest().await.unwrap(), before, "nothing changed");
        // Also once it is empty again, and after a restart.
        let kv = session.kv_of(chosen).unwrap();
        assert_eq!(kv.list_all(&ns(primary)).unwrap(), ["a", "b", "c"].map(key));
        for name in ["a", "b", "c"] {
            kv.remove(&ns(primary), &key(name)).unwrap();
        }
        assert!(is_refused_as(chosen, put("d", Some(chosen.other())).await), "{primary}");
    }
    let device = device.reopen().await;
    assert_eq!(device.session.kv_class(&ns("notes")).unwrap(), Some(Mergeable));
    let listed = device.session.kv_namespaces().unwrap();
    let listed: Vec<_> = listed.iter().map(|ns| (&*ns.primary, ns.class, ns.entries)).collect();
    assert_eq!(
        listed,
        [("notes", Mergeable, 0), ("plain", SingleWriter, 0), ("strict", SingleWriter, 0)]
    );
    let reserved = Namespace::reserved("~fields", "").unwrap();
    let into_fields = device.session.put_kv(&reserved, &key("a"), &b"x"[..], None).await;
    assert!(matches!(into_fields, Err(Error::Store(kv_core::Error::InvalidName { .. }))));
}

#[tokio::test]
async fn the_store_of_what_merges_keeps_to_its_class() {
    let device = alone().await;
    let session = &device.session;
    let (single, merges) = (session.kv().unwrap(), session.kv_mergeable().unwrap());
    assert!(merges.capabilities().merges && !single.capabilities().merges);
    // Before a class was ever chosen there were entries: they have a single writer.
    single.write(&ns("old"), &key("a"), "1").unwrap();
    let refused = merges.write(&ns("old"), &key("a"), "2");
    assert!(matches!(refused, Err(kv_core::Error::InvalidName { .. })));
    let together = Batch::new().put(&ns("new"), &key("a"), "1").put(&ns("old"), &key("b"), "1");
    assert!(merges.submit(together).wait().is_err());
    assert_eq!(merges.namespaces().unwrap(), [], "all of a batch or nothing");

    // Several namespaces in one batch, with a key that must be absent.
    let batch = Batch::new()
        .put(&ns("x"), &key("a"), "1")
        .put(&ns("x"), &key("b"), "2")
        .put(&ns("y"), &key("a"), "3")
        .require_absent(&ns("x"), &key("a"));
    merges.submit(batch.clone()).wait().unwrap();
    assert!(matches!(merges.submit(batch).wait(), Err(kv_core::Error::Precondition { .. })));
    assert_eq!(merges.namespaces().unwrap(), [ns("x"), ns("y")]);
    assert_eq!(merges.list(&ns("x"), Some(&key("a")), 10).unwrap(), [key("b")]);
    assert_eq!(get(session, Mergeable, ("y", "a")).as_deref(), Some("3"));
    assert_eq!(get(session, SingleWriter, ("y", "a")), None);
    merges.remove(&ns("x"), &key("a")).unwrap();
    assert_eq!(get(session, Mergeable, ("x", "a")), None);
    merges.flush().unwrap();
    // Whatever is chosen for a namespace of this name, what has a single writer is written.
    single.write(&ns("x"), &key("a"), "channel").unwrap();
    assert_eq!(get(session, SingleWriter, ("x", "a")).as_deref(), Some("channel"));
    assert_eq!(get(session, Mergeable, ("x", "a")), None);
}

/// Where entries that merge lie is part of the format.
#[tokio::test]
async fn a_namespace_that_merges_lies_where_the_format_says() {
    let device = alone().await;
    let merges = device.session.kv_mergeable().unwrap();
    merges.write(&ns("notes"), &key("a"), "1").unwrap();
    let place = "kv-hojszlb766bbcovr7xrru2645u5inkszrb72bto6ued6gvy5vwla";
    let place = Namespace::reserved("~records", place).unwrap();
    let value = device.session.kv().unwrap().read(&place, &key("a")).unwrap();
    let there = device.session.kv().unwrap().namespaces().unwrap();
    assert_eq!(value.as_deref(), Some(&b"1"[..]), "{there:?}");
}

#[tokio::test]
async fn a_mergeable_namespace_merges_and_a_single_writer_one_is_fenced() {
    let cloud = Arc::new(MemCloud::new());
    let a = first(&cloud).await;
    put(&a.session, ("notes", "both"), "a", Some(Mergeable)).await;
    put(&a.session, ("channels", "x"), "a", None).await;
    a.post().await;
    let b = restored(&cloud).await;
    assert_eq!(b.session.kv_class(&ns("notes")).unwrap(), Some(Mergeable));
    assert_eq!(b.session.kv_class(&ns("channels")).unwrap(), Some(SingleWriter));

    // Both are offline and write; the later change of a key counts, on both.
    put(&a.session, ("notes", "both"), "earlier", None).await;
    put(&a.session, ("notes", "of-a"), "a", None).await;
    b.clock.advance(1000);
    put(&b.session, ("notes", "both"), "later", None).await;
    put(&b.session, ("notes", "of-b"), "b", None).await;
    let refused = b.session.put_kv(&ns("channels"), &key("x"), &b"b"[..], None).await;
    let Err(Error::Store(refused)) = refused else { panic!("{refused:?}") };
    assert!(Refusal::behind(&refused).is_some(), "{refused:?}");
    let mut events = a.session.events();
    for _ in 0..2 {
        a.post().await;
        b.post().await;
        a.poll().await;
        b.poll().await;
    }
    let told = std::iter::from_fn(|| events.try_recv().ok()).find_map(|event| match event {
        Event::ConflictResolved { namespace, key, mine, .. } => Some((namespace, key, mine)),
        _ => None,
    });
    assert_eq!(told, Some(("notes/of-mine".to_owned(), "both".to_owned(), false)));
    for device in [&a, &b] {
        let note = |name| get(&device.session, Mergeable, ("notes", name));
        let notes = ["both", "of-a", "of-b"].map(note);
        assert_eq!(notes.map(Option::unwrap), ["later", "a", "b"]);
        assert_eq!(get(&device.session, SingleWriter, ("channels", "x")).as_deref(), Some("a"));
    }
    assert_eq!(a.digest().await, b.digest().await);

    // A removal merges, too, and a new device gets all of it.
    b.session.kv_mergeable().unwrap().remove(&ns("notes"), &key("of-a")).unwrap();
    b.post().await;
    a.poll().await;
    assert_eq!(get(&a.session, Mergeable, ("notes", "of-a")), None);
    a.post().await;
    let c = restored(&cloud).await;
    assert_eq!(get(&c.session, Mergeable, ("notes", "both")).as_deref(), Some("later"));
    assert_eq!(get(&c.session, SingleWriter, ("channels", "x")).as_deref(), Some("a"));
}

/// Two devices that know each other, the first of which may write what has a single writer.
async fn pair() -> (Device, Device) {
    let (a, b) = two().await;
    put(&a.session, ("other", "x"), "1", None).await;
    (a, b)
}

async fn meet(a: &Device, b: &Device) {
    for _ in 0..2 {
        a.post().await;
        b.poll().await;
        b.post().await;
        a.poll().await;
    }
}

#[tokio::test]
async fn a_class_is_changed_by_moving_all_entries() {
    let cloud = Arc::new(MemCloud::new());
    let a = first(&cloud).await;
    for name in ["x", "y"] {
        put(&a.session, ("notes", name), name, None).await;
    }
    a.post().await;
    let b = restored(&cloud).await;
    // It holds what has a single writer from before, and may not change it.
    let refused = b.session.reclass_kv(&ns("notes"), Mergeable).await;
    assert!(
        matches!(&refused, Err(Error::Store(e)) if Refusal::behind(e).is_some()),
        "{refused:?}"
    );
    assert_eq!(a.session.reclass_kv(&ns("notes"), Mergeable).await.unwrap(), 2);
    assert_eq!(a.session.reclass_kv(&ns("notes"), Mergeable).await.unwrap(), 0, "again: nothing");
    meet(&a, &b).await;
    b.clock.advance(1000);
    put(&b.session, ("notes", "x"), "of b", None).await;
    meet(&a, &b).await;
    for device in [&a, &b] {
        assert_eq!(device.session.kv_class(&ns("notes")).unwrap(), Some(Mergeable));
        assert_eq!(get(&device.session, Mergeable, ("notes", "x")).as_deref(), Some("of b"));
        assert_eq!(get(&device.session, Mergeable, ("notes", "y")).as_deref(), Some("y"));
    }
    let listed = |device: &Device| {
        let listed = device.session.kv_namespaces().unwrap();
        listed.into_iter().map(|ns| (ns.class, ns.entries, ns.left_over)).collect::<Vec<_>>()
    };
    assert_eq!(listed(&a), [(Mergeable, 2, false)]);
    assert_eq!(listed(&b), [(SingleWriter, 2, true), (Mergeable, 2, false)], "and that is said");

    // And back: the other device no longer has them, and may not write them.
    assert_eq!(a.session.reclass_kv(&ns("notes"), SingleWriter).await.unwrap(), 2);
    assert_eq!(get(&a.session, SingleWriter, ("notes", "x")).as_deref(), Some("of b"));
    meet(&a, &b).await;
    assert_eq!(a.session.kv_class(&ns("notes")).unwrap(), Some(SingleWriter));
    assert_eq!(b.session.kv_class(&ns("notes")).unwrap(), Some(SingleWriter));
    assert_eq!(get(&b.session, Mergeable, ("notes", "x")), None);
    assert!(b.session.put_kv(&ns("notes"), &key("x"), &b"b"[..], None).await.is_err());
    let c = restored(&cloud).await;
    assert_eq!(get(&c.session, SingleWriter, ("notes", "x")).as_deref(), Some("of b"));
}

#[tokio::test]
async fn devices_that_chose_differently_lose_nothing_and_are_told() {
    let (a, b) = pair().await;
    put(&a.session, ("notes", "of-a"), "a", None).await;
    put(&b.session, ("notes", "of-b"), "b", Some(Mergeable)).await;
    put(&a.session, ("notes", "same"), "1", None).await;
    put(&b.session, ("notes", "same"), "2", None).await;
    meet(&a, &b).await;
    let told = a.session.kv_class(&ns("notes"));
    assert!(matches!(told, Err(Error::TwoClasses { .. })), "{told:?}");
    let refused = a.session.put_kv(&ns("notes"), &key("new"), &b"x"[..], None).await;
    assert!(matches!(refused, Err(Error::TwoClasses { .. })));
    assert_eq!(get(&a.session, SingleWriter, ("notes", "of-a")).as_deref(), Some("a"));
    assert_eq!(get(&a.session, Mergeable, ("notes", "of-b")).as_deref(), Some("b"));

    let before = a.digest().await;
    let refused = a.session.reclass_kv(&ns("notes"), Mergeable).await;
    assert!(matches!(refused, Err(Error::KeyOfTwoClasses { key, .. }) if key == "same"));
    assert_eq!(a.digest().await, before, "nothing was moved");
    a.session.kv().unwrap().remove(&ns("notes"), &key("same")).unwrap();
    assert_eq!(a.session.reclass_kv(&ns("notes"), Mergeable).await.unwrap(), 1);
    meet(&a, &b).await;
    for device in [&a, &b] {
        assert_eq!(device.session.kv_class(&ns("notes")).unwrap(), Some(Mergeable));
        let notes = ["of-a", "of-b", "same"]
            .map(|name| get(&device.session, Mergeable, ("notes", name)).unwrap());
        assert_eq!(notes, ["a", "b", "2"]);
    }
}

#[tokio::test]
async fn what_another_device_wrote_meanwhile_is_moved_with_the_next_call() {
    let (a, b) = pair().await;
    put(&a.session, ("notes", "x"), "a", Some(Mergeable)).await;
    meet(&a, &b).await;
    a.session.reclass_kv(&ns("notes"), SingleWriter).await.unwrap();
    b.clock.advance(1000);
    put(&b.session, ("notes", "y"), "b", None).await;
    meet(&a, &b).await;
    let told = a.session.kv_class(&ns("notes"));
    assert!(matches!(told, Err(Error::TwoClasses { .. })), "{told:?}");
    assert_eq!(a.session.reclass_kv(&ns("notes"), SingleWriter).await.unwrap(), 1);
    assert_eq!(get(&a.session, SingleWriter, ("notes", "y")).as_deref(), Some("b"));
    assert_eq!(a.session.kv_class(&ns("notes")).unwrap(), Some(SingleWriter));
}
