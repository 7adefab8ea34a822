//! The requests of WebDAV that are needed, and what their answers mean.

use bytes::Bytes;
use reqwest::StatusCode;

use super::{
    credentials::Login,
    multistatus::{self, Entry},
};
use crate::{
    access::Secret,
    http::{Failure, Http, Method, Request, Url},
    services::{LARGEST_OBJECT, LONGEST_LISTING},
};

/// A connection to one server. Paths are in parts, from the server's root.
#[derive(Debug)]
pub(super) struct Client {
    http: Http,
    server: Url,
    root: Vec<String>,
    /// The value of the header.
    authorization: Option<Secret>,
    login: Option<Login>,
}

/// What a server says to `GET`.
pub(super) struct Content {
    pub(super) bytes: Bytes,
    pub(super) etag: Option<String>,
}

/// How a `MOVE` ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moved {
    Yes,
    /// The condition does not hold.
    Refused,
    /// The folder it should go to is missing.
    NoFolder,
}

/// Whether a folder is there now.
pub(super) enum Made {
    Yes,
    /// The folder it should lie in is missing.
    NoParent(Failure),
}

/// On which condition a file replaces another.
pub(super) enum Over {
    /// There must be none.
    Nothing,
    Anything,
    /// The other must have this ETag.
    ETag(String),
}

impl Client {
    pub(super) fn new(http: Http, server: &Url, root: Vec<String>, login: Option<Login>) -> Self {
        let authorization = login.as_ref().map(|login| Secret::basic(&login.user, &login.password));
        Self { http, server: server.clone(), root, authorization, login }
    }

