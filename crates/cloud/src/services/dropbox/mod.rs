//! Dropbox, over its HTTP API of version 2.

mod backend;
mod client;

use std::sync::Arc;

use self::{backend::Dropbox, client::Client};
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

fn parse(text: &str) -> Result<Address, BadCloudUrl> {
    Address::parse(text, &with_http_options(&["endpoint"]))
}

async fn open(address: &Address, access: &Access) -> Result<Arc<dyn CloudBackend>> {
    let endpoint = address.option("endpoint");
    let base = |usual: &str| {
        let text = endpoint.as_deref().unwrap_or(usual);
        Url::parse(text).map_err(|_| bad("the endpoint is not an address of HTTP"))
    };
    let (api, content) = (base(API)?, base(CONTENT)?);
    let tokens = tokens(&access.secrets, &api)?;
    let http = Http::new(&api, &address.http(access)?)?;
    Ok(Arc::new(Dropbox::new(Client::new(http, api, content, tokens), &address.path())))
}

fn tokens(secrets: &Secrets, api: &Url) -> Result<Tokens> {
    if let Some(refresh) = secrets.secret("STRONGROOM_DROPBOX_REFRESH_TOKEN")? {
        let client = secrets.variable("STRONGROOM_DROPBOX_APP_KEY").ok_or_else(|| {
            no_credentials(
                "STRONGROOM_DROPBOX_REFRESH_TOKEN is set, but not STRONGROOM_DROPBOX_APP_KEY",
            )
        })?;
        let client_secret = secrets.secret("STRONGROOM_DROPBOX_APP_SECRET")?;
        let mut endpoint = api.clone();
        endpoint.set_path("/oauth2/token");
        return Ok(Tokens::granted(Grant { endpoint, client, client_secret, refresh }));
    }
    match secrets.secret("STRONGROOM_DROPBOX_TOKEN")? {
        Some(token) => Ok(Tokens::given(token)),
        None => Err(no_credentials(
            "set STRONGROOM_DROPBOX_REFRESH_TOKEN and STRONGROOM_DROPBOX_APP_KEY, or for some hours \
             STRONGROOM_DROPBOX_TOKEN; the page on Dropbox in the book tells how to get them",
        )),
    }
}
