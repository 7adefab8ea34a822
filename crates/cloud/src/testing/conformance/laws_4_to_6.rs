//! Conditions are honoured, and deleting is idempotent.

use std::{sync::Arc, time::Duration};

use super::{is_conflict, list, name, put, race, read, run};
use crate::{CloudBackend, PutMode, RetrySettings, Retrying, probe, testing::Testbed};

/// Of sixteen that create one object, exactly one wins, and its bytes are there.
pub fn law_4_one_creator_wins<B: Testbed>(make: &impl Fn() -> B) {
    run(make, async |bed| {
        let cloud = bed.open();
        for round in 0..4 {
            let object = name(&format!("race/{round}"));
            let winners = race(bed, &object, PutMode::CreateOnly).await;
            assert_eq!(winners.len(), 1, "{winners:?}");
            let (bytes, _) = read(&*cloud, &object).await.unwrap();
            assert_eq!(winners, [bytes]);
        }
        // A deleted object can be created again.
        let object = name("race/0");
        cloud.delete(&object).await.unwrap();
        assert_eq!(race(bed, &object, PutMode::CreateOnly).await.len(), 1);
    });
}

/// Of sixteen that replace one version of an object, exactly one wins, and its bytes are there.
pub fn law_5_one_replacer_wins<B: Testbed>(make: &impl Fn() -> B) {
    run(make, async |bed| {
        let cloud = bed.open();
        let object = name("race");
        let mut tag = put(&*cloud, &object, "start").await;
        for round in 0..4 {
            let winners = race(bed, &object, PutMode::Replace(tag)).await;
            assert_eq!(winners.len(), 1, "{winners:?}");
            let (bytes, _) = read(&*cloud, &object).await.unwrap();
            assert_eq!(winners, [bytes]);
            // Else a winner of this round could find its own bytes in the next.
            tag = put(&*cloud, &object, format!("round {round}")).await;
        }
    });
}

/// A stale tag, an absent object, a taken name: a conflict, and nothing is changed.
pub fn law_5_a_refused_put_changes_nothing<B: Testbed>(make: &impl Fn() -> B) {
    run(make, async |bed| {
        let cloud = bed.open();
        let (object, absent) = (name("a/b"), name("a/c"));
        let stale = put(&*cloud, &object, "old").await;
        let newer = PutMode::Replace(stale.clone());
        let current = cloud.put(&object, "now".into(), newer).await.unwrap();
        for how in [PutMode::Replace(stale.clone()), PutMode::CreateOnly] {
            let refused = cloud.put(&object, "refused".into(), how).await;
            assert!(is_conflict(&refused), "{refused:?}");
        }
        for tag in [&stale, &current] {
            let how = PutMode::Replace(tag.clone());
            let refused = cloud.put(&absent, "refused".into(), how).await;
            assert!(is_conflict(&refused), "{refused:?}");
        }
        let expected = (b"now".to_vec(), current.clone());
        assert_eq!(read(&*cloud, &object).await, Some(expected));
        assert_eq!(read(&*cloud, &absent).await, None);
        assert_eq!(list(&*cloud, &name("a")).await, std::slice::from_ref(&object));
        // The tag of a deleted object is stale, too.
        cloud.delete(&object).await.unwrap();
        let how = PutMode::Replace(current);
        let refused = cloud.put(&object, "refused".into(), how).await;
        assert!(is_conflict(&refused), "{refused:?}");
        assert_eq!(read(&*cloud, &object).await, None);
    });
}

/// Who keeps laws 4 and 5 is taken for a cloud that compares and swaps, asked as a wallet asks.
pub fn it_passes_the_probe<B: Testbed>(make: &impl Fn() -> B) {
    run(make, async |bed| {
        // Several services do not answer while writers race.
        let settings = RetrySettings { budget: Duration::from_secs(20), ..Default::default() };
        let cloud: Arc<dyn CloudBackend> = Arc::new(Retrying::new(bed.open(), settings));
        let found = probe(&cloud).await.unwrap();
        assert!(found.is_compare_and_swap(), "{found:?}");
    });
}

/// Deleting once, twice, and what never was.
pub fn law_6_deleting_is_idempotent<B: Testbed>(make: &impl Fn() -> B) {
    run(make, async |bed| {
        let cloud = bed.open();
        let (object, kept) = (name("a/b/c"), name("a/b/d"));
        put(&*cloud, &object, "x").await;
        put(&*cloud, &kept, "kept").await;
        for _ in 0..2 {
            cloud.delete(&object).await.unwrap();
        }
        for nothing in ["a/b", "a/b/c/d", "never/was"] {
            cloud.delete(&name(nothing)).await.unwrap();
        }
        assert_eq!(list(&*cloud, &name("a")).await, std::slice::from_ref(&kept));
        assert_eq!(read(&*bed.open(), &kept).await.unwrap().0, b"kept");
        assert_eq!(read(&*bed.open(), &object).await, None);
    });
}
