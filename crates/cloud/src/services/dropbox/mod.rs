//! Dropbox, over its HTTP API of version 2.

mod backend;
mod client;

use std::sync::Arc;

use self::{backend::Dropbox, client::Client};
use super::{
    Opening, Service,
    oauth::{Tokens, Variables},
};
use crate::{
    Access, BadCloudUrl, CloudBackend, Result,
    address::{Address, with_http_options},
    http::Http,
};

pub(super) const SERVICE: Service = Service {
    name: "Dropbox",
    schemes: &["dropbox"],
    example: "dropbox:FOLDER",
    needs_identity: false,
    parse,
    open: |address, access| -> Opening<'_> { Box::pin(open(address, access)) },
};

/// Where questions go.
const API: &str = "https://api.dropboxapi.com";
/// Where bytes go.
const CONTENT: &str = "https://content.dropboxapi.com";

const VARIABLES: Variables = Variables {
    refresh: "STRONGROOM_DROPBOX_REFRESH_TOKEN",
    client: "STRONGROOM_DROPBOX_APP_KEY",
    client_secret: "STRONGROOM_DROPBOX_APP_SECRET",
    token: "STRONGROOM_DROPBOX_TOKEN",
    how: "set STRONGROOM_DROPBOX_REFRESH_TOKEN and STRONGROOM_DROPBOX_APP_KEY, or for some hours \
          STRONGROOM_DROPBOX_TOKEN; the page on Dropbox in the book tells how to get them",
};

fn parse(text: &str) -> Result<Address, BadCloudUrl> {
    Address::parse(text, &with_http_options(&["endpoint"]))
}

async fn open(address: &Address, access: &Access) -> Result<Arc<dyn CloudBackend>> {
    let (api, content) = (address.endpoint(API)?, address.endpoint(CONTENT)?);
    let mut makes_tokens = api.clone();
    makes_tokens.set_path("/oauth2/token");
    let tokens = Tokens::find(&access.secrets, &VARIABLES, makes_tokens)?;
    let http = Http::new(&api, &address.http(access)?)?;
    Ok(Arc::new(Dropbox::new(Client::new(http, api, content, tokens), &address.path())))
}
