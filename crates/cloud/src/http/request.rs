//! One request and its answer.

use std::{pin::pin, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use reqwest::{
    Method, StatusCode, Url, Version,
    header::{CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING},
};
use tokio::time::{Instant, timeout};

use super::{
    Failure, Http,
    body::{Counted, Moved},
    redact::Redactor,
};

/// The longest answer that is read, unless the request says otherwise: listings and errors.
const LONGEST: u64 = 16 << 20;

/// A line with fewer bytes in a second than this is as good as dead: so nobody keeps a request for
/// ever by a byte now and then.
const SLOWEST: u64 = 1024;

/// The system takes up to so many bytes before it sends them, and nobody sees them go...
const UNSEEN: u64 = 4 << 20;

/// ... so as many seconds are waited for them as they take at this rate.
const UNSEEN_IN_A_SECOND: u64 = 8 * 1024;

/// A request that is being put together.
#[must_use]
pub(crate) struct Request<'a> {
    http: &'a Http,
    method: Method,
    url: Url,
    headers: Result<HeaderMap, Failure>,
    body: Option<Bytes>,
    longest: u64,
    redactor: Redactor,
}

/// What a service answered, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// Whether the body says itself where it ends. Else it ends with the connection, and nobody can
    /// tell whether that broke.
    pub(crate) has_end: bool,
    redactor: Redactor,
}

impl<'a> Request<'a> {
    pub(super) fn new(http: &'a Http, method: Method, url: Url) -> Self {
        Self {
            http,
            method,
            url,
            headers: Ok(HeaderMap::new()),
            body: None,
            longest: LONGEST,
            redactor: Redactor::default(),
        }
    }

    /// Adds a header.
    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.add(name, value, false);
        self
    }

    /// Adds a header that nobody shall see. The value is cut out of what the service answers, too,
    /// before any of that becomes an error.
    pub(crate) fn secret_header(mut self, name: &'static str, value: &str) -> Self {
        self.add(name, value, true);
        // `Bearer TOKEN`: a service may repeat the token alone.
        for word in value.split(' ') {
            self = self.secret(word);
        }
        self
    }

    /// Names a secret that this request holds, in a header or its body: errors will not.
    pub(crate) fn secret(mut self, secret: &str) -> Self {
        self.redactor.add(secret);
        self
    }

    /// All headers at once, from a library that makes them. Those that are secrets are kept as such.
    pub(crate) fn headers(mut self, headers: HeaderMap) -> Self {
        for name in ["authorization", "x-amz-security-token"] {
            let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
            for word in values.flat_map(|value| value.split(' ')) {
                // `Signature=..`: a service may repeat the signature alone.
                self.redactor.add(word.split_once('=').map_or(word, |(_, value)| value));
                self.redactor.add(word);
            }
        }
        self.headers = Ok(headers);
        self
    }

    /// What is sent.
    pub(crate) fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// Sets how many bytes of an answer are read at most; a longer one is a failure.
    pub(crate) fn longest_answer(mut self, bytes: u64) -> Self {
        self.longest = bytes;
        self
    }

    /// Sends it and reads the answer, whatever its status.
    ///
    /// However long that takes, as long as bytes move: a large object on a slow line must get
    /// through, and who sends it again begins at its first byte.
    pub(crate) async fn send(self) -> Result<Answer, Failure> {
        let pace = Pace::begin(self.http);
        let mut request = reqwest::Request::new(self.method, self.url);
        *request.headers_mut() = self.headers?;
        if let Some(body) = self.body {
            request.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
            *request.body_mut() = Some(reqwest::Body::wrap(Counted::new(body, pace.moved.clone())));
        }
        let mut pending = pin!(self.http.client.execute(request));
        let mut response = loop {
            let before = pace.moved.bytes();
            let patience = pace.idle.saturating_add(unseen(before));
            match timeout(patience, &mut pending).await {
                Ok(response) => break response.map_err(|e| Failure::of(&e))?,
                // While the body goes up, no answer is due yet.
                Err(_) if pace.moved.bytes() > before => pace.check()?,
                Err(_) => return Err(Failure::too_slow("no answer", patience)),
            }
        };
        let longest = match response.status().is_success() {
            true => self.longest,
            // What is said about an error is short.
            false => self.longest.min(LONGEST),
        };
        let has_end = response.version() >= Version::HTTP_2
            || [CONTENT_LENGTH, TRANSFER_ENCODING]
                .iter()
                .any(|h| response.headers().contains_key(h));
        let body = read(&mut response, &pace, longest).await?;
        Ok(Answer {
            has_end,
            status: response.status(),
            headers: std::mem::take(response.headers_mut()),
            body,
            redactor: self.redactor,
        })
    }

    fn add(&mut self, name: &'static str, value: &str, secret: bool) {
        let Ok(headers) = &mut self.headers else { return };
        match HeaderValue::from_str(value) {
            Ok(mut value) => {
                value.set_sensitive(secret);
                headers.append(HeaderName::from_static(name), value);
            }
            Err(_) => self.headers = Err(Failure::bad_header(name)),
        }
    }
}

