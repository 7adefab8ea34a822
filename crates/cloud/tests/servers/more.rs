//! What is tried with real servers besides the laws: the probe, and listings of several pages.

use std::{sync::Arc, time::Duration};

use cloud::{
    CloudBackend, ObjectName, PutMode, RetrySettings, Retrying, poll_backups, probe,
    testing::Testbed,
};
use tokio::task::JoinSet;

use crate::bed::{Bed, Server};

/// More than S3 and Azure list in one answer.
const OBJECTS: usize = 1100;

/// So many puts at once.
const AT_ONCE: usize = 16;

/// Asks as a wallet asks: again, for a while.
fn run<T>(server: &Arc<Server>, test: impl AsyncFnOnce(Arc<dyn CloudBackend>) -> T) -> T {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let bed = Bed::new(server);
        let settings = RetrySettings { budget: Duration::from_secs(20), ..Default::default() };
        test(Arc::new(Retrying::new(bed.open(), settings))).await
    })
}

/// Whether the server is taken for one that compares and swaps; `None` if it does not answer in
/// time, as several do not while writers race.
pub(crate) fn passes_the_probe(server: &Arc<Server>) -> Option<bool> {
    run(server, async |cloud| probe(&cloud).await.ok().map(|probe| probe.is_compare_and_swap()))
}

/// What the server gives in pages of its own comes as one listing, complete and in order.
pub(crate) fn a_listing_of_several_pages_is_complete(server: &Arc<Server>) {
    run(server, async |cloud| {
        let name = |n: usize| ObjectName::new(&format!("many/{n:04}")).unwrap();
        let mut puts = JoinSet::new();
        for n in 0..OBJECTS {
            if puts.len() >= AT_ONCE {
                puts.join_next().await.unwrap().unwrap();
            }
            let cloud = cloud.clone();
            puts.spawn(async move {
                cloud.put(&name(n), "".into(), PutMode::CreateOnly).await.unwrap();
            });
        }
        puts.join_all().await;
        let found = poll_backups(&*cloud, &ObjectName::new("many").unwrap()).await.unwrap();
        assert!(found.into_iter().map(|meta| meta.name).eq((0..OBJECTS).map(name)));
    });
}
