//! Google Drive against a fake of version 3 of its API.
//!
//! Written from the reference (<https://developers.google.com/drive/api/reference/rest/v3>): files by
//! id with any number of one name, searches by `appProperties`, uploads in one request and in pieces,
//! errors with reasons, and access tokens that end. Its times of creation are in the order in which
//! files show: the service promises that to nobody.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use cloud::{
    CloudBackend, CloudError, ObjectName, Probe, PutMode, probe,
    testing::{FakeAnswer, FakeRequest, Testbed},
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::bed::FakeBed;

const REFRESH: &str = "a-refresh-token-that-is-right";
const CLIENT: &str = "client-of-the-app";
const SECRET: &str = "secret-of-the-app";

/// A token is taken so often, then it has ended.
const LIFE: u32 = 40;

/// Files per answer of a listing.
const PAGE: usize = 7;

#[derive(Default)]
struct Account {
    files: BTreeMap<String, File>,
    /// Begun and not ended.
    uploads: BTreeMap<String, Upload>,
    last: u64,
    tokens: BTreeMap<String, u32>,
    /// Why the next write is refused.
    refuses: Option<&'static str>,
    /// So many pieces of an upload get lost.
    loses: u32,
}

struct File {
    name: String,
    properties: BTreeMap<String, String>,
    bytes: Bytes,
    created: u64,
}

struct Upload {
    /// The file that is replaced.
    id: Option<String>,
    metadata: Value,
    total: usize,
    bytes: Vec<u8>,
}

type Outcome = Result<FakeAnswer, FakeAnswer>;

fn answer(value: &Value) -> FakeAnswer {
    FakeAnswer::new(200).header("content-type", "application/json").body(value.to_string())
}

fn no(status: u16, reason: &str) -> FakeAnswer {
    let body = json!({"error": {"code": status, "message": reason,
        "errors": [{"domain": "global", "reason": reason, "message": reason}]}});
    FakeAnswer::new(status).body(body.to_string())
}

impl Account {
    fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    fn try_to(&mut self, request: &FakeRequest) -> Outcome {
        if request.path == "/token" {
            return self.grant(request);
        }
        if let Some(id) = request.parameter("upload_id") {
            return self.piece(request, &id);
        }
        let token = request.header("authorization").and_then(|text| text.strip_prefix("Bearer "));
        match token.and_then(|token| self.tokens.get_mut(token)) {
            Some(left) if *left > 0 => *left -= 1,
            _ => return Err(no(401, "authError")),
        }
        let path = request.decoded_path();
        if let Some(rest) = path.strip_prefix("/upload/drive/v3/files") {
            let id = rest.strip_prefix('/').map(str::to_owned);
            return self.upload(request, id);
        }
        let id = path.strip_prefix("/drive/v3/files").unwrap().trim_start_matches('/');
        match (request.method.as_str(), id) {
            ("GET", "") => Ok(self.list(request)),
            ("GET", id) => {
                assert_eq!(request.parameter("alt").as_deref(), Some("media"));
                let file = self.files.get(id).ok_or_else(|| no(404, "notFound"))?;
                let found = FakeAnswer::new(200).header("content-type", "application/octet-stream");
                Ok(found.body(file.bytes.clone()))
            }
            ("DELETE", id) => match self.files.remove(id) {
                Some(_) => Ok(FakeAnswer::new(204)),
                None => Err(no(404, "notFound")),
            },
            other => panic!("no call of the interface: {other:?}"),
        }
    }

    fn grant(&mut self, request: &FakeRequest) -> Outcome {
        let form = String::from_utf8(request.body.to_vec()).unwrap();
        let expected = format!(
            "grant_type=refresh_token&refresh_token={REFRESH}&client_id={CLIENT}&client_secret={SECRET}"
        );
        if form != expected {
            return Err(FakeAnswer::new(400).body("{\"error\": \"invalid_grant\"}"));
        }
        let token = format!("access-token-{}", self.number());
        self.tokens.insert(token.clone(), LIFE);
        let granted = json!({"access_token": token, "token_type": "Bearer", "expires_in": 3599});
        Ok(answer(&granted))
    }

    fn upload(&mut self, request: &FakeRequest, id: Option<String>) -> Outcome {
        if let Some(reason) = self.refuses.take() {
            return Err(no(403, reason));
        }
        assert_eq!(request.method, if id.is_some() { "PATCH" } else { "POST" });
        if id.as_ref().is_some_and(|id| !self.files.contains_key(id)) {
            return Err(no(404, "notFound"));
        }
        match request.parameter("uploadType").as_deref() {
            Some("media") => Ok(self.store(id, &Value::Null, request.body.clone())),
            Some("multipart") => {
                let kind = request.header("content-type").unwrap();
                let boundary = kind.strip_prefix("multipart/related; boundary=").unwrap();
                let (metadata, bytes) = parts(&request.body, boundary);
                Ok(self.store(id, &metadata, bytes))
            }
            Some("resumable") => {
                let total = request.header("x-upload-content-length").unwrap();
                let upload = Upload {
                    id,
                    metadata: serde_json::from_slice(&request.body).unwrap(),
                    total: total.parse().unwrap(),
                    bytes: Vec::new(),
                };
                let name = format!("upload-{}", self.number());
                self.uploads.insert(name.clone(), upload);
                let host = request.header("host").unwrap();
                let place = format!("http://{host}/upload/drive/v3/files?upload_id={name}");
                Ok(FakeAnswer::new(200).header("location", &place))
            }
            other => panic!("no way to upload: {other:?}"),
        }
    }

