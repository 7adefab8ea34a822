//! Dropbox against a fake of its HTTP API.
//!
//! Written from the reference (<https://www.dropbox.com/developers/documentation/http/documentation>):
//! write modes with `strict_conflict`, upload sessions, recursive listings with cursors, deletion by
//! revision, errors in JSON, and access tokens that end.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use cloud::{
    CloudError, ObjectName, PutMode,
    testing::{FakeAnswer, FakeRequest, FakeServer, Testbed},
};
use serde_json::{Value, json};

use crate::bed::{self, FakeBed};

const REFRESH: &str = "a-refresh-token-that-is-right";
const CLIENT: &str = "key-of-the-app";

/// A token is taken so often, then it has ended.
const LIFE: u32 = 40;

/// Entries per answer of a listing.
const PAGE: usize = 7;

#[derive(Default)]
struct Account {
    /// Files by path in lower case: bytes and revision.
    files: BTreeMap<String, (Bytes, u64)>,
    sessions: BTreeMap<String, Vec<u8>>,
    /// What is left of a listing, by cursor.
    cursors: BTreeMap<String, Vec<Value>>,
    /// Every number is given once.
    last: u64,
    /// Tokens, and how often each is still taken.
    tokens: BTreeMap<String, u32>,
    /// Bytes that fit in.
    room: Option<usize>,
    /// The next write finds others at work.
    busy: bool,
}

type Outcome = Result<FakeAnswer, FakeAnswer>;

fn answer(value: &Value) -> FakeAnswer {
    FakeAnswer::new(200).header("content-type", "application/json").body(value.to_string())
}

fn no(summary: &str) -> FakeAnswer {
    let body = json!({"error_summary": format!("{summary}/."), "error": {".tag": "path"}});
    FakeAnswer::new(409).header("content-type", "application/json").body(body.to_string())
}

impl Account {
    fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    fn handle(&mut self, request: &FakeRequest) -> FakeAnswer {
        self.try_to(request).unwrap_or_else(|refused| refused)
    }

    fn try_to(&mut self, request: &FakeRequest) -> Outcome {
        assert_eq!(request.method, "POST");
        if request.path == "/oauth2/token" {
            return self.grant(request);
        }
        let token = request.header("authorization").and_then(|text| text.strip_prefix("Bearer "));
        match token.and_then(|token| self.tokens.get_mut(token)) {
            Some(left) if *left > 0 => *left -= 1,
            _ => {
                let said = json!({"error_summary": "expired_access_token/..",
                    "error": {".tag": "expired_access_token"}});
                return Err(FakeAnswer::new(401).body(said.to_string()));
            }
        }
        let what = request.path.strip_prefix("/2/files/").unwrap();
        let in_header = request.header("dropbox-api-arg");
        let arg: Value = match in_header {
            Some(text) => {
                assert!(text.is_ascii());
                assert_eq!(request.header("content-type"), Some("application/octet-stream"));
                serde_json::from_str(text).unwrap()
            }
            None => {
                assert_eq!(request.header("content-type"), Some("application/json"));
                serde_json::from_slice(&request.body).unwrap()
            }
        };
        let is_about_content = what == "upload" || what == "download" || what.contains("session");
        assert_eq!(in_header.is_some(), is_about_content, "{what}");
        match what {
            "upload" => self.commit(&arg, &request.body),
            "upload_session/start" => {
                let id = format!("session-{}", self.number());
                self.sessions.insert(id.clone(), request.body.to_vec());
                Ok(answer(&json!({"session_id": id})))
            }
            "upload_session/append_v2" => {
                self.append(&arg["cursor"], &request.body)?;
                Ok(answer(&Value::Null))
            }
            "upload_session/finish" => {
                let bytes = self.append(&arg["cursor"], &request.body)?;
                self.commit(&arg["commit"], &bytes)
            }
            "download" => {
                let path = path(&arg);
                let Some((bytes, rev)) = self.files.get(&path) else {
                    let is_folder = self.is_folder(&path);
                    return Err(no(if is_folder { "path/not_file" } else { "path/not_found" }));
                };
                let described = ascii(&self.describe(&path, bytes.len(), *rev));
                let found = FakeAnswer::new(200).header("dropbox-api-result", &described);
                Ok(found.header("content-type", "application/octet-stream").body(bytes.clone()))
            }
            "get_metadata" => {
                let path = path(&arg);
                match self.files.get(&path) {
                    Some((bytes, rev)) => Ok(answer(&self.describe(&path, bytes.len(), *rev))),
                    None if self.is_folder(&path) => Ok(answer(&folder(&path))),
                    None => Err(no("path/not_found")),
                }
            }
            "list_folder" => {
                assert_eq!(arg["recursive"], true);
                let path = path(&arg);
                if self.files.contains_key(&path) {
                    return Err(no("path/not_folder"));
                }
                if !path.is_empty() && !self.is_folder(&path) {
                    return Err(no("path/not_found"));
                }
                let all = self.below(&path);
                Ok(self.page(all))
            }
            "list_folder/continue" => {
                let rest = self.cursors.remove(arg["cursor"].as_str().unwrap());
                let rest = rest.ok_or_else(|| no("reset"))?;
                Ok(self.page(rest))
            }
            "delete_v2" => {
                let path = path(&arg);
                let rev = arg["parent_rev"].as_str().unwrap();
                match self.files.get(&path) {
                    None => Err(no("path_lookup/not_found")),
                    Some((_, found)) if format!("{found:x}") != rev => {
                        Err(no("path_write/conflict/file"))
                    }
                    Some(_) => {
                        self.files.remove(&path);
                        Ok(answer(&json!({"metadata": {}})))
                    }
                }
            }
            other => panic!("no call of the interface: {other}"),
        }
    }

