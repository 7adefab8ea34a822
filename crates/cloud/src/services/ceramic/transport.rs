//! How requests reach a node. Apart from what they say, so that another transport can be added.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;

use crate::{CloudError, Result};

/// Carries requests to one node.
#[async_trait]
pub(super) trait Transport: fmt::Debug + Send + Sync {
    /// Sends a request and reads the whole answer. An error means that there was none.
    async fn send(&self, request: Request) -> Result<Reply>;
}

/// A request, to a path below `/api/v0/`.
#[derive(Clone)]
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) path: String,
    /// JSON.
    pub(super) body: Option<String>,
    /// A signature in place of a password, good for this request alone.
    pub(super) authorization: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    Get,
    Post,
    Delete,
}

/// What a node answered.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) body: Bytes,
    /// What its status means, unless that is success.
    pub(super) failure: Option<CloudError>,
}

impl Request {
    pub(super) fn get(path: impl Into<String>) -> Self {
        Self { method: Method::Get, path: path.into(), body: None, authorization: None }
    }

    pub(super) fn post(path: impl Into<String>, body: String) -> Self {
        Self { method: Method::Post, path: path.into(), body: Some(body), authorization: None }
    }

    pub(super) fn delete(path: impl Into<String>) -> Self {
        let body = Some("{}".to_owned());
        Self { method: Method::Delete, path: path.into(), body, authorization: None }
    }

    pub(super) fn authorized(self, authorization: String) -> Self {
        Self { authorization: Some(authorization), ..self }
    }
}

/// Without the signature and the data.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}", self.method, self.path)
    }
}
