//! What is suspicious is told by name, with what exactly and since when, and never applied.

use cloud::testing::{Fault, Lie};
use kv_core::Clock;
use wallet_persistence::{
    Batch, Error, Event, Finding, Key, KvStoreExt, Namespace, ProfileField, Session, Settings,
    SingleWriter,
};

use crate::bed::{Bed, root, set};

const MINUTE: u64 = 60_000;
const DAY: u64 = 24 * 60 * MINUTE;

async fn findings(session: &Session) -> Vec<Finding> {
    session.poll_backups().await.unwrap();
    session.status().unwrap().findings
}

/// The only finding there is.
async fn only(session: &Session) -> Finding {
    let mut findings = findings(session).await;
    assert_eq!(findings.len(), 1, "{findings:?}");
    findings.remove(0)
}

fn name(session: &Session) -> Option<String> {
    session.profile(ProfileField::GivenName).unwrap()
}

async fn restored(bed: &Bed, clouds: &[usize]) -> Session {
    let wallet = bed.device(clouds);
    wallet.restore(&root(), |_| ()).await.unwrap();
    let session = wallet.unlock(&root()).await.unwrap();
    session.poll_backups().await.unwrap();
    session
}

fn write(session: &Session, value: &str) {
    let (ns, key) = (Namespace::new("channels", "").unwrap(), Key::new("one").unwrap());
    session.kv().unwrap().write(&ns, &key, value).unwrap();
}

fn read(session: &Session) -> String {
    let (ns, key) = (Namespace::new("channels", "").unwrap(), Key::new("one").unwrap());
    let value = session.kv().unwrap().read(&ns, &key).unwrap().unwrap();
    String::from_utf8(value.to_vec()).unwrap()
}

fn batch(value: &str) -> Batch {
    Batch::new().put(&Namespace::new("channels", "").unwrap(), &Key::new("one").unwrap(), value)
}

#[tokio::test]
async fn a_rollback_is_reported_with_what_and_since_when_and_nothing_is_applied() {
    let bed = Bed::new();
    let (session, between) = bed.old_and_new(&[0]).await;
    assert_eq!(findings(&session).await, []);
    let mut events = session.events();
    bed.malice[0].lie(Lie::RollBackAll { to: between });
    let since = bed.clock.now().0;
    let found = only(&session).await;
    assert_eq!((found.kind, found.cloud.as_str()), ("rolled-back", "cloud 1"));
    assert_eq!((found.since, found.last), (since, since));
    let status = session.status().unwrap();
    assert!(found.what.contains(&format!("up to change {}", status.backed_up)), "{found:?}");
    assert!(found.what.contains(&status.writer), "{found:?}");
    let told = std::iter::from_fn(|| events.try_recv().ok());
    assert_eq!(told.filter(|e| matches!(e, Event::Suspicious(_))).count(), 1);
    assert_eq!(name(&session).as_deref(), Some("new"), "nothing is applied");
    bed.clock.advance(MINUTE);
    let found = only(&session).await;
    assert_eq!((found.since, found.last), (since, since + MINUTE), "it lasts");
    // It was an outage: the finding goes.
    bed.malice[0].be_honest();
    assert_eq!(findings(&session).await, []);

    // It was not, and the user takes note: what is there is the new measure.
    bed.malice[0].lie(Lie::RollBackAll { to: between });
    only(&session).await;
    assert_eq!(session.acknowledge_findings().unwrap(), 1);
    assert_eq!(findings(&session).await, []);
}

#[tokio::test]
async fn a_tail_that_one_cloud_withholds_is_reported_once_it_lasts() {
    let bed = Bed::new();
    let one = bed.old(&[0, 1]).await;
    let two = restored(&bed, &[0, 1]).await;
    bed.malice[0].lie(Lie::Withhold { after: bed.malice[0].now() });
    set(&one, "new").await;
    one.post_backup().await.unwrap();
    assert_eq!(findings(&two).await, [], "a cloud may be a little late");
    assert_eq!(name(&two).as_deref(), Some("new"), "the other cloud has it");
    bed.clock.advance(11 * MINUTE);
    let found = only(&two).await;
    assert_eq!((found.kind, found.cloud.as_str()), ("withheld-tail", "cloud 1"));
    assert!(found.what.contains(&one.status().unwrap().writer), "{found:?}");
    bed.malice[0].be_honest();
    assert_eq!(findings(&two).await, []);
}