    fn grant(&mut self, request: &FakeRequest) -> Outcome {
        let form = String::from_utf8(request.body.to_vec()).unwrap();
        let expected =
            format!("grant_type=refresh_token&refresh_token={REFRESH}&client_id={CLIENT}");
        if form != expected {
            let said = json!({"error": "invalid_grant", "error_description": form});
            return Err(FakeAnswer::new(400).body(said.to_string()));
        }
        let token = format!("access-token-{}", self.number());
        self.tokens.insert(token.clone(), LIFE);
        // As if it never ended: no clock counts so far.
        let life = u64::MAX;
        let granted = json!({"access_token": token, "token_type": "bearer", "expires_in": life});
        Ok(answer(&granted))
    }

    fn append(&mut self, cursor: &Value, bytes: &[u8]) -> Result<Vec<u8>, FakeAnswer> {
        let session = self.sessions.get_mut(cursor["session_id"].as_str().unwrap());
        let session = session.ok_or_else(|| no("lookup_failed/not_found"))?;
        if cursor["offset"] != session.len() as u64 {
            return Err(no("lookup_failed/incorrect_offset"));
        }
        session.extend_from_slice(bytes);
        Ok(session.clone())
    }

    fn commit(&mut self, commit: &Value, bytes: &[u8]) -> Outcome {
        assert!(bytes.len() <= 150 << 20);
        assert_eq!(commit["autorename"], false);
        let path = path(commit);
        assert!(path.starts_with('/'));
        if std::mem::take(&mut self.busy) {
            return Err(no("path/too_many_write_operations"));
        }
        let current = self.files.get(&path).map(|(_, rev)| format!("{rev:x}"));
        let strict = commit["strict_conflict"] == true;
        let refused = match &commit["mode"] {
            Value::String(mode) if mode == "overwrite" => false,
            Value::String(mode) if mode == "add" => current.is_some(),
            update => {
                assert_eq!(update[".tag"], "update");
                let wanted = update["update"].as_str();
                match &current {
                    Some(rev) => Some(rev.as_str()) != wanted,
                    None => strict,
                }
            }
        };
        // A file on the way to it, or a folder in its place.
        let is_blocked = self.is_folder(&path)
            || path.match_indices('/').any(|(end, _)| self.files.contains_key(&path[..end]));
        if refused || is_blocked {
            return Err(no("path/conflict/file"));
        }
        if self.room.is_some_and(|room| bytes.len() > room) {
            return Err(no("path/insufficient_space"));
        }
        let rev = self.number() + 0x1000_0000;
        self.files.insert(path.clone(), (Bytes::copy_from_slice(bytes), rev));
        Ok(answer(&self.describe(&path, bytes.len(), rev)))
    }

    fn is_folder(&self, path: &str) -> bool {
        let begin = format!("{path}/");
        self.files.keys().any(|file| file.starts_with(&begin))
    }

