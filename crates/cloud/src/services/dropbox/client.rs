//! The requests to Dropbox that are needed, and what their answers mean.

use bytes::Bytes;
use reqwest::StatusCode;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::super::{LARGEST_OBJECT, oauth::Tokens, pages::Pages};
use crate::{
    Result,
    http::{Answer, Failure, Http, Method, Url},
};

/// Up to so much goes up in one request; more in a session, in pieces of this size. They must be
/// multiples of 4 MiB.
const PIECE: usize = 4 << 20;

/// Entries per answer of a listing; the service allows 2,000.
const PAGE: u32 = 2000;

/// A connection to the service. Paths begin with `/`, or are empty for the root.
#[derive(Debug)]
pub(super) struct Client {
    http: Http,
    api: Url,
    content: Url,
    tokens: Tokens,
}

/// On which condition a file replaces another.
#[derive(Debug, Clone)]
pub(super) enum Mode {
    Overwrite,
    /// There must be none.
    Add,
    /// The other must be of this revision.
    Update(String),
}

/// What the service said no to (409), by what it said.
#[derive(Debug)]
pub(super) enum Said {
    Conflict,
    NotFound,
    /// A folder where a file was expected, or the other way round.
    OtherKind,
    Full,
    Forbidden,
    Busy,
    Other,
}

/// Why a call did not do what it should.
#[derive(Debug)]
pub(super) enum Trouble {
    No(Said, Failure),
    Cloud(crate::CloudError),
}

#[derive(Debug, Deserialize)]
pub(super) struct File {
    pub(super) rev: String,
    #[serde(default)]
    size: Option<u64>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Entry {
    #[serde(rename = ".tag")]
    pub(super) tag: String,
    #[serde(default)]
    pub(super) path_lower: Option<String>,
    #[serde(default)]
    pub(super) rev: Option<String>,
    #[serde(default)]
    pub(super) size: u64,
}

#[derive(Debug, Deserialize)]
struct Page {
    entries: Vec<Entry>,
    cursor: String,
    has_more: bool,
}

#[derive(Debug, Deserialize)]
struct Session {
    session_id: String,
}

#[derive(Debug, Deserialize)]
struct Complaint {
    #[serde(default)]
    error_summary: String,
}

impl Client {
    pub(super) fn new(http: Http, api: Url, content: Url, tokens: Tokens) -> Self {
        Self { http, api, content, tokens }
    }

    /// Stores a file, whole or not at all.
    pub(super) async fn upload(
        &self,
        path: &str,
        bytes: &Bytes,
        mode: &Mode,
    ) -> Result<File, Trouble> {
        let mode_json = match mode {
            Mode::Overwrite => json!("overwrite"),
            Mode::Add => json!("add"),
            Mode::Update(rev) => json!({".tag": "update", "update": rev}),
        };
        // Strict: a conflict also when the bytes are the same, or the file was deleted.
        let strict = !matches!(mode, Mode::Overwrite);
        let commit = json!({
            "path": path, "mode": mode_json, "autorename": false, "mute": true,
            "strict_conflict": strict,
        });
        if bytes.len() <= PIECE {
            return read(self.content("upload", &commit, bytes.clone()).await?);
        }
        let first = bytes.slice(..PIECE);
        let session: Session =
            read(self.content("upload_session/start", &json!({"close": false}), first).await?)?;
        let mut offset = PIECE;
        loop {
            let cursor = json!({"session_id": session.session_id, "offset": offset});
            let end = bytes.len().min(offset + PIECE);
            let piece = bytes.slice(offset..end);
            if end == bytes.len() {
                let arg = json!({"cursor": cursor, "commit": commit});
                return read(self.content("upload_session/finish", &arg, piece).await?);
            }
            let arg = json!({"cursor": cursor, "close": false});
            self.content("upload_session/append_v2", &arg, piece).await?;
            offset = end;
        }
    }

    /// The bytes of a file and its revision.
    pub(super) async fn download(&self, path: &str) -> Result<(Bytes, String), Trouble> {
        let question = json!({"path": path});
        let answer = self.content("download", &question, Bytes::new()).await?;
        let described = answer.header("dropbox-api-result");
        let file: Option<File> = described.and_then(|text| serde_json::from_str(text).ok());
        match file {
            Some(file) if file.size.is_some_and(|size| size != answer.body.len() as u64) => {
                Err(nonsense("another number of bytes than the file has"))
            }
            Some(file) => Ok((answer.body, file.rev)),
            None => Err(nonsense("a file without its revision")),
        }
    }

