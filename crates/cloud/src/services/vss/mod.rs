//! VSS, the Versioned Storage Service of LDK: keys with versions, changed in transactions.
//!
//! An object is two keys that are always changed together: `o/NAME` holds its bytes, and
//! `s/NAME=SIZE=ID` says how many they are, because a listing tells keys and no sizes. The id is
//! random and new with each put: it is the tag, and a transaction that removes its key proves that
//! the object is still the one that was read.

mod backend;
mod client;
mod identity;
mod message;

use std::sync::Arc;

use self::{
    backend::Vss,
    client::{Client, Login},
    identity::Identity,
};
use super::{Opening, Service};
use crate::{
    Access, BadCloudUrl, CloudBackend, Result,
    access::no_credentials,
    address::{Address, with_http_options},
    http::Http,
};

pub(super) const SERVICE: Service = Service {
    name: "VSS, the storage service of LDK",
    schemes: &["vss+https", "vss+http"],
    example: "vss+https://HOST/vss",
    needs_identity: true,
    parse,
    open: |address, access| -> Opening<'_> { Box::pin(open(address, access)) },
};

/// The part of a user's keys that is ours.
const STORE: &str = "strongroom";

fn parse(text: &str) -> Result<Address, BadCloudUrl> {
    Address::parse_with_host(text, &with_http_options(&["store"]), SERVICE.example)
}

async fn open(address: &Address, access: &Access) -> Result<Arc<dyn CloudBackend>> {
    let base = address.as_http()?;
    let login = match (access.secrets.secret("STRONGROOM_VSS_TOKEN")?, &access.identity) {
        (Some(token), _) => Login::Token(token),
        (None, Some(identity)) => Login::Identity(Identity::of(identity)?),
        (None, None) => {
            return Err(no_credentials(
                "this service knows a wallet by its own key; or set STRONGROOM_VSS_TOKEN",
            ));
        }
    };
    let store = address.option("store").unwrap_or_else(|| STORE.to_owned());
    let http = Http::new(&base, &address.http(access)?)?;
    Ok(Arc::new(Vss::new(Client::new(http, base, store, login))))
}
