//! Google Cloud Storage against a fake of its XML interface.

use cloud::testing::FakeBucket;

use crate::bed::FakeBed;

/// Names per page.
const PAGE: usize = 7;

fn bed() -> FakeBed {
    let bucket = FakeBucket::new(PAGE);
    FakeBed::new(
        "gs://strongroom/a/prefix?endpoint=http://{line}",
        "gs://elsewhere/a/prefix?endpoint=http://{line}",
        move |request| bucket.answer(&request),
    )
    .secret("GOOGLE_BEARER_TOKEN", FakeBucket::TOKEN, "a-token-that-is-wrong")
}

mod without_a_prefix {
    use super::*;

    cloud::conformance!(|| {
        let bucket = FakeBucket::new(PAGE);
        FakeBed::new("gs://strongroom?endpoint=http://{line}", None, move |request| {
            bucket.answer(&request)
        })
        .secret("GOOGLE_BEARER_TOKEN", FakeBucket::TOKEN, "")
    });
}

cloud::remote_conformance!(super::gcs::bed);

cloud::conformance!(@each super::gcs::bed; []; a_missing_bucket_is_not_an_empty_one);