    /// What lies at a path.
    pub(super) async fn find(&self, path: &str) -> Result<Entry, Trouble> {
        read(self.ask("get_metadata", &json!({"path": path})).await?)
    }

    /// Everything below a folder.
    pub(super) async fn list(&self, path: &str) -> Result<Vec<Entry>, Trouble> {
        let question = json!({"path": path, "recursive": true, "limit": PAGE});
        let mut page: Page = read(self.ask("list_folder", &question).await?)?;
        let mut all = page.entries;
        let mut pages = Pages::default();
        while page.has_more {
            pages.turn(&page.cursor).map_err(|e| Trouble::Cloud(e.about_cloud()))?;
            let question = json!({"cursor": page.cursor});
            page = read(self.ask("list_folder/continue", &question).await?)?;
            all.append(&mut page.entries);
        }
        Ok(all)
    }

    /// Removes a file of this revision.
    pub(super) async fn delete(&self, path: &str, rev: &str) -> Result<(), Trouble> {
        self.ask("delete_v2", &json!({"path": path, "parent_rev": rev})).await.map(drop)
    }

    /// A question, with its answer in JSON.
    async fn ask(&self, what: &str, question: &Value) -> Result<Answer, Trouble> {
        let url = at(&self.api, what);
        let body = question.to_string();
        let make = || {
            let request = self.http.request(Method::POST, url.clone());
            request.header("content-type", "application/json").body(body.clone())
        };
        judge(self.tokens.send(&self.http, make).await.map_err(Trouble::Cloud)?)
    }

    /// Bytes up or down, with the question in a header.
    async fn content(&self, what: &str, question: &Value, bytes: Bytes) -> Result<Answer, Trouble> {
        let url = at(&self.content, what);
        let question = ascii(question);
        let make = || {
            let request = self.http.request(Method::POST, url.clone());
            let request =
                request.header("dropbox-api-arg", &question).longest_answer(LARGEST_OBJECT);
            request.header("content-type", "application/octet-stream").body(bytes.clone())
        };
        judge(self.tokens.send(&self.http, make).await.map_err(Trouble::Cloud)?)
    }
}

fn at(base: &Url, what: &str) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("/2/files/{what}"));
    url
}

fn read<T: DeserializeOwned>(answer: Answer) -> Result<T, Trouble> {
    serde_json::from_slice(&answer.body).map_err(|_| nonsense("JSON without what it must have"))
}

fn nonsense(what: &str) -> Trouble {
    Trouble::Cloud(Failure::nonsense(what).about_cloud())
}

/// All that went well; and what did not, by what the service says.
fn judge(answer: Answer) -> Result<Answer, Trouble> {
    // A token that is none is a bad request here, told in plain text.
    if answer.status == StatusCode::BAD_REQUEST
        && String::from_utf8_lossy(&answer.body).to_lowercase().contains("access token")
    {
        let failure = answer.failure().into_status(StatusCode::UNAUTHORIZED);
        return Err(Trouble::Cloud(failure.about_cloud()));
    }
    if answer.status != StatusCode::CONFLICT {
        return answer.success().map_err(|failure| Trouble::Cloud(failure.about_cloud()));
    }
    let complaint: Option<Complaint> = serde_json::from_slice(&answer.body).ok();
    let summary = complaint.map(|complaint| complaint.error_summary).unwrap_or_default();
    let has = |words: &[&str]| words.iter().any(|word| summary.split('/').any(|w| w == *word));
    let said = if has(&["too_many_write_operations", "reset", "internal_error"])
        || summary.starts_with("lookup_failed")
    {
        Said::Busy
    } else if has(&["insufficient_space", "insufficient_quota"]) {
        Said::Full
    } else if has(&["no_write_permission", "no_permission", "restricted_content"]) {
        Said::Forbidden
    } else if has(&["not_found"]) {
        Said::NotFound
    } else if has(&["not_file", "not_folder"]) {
        Said::OtherKind
    } else if has(&["conflict"]) {
        Said::Conflict
    } else {
        Said::Other
    };
    Err(Trouble::No(said, answer.failure()))
}

/// JSON as a header may hold it: without letters beyond ASCII.
fn ascii(value: &Value) -> String {
    let mut text = String::new();
    for unit in value.to_string().encode_utf16() {
        match u8::try_from(unit) {
            Ok(byte) if byte.is_ascii() && byte != 0x7f => text.push(char::from(byte)),
            _ => text.push_str(&format!("\\u{unit:04x}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_ascii_and_says_the_same() {
        let value = json!({"path": "/Rücklagen/€/\u{1f511}/\u{7f}"});
        let text = ascii(&value);
        assert!(text.is_ascii() && !text.contains('\u{7f}'), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }
}
