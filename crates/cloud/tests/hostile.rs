//! A hostile cloud does what it is told, tells what it did, and does the same again.

#![expect(clippy::unwrap_used, reason = "a test panics")]

use std::{sync::Arc, time::Duration};

use backup::ObjectName;
use cloud::{
    CloudBackend, CloudError, MemCloud, PutMode, Tag, poll_backups,
    testing::{Fault, HostileCloud, Lie, Malice, Temper},
};

struct Bed {
    malice: Arc<Malice>,
    a: HostileCloud,
    b: HostileCloud,
}

fn bed(malice: Arc<Malice>) -> Bed {
    let inner: Arc<dyn CloudBackend> = Arc::new(MemCloud::new());
    let device = |number| HostileCloud::new(inner.clone(), malice.clone(), number);
    Bed { a: device(1), b: device(2), malice }
}

fn name(name: &str) -> ObjectName {
    ObjectName::new(name).unwrap()
}

async fn put(cloud: &HostileCloud, at: &str, text: &'static str) -> Tag {
    cloud.put(&name(at), text.into(), PutMode::Overwrite).await.unwrap()
}

async fn get(cloud: &HostileCloud, at: &str) -> Option<String> {
    let found = cloud.get(&name(at)).await.unwrap();
    found.map(|(bytes, _)| String::from_utf8(bytes.to_vec()).unwrap())
}

async fn list(cloud: &HostileCloud) -> Vec<String> {
    let page = cloud.list(&name("w"), None).await.unwrap();
    page.into_iter().map(|meta| meta.name.to_string()).collect()
}

#[tokio::test]
async fn one_object_or_everything_is_rolled_back() {
    let Bed { malice, a, .. } = bed(Malice::none());
    put(&a, "w/x", "old x").await;
    put(&a, "w/y", "old y").await;
    let then = malice.now();
    put(&a, "w/x", "new x").await;
    a.delete(&name("w/y")).await.unwrap();
    put(&a, "w/z", "new z").await;
    malice.lie(Lie::RollBackObject { name: name("w/x"), to: then });
    assert_eq!(get(&a, "w/x").await.as_deref(), Some("old x"));
    assert_eq!(get(&a, "w/y").await, None);
    malice.be_honest();
    malice.lie(Lie::RollBackAll { to: then });
    assert_eq!(list(&a).await, ["w/x", "w/y"]);
    assert_eq!(get(&a, "w/y").await.as_deref(), Some("old y"));
    assert_eq!(get(&a, "w/z").await, None);
    malice.be_honest();
    assert_eq!(list(&a).await, ["w/x", "w/z"]);
    assert_eq!(get(&a, "w/x").await.as_deref(), Some("new x"));
    assert_eq!(malice.deeds().len(), 4, "{malice:?}");
}

#[tokio::test]
async fn a_fork_shows_each_device_its_own() {
    let Bed { malice, a, b } = bed(Malice::none());
    let tag = put(&a, "w/fence", "both").await;
    malice.lie(Lie::Fork { from: malice.now() });
    let replace = PutMode::Replace(tag);
    a.put(&name("w/fence"), "a's".into(), replace.clone()).await.unwrap();
    b.put(&name("w/fence"), "b's".into(), replace.clone()).await.unwrap();
    put(&a, "w/only-a", "a").await;
    assert_eq!(get(&a, "w/fence").await.as_deref(), Some("a's"));
    assert_eq!(get(&b, "w/fence").await.as_deref(), Some("b's"));
    assert_eq!(list(&b).await, ["w/fence"]);
    let again = b.put(&name("w/fence"), "c".into(), replace).await;
    assert!(matches!(again, Err(CloudError::Conflict { .. })), "{again:?}");
    malice.be_honest();
    assert_eq!(get(&a, "w/fence").await.as_deref(), Some("b's"), "what was put last stays");
}

#[tokio::test]
async fn a_lie_can_be_for_one_device_only() {
    let Bed { malice, a, b } = bed(Malice::none());
    put(&a, "w/x", "x").await;
    let then = malice.now();
    put(&a, "w/y", "y").await;
    malice.lie_to(2, Lie::Withhold { after: then });
    assert_eq!((list(&a).await.len(), list(&b).await.len()), (2, 1));
    malice.lie_to(1, Lie::Stale { by: 2 });
    assert_eq!(list(&a).await.len(), 0);
}