    /// The path of the cloud's folder, extended by parts.
    pub(super) fn path<'a>(&self, below: impl IntoIterator<Item = &'a str>) -> Vec<String> {
        self.root.iter().cloned().chain(below.into_iter().map(ToOwned::to_owned)).collect()
    }

    pub(super) async fn put(&self, path: &[String], bytes: Bytes) -> Result<(), Failure> {
        let size = bytes.len() as u64;
        let request = self.request(Method::PUT, path).body(bytes);
        let answer = request.header("content-type", "application/octet-stream").send().await?;
        match answer.success()?.status {
            StatusCode::CREATED | StatusCode::NO_CONTENT => Ok(()),
            // So may a server say that it has replaced a file. So does a page that asks to sign in to
            // a network.
            _ => self.must_be_there(path, size).await,
        }
    }

    /// An error unless there is a file of this size.
    async fn must_be_there(&self, path: &[String], size: u64) -> Result<(), Failure> {
        match self.find(path).await? {
            Some(entry) if !entry.is_folder && entry.size == size => Ok(()),
            _ => Err(Failure::nonsense("what was stored is not there")),
        }
    }

    /// `None` if there is nothing, or a folder.
    pub(super) async fn get(&self, path: &[String]) -> Result<Option<Content>, Failure> {
        let answer = self.request(Method::GET, path).longest_answer(LARGEST_OBJECT).send().await?;
        let maybe_folder = match answer.status {
            StatusCode::NOT_FOUND | StatusCode::GONE => return Ok(None),
            // Folders answer with a list, a redirection to `path/`, or a refusal.
            status if status.is_success() => {
                answer.header("content-type").is_some_and(|kind| kind.starts_with("text/html"))
            }
            status => {
                status.is_redirection()
                    || [StatusCode::METHOD_NOT_ALLOWED, StatusCode::NOT_IMPLEMENTED]
                        .contains(&status)
            }
        };
        if maybe_folder && self.find(path).await?.is_none_or(|entry| entry.is_folder) {
            return Ok(None);
        }
        let answer = answer.success()?;
        if !answer.has_end {
            // It ended with the connection, and so does what breaks off.
            self.must_be_there(path, answer.body.len() as u64).await?;
        }
        let etag = answer.header("etag").map(ToOwned::to_owned);
        Ok(Some(Content { bytes: answer.body, etag }))
    }

    /// Moves a file of this size; whole, if the server is any good.
    pub(super) async fn rename(
        &self,
        (from, size): (&[String], u64),
        to: &[String],
        over: &Over,
    ) -> Result<Moved, Failure> {
        let destination = self.url(to);
        let overwrite = if matches!(over, Over::Nothing) { "F" } else { "T" };
        let mut request = self
            .request(method("MOVE"), from)
            .header("destination", destination.as_str())
            .header("overwrite", overwrite);
        if let Over::ETag(etag) = over {
            request = request.header("if", &format!("<{destination}> ([{etag}])"));
        }
        let answer = request.send().await?;
        match answer.status {
            StatusCode::PRECONDITION_FAILED => Ok(Moved::Refused),
            StatusCode::CONFLICT | StatusCode::NOT_FOUND => Ok(Moved::NoFolder),
            // Some servers tell what failed in a list.
            StatusCode::MULTI_STATUS => Err(answer.failure().into_busy()),
            StatusCode::CREATED | StatusCode::NO_CONTENT => Ok(Moved::Yes),
            // Not what a server says that has moved something.
            _ => {
                answer.success()?;
                if self.find(from).await?.is_some() {
                    return Err(Failure::nonsense("nothing was moved"));
                }
                self.must_be_there(to, size).await.map(|()| Moved::Yes)
            }
        }
    }

    /// Deletes a file or nothing.
    pub(super) async fn delete(&self, path: &[String]) -> Result<(), Failure> {
        let answer = self.request(Method::DELETE, path).send().await?;
        match answer.status {
            StatusCode::NO_CONTENT | StatusCode::NOT_FOUND | StatusCode::GONE => return Ok(()),
            // The list of what was not deleted.
            StatusCode::MULTI_STATUS => return Err(answer.failure().into_busy()),
            _ => answer.success()?,
        };
        // So may a server say that it has deleted a file. So does a page that asks to sign in to a
        // network.
        match self.find(path).await? {
            Some(_) => Err(Failure::nonsense("nothing was deleted")),
            None => Ok(()),
        }
    }

    /// Makes a folder, or finds it made.
    pub(super) async fn make_folder(&self, path: &[String]) -> Result<Made, Failure> {
        let answer = self.request(method("MKCOL"), path).send().await?;
        match answer.status {
            StatusCode::METHOD_NOT_ALLOWED => Ok(Made::Yes),
            StatusCode::CONFLICT | StatusCode::NOT_FOUND => Ok(Made::NoParent(answer.failure())),
            StatusCode::CREATED => Ok(Made::Yes),
            // Another may be making it at this moment; several servers say so in odd ways.
            _ if self.find(path).await?.is_some_and(|entry| entry.is_folder) => Ok(Made::Yes),
            status if status.is_success() => Err(Failure::nonsense("no folder was made")),
            _ => Err(answer.failure()),
        }
    }

    /// What lies at this path.
    pub(super) async fn find(&self, path: &[String]) -> Result<Option<Entry>, Failure> {
        let entries = self.ask(path, "0").await?;
        Ok(entries.and_then(|entries| entries.into_iter().next()))
    }

    /// What lies in a folder; nothing if it is a file or absent.
    pub(super) async fn list(&self, path: &[String]) -> Result<Option<Vec<Entry>>, Failure> {
        let Some(mut entries) = self.ask(path, "1").await? else { return Ok(None) };
        // The folder is in the list itself. It is known by its length, because a server behind
        // another one may write paths that begin otherwise than ours.
        let own = entries.iter().map(|entry| entry.path.len()).min().unwrap_or_default();
        // One that leaves it out would else pass for an empty folder.
        if entries.iter().filter(|entry| entry.path.len() == own).count() != 1 {
            return Err(Failure::nonsense("a list without the folder itself"));
        }
        entries.retain(|entry| entry.path.len() == own + 1);
        Ok(Some(entries))
    }

    async fn ask(&self, path: &[String], depth: &str) -> Result<Option<Vec<Entry>>, Failure> {
        let request = self
            .request(method("PROPFIND"), path)
            .header("depth", depth)
            .header("content-type", "application/xml; charset=utf-8")
            .longest_answer(LONGEST_LISTING)
            .body(multistatus::QUESTION);
        let answer = request.send().await.map_err(Failure::of_a_list)?;
        match answer.status {
            StatusCode::NOT_FOUND | StatusCode::GONE => Ok(None),
            _ => multistatus::parse(&answer.success()?.body).map(Some),
        }
    }

    fn request(&self, method: Method, path: &[String]) -> Request<'_> {
        let mut request = self.http.request(method, self.url(path));
        if let Some(value) = &self.authorization {
            request = request.secret_header("authorization", value.expose());
        }
        if let Some(login) = &self.login {
            request = request.secret(login.password.expose());
        }
        request
    }

    fn url(&self, path: &[String]) -> Url {
        let mut url = self.server.clone();
        if let Ok(mut parts) = url.path_segments_mut() {
            parts.clear().extend(path);
        }
        url
    }
}

/// A method that HTTP itself does not have.
fn method(name: &'static str) -> Method {
    // These few are tokens; a method that is none cannot come from here.
    Method::from_bytes(name.as_bytes()).unwrap_or(Method::OPTIONS)
}
