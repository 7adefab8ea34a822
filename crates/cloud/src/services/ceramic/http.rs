//! Requests over HTTP.

use async_trait::async_trait;

use super::transport::{Method, Reply, Request, Transport};
use crate::{
    CloudError, HttpSettings, Result,
    error::boxed,
    http::{self, Http, Url},
};

/// A state holds an index of some thousand objects, or a chunk in base64.
const LONGEST_ANSWER: u64 = 64 << 20;

/// A node behind an address.
#[derive(Debug)]
pub(super) struct HttpTransport {
    http: Http,
    /// Ends with `/api/v0/`.
    api: Url,
}

impl HttpTransport {
    /// The node at `http(s)://host:port/`, or below a path.
    pub(super) fn new(node: &Url, settings: &HttpSettings) -> Result<Self> {
        let http = Http::new(node, settings)?;
        let mut api = node.clone();
        let path = format!("{}/api/v0/", node.path().trim_end_matches('/'));
        api.set_path(&path);
        api.set_query(None);
        api.set_fragment(None);
        Ok(Self { http, api })
    }
}

#[async_trait]
impl Transport for HttpTransport {
    async fn send(&self, request: Request) -> Result<Reply> {
        let url = self.api.join(&request.path);
        let url = url.map_err(|e| CloudError::BadAddress { source: boxed(e) })?;
        let method = match request.method {
            Method::Get => http::Method::GET,
            Method::Post => http::Method::POST,
            Method::Delete => http::Method::DELETE,
        };
        let mut sending = self.http.request(method, url).longest_answer(LONGEST_ANSWER);
        if let Some(body) = request.body {
            sending = sending.header("content-type", "application/json").body(body);
        }
        if let Some(authorization) = &request.authorization {
            sending = sending.secret_header("authorization", authorization);
        }
        let answer = sending.send().await.map_err(http::Failure::about_cloud)?;
        let failure = (!answer.status.is_success()).then(|| answer.failure().about_cloud());
        Ok(Reply { body: answer.body, failure })
    }
}