/// How long a request may take.
struct Pace {
    began: Instant,
    idle: Duration,
    total: Duration,
    moved: Arc<Moved>,
}

impl Pace {
    fn begin(http: &Http) -> Self {
        let settings = &http.settings;
        let (idle, total) = (settings.idle_timeout, settings.total_timeout);
        Self { began: Instant::now(), idle, total, moved: Moved::new() }
    }

    /// An error if too little has moved for the time that has passed.
    fn check(&self) -> Result<(), Failure> {
        let due = self.total.saturating_add(Duration::from_secs(self.moved.bytes() / SLOWEST));
        match self.began.elapsed() <= due {
            true => Ok(()),
            false => Err(Failure::too_slow("hardly a byte has moved", self.began.elapsed())),
        }
    }
}

/// How long bytes that the system has taken may be on their way.
fn unseen(bytes: u64) -> Duration {
    Duration::from_secs(bytes.min(UNSEEN) / UNSEEN_IN_A_SECOND)
}

async fn read(
    response: &mut reqwest::Response,
    pace: &Pace,
    longest: u64,
) -> Result<Bytes, Failure> {
    let expected = response.content_length().unwrap_or_default();
    if expected > longest {
        return Err(Failure::too_long(longest));
    }
    let mut whole = BytesMut::new();
    loop {
        let chunk = match timeout(pace.idle, response.chunk()).await {
            Ok(chunk) => chunk.map_err(|e| Failure::of(&e))?,
            Err(_) => return Err(Failure::too_slow("the answer stopped", pace.idle)),
        };
        let Some(chunk) = chunk else { return Ok(whole.freeze()) };
        pace.moved.add(chunk.len());
        pace.check()?;
        if whole.len() as u64 + chunk.len() as u64 > longest {
            return Err(Failure::too_long(longest));
        }
        if whole.is_empty() {
            // What was announced is believed as far as it fits into memory at once.
            whole.reserve(usize::try_from(expected.min(LONGEST)).unwrap_or_default());
        }
        whole.extend_from_slice(&chunk);
    }
}

impl Answer {
    /// A header's value, if it is there and is text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The answer, if the service says that all went well (2xx).
    pub(crate) fn success(self) -> Result<Self, Failure> {
        if self.status.is_success() { Ok(self) } else { Err(self.failure()) }
    }

    /// What this answer means as a failure, whatever its status.
    pub(crate) fn failure(&self) -> Failure {
        Failure::answered(self, &self.redactor)
    }
}

#[cfg(test)]
impl Answer {
    /// As if a service had answered this.
    pub(super) fn for_tests(status: StatusCode, headers: HeaderMap, body: Bytes) -> Self {
        Self { status, headers, body, has_end: true, redactor: Redactor::default() }
    }
}