#[tokio::test]
async fn heads_frozen_for_longer_than_the_setting_are_reported() {
    let bed = Bed::new();
    let one = bed.old(&[0]).await;
    let two = restored(&bed, &[0]).await;
    bed.clock.advance(29 * DAY);
    assert_eq!(findings(&two).await, []);
    bed.clock.advance(2 * DAY);
    let found = only(&two).await;
    assert_eq!(found.kind, "frozen");
    assert!(found.what.contains(&one.status().unwrap().writer), "{found:?}");
    // A device that runs and has nothing to say puts a head all the same.
    assert!(one.post_backup().await.unwrap().objects > 0);
    assert_eq!(findings(&two).await, []);
    assert_eq!(one.post_backup().await.unwrap().objects, 0, "one an hour is enough");
    bed.clock.advance(60 * MINUTE);
    assert_eq!(one.post_backup().await.unwrap().objects, 1);
}

#[tokio::test]
async fn a_gap_is_reported_and_blocks_nobody_else() {
    let bed = Bed::new();
    let one = bed.old(&[0]).await;
    let two = restored(&bed, &[0]).await;
    set(&one, "new").await;
    one.post_backup().await.unwrap();
    let segment = bed.objects("s").pop().unwrap();
    bed.malice[0].lie(Lie::RollBackObject { name: segment, to: 0 });
    let found = only(&two).await;
    assert_eq!(found.kind, "gap");
    assert!(found.what.contains(&one.status().unwrap().writer), "{found:?}");
    assert_eq!(name(&two).as_deref(), Some("old"));
    set(&two, "mine").await;
    two.post_backup().await.unwrap();
    bed.malice[0].be_honest();
    assert_eq!(findings(&two).await, []);
}

/// A scrub finds what a look at the heads does not: an object in the middle of a chain.
#[tokio::test]
async fn a_gap_that_a_scrub_finds_is_written_down_until_it_is_healed() {
    let bed = Bed::new();
    let (session, _) = bed.old_and_new(&[0]).await;
    set(&session, "newer").await;
    session.post_backup().await.unwrap();
    let middle = bed.objects("s").into_iter().rev().nth(1).unwrap();
    bed.malice[0].lie(Lie::RollBackObject { name: middle, to: 0 });
    assert_eq!(findings(&session).await, []);
    assert!(session.verify(true).await.unwrap().is_damaged());
    let found = session.status().unwrap().findings;
    assert_eq!(found.iter().map(|f| f.kind).collect::<Vec<_>>(), ["gap"], "{found:?}");
    bed.malice[0].be_honest();
    assert!(!session.verify(true).await.unwrap().is_damaged());
    assert_eq!(session.status().unwrap().findings, []);
}

#[tokio::test]
async fn another_writers_damaged_head_keeps_nobody_from_backing_up() {
    let bed = Bed::new();
    let one = bed.old(&[0]).await;
    let two = restored(&bed, &[0]).await;
    set(&one, "new").await;
    one.post_backup().await.unwrap();
    let head = bed.objects("h").pop().unwrap();
    bed.malice[0].lie(Lie::FlipBit { name: head });
    set(&two, "mine").await;
    two.post_backup().await.unwrap();
    assert_eq!(two.status().unwrap().lag_records, 0);
}

#[tokio::test]
async fn a_fence_that_went_back_is_reported_and_nothing_is_acknowledged_meanwhile() {
    let bed = Bed::new();
    let wallet = bed.device(&[0]);
    let session = wallet.create(&root()).await.unwrap();
    write(&session, "1");
    session.post_backup().await.unwrap();
    let between = bed.malice[0].now();
    write(&session, "2");
    session.post_backup().await.unwrap();
    let fenced = session.status().unwrap().fenced_to;
    let fence = bed.malice[0].names().into_iter().find(|n| n.as_str().ends_with("/f")).unwrap();
    bed.malice[0].lie(Lie::RollBackObject { name: fence, to: between });
    // A session that remembers the tag would not even look, and be right: this one begins anew.
    session.lock().await.unwrap();
    let session = wallet.unlock(&root()).await.unwrap();
    let mut commit = session.kv_replicated().unwrap().submit(batch("3"));
    let report = session.post_backup().await.unwrap();
    assert_eq!(report.single_writer, Some(SingleWriter::Suspended));
    let status = session.status().unwrap();
    let kinds: Vec<_> = status.findings.iter().map(|f| f.kind).collect();
    assert_eq!(kinds, ["fence-rolled-back"]);
    assert_eq!(status.fenced_to, fenced, "nothing was acknowledged");
    assert!(now(&mut commit).is_none(), "it waits");
    bed.malice[0].be_honest();
    let report = session.post_backup().await.unwrap();
    assert_eq!(report.single_writer, Some(SingleWriter::Acknowledged));
    assert_eq!(findings(&session).await, []);
    assert!(matches!(now(&mut commit), Some(Ok(()))));
}

