//! Putting bytes into files: small ones at once, large ones in an upload that can go on.

use bytes::{Bytes, BytesMut};
use reqwest::StatusCode;
use serde_json::Value;

use super::client::{Client, File, judge, read};
use crate::{
    CloudError, Result,
    http::{Answer, Failure, Method, Url},
    services::random_name,
};

/// Up to so much goes up in one request; more in pieces of this size, a multiple of 256 KiB.
const PIECE: usize = 4 << 20;

/// How often in a row an upload may break off and go on.
const PATIENCE: u32 = 3;

impl Client {
    /// Makes a new file.
    pub(super) async fn create(&self, metadata: &Value, bytes: &Bytes) -> Result<File> {
        if bytes.len() > PIECE {
            let url = self.upload_url(None, "resumable");
            return self.in_pieces(Method::POST, url, metadata, bytes).await;
        }
        let boundary = random_name()?;
        let mut body = BytesMut::new();
        body.extend_from_slice(
            format!(
                "--{boundary}\r\ncontent-type: application/json; charset=UTF-8\r\n\r\n{metadata}\r\n\
                 --{boundary}\r\ncontent-type: application/octet-stream\r\n\r\n"
            )
            .as_bytes(),
        );
        body.extend_from_slice(bytes);
        body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
        let body = body.freeze();
        let url = self.upload_url(None, "multipart");
        let kind = format!("multipart/related; boundary={boundary}");
        let make = || {
            let request = self.http.request(Method::POST, url.clone());
            request.header("content-type", &kind).body(body.clone())
        };
        read(&judge(self.send(make).await?)?)
    }

    /// Replaces what is in a file.
    pub(super) async fn update(&self, id: &str, bytes: &Bytes) -> Result<File> {
        if bytes.len() > PIECE {
            let url = self.upload_url(Some(id), "resumable");
            return self
                .in_pieces(Method::PATCH, url, &Value::Object(Default::default()), bytes)
                .await;
        }
        let url = self.upload_url(Some(id), "media");
        let make = || {
            let request = self.http.request(Method::PATCH, url.clone());
            request.header("content-type", "application/octet-stream").body(bytes.clone())
        };
        read(&judge(self.send(make).await?)?)
    }

    async fn in_pieces(
        &self,
        method: Method,
        url: Url,
        metadata: &Value,
        bytes: &Bytes,
    ) -> Result<File> {
        let total = bytes.len().to_string();
        let body = Bytes::from(metadata.to_string());
        let make = || {
            let request = self.http.request(method.clone(), url.clone());
            request
                .header("content-type", "application/json; charset=UTF-8")
                .header("x-upload-content-type", "application/octet-stream")
                .header("x-upload-content-length", &total)
                .body(body.clone())
        };
        let begun = judge(self.send(make).await?)?;
        let place = begun.header("location").and_then(|place| Url::parse(place).ok());
        // Bytes are sealed, but whoever asks for them elsewhere is not the service.
        let Some(place) = place.filter(|place| self.is_own(place)) else {
            return Err(Failure::nonsense("no place for an upload").about_cloud());
        };
        let mut done = 0;
        let mut failures = 0;
        loop {
            let answer = match self.piece(&place, bytes, done).await {
                Ok(answer) if !answer.status.is_server_error() => answer,
                Ok(answer) if failures >= PATIENCE => return Err(answer.failure().about_cloud()),
                Err(error) if failures >= PATIENCE => return Err(error),
                _ => self.how_far(&place, &total).await?,
            };
            if answer.status != StatusCode::PERMANENT_REDIRECT {
                return read(&judge(answer)?);
            }
            let further = arrived(&answer);
            failures = if further > done { 0 } else { failures + 1 };
            if failures > PATIENCE {
                return Err(CloudError::unavailable("the upload does not go on"));
            }
            done = further.min(bytes.len());
        }
    }

    /// The next piece. The place itself is the credential.
    async fn piece(&self, place: &Url, bytes: &Bytes, done: usize) -> Result<Answer> {
        let end = bytes.len().min(done + PIECE);
        let range = match end.checked_sub(1) {
            Some(last) if last >= done => format!("bytes {done}-{last}/{}", bytes.len()),
            _ => format!("bytes */{}", bytes.len()),
        };
        let request = self.http.request(Method::PUT, place.clone()).secret(place.as_str());
        let request = request.header("content-range", &range).body(bytes.slice(done..end));
        request.send().await.map_err(Failure::about_cloud)
    }

    async fn how_far(&self, place: &Url, total: &str) -> Result<Answer> {
        let request = self.http.request(Method::PUT, place.clone()).secret(place.as_str());
        let request = request.header("content-range", &format!("bytes */{total}"));
        let answer = request.body(Bytes::new()).send().await.map_err(Failure::about_cloud)?;
        if answer.status.is_server_error() {
            return Err(answer.failure().about_cloud());
        }
        Ok(answer)
    }
}

/// How many bytes the service has: `Range: bytes=0-LAST`, or none.
fn arrived(answer: &Answer) -> usize {
    let range = answer.header("range").and_then(|text| text.strip_prefix("bytes=0-"));
    range.and_then(|last| last.parse::<usize>().ok()).map_or(0, |last| last.saturating_add(1))
}
