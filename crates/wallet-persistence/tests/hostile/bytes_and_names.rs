//! Lies about bytes, names and listings.

use backup::{ObjectName, ObjectRef};
use cloud::testing::Lie;
use wallet_persistence::ProfileField;

use crate::bed::{Bed, is_damage, root, scrubbed, set};

#[tokio::test]
async fn no_object_passes_for_another() {
    let bed = Bed::new();
    let (session, _) = bed.old_and_new(&[0]).await;
    let names = bed.malice[0].names();
    assert!(names.len() >= 5, "{names:?}");
    for name in &names {
        for with in names.iter().filter(|with| *with != name) {
            bed.malice[0].be_honest();
            bed.malice[0].lie(Lie::Exchange { name: name.clone(), with: with.clone() });
            assert!(scrubbed(&session).await.contains(name.as_str()), "{name} as {with}");
            if let Err(error) = bed.restore(&[0]).await {
                assert!(is_damage(&error), "{name} as {with}: {error:?}");
            } else {
                // Only what this restore does not need: an older head.
                assert!(name.as_str().contains("/h/"), "{name} as {with} was restored");
            }
        }
    }
}

/// An object copied to a name of its own: a later sequence, another writer, another class.
#[tokio::test]
async fn a_planted_object_is_never_restored() {
    let bed = Bed::new();
    let (session, _) = bed.old_and_new(&[0, 1]).await;
    let tag = backup::ObjectSealer::new(vault::Keys::derive(&crate::bed::root())).tag();
    let [old, new] = bed.objects("h").try_into().unwrap();
    let mut later = ObjectRef::parse(&tag, &old).unwrap();
    (later.id.from, later.id.to) = (1000, 1000);
    let mut other = ObjectRef::parse(&tag, &old).unwrap();
    other.id.writer = backup::WriterId::from_bytes([1; 16]);
    let foreign = ObjectName::new(&format!("{}-x", new.as_str())).unwrap();
    for planted in [later.name(&tag), other.name(&tag), foreign.clone()] {
        bed.malice[0].be_honest();
        bed.malice[0].lie(Lie::Plant { name: planted.clone(), like: old.clone() });
        match bed.restore(&[0]).await {
            Ok((value, _)) => {
                assert_eq!((value.as_deref(), &planted), (Some("new"), &foreign));
            }
            Err(error) => {
                assert!(is_damage(&error), "{error:?}");
                assert!(scrubbed(&session).await.contains(planted.as_str()));
            }
        }
        let (value, _) = bed.restore(&[0, 1]).await.unwrap();
        assert_eq!(value.as_deref(), Some("new"), "the other cloud answers");
    }
}

#[tokio::test]
async fn cut_and_flipped_objects_are_named_and_never_restored() {
    let bed = Bed::new();
    let (session, _) = bed.old_and_new(&[0]).await;
    for name in bed.malice[0].names() {
        for lie in [
            Lie::Cut { name: name.clone(), to: 0 },
            Lie::Cut { name: name.clone(), to: 100 },
            Lie::FlipBit { name: name.clone() },
        ] {
            bed.malice[0].be_honest();
            bed.malice[0].lie(lie);
            let found = scrubbed(&session).await;
            assert!(found.contains(name.as_str()) && !found.contains("another cloud"), "{found}");
            match bed.restore(&[0]).await {
                Ok((value, _)) => assert_eq!(value.as_deref(), Some("new")),
                Err(error) => assert!(is_damage(&error), "{error:?}"),
            }
        }
    }
}

#[tokio::test]
async fn listings_out_of_order_or_doubled_are_refused() {
    for lie in [Lie::ReverseListings, Lie::DoubleListings] {
        let bed = Bed::new();
        let (session, _) = bed.old_and_new(&[0, 1]).await;
        bed.malice[0].lie(lie);
        let error = bed.restore(&[0]).await.unwrap_err();
        assert!(format!("{error:?}").contains("TooOld"), "{error:?}");
        let listing = session.list_backups().await.unwrap();
        let failures: Vec<bool> = listing.clouds.iter().map(|c| c.failure.is_some()).collect();
        assert_eq!(failures, [true, false], "it is told which cloud does not do what it must");
        let (value, report) = bed.restore(&[0, 1]).await.unwrap();
        assert_eq!(value.as_deref(), Some("new"), "the other cloud answers");
        assert_eq!(report.clouds, 1, "and the report says that only one did");
    }
}

/// It may be that of a device that is lost, and puts no other one.
#[tokio::test]
async fn one_damaged_head_keeps_nobody_from_what_the_others_put() {
    let bed = Bed::new();
    let (lost, _) = bed.old_and_new(&[0]).await;
    let writer = lost.status().unwrap().writer;
    lost.lock().await.unwrap();
    let head = bed.objects("h").pop().unwrap();
    let mut devices = Vec::new();
    for _ in 0..2 {
        let wallet = bed.device(&[0]);
        wallet.restore(&root(), |_| ()).await.unwrap();
        devices.push(wallet.unlock(&root()).await.unwrap());
    }
    bed.malice[0].lie(Lie::FlipBit { name: head.clone() });
    set(&devices[0], "newer").await;
    devices[0].post_backup().await.unwrap();
    for _ in 0..2 {
        let report = devices[1].poll_backups().await.unwrap();
        let value = devices[1].profile(ProfileField::GivenName).unwrap();
        assert_eq!(value.as_deref(), Some("newer"));
        let failed = report.writers.iter().filter(|writer| writer.failure.is_some());
        let failed: Vec<_> = failed.collect();
        assert_eq!(failed.len(), 1, "{report:?}");
        assert_eq!(failed[0].writer, writer);
        assert!(failed[0].failure.as_ref().unwrap().contains(head.as_str()), "{report:?}");
    }
}
