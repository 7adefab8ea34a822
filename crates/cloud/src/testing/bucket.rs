//! A bucket of Google Cloud Storage in the process of the test.
//!
//! Written from the reference of the XML interface
//! (<https://cloud.google.com/storage/docs/xml-api/overview>): preconditions on generations, listing
//! version 2, and the error documents.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;

use super::{FakeAnswer, FakeRequest};

/// What a [`FakeServer`](super::FakeServer) answers with to be such a bucket, and the only one there.
pub struct FakeBucket {
    state: Mutex<State>,
    page_limit: usize,
}

#[derive(Default)]
struct State {
    /// Objects and their generations.
    objects: BTreeMap<String, (Bytes, u64)>,
    generation: u64,
}

impl FakeBucket {
    /// What it is called.
    pub const NAME: &str = "strongroom";

    /// Who shows this as a bearer token is let in.
    pub const TOKEN: &str = "a-token-that-is-right";

    /// An empty one, with so many names in a page of a listing.
    pub fn new(page_limit: usize) -> Self {
        Self { state: Mutex::default(), page_limit }
    }

    /// Answers a request.
    pub fn answer(&self, request: &FakeRequest) -> FakeAnswer {
        if request.header("authorization") != Some(&format!("Bearer {}", Self::TOKEN)) {
            return error(401, "AuthenticationRequired");
        }
        let path = request.decoded_path();
        let path = path.trim_start_matches('/');
        let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
        if bucket != Self::NAME {
            return error(404, "NoSuchBucket");
        }
        match (request.method.as_str(), key) {
            ("GET", "") => self.list(request),
            ("GET", _) => match self.state().objects.get(key) {
                None => error(404, "NoSuchKey"),
                Some((bytes, generation)) => described(*generation, bytes.len())
                    .header("content-type", "application/octet-stream")
                    .body(bytes.clone()),
            },
            ("PUT", _) => self.put(request, key),
            ("DELETE", _) => match self.state().objects.remove(key) {
                None => error(404, "NoSuchKey"),
                Some(_) => FakeAnswer::new(204),
            },
            _ => error(405, "MethodNotAllowed"),
        }
    }

    fn put(&self, request: &FakeRequest, key: &str) -> FakeAnswer {
        let mut state = self.state();
        let current = state.objects.get(key).map_or(0, |(_, generation)| *generation);
        let expected = request.header("x-goog-if-generation-match");
        if expected.is_some_and(|expected| expected != current.to_string()) {
            return error(412, "PreconditionFailed");
        }
        state.generation += 1;
        let generation = state.generation;
        // What came lies in the buffer of its connection, which is larger.
        let bytes = Bytes::copy_from_slice(&request.body);
        state.objects.insert(key.to_owned(), (bytes, generation));
        described(generation, 0)
    }

    fn list(&self, request: &FakeRequest) -> FakeAnswer {
        if request.parameter("list-type").as_deref() != Some("2") {
            return error(400, "InvalidArgument");
        }
        let prefix = request.parameter("prefix").unwrap_or_default();
        let token = request.parameter("continuation-token");
        let after = token.or_else(|| request.parameter("start-after")).unwrap_or_default();
        let state = self.state();
        let found =
            state.objects.iter().filter(|(key, _)| key.starts_with(&prefix) && **key > after);
        let mut found = found.peekable();
        let mut contents = String::new();
        let mut last = None;
        for (key, (bytes, generation)) in found.by_ref().take(self.page_limit) {
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
             xmlns='http://doc.s3.amazonaws.com/2006-03-01'><Name>{}</Name>\
             <Prefix>{prefix}</Prefix>{contents}{next}</ListBucketResult>",
            Self::NAME
        ))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for FakeBucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FakeBucket({} objects)", self.state().objects.len())
    }
}

fn error(status: u16, code: &str) -> FakeAnswer {
    let body =
        format!("<?xml version='1.0'?><Error><Code>{code}</Code><Message>{code}</Message></Error>");
    FakeAnswer::new(status).header("content-type", "application/xml").body(body)
}

fn described(generation: u64, size: usize) -> FakeAnswer {
    FakeAnswer::new(200)
        .header("etag", &format!("\"{generation}\""))
        .header("x-goog-generation", &generation.to_string())
        .header("x-goog-stored-content-length", &size.to_string())
        .header("last-modified", "Thu, 01 Jan 2026 00:00:00 GMT")
}
