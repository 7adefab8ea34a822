//! Google Drive, over version 3 of its API: files in the hidden folder of the app (`appDataFolder`).
//!
//! Drive knows files by ids, and any number may have one name. So the file of an object is the
//! oldest of its name: who creates one looks afterwards whether an older one is there, and removes
//! its own if so. There are no conditions: nothing keeps two writers from replacing one file.

mod backend;
mod client;
mod upload;

use std::sync::Arc;

use self::{backend::Drive, client::Client};
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
    name: "Google Drive",
    schemes: &["gdrive"],
    example: "gdrive:FOLDER",
    needs_identity: false,
    parse,
    open: |address, access| -> Opening<'_> { Box::pin(open(address, access)) },
};

const API: &str = "https://www.googleapis.com";
const TOKENS: &str = "https://oauth2.googleapis.com";

const VARIABLES: Variables = Variables {
    refresh: "STRONGROOM_GDRIVE_REFRESH_TOKEN",
    client: "STRONGROOM_GDRIVE_CLIENT_ID",
    client_secret: "STRONGROOM_GDRIVE_CLIENT_SECRET",
    token: "STRONGROOM_GDRIVE_TOKEN",
    how: "set STRONGROOM_GDRIVE_REFRESH_TOKEN, STRONGROOM_GDRIVE_CLIENT_ID and \
          STRONGROOM_GDRIVE_CLIENT_SECRET, or for an hour STRONGROOM_GDRIVE_TOKEN; the page on \
          Google Drive in the book tells how to get them",
};

fn parse(text: &str) -> Result<Address, BadCloudUrl> {
    Address::parse(text, &with_http_options(&["endpoint"]))
}

async fn open(address: &Address, access: &Access) -> Result<Arc<dyn CloudBackend>> {
    let (api, mut makes_tokens) = (address.endpoint(API)?, address.endpoint(TOKENS)?);
    makes_tokens.set_path("/token");
    let tokens = Tokens::find(&access.secrets, &VARIABLES, makes_tokens)?;
    let http = Http::new(&api, &address.http(access)?)?;
    Ok(Arc::new(Drive::new(Client::new(http, api, tokens), &address.path())))
}