    fn piece(&mut self, request: &FakeRequest, id: &str) -> Outcome {
        assert!(request.header("authorization").is_none(), "the place is the credential");
        if self.loses > 0 && !request.body.is_empty() {
            self.loses -= 1;
            return Err(no(503, "backendError"));
        }
        let upload = self.uploads.get_mut(id).ok_or_else(|| no(404, "notFound"))?;
        let range = request.header("content-range").unwrap().strip_prefix("bytes ").unwrap();
        let (part, total) = range.split_once('/').unwrap();
        assert_eq!(total, upload.total.to_string());
        if let Some((begin, end)) = part.split_once('-') {
            let (begin, end): (usize, usize) = (begin.parse().unwrap(), end.parse().unwrap());
            assert_eq!((begin, end + 1 - begin), (upload.bytes.len(), request.body.len()));
            upload.bytes.extend_from_slice(&request.body);
            let is_last = upload.bytes.len() == upload.total;
            assert!(is_last || upload.bytes.len().is_multiple_of(256 << 10));
        }
        if upload.bytes.len() < upload.total {
            let arrived = FakeAnswer::new(308);
            return Ok(match upload.bytes.len() {
                0 => arrived,
                length => arrived.header("range", &format!("bytes=0-{}", length - 1)),
            });
        }
        let upload = self.uploads.remove(id).unwrap();
        Ok(self.store(upload.id, &upload.metadata, upload.bytes.into()))
    }

    fn store(&mut self, id: Option<String>, metadata: &Value, bytes: Bytes) -> FakeAnswer {
        let created = self.number();
        let id = match id {
            Some(id) => {
                self.files.get_mut(&id).unwrap().bytes = bytes;
                id
            }
            None => {
                assert_eq!(metadata["parents"], json!(["appDataFolder"]));
                let properties = metadata["appProperties"].as_object().unwrap();
                assert!(properties.len() <= 30);
                let text = |value: &Value| value.as_str().unwrap().to_owned();
                let properties = properties.iter().map(|(key, value)| {
                    assert!(key.len() + text(value).len() <= 124);
                    (key.clone(), text(value))
                });
                // Ids tell nothing of when a file was made.
                let id = hex(&Sha256::digest(created.to_be_bytes()));
                let (name, properties) = (text(&metadata["name"]), properties.collect());
                self.files.insert(id.clone(), File { name, properties, bytes, created });
                id
            }
        };
        answer(&self.describe(&id))
    }

    fn describe(&self, id: &str) -> Value {
        let file = &self.files[id];
        json!({
            "id": id, "name": file.name, "size": file.bytes.len().to_string(),
            "createdTime": format!("2026-01-01T00:{:02}:{:02}.{:03}Z", file.created / 60_000,
                file.created / 1000 % 60, file.created % 1000),
            "sha256Checksum": hex(&Sha256::digest(&file.bytes)),
        })
    }

    fn list(&self, request: &FakeRequest) -> FakeAnswer {
        assert_eq!(request.parameter("spaces").as_deref(), Some("appDataFolder"));
        let query = request.parameter("q").unwrap().replace('+', " ");
        let words: Vec<&str> = query.split('\'').collect();
        let [_, key, _, value, _] = words[..] else { panic!("{query}") };
        let expected =
            format!("appProperties has {{ key='{key}' and value='{value}' }} and trashed = false");
        assert_eq!(query, expected);
        let has = |file: &File| file.properties.get(key).is_some_and(|found| found == value);
        let after = request.parameter("pageToken").unwrap_or_default();
        let mut found = self.files.iter().filter(|(id, file)| **id > after && has(file)).peekable();
        let mut files = Vec::new();
        let mut last = None;
        for (id, _) in found.by_ref().take(PAGE) {
            files.push(self.describe(id));
            last = Some(id.clone());
        }
        let next = last.filter(|_| found.peek().is_some());
        match next {
            Some(next) => answer(&json!({"files": files, "nextPageToken": next})),
            None => answer(&json!({"files": files})),
        }
    }
}

