//! Google Cloud Storage against a fake of its XML interface.
//!
//! Written from the reference (<https://cloud.google.com/storage/docs/xml-api/overview>):
//! preconditions on generations, listing version 2, and the error documents.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use cloud::testing::{FakeAnswer, FakeRequest};

use crate::bed::FakeBed;

const BUCKET: &str = "strongroom";
const TOKEN: &str = "a-token-that-is-right";

/// Objects and their generations.
#[derive(Default)]
struct Bucket {
    objects: BTreeMap<String, (Bytes, u64)>,
    generation: u64,
}

fn error(status: u16, code: &str) -> FakeAnswer {
    let body =
        format!("<?xml version='1.0'?><Error><Code>{code}</Code><Message>{code}</Message></Error>");
    FakeAnswer::new(status).header("content-type", "application/xml").body(body)
}

impl Bucket {
    fn answer(&mut self, request: &FakeRequest) -> FakeAnswer {
        if request.header("authorization") != Some(&format!("Bearer {TOKEN}")) {
            return error(401, "AuthenticationRequired");
        }
        let path = request.decoded_path();
        let (bucket, key) =
            path.trim_start_matches('/').split_once('/').unwrap_or((&path[1..], ""));
        if bucket != BUCKET {
            return error(404, "NoSuchBucket");
        }
        match (request.method.as_str(), key) {
            ("GET", "") => self.list(request),
            ("GET", _) => match self.objects.get(key) {
                None => error(404, "NoSuchKey"),
                Some((bytes, generation)) => described(*generation, bytes.len())
                    .header("content-type", "application/octet-stream")
                    .body(bytes.clone()),
            },
            ("PUT", _) => {
                let current = self.objects.get(key).map_or(0, |(_, generation)| *generation);
                let expected = request.header("x-goog-if-generation-match");
                if expected.is_some_and(|expected| expected != current.to_string()) {
                    return error(412, "PreconditionFailed");
                }
                self.generation += 1;
                self.objects.insert(key.to_owned(), (request.body.clone(), self.generation));
                described(self.generation, 0)
            }
            ("DELETE", _) => match self.objects.remove(key) {
                None => error(404, "NoSuchKey"),
                Some(_) => FakeAnswer::new(204),
            },
            _ => error(405, "MethodNotAllowed"),
        }
    }

    fn list(&self, request: &FakeRequest) -> FakeAnswer {
        assert_eq!(request.parameter("list-type").as_deref(), Some("2"));
        let prefix = request.parameter("prefix").unwrap_or_default();
        let token = request.parameter("continuation-token");
        let after = token.or_else(|| request.parameter("start-after")).unwrap_or_default();
        let most = 7;
        let mut found = self
            .objects
            .iter()
            .filter(|(key, _)| key.starts_with(&prefix) && **key > after)
            .peekable();
        let mut contents = String::new();
        let mut last = None;
        for (key, (bytes, generation)) in found.by_ref().take(most) {
            contents += &format!(
                "<Contents><Key>{key}</Key><Generation>{generation}</Generation>\
                 <LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>\"{generation}\"</ETag>\
                 <Size>{}</Size></Contents>",
                bytes.len()
            );
            last = Some(key);
        }
        let next = match (found.peek(), last) {
            (Some(_), Some(last)) => {
                format!("<NextContinuationToken>{last}</NextContinuationToken>")
            }
            _ => String::new(),
        };
        FakeAnswer::new(200).header("content-type", "application/xml").body(format!(
            "<?xml version='1.0' encoding='UTF-8'?><ListBucketResult \
             xmlns='http://doc.s3.amazonaws.com/2006-03-01'><Name>{BUCKET}</Name>\
             <Prefix>{prefix}</Prefix>{contents}{next}</ListBucketResult>"
        ))
    }
}

fn described(generation: u64, size: usize) -> FakeAnswer {
    FakeAnswer::new(200)
        .header("etag", &format!("\"{generation}\""))
        .header("x-goog-generation", &generation.to_string())
        .header("x-goog-stored-content-length", &size.to_string())
        .header("last-modified", "Thu, 01 Jan 2026 00:00:00 GMT")
}

fn bed() -> FakeBed {
    let bucket: Arc<Mutex<Bucket>> = Arc::default();
    FakeBed::new(
        "gs://strongroom/a/prefix?endpoint=http://{line}",
        "gs://elsewhere/a/prefix?endpoint=http://{line}",
        move |request| bucket.lock().unwrap().answer(&request),
    )
    .secret("GOOGLE_BEARER_TOKEN", TOKEN, "a-token-that-is-wrong")
}

mod without_a_prefix {
    use super::*;

    cloud::conformance!(|| {
        let bucket: Arc<Mutex<Bucket>> = Arc::default();
        FakeBed::new("gs://strongroom?endpoint=http://{line}", None, move |request| {
            bucket.lock().unwrap().answer(&request)
        })
        .secret("GOOGLE_BEARER_TOKEN", TOKEN, "")
    });
}

cloud::remote_conformance!(super::gcs::bed);