/// Who took over from what an old fencing head says would depose a writer that was deposed long ago.
#[tokio::test]
async fn nobody_takes_over_from_a_fencing_head_that_went_back() {
    let bed = Bed::new();
    let one = bed.device(&[0]).create(&root()).await.unwrap();
    write(&one, "1");
    one.post_backup().await.unwrap();
    let two = restored(&bed, &[0]).await;
    let between = bed.malice[0].now();
    two.take_over().await.unwrap();
    let fence = bed.malice[0].names().into_iter().find(|n| n.as_str().ends_with("/f")).unwrap();
    bed.malice[0].lie(Lie::RollBackObject { name: fence, to: between });
    let taken = two.take_over().await;
    assert!(matches!(&taken, Err(Error::Suspicious { cloud }) if cloud == "cloud 1"), "{taken:?}");
    let status = two.status().unwrap();
    let kinds: Vec<_> = status.findings.iter().map(|f| f.kind).collect();
    assert_eq!(kinds, ["fence-rolled-back"]);
    bed.malice[0].be_honest();
    two.take_over().await.unwrap();
}

/// What a future says when it is looked at once.
fn now<T>(future: &mut (impl Future<Output = T> + Unpin)) -> Option<T> {
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::Pin::new(future).poll(&mut cx) {
        std::task::Poll::Ready(value) => Some(value),
        std::task::Poll::Pending => None,
    }
}

/// A cloud that ignores conditions keeps no second writer out. It is found out when it is tried,
/// refused for what must be replicated, and two writers are told of each other.
#[tokio::test]
async fn a_cloud_that_cannot_fence_is_refused_and_two_writers_are_noticed() {
    let bed = Bed::new();
    bed.malice[0].lie(Lie::IgnoreConditions);
    let one = bed.device(&[0]).create(&root()).await.unwrap();
    let mut first = one.kv_replicated().unwrap().submit(batch("1"));
    let report = one.post_backup().await.unwrap();
    assert_eq!(report.single_writer, Some(SingleWriter::Noted));
    // A backup with nothing of the kind in it does not say that it is replicated.
    set(&one, "merges").await;
    assert_eq!(one.post_backup().await.unwrap().single_writer, None);
    let Some(Err(kv_core::Error::NotReplicated { source, .. })) = now(&mut first) else {
        panic!("it counts as replicated, or waits in vain")
    };
    assert!(
        matches!(source.downcast_ref(), Some(Error::CannotFence { cloud, missing })
        if cloud == "cloud 1" && missing.contains("create an object only if")),
        "{source:?}"
    );
    let refused = one.kv_replicated().unwrap().submit(batch("2")).await.unwrap_err();
    assert!(refused.is_refusal(), "{refused:?}");
    assert_eq!(one.status().unwrap().cannot_fence.len(), 1);
    write(&one, "2");
    one.post_backup().await.unwrap();

    let two = restored(&bed, &[0]).await;
    let taken = two.take_over().await.unwrap();
    assert_eq!(taken.without_compare_and_swap, ["cloud 1"]);
    write(&two, "3");
    assert_eq!(two.post_backup().await.unwrap().single_writer, Some(SingleWriter::Noted));
    write(&one, "late");
    assert_eq!(one.post_backup().await.unwrap().single_writer, Some(SingleWriter::Stopped));
    let kinds: Vec<_> = one.status().unwrap().findings.iter().map(|f| f.kind).collect();
    assert_eq!(kinds, ["concurrent-writers"]);
}

/// Where nothing is compared, an answer is worth nothing: only what is read back counts.
#[tokio::test(start_paused = true)]
async fn a_fencing_head_that_was_stored_nowhere_is_not_noted() {
    let bed = Bed::new();
    bed.malice[0].lie(Lie::IgnoreConditions);
    let session = bed.old(&[0]).await;
    write(&session, "one");
    let report = session.post_backup().await.unwrap();
    assert_eq!(report.single_writer, Some(SingleWriter::Noted));
    bed.malice[0].take_back(&Lie::IgnoreConditions);
    bed.malice[0].lie(Lie::StoreNothing);
    write(&session, "two");
    let outcome = session.post_backup().await;
    assert!(!matches!(&outcome, Ok(report) if report.single_writer.is_some()), "{outcome:?}");
}