    /// Folders and files, in an order of the service's own.
    fn below(&self, path: &str) -> Vec<Value> {
        let begin = format!("{path}/");
        let mut folders = std::collections::BTreeSet::new();
        let mut all = Vec::new();
        for (file, (bytes, rev)) in self.files.iter().rev() {
            let Some(rest) = file.strip_prefix(&begin) else { continue };
            all.push(self.describe(file, bytes.len(), *rev));
            let ends = rest.match_indices('/').map(|(end, _)| &file[..begin.len() + end]);
            folders.extend(ends.map(str::to_owned));
        }
        all.extend(folders.iter().map(|path| folder(path)));
        all
    }

    fn page(&mut self, mut all: Vec<Value>) -> FakeAnswer {
        let rest = all.split_off(all.len().min(PAGE));
        let cursor = format!("cursor-{}", self.number());
        let has_more = !rest.is_empty();
        self.cursors.insert(cursor.clone(), rest);
        answer(&json!({"entries": all, "cursor": cursor, "has_more": has_more}))
    }

    fn describe(&self, path: &str, size: usize, rev: u64) -> Value {
        json!({
            ".tag": "file", "name": path.rsplit('/').next(), "path_lower": path,
            "path_display": path, "id": format!("id:{path}"), "size": size,
            "rev": format!("{rev:x}"), "server_modified": "2026-01-01T00:00:00Z",
        })
    }
}

/// JSON as a header may hold it.
fn ascii(value: &Value) -> String {
    let escaped = |unit: u16| match u8::try_from(unit) {
        Ok(byte) if byte.is_ascii() => char::from(byte).to_string(),
        _ => format!("\\u{unit:04x}"),
    };
    value.to_string().encode_utf16().map(escaped).collect()
}

fn path(arg: &Value) -> String {
    // Letter by letter, as not every language does it: at the end of a word Rust makes a ς of a Σ.
    arg["path"].as_str().unwrap().chars().flat_map(char::to_lowercase).collect()
}

fn folder(path: &str) -> Value {
    json!({".tag": "folder", "name": path.rsplit('/').next(), "path_lower": path, "id": "id:folder"})
}

const URL: &str = "dropbox:/My Backups/ΑΣ/wallet?endpoint=http://{line}";

fn bed_of(account: Arc<Mutex<Account>>) -> FakeBed {
    FakeBed::new(URL, None, move |request| account.lock().unwrap().handle(&request))
        .secret("STRONGROOM_DROPBOX_REFRESH_TOKEN", REFRESH, "a-refresh-token-that-is-wrong")
        .secret("STRONGROOM_DROPBOX_APP_KEY", CLIENT, CLIENT)
}

cloud::remote_conformance!(|| super::dropbox::bed_of(Arc::default()));

#[tokio::test]
async fn a_full_account_and_a_busy_one_are_told_apart() {
    let account: Arc<Mutex<Account>> = Arc::default();
    let bed = bed_of(account.clone());
    let cloud = bed.open();
    let name = ObjectName::new("a/b").unwrap();
    account.lock().unwrap().room = Some(10);
    let error = cloud.put(&name, vec![0; 11].into(), PutMode::Overwrite).await.unwrap_err();
    assert!(matches!(error, CloudError::Full { .. }), "{error:?}");
    account.lock().unwrap().busy = true;
    let error = cloud.put(&name, "x".into(), PutMode::CreateOnly).await.unwrap_err();
    assert!(error.is_transient(), "{error:?}");
    cloud.put(&name, "x".into(), PutMode::CreateOnly).await.unwrap();
}

#[tokio::test]
async fn a_token_that_was_revoked_is_told_and_not_repeated() {
    let server = FakeServer::start(|_| {
        FakeAnswer::new(400).body(format!("{{\"error\": \"invalid_grant {REFRESH}\"}}"))
    });
    let server = server.unwrap();
    let url = URL.replace("{line}", &server.address().to_string());
    let variables = [
        ("STRONGROOM_DROPBOX_REFRESH_TOKEN", REFRESH.to_owned()),
        ("STRONGROOM_DROPBOX_APP_KEY", CLIENT.to_owned()),
    ];
    let cloud = bed::open(&url, variables.into());
    let error = cloud.get(&ObjectName::new("a/b").unwrap()).await.unwrap_err();
    assert!(matches!(error, CloudError::Unauthorized { .. }), "{error:?}");
    let told = format!("{error:?} {cloud:?}");
    assert!(told.contains("invalid_grant") && !told.contains(REFRESH), "{told}");
}
