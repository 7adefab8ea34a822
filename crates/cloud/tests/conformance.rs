//! The laws of a cloud, on every cloud and decorator of this crate.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic")]

use std::{sync::Arc, time::Duration};

use cloud::{
    CloudBackend, DirCloud, MemCloud, RetrySettings, Retrying,
    testing::{Failure, Fault, FlakyCloud, HostileCloud, Malice, Testbed, Weather},
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

/// A hostile cloud that tells no lie, but answers a third of all calls as busy services do.
fn moods(bed: impl Testbed) -> impl Testbed {
    let moment = Duration::from_micros(50);
    let malice = Malice::none();
    malice.plan(move |call| match call.number % 15 {
        0 => Some(Fault::Lost),
        3 => Some(Fault::AnswerLost),
        6 => Some(Fault::TooManyRequests(moment)),
        9 => Some(Fault::ServerError),
        12 => Some(Fault::Late(moment)),
        _ => None,
    });
    let settings = RetrySettings {
        first_wait: Duration::from_micros(10),
        longest_wait: Duration::from_micros(100),
        budget: Duration::from_secs(60),
    };
    move || {
        let hostile = HostileCloud::new(bed.open(), malice.clone(), 0);
        Arc::new(Retrying::new(Arc::new(hostile), settings)) as Arc<dyn CloudBackend>
    }
}

/// One that could lie and does not.
fn tame(bed: impl Testbed) -> impl Testbed {
    let malice = Malice::none();
    move || Arc::new(HostileCloud::new(bed.open(), malice.clone(), 0)) as Arc<dyn CloudBackend>
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

mod mem_that_could_lie {
    cloud::conformance!(|| super::tame(super::memory(7)));
}

mod mem_in_bad_moods_with_retries {
    cloud::conformance!(|| super::moods(super::memory(7)));
}
