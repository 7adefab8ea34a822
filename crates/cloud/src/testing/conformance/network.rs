//! What a cloud does when the line to its service is bad, and when the service says no.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

use super::{is_conflict, list, name, put, read, run};
use crate::{
    CloudBackend, CloudError, PutMode, RetrySettings, Retrying,
    testing::{Line, Testbed, Trouble},
};

/// A service that the suite reaches over a [`Line`].
///
/// The clouds it opens must give up after a second or so without a byte.
#[async_trait]
pub trait RemoteBed: Testbed {
    /// The line that all clouds of this bed use.
    fn line(&self) -> &Line;

    /// The same cloud with a password or key that is not right; `None` if there is nothing wrong
    /// that one could say.
    fn open_with_wrong_credentials(&self) -> Option<Arc<dyn CloudBackend>>;

    /// A bucket, container or the like that does not exist; `None` if the kind of cloud has none.
    fn open_missing(&self) -> Option<Arc<dyn CloudBackend>>;
}

/// Retries, quick ones.
fn patient(cloud: Arc<dyn CloudBackend>) -> Retrying {
    let settings = RetrySettings {
        first_wait: Duration::from_millis(1),
        longest_wait: Duration::from_millis(50),
        budget: Duration::from_secs(30),
    };
    Retrying::new(cloud, settings)
}

/// A put whose answer is lost has happened once, and trying again finds that out.
pub fn a_lost_answer_is_harmless<B: RemoteBed>(make: &impl Fn() -> B) {
    run(make, async |bed| {
        let cloud = patient(bed.open());
        for n in 0..4 {
            let object = name(&format!("lost/{n}"));
            bed.line().set_once(Trouble::LosesAnswers);
            let tag = cloud.put(&object, "ours".into(), PutMode::CreateOnly).await.unwrap();
            assert_eq!(bed.line().broken(), 1);
            bed.line().mend();
            assert_eq!(read(&cloud, &object).await, Some((b"ours".to_vec(), tag.clone())));
            let again = cloud.put(&object, "theirs".into(), PutMode::CreateOnly).await;
            assert!(is_conflict(&again), "{again:?}");

            bed.line().set_once(Trouble::LosesAnswers);
            match cloud.put(&object, "newer".into(), PutMode::Replace(tag)).await {
                Ok(newer) => {
                    bed.line().mend();
                    assert_eq!(read(&cloud, &object).await, Some((b"newer".to_vec(), newer)));
                }
                // It knows no condition, and says so.
                Err(CloudError::TooOld { .. }) => bed.line().mend(),
                Err(error) => panic!("{error:?}"),
            }

            bed.line().set_once(Trouble::LosesAnswers);
            cloud.delete(&object).await.unwrap();
            bed.line().mend();
            assert_eq!(read(&cloud, &object).await, None);
        }
    });
}

/// Wherever the line breaks, an object is whole or absent, and trying again stores it.
pub fn a_broken_line_leaves_nothing_half<B: RemoteBed>(make: &impl Fn() -> B) {
    run(make, async |bed| {
        let cloud = bed.open();
        let bytes: Vec<u8> = (0..300_000u32).map(|i| (i ^ (i >> 8)) as u8).collect();
        for (n, limit) in [0, 100, 1000, 20_000, 200_000, 299_000].into_iter().enumerate() {
            let object = name(&format!("broken/{n}"));
            bed.line().set(Trouble::BreaksAfter(limit));
            let put = cloud.put(&object, bytes.clone().into(), PutMode::CreateOnly).await;
            let error = put.expect_err("the line broke before the end");
            assert!(error.is_transient(), "{error:?}");
            bed.line().mend();
            let found = cloud.get(&object).await.unwrap();
            assert!(found.is_none_or(|(found, _)| found == bytes), "half an object");
            let again = patient(bed.open());
            match again.put(&object, bytes.clone().into(), PutMode::CreateOnly).await {
                Ok(_) => {}
                // It had landed, and this handle cannot know that it was ours.
                other => assert!(is_conflict(&other), "{other:?}"),
            }
            assert!(read(&*cloud, &object).await.unwrap().0 == bytes);
        }
    });
}

