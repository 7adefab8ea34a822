//! What is tried with real servers besides the laws: listings of several pages.

use std::{sync::Arc, time::Duration};

use cloud::{
    CloudBackend, ObjectName, PutMode, RetrySettings, Retrying, poll_backups, testing::Testbed,
};
use tokio::task::JoinSet;

use crate::bed::{Bed, Server};

/// More than S3 and Azure list in one answer.
const OBJECTS: usize = 1100;

/// So many puts at once.
const AT_ONCE: usize = 16;

/// What the server gives in pages of its own comes as one listing, complete and in order.
pub(crate) fn a_listing_of_several_pages_is_complete(server: &Arc<Server>) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let bed = Bed::new(server);
        // Asks as a wallet asks: again, for a while.
        let settings = RetrySettings { budget: Duration::from_secs(20), ..Default::default() };
        let cloud = Arc::new(Retrying::new(bed.open(), settings));
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
