//! Older values of fields: at every restore point that is kept, from any device, and nowhere else.

use std::{collections::BTreeMap, sync::atomic::Ordering, time::Duration};

use kv_core::{KvStoreExt, testing::Random};
use wallet_persistence::{
    DumpKind, Error, PastValue, ProfileField, RestoreAt, Session, Timestamp, WalletPersistence,
};

use crate::common::{Answer, Call, DAY, Device, Watched, key, ns, root, write};

const NAME: &str = "given_name";

/// Sets or clears the name or the field of an application.
async fn edit(session: &Session, random: &mut Random, step: u64) {
    let fields = session.fields().unwrap();
    match random.below(6) {
        0 => session.clear_profile(ProfileField::GivenName).await.unwrap(),
        1 => fields.clear("app-theme").unwrap().await.unwrap(),
        2 => fields.set("app-theme", &step).unwrap().await.unwrap(),
        // Sometimes the same value again.
        _ => {
            let name = format!("name {}", random.below(3));
            session.set_profile(ProfileField::GivenName, &name).await.unwrap();
        }
    }
}

/// Edits, backups and dumps of both kinds, with other changes between: where few may wait for the
/// cloud, so many now and then that the log is dropped, and a dump takes the place of segments.
async fn live(device: &Device, session: &Session, seed: u64) {
    let mut random = Random::seeded(seed);
    for step in 0..14 {
        device.clock.advance(1 + random.below(20_000));
        if random.below(4) == 0 {
            write(session, "many", 0..10, step).await;
        }
        for _ in 0..=random.below(2) {
            edit(session, &mut random, step).await;
            session.kv().unwrap().write(&ns("s"), &key(step), "other").unwrap();
        }
        match random.below(5) {
            0 => drop(session.dump(DumpKind::Full).await.unwrap()),
            1 => drop(session.dump(DumpKind::Delta).await.unwrap()),
            _ => drop(session.post_backup().await.unwrap()),
        }
    }
    session.post_backup().await.unwrap();
}

/// What a field is in a wallet that is restored at this moment.
async fn by_restoring(cloud: &std::sync::Arc<Watched>, at: RestoreAt) -> Then {
    let device = Device::new(cloud, 4_000_000_000_000);
    device.wallet.restore_stale_at(&root(), at, |_| ()).await.unwrap();
    let session = device.wallet.unlock(&root()).await.unwrap();
    let fields = session.fields().unwrap();
    (fields.get(NAME).unwrap(), fields.get("app-theme").unwrap())
}

type Then = (Option<String>, Option<u64>);

