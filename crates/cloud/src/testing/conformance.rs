//! The conformance suite: one function per law of [`CloudBackend`], run by
//! [`conformance!`](crate::conformance) for every cloud and every decorator.

#![expect(clippy::unwrap_used, reason = "a test suite panics")]

mod laws_1_to_3;
mod laws_4_to_6;
mod laws_7_to_8;
mod network;
mod seen;

use std::{sync::Arc, time::Duration};

use backup::ObjectName;
use bytes::Bytes;
pub use laws_1_to_3::{law_1_whole, law_2_durable_once_answered, law_3_reads_see_the_last_put};
pub use laws_4_to_6::{
    it_passes_the_probe, law_4_one_creator_wins, law_5_a_refused_put_changes_nothing,
    law_5_one_replacer_wins, law_6_deleting_is_idempotent,
};
pub use laws_7_to_8::{
    law_7_listings_are_complete_and_ascending, law_7_listings_bear_change,
    law_8_names_and_sizes_are_free,
};
pub use network::{
    RemoteBed, a_broken_line_leaves_nothing_half, a_dead_line_is_an_error_in_time,
    a_lost_answer_is_harmless, a_missing_bucket_is_not_an_empty_one, a_slow_line_is_borne,
    an_answer_that_breaks_off_is_no_object, wrong_credentials_are_told,
};
pub use seen::{breaks, saw, try_law};

use crate::{CloudBackend, CloudError, PutMode, Tag, testing::Testbed};

/// Makes one `#[test]` per law. The argument is an expression that is callable without arguments
/// and returns a fresh [`Testbed`](crate::testing::Testbed) with an empty cloud; the laws open
/// several handles to it.
///
/// What a cloud is known not to keep follows after `; breaks`, each law with the reason. Such a law
/// is tried as well, and its test fails when it begins to hold.
///
/// ```
/// use std::sync::Arc;
/// use cloud::{CloudBackend, MemCloud};
///
/// cloud::conformance!(|| {
///     let cloud = MemCloud::new();
///     move || Arc::new(cloud.clone()) as Arc<dyn CloudBackend>
/// });
/// ```
#[macro_export]
macro_rules! conformance {
    ($make:expr) => {
        $crate::conformance!($make; breaks []);
    };
    ($make:expr; breaks $known:expr) => {
        $crate::conformance!(@each $make; $known;
            law_1_whole law_2_durable_once_answered law_3_reads_see_the_last_put
            law_4_one_creator_wins law_5_one_replacer_wins law_5_a_refused_put_changes_nothing
            law_6_deleting_is_idempotent law_7_listings_are_complete_and_ascending
            law_7_listings_bear_change law_8_names_and_sizes_are_free it_passes_the_probe
        );
    };
    (@each $make:expr; $known:expr; $($law:ident)*) => {
        $(
            #[test]
            fn $law() {
                let (cloud, law) = (module_path!(), stringify!($law));
                let check = || $crate::testing::conformance::$law(&$make);
                $crate::testing::conformance::try_law(cloud, law, &$known, check);
            }
        )*
    };
}

/// As [`conformance!`](crate::conformance), for a service behind a [`Line`](crate::testing::Line):
/// the argument makes a [`RemoteBed`], and the laws of bad lines are run as well. A kind of cloud that
/// has buckets runs [`a_missing_bucket_is_not_an_empty_one`], too.
#[macro_export]
macro_rules! remote_conformance {
    ($make:expr) => {
        $crate::remote_conformance!($make; breaks []);
    };
    ($make:expr; breaks $known:expr) => {
        $crate::conformance!($make; breaks $known);
        $crate::conformance!(@each $make; $known;
            a_lost_answer_is_harmless a_broken_line_leaves_nothing_half
            an_answer_that_breaks_off_is_no_object a_slow_line_is_borne
            a_dead_line_is_an_error_in_time wrong_credentials_are_told
        );
    };
}

