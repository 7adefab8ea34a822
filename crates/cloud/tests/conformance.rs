//! The laws of a cloud, on every cloud and decorator of this crate.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic")]

use std::{sync::Arc, time::Duration};

use cloud::{
    CloudBackend, DirCloud, MemCloud, RetrySettings, Retrying,
    testing::{Failure, FlakyCloud, Testbed, Weather},
};

/// A folder that vanishes after the test. Each opening is a handle of its own.
struct Folder(tempfile::TempDir, usize);

impl Folder {
    fn with_pages_of(names: usize) -> Self {
        Self(tempfile::tempdir().unwrap(), names)
    }
}

impl Testbed for Folder {
    fn open(&self) -> Arc<dyn CloudBackend> {
        let cloud = DirCloud::open(self.0.path().join("cloud")).unwrap();
        Arc::new(cloud.with_page_limit(self.1))
    }
}

fn memory(names: usize) -> impl Testbed {
    let cloud = MemCloud::new().with_page_limit(names);
    move || Arc::new(cloud.clone()) as Arc<dyn CloudBackend>
}

/// Every third call fails, each second of them after it took effect.
fn storm(bed: impl Testbed) -> impl Testbed {
    let weather = Weather::fair();
    weather.set(|call| match call % 6 {
        0 => Some(Failure::Lost),
        3 => Some(Failure::AnswerLost),
        _ => None,
    });
    let settings = RetrySettings {
        first_wait: Duration::from_micros(10),
        longest_wait: Duration::from_micros(100),
        budget: Duration::from_secs(60),
    };
    move || {
        let flaky = FlakyCloud::new(bed.open(), weather.clone());
        Arc::new(Retrying::new(Arc::new(flaky), settings)) as Arc<dyn CloudBackend>
    }
}

mod mem {
    cloud::conformance!(|| super::memory(1000));
}

mod mem_in_small_pages {
    cloud::conformance!(|| super::memory(7));
}

mod dir {
    cloud::conformance!(|| super::Folder::with_pages_of(1000));
}

mod dir_in_small_pages {
    cloud::conformance!(|| super::Folder::with_pages_of(3));
}

mod mem_in_a_storm_with_retries {
    cloud::conformance!(|| super::storm(super::memory(7)));
}

mod dir_in_a_storm_with_retries {
    cloud::conformance!(|| super::storm(super::Folder::with_pages_of(7)));
}
