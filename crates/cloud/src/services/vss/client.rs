//! The four calls of the service, and what their answers mean.

use bytes::Bytes;

use super::{
    identity::Identity,
    message::{self, Complaint, KeyValue},
};
use crate::{
    CloudError, Result,
    access::Secret,
    error::boxed,
    http::{Answer, Failure, Http, Method, Url},
    services::{LARGEST_OBJECT, pages::Pages},
};

/// What an answer must say, so that a page of somebody else's is not taken for one.
const VERSION_HEADER: &str = "vss-protocol-version";
const VERSION: &str = "0";

/// What a message may have besides an object's bytes.
const MORE: u64 = 1 << 20;

/// A connection to the service.
#[derive(Debug)]
pub(super) struct Client {
    http: Http,
    base: Url,
    store: String,
    login: Login,
}

/// How we prove who we are.
#[derive(Debug)]
pub(super) enum Login {
    /// A token that the operator gave.
    Token(Secret),
    /// A signature with each request.
    Identity(Identity),
}

/// How a transaction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Put {
    Done,
    /// A key does not have the version that it must have; nothing was changed.
    Conflict,
}

impl Client {
    pub(super) fn new(http: Http, base: Url, store: String, login: Login) -> Self {
        Self { http, base, store, login }
    }

    /// A key's value and version.
    pub(super) async fn get(&self, key: &str) -> Result<Option<KeyValue>> {
        let answer = self.call("getObject", message::get(&self.store, key)).await?;
        match judge(&answer)? {
            None => Ok(Some(message::got(&answer.body).ok_or_else(nonsense)?)),
            Some(Complaint::NoSuchKey) => Ok(None),
            Some(complaint) => Err(self.trouble(complaint, &answer)),
        }
    }

    /// Changes keys, all or none.
    pub(super) async fn put(&self, puts: Vec<KeyValue>, deletes: Vec<KeyValue>) -> Result<Put> {
        let message = message::put(&self.store, puts, deletes);
        let answer = self.call("putObjects", message).await?;
        match judge(&answer)? {
            None => Ok(Put::Done),
            Some(Complaint::Conflict) => Ok(Put::Conflict),
            Some(complaint) => Err(self.trouble(complaint, &answer)),
        }
    }

    /// All keys that begin with these characters.
    pub(super) async fn list(&self, prefix: &str) -> Result<Vec<String>> {
        let mut all = Vec::new();
        let mut next = String::new();
        let mut pages = Pages::default();
        loop {
            let message = message::list(&self.store, prefix, &next);
            let answer = self.call("listKeyVersions", message).await?;
            if let Some(complaint) = judge(&answer)? {
                return Err(self.trouble(complaint, &answer));
            }
            let page = message::listed(&answer.body).ok_or_else(nonsense)?;
            // The service takes `_` for any character.
            let keys = page.keys.into_iter().map(|found| found.key);
            all.extend(keys.filter(|key| key.starts_with(prefix)));
            if page.next.is_empty() {
                return Ok(all);
            }
            pages.turn(&page.next).map_err(Failure::about_cloud)?;
            next = page.next;
        }
    }

    async fn call(&self, what: &str, message: Vec<u8>) -> Result<Answer> {
        let mut url = self.base.clone();
        url.set_path(&format!("{}/{what}", self.base.path().trim_end_matches('/')));
        let authorization = match &self.login {
            Login::Token(token) => Secret::new(format!("Bearer {}", token.expose())),
            Login::Identity(identity) => identity.sign()?,
        };
        let request = self
            .http
            .request(Method::POST, url)
            .header("content-type", "application/octet-stream")
            .secret_header("authorization", authorization.expose())
            .longest_answer(LARGEST_OBJECT + MORE)
            .body(Bytes::from(message));
        request.send().await.map_err(Failure::about_cloud)
    }

    fn trouble(&self, complaint: Complaint, answer: &Answer) -> CloudError {
        let failure = answer.failure();
        match complaint {
            Complaint::Unauthorized => CloudError::Unauthorized { source: boxed(failure) },
            Complaint::Invalid => CloudError::TooOld { source: boxed(failure) },
            Complaint::Internal | Complaint::Conflict | Complaint::NoSuchKey => {
                failure.into_busy().about_cloud()
            }
            Complaint::Unknown => failure.about_cloud(),
        }
    }
}

/// `None` if all went well, else what the service complains about.
fn judge(answer: &Answer) -> Result<Option<Complaint>> {
    let version = answer.header(VERSION_HEADER);
    if version.is_some_and(|version| version != VERSION) {
        let source = boxed("it speaks another version of the protocol");
        return Err(CloudError::TooOld { source });
    }
    if !answer.status.is_success() {
        return Ok(Some(message::complaint(&answer.body)));
    }
    if version.is_none() { Err(nonsense()) } else { Ok(None) }
}

fn nonsense() -> CloudError {
    Failure::nonsense("no message of the service").about_cloud()
}