/// A law with its name, for those who run the suite without the macros.
pub type Law<M> = (&'static str, fn(&M));

/// The laws of every cloud, as [`conformance!`](crate::conformance) runs them.
pub fn laws<B: Testbed, M: Fn() -> B>() -> Vec<Law<M>> {
    vec![
        ("law_1_whole", |make| law_1_whole(make)),
        ("law_2_durable_once_answered", |make| law_2_durable_once_answered(make)),
        ("law_3_reads_see_the_last_put", |make| law_3_reads_see_the_last_put(make)),
        ("law_4_one_creator_wins", |make| law_4_one_creator_wins(make)),
        ("law_5_one_replacer_wins", |make| law_5_one_replacer_wins(make)),
        ("law_5_a_refused_put_changes_nothing", |make| law_5_a_refused_put_changes_nothing(make)),
        ("law_6_deleting_is_idempotent", |make| law_6_deleting_is_idempotent(make)),
        ("law_7_listings_are_complete_and_ascending", |make| {
            law_7_listings_are_complete_and_ascending(make);
        }),
        ("law_7_listings_bear_change", |make| law_7_listings_bear_change(make)),
        ("law_8_names_and_sizes_are_free", |make| law_8_names_and_sizes_are_free(make)),
        ("it_passes_the_probe", |make| it_passes_the_probe(make)),
    ]
}

/// The laws of a service behind a line, as
/// [`remote_conformance!`](crate::remote_conformance) runs them, and that of buckets.
pub fn remote_laws<B: RemoteBed, M: Fn() -> B>() -> Vec<Law<M>> {
    let mut laws = laws();
    let remote: [Law<M>; 7] = [
        ("a_lost_answer_is_harmless", |make| a_lost_answer_is_harmless(make)),
        ("a_broken_line_leaves_nothing_half", |make| a_broken_line_leaves_nothing_half(make)),
        ("an_answer_that_breaks_off_is_no_object", |make| {
            an_answer_that_breaks_off_is_no_object(make);
        }),
        ("a_slow_line_is_borne", |make| a_slow_line_is_borne(make)),
        ("a_dead_line_is_an_error_in_time", |make| a_dead_line_is_an_error_in_time(make)),
        ("wrong_credentials_are_told", |make| wrong_credentials_are_told(make)),
        ("a_missing_bucket_is_not_an_empty_one", |make| {
            a_missing_bucket_is_not_an_empty_one(make);
        }),
    ];
    laws.extend(remote);
    laws
}

/// Runs a law with real parallelism: races are what several of them are about.
fn run<B: Testbed>(make: &impl Fn() -> B, law: impl AsyncFnOnce(&B)) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
    runtime.block_on(async {
        let bed = make();
        law(&bed).await;
    });
}

fn name(name: &str) -> ObjectName {
    ObjectName::new(name).unwrap()
}

fn is_conflict(result: &Result<Tag, CloudError>) -> bool {
    matches!(result, Err(CloudError::Conflict { .. }))
}

async fn put(cloud: &dyn CloudBackend, name: &ObjectName, bytes: impl Into<Bytes>) -> Tag {
    let bytes = bytes.into();
    cloud.put(name, bytes, PutMode::Overwrite).await.unwrap()
}

/// What is there, and its tag.
async fn read(cloud: &dyn CloudBackend, name: &ObjectName) -> Option<(Vec<u8>, Tag)> {
    let found = cloud.get(name).await.unwrap();
    found.map(|(bytes, tag)| (bytes.to_vec(), tag))
}

/// How long to wait before a service is asked again.
const A_MOMENT: Duration = Duration::from_millis(20);

/// Asks again, some times, where a cloud says that it has no answer now: that is no lie, and what
/// everybody does. For what is asked while things change.
async fn patiently<T>(mut ask: impl AsyncFnMut() -> crate::Result<T>) -> T {
    for _ in 0..20 {
        match ask().await {
            Err(CloudError::Unavailable { .. }) => tokio::time::sleep(A_MOMENT).await,
            answer => return answer.unwrap(),
        }
    }
    ask().await.unwrap()
}

/// The names below a prefix, over all pages.
async fn list(cloud: &dyn CloudBackend, prefix: &ObjectName) -> Vec<ObjectName> {
    let mut names: Vec<ObjectName> = Vec::new();
    loop {
        let page = patiently(async || cloud.list(prefix, names.last()).await).await;
        if page.is_empty() {
            return names;
        }
        for meta in page {
            let ascends = names.last().is_none_or(|last| *last < meta.name);
            assert!(ascends, "{:?} comes after {:?}", meta.name, names.last());
            names.push(meta.name);
        }
    }
}

/// Puts from sixteen tasks over several handles at once, each with bytes of its own; answers the
/// bytes of those that succeeded. Everybody else must have met a conflict.
async fn race<B: Testbed>(bed: &B, object: &ObjectName, how: PutMode) -> Vec<Vec<u8>> {
    let handles: Vec<Arc<dyn CloudBackend>> = (0..4).map(|_| bed.open()).collect();
    let start = Arc::new(tokio::sync::Barrier::new(16));
    let mut tasks = Vec::new();
    for (i, cloud) in handles.iter().cycle().take(16).enumerate() {
        let (cloud, object, how) = (cloud.clone(), object.clone(), how.clone());
        let start = start.clone();
        tasks.push(tokio::spawn(async move {
            let bytes = format!("contestant {i}").into_bytes();
            start.wait().await;
            let result = cloud.put(&object, bytes.clone().into(), how).await;
            assert!(result.is_ok() || is_conflict(&result), "{result:?}");
            result.is_ok().then_some(bytes)
        }));
    }
    let mut winners = Vec::new();
    for task in tasks {
        winners.extend(task.await.unwrap());
    }
    winners
}
