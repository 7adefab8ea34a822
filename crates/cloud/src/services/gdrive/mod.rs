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
    oauth::{Grant, Tokens},
};
use crate::{
    Access, BadCloudUrl, CloudBackend, Result,
    access::{Secrets, no_credentials},
    address::{Address, bad, with_http_options},
    http::{Http, Url},
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

fn parse(text: &str) -> Result<Address, BadCloudUrl> {
    Address::parse(text, &with_http_options(&["endpoint"]))
}

async fn open(address: &Address, access: &Access) -> Result<Arc<dyn CloudBackend>> {
    let endpoint = address.option("endpoint");
    let base = |usual: &str| {
        let text = endpoint.as_deref().unwrap_or(usual);
        Url::parse(text).map_err(|_| bad("the endpoint is not an address of HTTP"))
    };
    let (api, mut makes_tokens) = (base(API)?, base(TOKENS)?);
    makes_tokens.set_path("/token");
    let tokens = tokens(&access.secrets, makes_tokens)?;
    let http = Http::new(&api, &address.http(access)?)?;
    Ok(Arc::new(Drive::new(Client::new(http, api, tokens), &address.path())))
}

fn tokens(secrets: &Secrets, endpoint: Url) -> Result<Tokens> {
    if let Some(refresh) = secrets.secret("STRONGROOM_GDRIVE_REFRESH_TOKEN")? {
        let client = secrets.variable("STRONGROOM_GDRIVE_CLIENT_ID").ok_or_else(|| {
            no_credentials(
                "STRONGROOM_GDRIVE_REFRESH_TOKEN is set, but not STRONGROOM_GDRIVE_CLIENT_ID",
            )
        })?;
        let client_secret = secrets.secret("STRONGROOM_GDRIVE_CLIENT_SECRET")?;
        return Ok(Tokens::granted(Grant { endpoint, client, client_secret, refresh }));
    }
    match secrets.secret("STRONGROOM_GDRIVE_TOKEN")? {
        Some(token) => Ok(Tokens::given(token)),
        None => Err(no_credentials(
            "set STRONGROOM_GDRIVE_REFRESH_TOKEN, STRONGROOM_GDRIVE_CLIENT_ID and \
             STRONGROOM_GDRIVE_CLIENT_SECRET, or for an hour STRONGROOM_GDRIVE_TOKEN; the page on \
             Google Drive in the book tells how to get them",
        )),
    }
}
