//! The calls of the RPC interface that are needed, and what their answers mean.

use bytes::{Bytes, BytesMut};
use serde::{Deserialize, de::DeserializeOwned};

use crate::{
    CloudError, Result,
    access::Secret,
    error::boxed,
    http::{Answer, Failure, Http, Method, Url},
    services::{LARGEST_OBJECT, LONGEST_LISTING, random_name},
};

/// A connection to a node. Paths are those of its file system and begin with `/`.
#[derive(Debug)]
pub(super) struct Client {
    http: Http,
    node: Url,
    authorization: Option<Secret>,
}

/// What has a name.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Found {
    /// The hash of its content (CID).
    pub(super) hash: String,
    pub(super) size: u64,
    #[serde(rename = "Type")]
    kind: String,
}

impl Found {
    pub(super) fn is_file(&self) -> bool {
        self.kind == "file"
    }
}

/// What is in a folder.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Entry {
    pub(super) name: String,
    #[serde(rename = "Type")]
    kind: u32,
    #[serde(default)]
    pub(super) size: u64,
}

impl Entry {
    pub(super) fn is_folder(&self) -> bool {
        self.kind == 1
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listing {
    #[serde(default)]
    entries: Option<Vec<Entry>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Added {
    #[serde(default)]
    hash: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Complaint {
    #[serde(default)]
    message: String,
}

/// How giving a name ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Named {
    Yes,
    /// The name is taken.
    Taken,
}

/// What a node complained about. It answers 500 to nearly everything, so its words have to do.
enum Said {
    Absent,
    Taken,
    NotPinned,
    Other(CloudError),
}

impl Client {
    pub(super) fn new(http: Http, node: Url, authorization: Option<Secret>) -> Self {
        Self { http, node, authorization }
    }

    /// Stores bytes and pins them; gives their hash.
    pub(super) async fn add(&self, bytes: &Bytes) -> Result<String> {
        let boundary = random_name()?;
        let mut body = BytesMut::new();
        let head = format!(
            "--{boundary}\r\ncontent-disposition: form-data; name=\"file\"; filename=\"object\"\r\n\
             content-type: application/octet-stream\r\n\r\n"
        );
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(bytes);
        body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
        let options = [("pin", "true"), ("cid-version", "1"), ("progress", "false")];
        let kind = format!("multipart/form-data; boundary={boundary}");
        let answer = self.call("add", &options, Some((&kind, body.freeze()))).await;
        let answer = answer.map_err(Said::into_error)?;
        // One line of JSON for each file.
        let text = String::from_utf8_lossy(&answer.body);
        let added = text.lines().rev().find_map(|line| serde_json::from_str::<Added>(line).ok());
        match added {
            Some(added) if !added.hash.is_empty() => Ok(added.hash),
            _ => Err(nonsense("nothing was added")),
        }
    }

    /// Gives what was stored a name, unless it is taken.
    pub(super) async fn name(&self, hash: &str, path: &str) -> Result<Named> {
        let from = format!("/ipfs/{hash}");
        let options = [("arg", from.as_str()), ("arg", path), ("parents", "true")];
        taken(self.call("files/cp", &options, None).await)
    }

    /// Moves a name to another, over what has it if the node can do that.
    pub(super) async fn rename(&self, from: &str, to: &str) -> Result<Named> {
        taken(self.call("files/mv", &[("arg", from), ("arg", to)], None).await)
    }

    /// What has this name.
    pub(super) async fn find(&self, path: &str) -> Result<Option<Found>> {
        match self.call("files/stat", &[("arg", path)], None).await {
            Ok(answer) => read(&answer).map(Some),
            Err(Said::Absent) => Ok(None),
            Err(said) => Err(said.into_error()),
        }
    }

    /// The bytes of a hash; as many as there must be.
    pub(super) async fn read(&self, found: &Found) -> Result<Bytes> {
        let answer = self.call("cat", &[("arg", &found.hash)], None).await;
        let answer = answer.map_err(Said::into_error)?;
        // An error in the middle comes too late for a status.
        if answer.body.len() as u64 != found.size {
            return Err(nonsense("fewer bytes than there are"));
        }
        Ok(answer.body)
    }

    /// What is in a folder; nothing if it is absent.
    pub(super) async fn list(&self, path: &str) -> Result<Vec<Entry>> {
        match self.call("files/ls", &[("arg", path), ("long", "true")], None).await {
            Ok(answer) => Ok(read::<Listing>(&answer)?.entries.unwrap_or_default()),
            Err(Said::Absent) => Ok(Vec::new()),
            Err(said) => Err(said.into_error()),
        }
    }

    /// Takes a file's name away.
    pub(super) async fn remove(&self, path: &str) -> Result<()> {
        match self.call("files/rm", &[("arg", path)], None).await {
            Ok(_) | Err(Said::Absent) => Ok(()),
            Err(said) => Err(said.into_error()),
        }
    }

    /// Lets the node forget bytes that have no name any more.
    pub(super) async fn unpin(&self, hash: &str) -> Result<()> {
        match self.call("pin/rm", &[("arg", hash)], None).await {
            Ok(_) | Err(Said::NotPinned | Said::Absent) => Ok(()),
            Err(said) => Err(said.into_error()),
        }
    }

    /// Makes a folder and those it lies in.
    pub(super) async fn make_folder(&self, path: &str) -> Result<()> {
        match self.call("files/mkdir", &[("arg", path), ("parents", "true")], None).await {
            Ok(_) | Err(Said::Taken) => Ok(()),
            Err(said) => Err(said.into_error()),
        }
    }

    /// Every call is a `POST`, also those that only read.
    async fn call(
        &self,
        what: &str,
        options: &[(&str, &str)],
        body: Option<(&str, Bytes)>,
    ) -> Result<Answer, Said> {
        let mut url = self.node.clone();
        url.set_path(&format!("/api/v0/{what}"));
        url.query_pairs_mut().extend_pairs(options);
        let longest = match what {
            "cat" => LARGEST_OBJECT,
            _ => LONGEST_LISTING,
        };
        let mut request = self.http.request(Method::POST, url).longest_answer(longest);
        if let Some(value) = &self.authorization {
            request = request.secret_header("authorization", value.expose());
        }
        let request = match body {
            Some((kind, body)) => request.header("content-type", kind).body(body),
            None => request.body(Bytes::new()),
        };
        let answer = request.send().await.map_err(|e| match what {
            "files/ls" => Said::Other(e.of_a_list().about_cloud()),
            _ => Said::Other(e.about_cloud()),
        })?;
        if answer.status.is_success() { Ok(answer) } else { Err(Said::of(&answer)) }
    }
}

impl Said {
    fn of(answer: &Answer) -> Self {
        let complaint: Option<Complaint> = serde_json::from_slice(&answer.body).ok();
        let said = complaint.map(|complaint| complaint.message.to_lowercase()).unwrap_or_default();
        let has = |words: &[&str]| words.iter().any(|word| said.contains(word));
        if has(&["does not exist", "not a directory", "no link named"]) {
            Self::Absent
        } else if has(&["already has entry", "already exists"]) {
            Self::Taken
        } else if has(&["not pinned", "is pinned indirectly"]) {
            Self::NotPinned
        } else if has(&["no space left", "maximum storage limit"]) {
            Self::Other(CloudError::Full { source: boxed(answer.failure()) })
        } else {
            Self::Other(answer.failure().about_cloud())
        }
    }

    fn into_error(self) -> CloudError {
        match self {
            Self::Other(error) => error,
            // Where nothing of the kind was expected.
            Self::Absent | Self::Taken | Self::NotPinned => {
                CloudError::unavailable("names come and go on the node")
            }
        }
    }
}

fn taken(answer: Result<Answer, Said>) -> Result<Named> {
    match answer {
        Ok(_) => Ok(Named::Yes),
        Err(Said::Taken) => Ok(Named::Taken),
        Err(said) => Err(said.into_error()),
    }
}

fn read<T: DeserializeOwned>(answer: &Answer) -> Result<T> {
    serde_json::from_slice(&answer.body).map_err(|_| nonsense("JSON without what it must have"))
}

fn nonsense(what: &str) -> CloudError {
    Failure::nonsense(what).about_cloud()
}