/// What the history says of one restore point.
fn then<T: Clone>(history: &[PastValue<T>], sequence: u64) -> Option<T> {
    let mut spans = history
        .iter()
        .filter(|past| (past.first.sequence..=past.last.sequence).contains(&sequence));
    let found = spans.next().and_then(|past| past.value.clone());
    assert!(spans.next().is_none(), "two say something of {sequence}");
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fields_history_says_what_each_restore_point_holds() {
    for seed in 0..8 {
        let cloud = Watched::new();
        let device = Device::with(&cloud, 1_000_000, |settings| {
            settings.max_lag_records = if seed % 2 == 0 { 1_000_000 } else { 8 };
        });
        let session = device.create().await;
        live(&device, &session, seed).await;
        let names: Vec<PastValue<String>> = session.field_history(NAME).await.unwrap();
        let themes: Vec<PastValue<u64>> = session.field_history("app-theme").await.unwrap();
        let points = session.restore_points(usize::MAX).await.unwrap();
        for point in &points {
            let at = RestoreAt::Sequence(point.sequence);
            let expected = by_restoring(&cloud, at).await;
            let told = (then(&names, point.sequence), then(&themes, point.sequence));
            assert_eq!(told, expected, "seed {seed} at {}", point.sequence);
            let one: PastValue<String> = session.field_at(NAME, at).await.unwrap();
            assert_eq!((one.first.sequence, one.value), (point.sequence, expected.0));
            assert_eq!((one.first.time, one.restore_points), (point.time, 1));
        }
        for history in [spans(&names), spans(&themes)] {
            let counted: u64 = history.iter().map(|span| span.2).sum();
            assert_eq!(counted, points.len() as u64, "seed {seed}: each restore point once");
            let mut newer = None;
            for (first, last, _) in history {
                assert!(first <= last && newer.is_none_or(|newer| last < newer), "newest first");
                newer = Some(first);
            }
        }
        assert!(names.windows(2).all(|two| two[0].value != two[1].value), "equal ones are folded");
    }
}

/// The first and the last sequence number, and how many restore points.
fn spans<T>(history: &[PastValue<T>]) -> Vec<(u64, u64, u64)> {
    let span = |past: &PastValue<T>| (past.first.sequence, past.last.sequence, past.restore_points);
    history.iter().map(span).collect()
}

async fn names(session: &Session) -> Vec<Option<String>> {
    let history: Vec<PastValue<String>> = session.field_history(NAME).await.unwrap();
    history.into_iter().map(|past| past.value).collect()
}

async fn call(session: &Session, name: &str) {
    session.set_profile(ProfileField::GivenName, name).await.unwrap();
}

fn owned(names: &[Option<&str>]) -> Vec<Option<String>> {
    names.iter().map(|name| name.map(str::to_owned)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_and_a_new_device_do_not_forget_a_fields_history() {
    let cloud = Watched::new();
    let device = Device::new(&cloud, 1_000_000);
    let session = device.create().await;
    write(&session, "s", 0..10, 1).await;
    session.post_backup().await.unwrap();
    for (n, name) in ["Ada", "Grace"].into_iter().enumerate() {
        device.clock.advance(1000);
        call(&session, name).await;
        session.post_backup().await.unwrap();
        if n == 0 {
            session.dump(DumpKind::Delta).await.unwrap();
        }
    }
    device.clock.advance(1000);
    session.clear_profile(ProfileField::GivenName).await.unwrap();
    session.post_backup().await.unwrap();
    let expected = owned(&[None, Some("Grace"), Some("Ada"), None]);
    assert_eq!(names(&session).await, expected);
    // What is not backed up yet is now, and not in the past.
    call(&session, "Mary").await;
    assert_eq!(names(&session).await, expected);
    session.lock().await.unwrap();
    let session = device.wallet.unlock(&root()).await.unwrap();
    assert_eq!(names(&session).await, expected, "after a restart");
    session.post_backup().await.unwrap();

    let new = Device::new(&cloud, 5_000_000);
    new.wallet.restore(&root(), |_| ()).await.unwrap();
    let session = new.wallet.unlock(&root()).await.unwrap();
    let expected = owned(&[Some("Mary"), None, Some("Grace"), Some("Ada"), None]);
    assert_eq!(names(&session).await, expected, "from the words alone");
    // Its own restore points come beside those of the lost device.
    call(&session, "Emmy").await;
    session.post_backup().await.unwrap();
    assert_eq!(names(&session).await[..2], owned(&[Some("Emmy"), Some("Mary")]));
    let history: Vec<PastValue<String>> = session.field_history(NAME).await.unwrap();
    assert_eq!(
        history.iter().map(|past| past.mine).collect::<Vec<_>>(),
        [true, false, false, false, false, false]
    );
    let before = RestoreAt::Time(history[0].first.time - 1);
    let past: PastValue<String> = session.field_at(NAME, before).await.unwrap();
    assert_eq!((past.value.as_deref(), past.mine), (Some("Mary"), false));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_value_is_told_of_and_never_returned() {
    let cloud = Watched::new();
    let device = Device::new(&cloud, 1_000_000);
    let session = device.create().await;
    for name in ["Ada", "Grace"] {
        device.clock.advance(1000);
        call(&session, name).await;
        session.post_backup().await.unwrap();
    }
    session.clear_profile(ProfileField::GivenName).await.unwrap();
    let before = (session.digest().await.unwrap(), session.status().unwrap().sequence);
    assert_eq!(names(&session).await, owned(&[Some("Grace"), Some("Ada")]));
    let at = RestoreAt::Sequence(session.status().unwrap().sequence - 1);
    let past: PastValue<String> = session.field_at(NAME, at).await.unwrap();
    assert_eq!(past.value.as_deref(), Some("Grace"));
    assert_eq!(session.profile(ProfileField::GivenName).unwrap(), None);
    assert_eq!(session.fields().unwrap().get::<String>(NAME).unwrap(), None);
    let after = (session.digest().await.unwrap(), session.status().unwrap().sequence);
    assert_eq!(before, after, "nothing was applied");
    session.poll_backups().await.unwrap();
    assert_eq!(session.profile(ProfileField::GivenName).unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_retention_deletes_is_no_longer_told() {
    let cloud = Watched::new();
    let device = Device::with(&cloud, 1_000_000_000, |settings| {
        settings.keep_restore_points_for = Duration::from_secs(20 * 86_400);
    });
    let session = device.create().await;
    let mut last = BTreeMap::new();
    for day in 0..70 {
        device.clock.set(Timestamp(1_000_000_000 + day * DAY));
        if day % 7 == 0 {
            call(&session, &format!("day {day}")).await;
        }
        write(&session, "s", day % 5..day % 5 + 1, day).await;
        session.post_backup().await.unwrap();
        if day % 10 == 3 {
            session.dump(DumpKind::Full).await.unwrap();
        }
        last.insert(day, day / 7 * 7);
    }
    assert!(cloud.deletes.load(Ordering::SeqCst) > 0);
    let told = names(&session).await;
    let kept = |day: u64| told.contains(&Some(format!("day {day}")));
    for day in 49..70 {
        assert!(kept(last[&day]), "day {day} is kept: {told:?}");
    }
    for day in (0..28).step_by(7) {
        assert!(!kept(day), "day {day} was to go: {told:?}");
    }
    let old: Result<PastValue<String>, _> =
        session.field_at(NAME, RestoreAt::Time(1_000_000_000 + 5 * DAY)).await;
    assert!(matches!(old, Err(Error::Backup(backup::Error::NoRestorePoint { .. }))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_is_found_without_reading_the_bulk_of_a_dump() {
    let cloud = Watched::new();
    let device = Device::new(&cloud, 1_000_000);
    let session = device.create().await;
    // Four parts of dump in one large namespace.
    write(&session, "bulk", 0..50_000, 1).await;
    call(&session, "Ada").await;
    session.post_backup().await.unwrap();
    let parts = cloud.names("/d/").await.len() as u64;
    assert!(parts >= 4, "{parts} parts");
    let read = |what: &'static str| {
        let before = cloud.gets.load(Ordering::SeqCst);
        let cloud = cloud.clone();
        move || {
            let read = cloud.gets.load(Ordering::SeqCst) - before;
            println!("{what}: {read} objects read, of a dump with {parts} parts");
            read
        }
    };
    let gets = read("the history of a field");
    assert_eq!(names(&session).await, owned(&[Some("Ada")]));
    assert!(gets() <= 5, "a head or two, an index, two parts");
    let gets = read("a field that is in no restore point");
    let none: Vec<PastValue<String>> = session.field_history("app-nothing").await.unwrap();
    assert!(none.is_empty());
    assert!(gets() <= 5, "the index says how many fields there are");
}

/// The oldest dump that is kept was read while others were writing.
#[tokio::test(flavor = "multi_thread")]
async fn a_history_across_a_dump_that_was_read_over_a_while_is_that_of_its_restore_points() {
    let cloud = Watched::new();
    let device = Device::with(&cloud, 1_000_000, |settings| {
        settings.keep_restore_points_for = Duration::ZERO;
    });
    let session = device.create().await;
    write(&session, "bulk", 0..20_000, 1).await;
    session.post_backup().await.unwrap();
    let dumping = tokio::spawn({
        let session = session.clone();
        async move { session.dump(DumpKind::Full).await }
    });
    let mut held = BTreeMap::new();
    for n in 0.. {
        call(&session, &format!("name {n}")).await;
        session.post_backup().await.unwrap();
        held.insert(session.status().unwrap().sequence, format!("name {n}"));
        if dumping.is_finished() {
            break;
        }
    }
    dumping.await.unwrap().unwrap();
    assert!(held.len() > 1, "no backup during the dump");
    // This one keeps one older dump: that.
    device.clock.advance(1000);
    session.dump(DumpKind::Full).await.unwrap();
    let history: Vec<PastValue<String>> = session.field_history(NAME).await.unwrap();
    let points = session.restore_points(usize::MAX).await.unwrap();
    for point in &points {
        let (_, name) = held.range(..=point.sequence).next_back().unwrap();
        assert_eq!(then(&history, point.sequence).as_ref(), Some(name), "{}", point.sequence);
    }
    let counted: u64 = history.iter().map(|past| past.restore_points).sum();
    assert_eq!(counted, points.len() as u64, "{points:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fields_history_needs_a_cloud_with_a_backup() {
    let cloud = Watched::new();
    let device = Device::new(&cloud, 1_000_000);
    let session = device.create().await;
    call(&session, "Ada").await;
    let history = session.field_history::<String>(NAME).await;
    assert!(matches!(history, Err(Error::Backup(backup::Error::NoBackup))));
    session.post_backup().await.unwrap();
    let past = session.field_at::<String>(NAME, RestoreAt::Time(1)).await;
    assert!(matches!(past, Err(Error::Backup(backup::Error::NoRestorePoint { .. }))));
    assert!(matches!(session.field_history::<String>("a b").await, Err(Error::Records(_))));
    cloud.rule(|call| match call {
        Call::List => Answer::Fails,
        _ => Answer::AsIs,
    });
    assert!(matches!(session.field_history::<String>(NAME).await, Err(Error::Cloud(_))));
    let alone = WalletPersistence::in_memory().build().create(&root()).await.unwrap();
    assert!(matches!(alone.field_history::<String>(NAME).await, Err(Error::NoCloud)));
    let at = alone.field_at::<String>(NAME, RestoreAt::Newest).await;
    assert!(matches!(at, Err(Error::NoCloud)));
}
