//! WebDAV: Nextcloud, ownCloud and most storage boxes (RFC 4918).
//!
//! Objects lie as files under their names, exactly as in a folder of
//! [`DirCloud`](crate::DirCloud), so that a synced copy of the folder is a cloud, too.
//! No server can be trusted to write a file at once and whole, or to honour a condition on `PUT`.
//! So each put goes to a new file first and is then moved to its place: `MOVE` with `Overwrite: F`
//! has one winner on most servers.

mod backend;
mod client;
mod credentials;
mod multistatus;

use std::sync::Arc;

use self::{backend::WebDav, client::Client};
use super::{Opening, Service};
use crate::{
    Access, BadCloudUrl, CloudBackend, Result,
    address::{Address, with_http_options},
    http::Http,
};

pub(super) const SERVICE: Service = Service {
    name: "WebDAV: Nextcloud, ownCloud and others",
    schemes: &["webdav+https", "webdav+http"],
    example: "webdav+https://USER@HOST/PATH",
    needs_identity: false,
    parse,
    open: |address, access| -> Opening<'_> { Box::pin(open(address, access)) },
};

fn parse(text: &str) -> Result<Address, BadCloudUrl> {
    Address::parse_with_host(text, &with_http_options(&[]), SERVICE.example)
}

async fn open(address: &Address, access: &Access) -> Result<Arc<dyn CloudBackend>> {
    let base = address.as_http()?;
    let http = Http::new(&base, &address.http(access)?)?;
    let login = credentials::find(address, &access.secrets)?;
    Ok(Arc::new(WebDav::new(Client::new(http, &base, address.path(), login))))
}