/// The two parts of a body.
fn parts(body: &[u8], boundary: &str) -> (Value, Bytes) {
    let find = |what: &str, from: usize| {
        let what = what.as_bytes();
        from + body[from..].windows(what.len()).position(|window| window == what).unwrap()
    };
    let separator = format!("\r\n--{boundary}");
    assert!(body.starts_with(separator.trim_start().as_bytes()));
    let metadata = find("\r\n\r\n", 0) + 4;
    let metadata_end = find(&separator, metadata);
    let bytes = find("\r\n\r\n", metadata_end) + 4;
    let end = find(&format!("{separator}--"), bytes);
    let json = serde_json::from_slice(&body[metadata..metadata_end]).unwrap();
    (json, Bytes::copy_from_slice(&body[bytes..end]))
}

fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

fn bed_of(account: Arc<Mutex<Account>>) -> FakeBed {
    let handle = move |request| {
        let mut account = account.lock().unwrap();
        account.try_to(&request).unwrap_or_else(|refused| refused)
    };
    FakeBed::new("gdrive:Strongroom/it's mine?endpoint=http://{line}", None, handle)
        .secret("STRONGROOM_GDRIVE_REFRESH_TOKEN", REFRESH, "a-refresh-token-that-is-wrong")
        .secret("STRONGROOM_GDRIVE_CLIENT_ID", CLIENT, CLIENT)
        .secret("STRONGROOM_GDRIVE_CLIENT_SECRET", SECRET, SECRET)
}

fn fresh() -> FakeBed {
    bed_of(Arc::default())
}

cloud::remote_conformance!(super::gdrive::fresh; breaks [
    ("law_5_one_replacer_wins", "the service has no condition: we look and change in two steps"),
    ("it_passes_the_probe", "it has none for creating either: that is a convention of ours"),
]);

#[tokio::test(flavor = "multi_thread")]
async fn it_is_never_taken_for_one_that_fences() {
    let bed = fresh();
    let cloud: Arc<dyn CloudBackend> = bed.open();
    assert_eq!(probe(&cloud).await.unwrap(), Probe::NONE);
}

#[tokio::test]
async fn an_upload_that_breaks_off_goes_on() {
    let account: Arc<Mutex<Account>> = Arc::default();
    let bed = bed_of(account.clone());
    let cloud = bed.open();
    let name = ObjectName::new("a/b").unwrap();
    for (how, loses) in [(PutMode::CreateOnly, 2), (PutMode::Overwrite, 3)] {
        account.lock().unwrap().loses = loses;
        let bytes: Vec<u8> = (0..9_000_000u32).map(|i| (i ^ loses) as u8).collect();
        cloud.put(&name, bytes.clone().into(), how).await.unwrap();
        assert_eq!(account.lock().unwrap().loses, 0);
        assert!(cloud.get(&name).await.unwrap().unwrap().0 == bytes);
    }
    account.lock().unwrap().loses = 100;
    let lost = cloud.put(&name, vec![1; 5 << 20].into(), PutMode::Overwrite).await;
    assert!(lost.as_ref().is_err_and(CloudError::is_transient), "{lost:?}");
}

#[tokio::test]
async fn reasons_tell_what_to_do() {
    let account: Arc<Mutex<Account>> = Arc::default();
    let bed = bed_of(account.clone());
    let cloud = bed.open();
    let name = ObjectName::new("a/b").unwrap();
    for reason in ["storageQuotaExceeded", "userRateLimitExceeded", "insufficientFilePermissions"] {
        account.lock().unwrap().refuses = Some(reason);
        let error = cloud.put(&name, "x".into(), PutMode::CreateOnly).await.unwrap_err();
        let expected = match reason {
            "storageQuotaExceeded" => matches!(error, CloudError::Full { .. }),
            "userRateLimitExceeded" => error.is_transient(),
            _ => matches!(error, CloudError::Unauthorized { .. }),
        };
        assert!(expected, "{reason}: {error:?}");
    }
}

/// What somebody left who was cut off between making a file and looking for an older one.
#[tokio::test]
async fn of_several_files_of_one_name_the_oldest_counts() {
    let account: Arc<Mutex<Account>> = Arc::default();
    let bed = bed_of(account.clone());
    let cloud = bed.open();
    let name = ObjectName::new("a/b").unwrap();
    cloud.put(&name, "first".into(), PutMode::CreateOnly).await.unwrap();
    {
        let mut account = account.lock().unwrap();
        let (name, properties) = {
            let first = account.files.values().next().unwrap();
            (first.name.clone(), first.properties.clone())
        };
        let created = account.number();
        let file = File { name, properties, bytes: "second".into(), created };
        account.files.insert("0".to_owned(), file);
    }
    assert_eq!(cloud.get(&name).await.unwrap().unwrap().0, "first");
    let listed = cloud.list(&ObjectName::new("a").unwrap(), None).await.unwrap();
    assert_eq!((listed.len(), listed[0].size), (1, 5));
    let again = cloud.put(&name, "third".into(), PutMode::CreateOnly).await;
    assert!(matches!(again, Err(CloudError::Conflict { .. })), "{again:?}");
    cloud.delete(&name).await.unwrap();
    assert!(cloud.get(&name).await.unwrap().is_none() && account.lock().unwrap().files.is_empty());
}
