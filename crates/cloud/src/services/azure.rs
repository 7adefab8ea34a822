//! Azure Blob Storage.

use std::sync::Arc;

use object_store::{
    RetryConfig,
    azure::{AzureConfigKey, MicrosoftAzureBuilder},
};

use super::{
    Opening, Service,
    objects::{Connector, Objects, Tags, of_settings},
};
use crate::{
    Access, BadCloudUrl, CloudBackend, Result,
    access::no_credentials,
    address::{Address, bad, with_http_options},
    http::Http,
};

pub(super) const SERVICE: Service = Service {
    name: "Azure Blob Storage",
    schemes: &["az"],
    example: "az://CONTAINER/PREFIX?account=ACCOUNT",
    needs_identity: false,
    parse,
    open: |address, access| -> Opening<'_> { Box::pin(open(address, access)) },
};

fn parse(text: &str) -> Result<Address, BadCloudUrl> {
    Address::parse_with_host(text, &with_http_options(&["account", "endpoint"]), SERVICE.example)
}

async fn open(address: &Address, access: &Access) -> Result<Arc<dyn CloudBackend>> {
    let secrets = &access.secrets;
    let account = address
        .option("account")
        .or_else(|| secrets.variable("AZURE_STORAGE_ACCOUNT_NAME"))
        .or_else(|| secrets.variable("AZURE_STORAGE_ACCOUNT"))
        .ok_or_else(|| bad("it needs the account: ?account=.., or AZURE_STORAGE_ACCOUNT"))?;
    let endpoint = address.endpoint(&format!("https://{account}.blob.core.windows.net"))?;
    let http = Http::new(&endpoint, &address.http(access)?)?;
    let builder = MicrosoftAzureBuilder::new()
        .with_http_connector(Connector::new(http))
        .with_retry(RetryConfig { max_retries: 0, ..RetryConfig::default() })
        .with_allow_http(true)
        .with_account(account)
        .with_container_name(address.host().unwrap_or_default())
        .with_endpoint(endpoint.as_str().trim_end_matches('/').to_owned());
    let builder = if let Some(key) = secrets.secret("AZURE_STORAGE_ACCOUNT_KEY")? {
        builder.with_access_key(key.expose())
    } else if let Some(key) = secrets.secret("AZURE_STORAGE_KEY")? {
        builder.with_access_key(key.expose())
    } else if let Some(sas) = secrets.secret("AZURE_STORAGE_SAS_TOKEN")? {
        builder.with_config(AzureConfigKey::SasKey, sas.expose())
    } else {
        return Err(no_credentials(
            "set AZURE_STORAGE_KEY (an access key of the account) or AZURE_STORAGE_SAS_TOKEN",
        ));
    };
    let store = builder.build().map_err(|e| of_settings(&e))?;
    Ok(Objects::open(store, address.path(), Tags::ETag))
}
