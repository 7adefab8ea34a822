//! Google Cloud Storage, over its XML interface.

use std::{path::PathBuf, sync::Arc};

use object_store::{RetryConfig, gcp::GoogleCloudStorageBuilder};

use super::{
    Opening, Service,
    objects::{Connector, Objects, Tags, of_settings},
};
use crate::{
    Access, BadCloudUrl, CloudBackend, Result,
    access::no_credentials,
    address::{Address, with_http_options},
    http::Http,
};

pub(super) const SERVICE: Service = Service {
    name: "Google Cloud Storage",
    schemes: &["gs"],
    example: "gs://BUCKET/PREFIX",
    needs_identity: false,
    parse,
    open: |address, access| -> Opening<'_> { Box::pin(open(address, access)) },
};

const ENDPOINT: &str = "https://storage.googleapis.com";

fn parse(text: &str) -> Result<Address, BadCloudUrl> {
    Address::parse_with_host(text, &with_http_options(&["endpoint"]), SERVICE.example)
}

async fn open(address: &Address, access: &Access) -> Result<Arc<dyn CloudBackend>> {
    let secrets = &access.secrets;
    let endpoint = address.endpoint(ENDPOINT)?;
    let http = Http::new(&endpoint, &address.http(access)?)?;
    let builder = GoogleCloudStorageBuilder::new()
        .with_http_connector(Connector::new(http))
        .with_retry(RetryConfig { max_retries: 0, ..RetryConfig::default() })
        .with_base_url(endpoint.as_str().trim_end_matches('/'))
        .with_bucket_name(address.host().unwrap_or_default());
    let builder = if let Some(token) = secrets.secret("GOOGLE_BEARER_TOKEN")? {
        builder.with_bearer_token(token.expose())
    } else if let Some(key) = secrets.secret("GOOGLE_SERVICE_ACCOUNT_KEY")? {
        builder.with_service_account_key(key.expose())
    } else {
        let usual = || secrets.at_home(".config/gcloud/application_default_credentials.json");
        let named = secrets.variable("GOOGLE_APPLICATION_CREDENTIALS").map(PathBuf::from);
        // Whether it is there is asked first: the library would go on to ask the machine's host.
        let path = named.or_else(usual);
        let Some(path) = path.filter(|path| path.is_file()) else {
            return Err(no_credentials(
                "set GOOGLE_APPLICATION_CREDENTIALS to the key file of a service account, or run \
                 \"gcloud auth application-default login\"",
            ));
        };
        builder.with_application_credentials(path.display().to_string())
    };
    let store = builder.build().map_err(|e| of_settings(&e))?;
    Ok(Objects::open(store, address.path(), Tags::Version))
}
