//! The requests to Drive that are needed, and what their answers mean.

use bytes::Bytes;
use reqwest::StatusCode;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::super::{LARGEST_OBJECT, oauth::Tokens, pages::Pages};
use crate::{
    CloudError, Result,
    error::boxed,
    http::{Answer, Failure, Http, Method, Request, Url},
};

/// Files per answer of a listing; the service allows 1,000.
const PAGE: &str = "1000";

/// What is asked of a file.
const FIELDS: &str = "id,name,size,createdTime,sha256Checksum";

/// A connection to the service.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) http: Http,
    api: Url,
    tokens: Tokens,
}

/// A file, as the service describes it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct File {
    pub(super) id: String,
    pub(super) name: String,
    /// In decimal.
    #[serde(default)]
    size: String,
    #[serde(default)]
    pub(super) created_time: String,
    /// SHA-256 of its bytes, in hexadecimal.
    #[serde(default)]
    pub(super) sha256_checksum: String,
}

impl File {
    pub(super) fn size(&self) -> u64 {
        self.size.parse().unwrap_or_default()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    #[serde(default)]
    files: Vec<File>,
    #[serde(default)]
    next_page_token: Option<String>,
}

impl Client {
    pub(super) fn new(http: Http, api: Url, tokens: Tokens) -> Self {
        Self { http, api, tokens }
    }

    /// The files that have a property with this value.
    pub(super) async fn list(&self, key: &str, value: &str) -> Result<Vec<File>> {
        // Keys and values are ours: letters and digits.
        let query =
            format!("appProperties has {{ key='{key}' and value='{value}' }} and trashed = false");
        let fields = format!("nextPageToken,files({FIELDS})");
        let mut all = Vec::new();
        let mut next: Option<String> = None;
        let mut pages = Pages::default();
        loop {
            let mut url = self.url("/drive/v3/files");
            url.query_pairs_mut()
                .append_pair("spaces", "appDataFolder")
                .append_pair("q", &query)
                .append_pair("fields", &fields)
                .append_pair("pageSize", PAGE);
            if let Some(token) = &next {
                url.query_pairs_mut().append_pair("pageToken", token);
            }
            let answer = self.send(|| self.http.request(Method::GET, url.clone())).await?;
            let page: Page = read(&judge(answer)?)?;
            all.extend(page.files);
            let Some(token) = page.next_page_token else { return Ok(all) };
            pages.turn(&token).map_err(Failure::about_cloud)?;
            next = Some(token);
        }
    }

    /// The bytes of a file; `None` if it is gone.
    pub(super) async fn download(&self, id: &str) -> Result<Option<Bytes>> {
        let mut url = self.file(id);
        url.query_pairs_mut().append_pair("alt", "media");
        let make = || self.http.request(Method::GET, url.clone()).longest_answer(LARGEST_OBJECT);
        let answer = self.send(make).await?;
        match answer.status {
            StatusCode::NOT_FOUND => Ok(None),
            _ => Ok(Some(judge(answer)?.body)),
        }
    }

    /// Removes a file, or nothing.
    pub(super) async fn delete(&self, id: &str) -> Result<()> {
        let url = self.file(id);
        let answer = self.send(|| self.http.request(Method::DELETE, url.clone())).await?;
        match answer.status {
            StatusCode::NOT_FOUND => Ok(()),
            _ => judge(answer).map(drop),
        }
    }

    /// Where a file's bytes go: those of a new one, or of one that is there.
    pub(super) fn upload_url(&self, id: Option<&str>, kind: &str) -> Url {
        let mut url = self.url("/upload/drive/v3/files");
        if let (Some(id), Ok(mut parts)) = (id, url.path_segments_mut()) {
            parts.push(id);
        }
        url.query_pairs_mut().append_pair("uploadType", kind).append_pair("fields", FIELDS);
        url
    }

    pub(super) async fn send<'a>(&'a self, make: impl Fn() -> Request<'a>) -> Result<Answer> {
        self.tokens.send(&self.http, make).await
    }

    /// Whether an address that the service gave is one of its own.
    pub(super) fn is_own(&self, url: &Url) -> bool {
        (url.scheme(), url.host(), url.port())
            == (self.api.scheme(), self.api.host(), self.api.port())
    }

    fn file(&self, id: &str) -> Url {
        let mut url = self.url("/drive/v3/files");
        if let Ok(mut parts) = url.path_segments_mut() {
            parts.push(id);
        }
        url
    }

    fn url(&self, path: &str) -> Url {
        let mut url = self.api.clone();
        url.set_path(path);
        url
    }
}

/// What a new file is called, and by what it is found.
pub(super) fn metadata(name: &str, properties: &[(String, String)]) -> Value {
    let properties: serde_json::Map<String, Value> =
        properties.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
    json!({"name": name, "parents": ["appDataFolder"], "appProperties": properties})
}

pub(super) fn read<T: DeserializeOwned>(answer: &Answer) -> Result<T> {
    serde_json::from_slice(&answer.body)
        .map_err(|_| Failure::nonsense("JSON without what it must have").about_cloud())
}

#[derive(Deserialize)]
struct Complaint {
    error: Reasons,
}

#[derive(Deserialize)]
struct Reasons {
    #[serde(default)]
    errors: Vec<Reason>,
}

#[derive(Deserialize)]
struct Reason {
    #[serde(default)]
    reason: String,
}

/// What is said of too many requests.
const RATES: [&str; 4] = [
    "rateLimitExceeded",
    "userRateLimitExceeded",
    "sharingRateLimitExceeded",
    "dailyLimitExceeded",
];

/// All that went well; a refusal (403) by the reason that the service gives.
pub(super) fn judge(answer: Answer) -> Result<Answer> {
    if answer.status != StatusCode::FORBIDDEN {
        return answer.success().map_err(|failure| match failure.status() {
            // The file, or the upload, has gone meanwhile: the next try finds that out.
            Some(StatusCode::NOT_FOUND | StatusCode::GONE) => failure.into_busy().about_cloud(),
            _ => failure.about_cloud(),
        });
    }
    let complaint: Option<Complaint> = serde_json::from_slice(&answer.body).ok();
    let reasons = complaint.map(|complaint| complaint.error.errors).unwrap_or_default();
    let is = |words: &[&str]| reasons.iter().any(|r| words.contains(&r.reason.as_str()));
    let failure = answer.failure();
    Err(if is(&["storageQuotaExceeded", "quotaExceeded"]) {
        CloudError::Full { source: boxed(failure) }
    } else if is(&RATES) {
        failure.into_busy().about_cloud()
    } else {
        failure.about_cloud()
    })
}