/// Wherever an answer breaks off, what came of it is not taken for the object, nor for a listing.
pub fn an_answer_that_breaks_off_is_no_object<B: RemoteBed>(make: &impl Fn() -> B) {
    run(make, async |bed| {
        let object = name("cut/object");
        let bytes: Vec<u8> = (0..300_000u32).map(|i| (i ^ (i >> 8)) as u8).collect();
        put(&*bed.open(), &object, bytes.clone()).await;
        for limit in [0, 100, 1000, 20_000, 200_000, 299_000] {
            bed.line().set(Trouble::CutsAnswersAfter(limit));
            let cut = bed.open().get(&object).await;
            assert!(cut.as_ref().is_err_and(CloudError::is_transient), "{limit}: {:?}", cut.err());
            if limit <= 100 {
                let cut = bed.open().list(&name("cut"), None).await;
                assert!(cut.as_ref().is_err_and(CloudError::is_transient), "{limit}: {cut:?}");
            }
            bed.line().mend();
            assert!(read(&*bed.open(), &object).await.unwrap().0 == bytes);
        }
    });
}

/// A line that is slow, but not dead, is good enough.
pub fn a_slow_line_is_borne<B: RemoteBed>(make: &impl Fn() -> B) {
    run(make, async |bed| {
        let cloud = bed.open();
        let object = name("slow/object");
        let bytes = vec![7; 200_000];
        put(&*cloud, &object, bytes.clone()).await;
        bed.line().set(Trouble::Slow(Duration::from_millis(20)));
        assert!(read(&*cloud, &object).await.unwrap().0 == bytes);
        assert_eq!(list(&*cloud, &name("slow")).await, std::slice::from_ref(&object));
        put(&*cloud, &object, bytes).await;
    });
}

/// No call hangs on a dead line, and none takes it for an absent object or an empty cloud.
pub fn a_dead_line_is_an_error_in_time<B: RemoteBed>(make: &impl Fn() -> B) {
    run(make, async |bed| {
        let cloud = bed.open();
        let object = name("dead/object");
        put(&*cloud, &object, "x").await;
        for trouble in [Trouble::Stands, Trouble::Closed] {
            bed.line().set(trouble);
            let calls = async {
                assert_transient(cloud.get(&object).await, trouble);
                assert_transient(cloud.list(&name("dead"), None).await, trouble);
                let how = PutMode::CreateOnly;
                assert_transient(cloud.put(&name("dead/y"), "y".into(), how).await, trouble);
                assert_transient(cloud.delete(&object).await, trouble);
            };
            let ended = tokio::time::timeout(Duration::from_secs(120), calls).await;
            assert!(ended.is_ok(), "a call hangs: {trouble:?}");
            bed.line().mend();
        }
        let cloud = patient(bed.open());
        cloud.delete(&object).await.unwrap();
        assert_eq!(read(&cloud, &object).await, None);
    });
}

/// Wrong credentials are told as such by every call.
pub fn wrong_credentials_are_told<B: RemoteBed>(make: &impl Fn() -> B) {
    run(make, async |bed| {
        let object = name("secret/object");
        put(&*bed.open(), &object, "x").await;
        let Some(cloud) = bed.open_with_wrong_credentials() else { return };
        let how = PutMode::Overwrite;
        let calls = [
            cloud.get(&object).await.map(drop),
            cloud.get(&name("secret/none")).await.map(drop),
            cloud.list(&name("secret"), None).await.map(drop),
            cloud.put(&object, "y".into(), how).await.map(drop),
            cloud.delete(&object).await,
        ];
        for (n, call) in calls.into_iter().enumerate() {
            assert!(matches!(call, Err(CloudError::Unauthorized { .. })), "{n}: {call:?}");
        }
        assert_eq!(read(&*bed.open(), &object).await.unwrap().0, b"x");
    });
}

/// A bucket that is not there is not an empty one.
pub fn a_missing_bucket_is_not_an_empty_one<B: RemoteBed>(make: &impl Fn() -> B) {
    run(make, async |bed| {
        let Some(cloud) = bed.open_missing() else { return };
        let object = name("missing/object");
        let calls = [
            cloud.get(&object).await.map(drop),
            cloud.list(&name("missing"), None).await.map(drop),
            cloud.put(&object, "y".into(), PutMode::CreateOnly).await.map(drop),
            cloud.put(&object, "y".into(), PutMode::Overwrite).await.map(drop),
        ];
        for (n, call) in calls.into_iter().enumerate() {
            assert!(matches!(call, Err(CloudError::BadAddress { .. })), "{n}: {call:?}");
        }
    });
}

fn assert_transient<T: std::fmt::Debug>(result: Result<T, CloudError>, trouble: Trouble) {
    match result {
        Err(e) if e.is_transient() => {}
        other => panic!("{trouble:?}: {other:?}"),
    }
}