/// What a device was shown may be old, and what it was told about conditions false: as long as the
/// cloud does compare, nothing newer is overwritten.
#[tokio::test(start_paused = true)]
async fn a_device_that_is_shown_an_older_fence_does_not_overwrite_the_newer_one() {
    let bed = Bed::new();
    let one = bed.old(&[0]).await;
    write(&one, "old");
    one.post_backup().await.unwrap();
    let between = bed.malice[0].now();
    write(&one, "new");
    let report = one.post_backup().await.unwrap();
    assert_eq!(report.single_writer, Some(SingleWriter::Acknowledged));
    let lie = Lie::RollBackAll { to: between };
    bed.malice[0].lie_to(2, lie.clone());
    let two = restored(&bed, &[0]).await;
    assert_eq!(read(&two), "old");
    let taken = two.take_over().await;
    assert!(taken.is_err(), "{taken:?}");
    bed.malice[0].take_back(&lie);
    assert_eq!(read(&restored(&bed, &[0]).await), "new");
    let report = one.post_backup().await.unwrap();
    assert_ne!(report.single_writer, Some(SingleWriter::Stopped));
}

/// A takeover names the head that was restored; where a cloud does not say that it has it, nothing is
/// put.
#[tokio::test(start_paused = true)]
async fn a_takeover_names_no_head_in_a_cloud_that_does_not_say_it_has_it() {
    let bed = Bed::new();
    let one = bed.old(&[0, 1]).await;
    bed.malice[0].lie(Lie::Down);
    set(&one, "new").await;
    assert!(one.post_backup().await.is_err(), "both are asked for");
    bed.malice[0].take_back(&Lie::Down);
    let two = restored(&bed, &[0, 1]).await;
    bed.malice[0].plan(|call| {
        let is_head = call.act == "get" && call.name.as_str().contains("/h/");
        is_head.then_some(Fault::Lost)
    });
    bed.malice[1].lie(Lie::Down);
    let taken = two.take_over().await;
    assert!(matches!(taken, Err(Error::TakeoverIncomplete { held: 0, .. })), "{taken:?}");
}

/// What was restored is gone from a cloud, so the takeover puts a backup of its own first: it counts only
/// where that one arrived.
#[tokio::test(start_paused = true)]
async fn a_takeover_counts_no_cloud_that_lacks_what_it_put_first() {
    let bed = Bed::new();
    bed.old(&[0, 1]).await;
    let two = bed.restored_acknowledged_by(&[0, 1], 1).await;
    bed.lose_heads(0).await;
    bed.malice[1].plan(|call| {
        let is_head = call.act == "put" && call.name.as_str().contains("/h/");
        is_head.then_some(Fault::Lost)
    });
    let taken = two.take_over().await;
    assert!(matches!(taken, Err(Error::TakeoverIncomplete { held: 0, .. })), "{taken:?}");
    bed.malice[1].plan(|_| None);
    let taken = two.take_over().await.unwrap();
    assert_eq!((taken.clouds, taken.missing), (2, vec![]));
}

/// All clouds answer when they are asked, and then one does not take the fencing head.
#[tokio::test(start_paused = true)]
async fn a_takeover_that_too_few_clouds_take_is_none() {
    let bed = Bed::new();
    let mut settings = Settings::default();
    settings.acknowledged_by = Some(1);
    let one = bed.device_with(&[0, 1], settings).create(&root()).await.unwrap();
    write(&one, "1");
    one.post_backup().await.unwrap();
    let two = bed.restored_acknowledged_by(&[0, 1], 1).await;
    bed.malice[1].plan(|call| {
        let is_fence = call.act == "put" && call.name.as_str().ends_with("/f");
        is_fence.then_some(Fault::ServerError)
    });
    let before = two.status().unwrap().epoch;
    let taken = two.take_over().await;
    let Err(Error::TakeoverIncomplete { held: 1, needed: 2, missing }) = taken else {
        panic!("{taken:?}")
    };
    assert_eq!(missing, "cloud 2");
    assert_eq!(two.status().unwrap().epoch, before, "it took over");
    bed.malice[1].plan(|_| None);
    assert_eq!(two.take_over().await.unwrap().clouds, 2);
}