#[tokio::test]
async fn names_bytes_and_listings_are_falsified() {
    let Bed { malice, a, .. } = bed(Malice::none());
    put(&a, "w/x", "text of x").await;
    put(&a, "w/y", "text of y").await;
    let (x, y) = (name("w/x"), name("w/y"));
    malice.lie(Lie::Exchange { name: x.clone(), with: y.clone() });
    assert_eq!(get(&a, "w/x").await.as_deref(), Some("text of y"));
    malice.lie(Lie::Plant { name: name("w/z"), like: y.clone() });
    assert_eq!(get(&a, "w/z").await.as_deref(), Some("text of y"));
    assert_eq!(list(&a).await, ["w/x", "w/y", "w/z"]);
    malice.be_honest();
    malice.lie(Lie::Cut { name: x.clone(), to: 4 });
    malice.lie(Lie::FlipBit { name: y });
    assert_eq!(get(&a, "w/x").await.as_deref(), Some("text"));
    assert_ne!(get(&a, "w/y").await.as_deref(), Some("text of y"));
    for lie in [Lie::ReverseListings, Lie::DoubleListings] {
        malice.be_honest();
        malice.lie(lie);
        assert!(poll_backups(&a, &name("w")).await.is_err());
    }
    malice.be_honest();
    malice.lie(Lie::EmptyListings);
    assert!(list(&a).await.is_empty());
}

#[tokio::test]
async fn conditions_are_ignored_and_puts_forgotten() {
    let Bed { malice, a, .. } = bed(Malice::none());
    put(&a, "w/x", "x").await;
    malice.lie(Lie::IgnoreConditions);
    a.put(&name("w/x"), "y".into(), PutMode::CreateOnly).await.unwrap();
    assert_eq!(get(&a, "w/x").await.as_deref(), Some("y"));
    malice.be_honest();
    malice.lie(Lie::StoreNothing);
    put(&a, "w/z", "z").await;
    assert_eq!(get(&a, "w/z").await, None);
    malice.be_honest();
    malice.lie(Lie::Down);
    assert!(a.get(&name("w/x")).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn calls_fail_in_every_way() {
    let Bed { malice, a, .. } = bed(Malice::none());
    let wait = Duration::from_secs(7);
    malice.fail_nth(1, Fault::Lost);
    assert!(a.put(&name("w/x"), "x".into(), PutMode::CreateOnly).await.is_err());
    assert_eq!(get(&a, "w/x").await, None);
    malice.fail_nth(1, Fault::AnswerLost);
    assert!(a.put(&name("w/x"), "x".into(), PutMode::CreateOnly).await.is_err());
    assert_eq!(get(&a, "w/x").await.as_deref(), Some("x"));
    malice.fail_nth(1, Fault::Truncated);
    assert_eq!(get(&a, "w/x").await.as_deref(), Some(""));
    malice.fail_nth(1, Fault::Conflict);
    let answer = a.put(&name("w/y"), "y".into(), PutMode::CreateOnly).await;
    assert!(matches!(answer, Err(CloudError::Conflict { .. })));
    malice.fail_nth(1, Fault::TooManyRequests(wait));
    let answer = a.get(&name("w/x")).await;
    assert!(
        matches!(answer, Err(CloudError::Unavailable { retry_after: Some(w), .. }) if w == wait)
    );
    malice.fail_nth(1, Fault::Late(wait));
    let start = tokio::time::Instant::now();
    assert_eq!(get(&a, "w/x").await.as_deref(), Some("x"));
    assert!(start.elapsed() >= wait);
    assert_eq!(malice.deeds().len(), 6);
}

#[tokio::test]
async fn what_was_answered_with_an_error_lands_later() {
    let Bed { malice, a, .. } = bed(Malice::none());
    malice.fail_nth(1, Fault::LandsLater { calls: 2 });
    assert!(a.put(&name("w/x"), "x".into(), PutMode::CreateOnly).await.is_err());
    assert_eq!(get(&a, "w/x").await, None);
    assert_eq!(get(&a, "w/x").await.as_deref(), Some("x"));
    malice.fail_nth(1, Fault::LandsLater { calls: 1000 });
    assert!(a.delete(&name("w/x")).await.is_err());
    assert!(get(&a, "w/x").await.is_some());
    a.settle().await;
    assert_eq!(get(&a, "w/x").await, None);
    a.destroy_all().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_does_the_same() {
    let run = async |seed| {
        let temper =
            Temper { faults: 200, lies: 100, lie_lasts: 20, deletions: 20, destroys: true };
        let Bed { malice, a, b } = bed(Malice::seeded(seed, temper));
        for number in 0..300 {
            let cloud = if number % 3 == 0 { &b } else { &a };
            let at = name(&format!("w/{}", number % 40));
            let _ = cloud.put(&at, number.to_string().into(), PutMode::Overwrite).await;
            let _ = cloud.get(&at).await;
            let _ = cloud.list(&name("w"), None).await;
        }
        malice.deeds()
    };
    let first = run(7).await;
    assert!(first.len() > 100, "{}", first.len());
    assert_eq!(first, run(7).await);
    assert_ne!(first, run(8).await);
}
