//! Our HTTP stack, as `object_store` sees it.

use std::{future::poll_fn, pin::pin};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use http_body::Body;
use object_store::{
    ClientOptions,
    client::{
        HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
    },
};
use reqwest::StatusCode;

use crate::{
    http::{Answer, Failure, Http, Url},
    services::LARGEST_OBJECT,
};

/// What the services say when the bucket is missing, which is not the same as a missing object.
const NO_BUCKET: [&str; 3] = ["NoSuchBucket", "ContainerNotFound", "The specified bucket does not"];

/// What the services say when two requests met; nobody knows yet who wins.
const BUSY: [&str; 5] = [
    "ConditionalRequestConflict",
    "OperationAborted",
    "ContainerBeingDeleted",
    "ContainerBeingCreated",
    "AccountBeingCreated",
];

/// What S3 says when temporary keys have ended, or are none.
const SIGN_IN_AGAIN: [&str; 3] = ["ExpiredToken", "InvalidToken", "TokenRefreshRequired"];

/// What it says when the address names another region than the bucket's, or no bucket.
const WRONG_ADDRESS: [&str; 3] =
    ["AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "InvalidBucketName"];

/// What it says when a request came too slowly.
const TOO_SLOW: [&str; 1] = ["RequestTimeout"];

/// What servers that speak its protocol say when there is no room left.
const FULL: [&str; 2] = ["QuotaExceeded", "XMinioAdminBucketQuotaExceeded"];

/// Gives all stores the same client.
#[derive(Debug, Clone)]
pub(in crate::services) struct Connector(Http);

impl Connector {
    pub(in crate::services) fn new(http: Http) -> Self {
        Self(http)
    }
}

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(Service(self.0.clone())))
    }
}

#[derive(Debug)]
struct Service(Http);

#[async_trait]
impl HttpService for Service {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (parts, body) = request.into_parts();
        let url: Url = parts
            .uri
            .to_string()
            .parse()
            .map_err(|_| failed(Failure::nonsense("the library made no address")))?;
        let body = whole(body).await?;
        let signatures = signatures(&url);
        let mut request = self
            .0
            .request(parts.method.clone(), url)
            .headers(parts.headers)
            .longest_answer(LARGEST_OBJECT);
        for signature in &signatures {
            request = request.secret(signature);
        }
        if !body.is_empty() || parts.method == "PUT" || parts.method == "POST" {
            request = request.body(body);
        }
        let answer = request.send().await.map_err(failed)?;
        if let Some(failure) = refused(&answer) {
            return Err(failed(failure));
        }
        let mut response = HttpResponse::new(answer.body.into());
        *response.status_mut() = answer.status;
        *response.headers_mut() = answer.headers;
        Ok(response)
    }
}

/// What the library shall not judge: it would lose the reason, or how long to wait.
fn refused(answer: &Answer) -> Option<Failure> {
    let said = |words: &[&str]| {
        let text = String::from_utf8_lossy(&answer.body);
        words.iter().any(|word| text.contains(word))
    };
    let code = || code(&answer.body).unwrap_or_default();
    match answer.status {
        StatusCode::BAD_REQUEST if SIGN_IN_AGAIN.contains(&code()) => {
            Some(answer.failure().into_status(StatusCode::UNAUTHORIZED))
        }
        StatusCode::BAD_REQUEST if WRONG_ADDRESS.contains(&code()) => {
            Some(answer.failure().into_status(StatusCode::NOT_FOUND))
        }
        StatusCode::BAD_REQUEST if TOO_SLOW.contains(&code()) => Some(answer.failure().into_busy()),
        status if status.is_client_error() && FULL.contains(&code()) => {
            Some(answer.failure().into_status(StatusCode::INSUFFICIENT_STORAGE))
        }
        StatusCode::NOT_FOUND if said(&NO_BUCKET) || is_page(answer) => Some(answer.failure()),
        StatusCode::CONFLICT if said(&BUSY) => Some(answer.failure().into_busy()),
        StatusCode::NOT_FOUND | StatusCode::CONFLICT | StatusCode::PRECONDITION_FAILED => None,
        status if status.is_success() => None,
        _ => Some(answer.failure()),
    }
}

/// A page for people is not what such a service answers: it says nothing about an object.
fn is_page(answer: &Answer) -> bool {
    answer.header("content-type").is_some_and(|kind| kind.starts_with("text/html"))
}

/// What an error document of S3 says in its `Code`.
fn code(body: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(body).ok()?;
    let (_, rest) = text.split_once("<Code>")?;
    rest.split_once("</Code>").map(|(code, _)| code.trim())
}

/// The signature that an address may hold (`sig` of a shared access signature), as it stands there
/// and without percent signs: servers repeat addresses.
fn signatures(url: &Url) -> Vec<String> {
    let raw = url.query().into_iter().flat_map(|query| query.split('&'));
    let raw = raw.filter_map(|pair| pair.strip_prefix("sig=")).map(ToOwned::to_owned);
    let plain = url.query_pairs().filter(|(name, _)| name == "sig");
    raw.chain(plain.map(|(_, value)| value.into_owned())).collect()
}

/// A failure as the library carries it; `error` finds it again. Nothing of it is tried again there.
fn failed(failure: Failure) -> HttpError {
    HttpError::new(HttpErrorKind::Unknown, failure)
}

/// The body in one piece; without a copy if it is in one already.
async fn whole(body: impl Body<Data = Bytes, Error = HttpError>) -> Result<Bytes, HttpError> {
    let mut body = pin!(body);
    let mut whole = Bytes::new();
    while let Some(frame) = poll_fn(|context| body.as_mut().poll_frame(context)).await {
        let Ok(data) = frame?.into_data() else { continue };
        whole = if whole.is_empty() {
            data
        } else {
            let mut joined = BytesMut::from(whole);
            joined.extend_from_slice(&data);
            joined.freeze()
        };
    }
    Ok(whole)
}
