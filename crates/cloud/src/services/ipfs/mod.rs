//! A node of IPFS, over the RPC interface of Kubo (`/api/v0`).
//!
//! Bytes are added and pinned first; then the node's own file system (MFS) gives them a name, in one
//! step. So an object is whole or absent, and what has a name is kept.

mod backend;
mod client;

use std::sync::Arc;

use self::{backend::Ipfs, client::Client};
use super::{Opening, Service};
use crate::{
    Access, BadCloudUrl, CloudBackend, Result,
    access::{Secret, Secrets, no_credentials},
    address::{Address, with_http_options},
    http::Http,
};

pub(super) const SERVICE: Service = Service {
    name: "a node of IPFS (Kubo)",
    schemes: &["ipfs+http", "ipfs+https"],
    example: "ipfs+http://HOST:5001/FOLDER",
    needs_identity: false,
    parse,
    open: |address, access| -> Opening<'_> { Box::pin(open(address, access)) },
};

fn parse(text: &str) -> Result<Address, BadCloudUrl> {
    Address::parse_with_host(text, &with_http_options(&[]), SERVICE.example)
}

async fn open(address: &Address, access: &Access) -> Result<Arc<dyn CloudBackend>> {
    let mut node = address.as_http()?;
    node.set_path("");
    let authorization = authorization(address, &access.secrets)?;
    let http = Http::new(&node, &address.http(access)?)?;
    Ok(Arc::new(Ipfs::new(Client::new(http, node, authorization), &address.path())))
}

/// The value of the header, for nodes that ask for it (`API.Authorizations`) and for proxies.
fn authorization(address: &Address, secrets: &Secrets) -> Result<Option<Secret>> {
    if let Some(token) = secrets.secret("STRONGROOM_IPFS_TOKEN")? {
        return Ok(Some(Secret::new(format!("Bearer {}", token.expose()))));
    }
    let Some(user) = address.user() else { return Ok(None) };
    let password = secrets.secret("STRONGROOM_IPFS_PASSWORD")?.ok_or_else(|| {
        no_credentials(&format!("set STRONGROOM_IPFS_PASSWORD to the password of {user}"))
    })?;
    Ok(Some(Secret::basic(&user, &password)))
}
