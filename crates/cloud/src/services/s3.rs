//! Amazon S3 and everything that speaks its protocol.

mod profile;

use std::sync::Arc;

use object_store::{
    RetryConfig,
    aws::{AmazonS3Builder, S3ConditionalPut},
};

use super::{
    Opening, Service,
    objects::{Connector, Objects, Tags, of_settings},
};
use crate::{
    Access, BadCloudUrl, CloudBackend, Result,
    access::{Secret, Secrets, no_credentials},
    address::{Address, bad, with_http_options},
    http::{Http, Url},
};

pub(super) const SERVICE: Service = Service {
    name: "Amazon S3 and all that speaks its protocol",
    schemes: &["s3"],
    example: "s3://BUCKET/PREFIX?region=REGION",
    needs_identity: false,
    parse,
    open: |address, access| -> Opening<'_> { Box::pin(open(address, access)) },
};

/// Who signs.
struct Keys {
    id: String,
    secret: Secret,
    token: Option<Secret>,
}

fn parse(text: &str) -> Result<Address, BadCloudUrl> {
    let options = with_http_options(&["endpoint", "region", "profile", "host-style"]);
    Address::parse_with_host(text, &options, SERVICE.example)
}

async fn open(address: &Address, access: &Access) -> Result<Arc<dyn CloudBackend>> {
    let bucket = address.host().unwrap_or_default();
    let keys = keys(address, &access.secrets)?;
    let region = match address.option("region") {
        Some(region) => region,
        None => {
            profile::region(address, &access.secrets)?.unwrap_or_else(|| "us-east-1".to_owned())
        }
    };
    let variable = || access.secrets.variable("AWS_ENDPOINT_URL_S3");
    let own_endpoint = address.option("endpoint").or_else(variable);
    let virtual_host = match address.option("host-style").as_deref() {
        // Amazon asks for it; most others cannot do it, and certificates do not cover dots.
        None => own_endpoint.is_none() && !bucket.contains('.'),
        Some("yes") => true,
        Some("no") => false,
        Some(_) => return Err(bad("host-style is either yes or no")),
    };
    // The library wants the bucket in an endpoint of this kind.
    let endpoint = own_endpoint.unwrap_or_else(|| format!("https://s3.{region}.amazonaws.com"));
    let endpoint = endpoint.trim_end_matches('/').to_owned();
    let base: Url = endpoint.parse().map_err(|_| bad("the endpoint is not an address of HTTP"))?;
    let endpoint = match (virtual_host, base.host_str()) {
        (true, Some(host)) => endpoint.replacen(host, &format!("{bucket}.{host}"), 1),
        _ => endpoint,
    };
    let http = Http::new(&base, &address.http(access)?)?;
    let mut builder = AmazonS3Builder::new()
        .with_http_connector(Connector::new(http))
        .with_retry(RetryConfig { max_retries: 0, ..RetryConfig::default() })
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        // Many compatible services cannot delete in bulk, and we never do.
        .with_disable_bulk_delete(true)
        .with_allow_http(true)
        .with_bucket_name(bucket)
        .with_region(region)
        .with_endpoint(endpoint)
        .with_virtual_hosted_style_request(virtual_host)
        .with_access_key_id(keys.id)
        .with_secret_access_key(keys.secret.expose());
    if let Some(token) = &keys.token {
        builder = builder.with_token(token.expose());
    }
    let store = builder.build().map_err(|e| of_settings(&e))?;
    Ok(Objects::open(store, address.path(), Tags::ETag))
}

/// From the environment, else from the profile that the address, the environment, or nobody names.
fn keys(address: &Address, secrets: &Secrets) -> Result<Keys> {
    if address.option("profile").is_none()
        && let Some(id) = secrets.variable("AWS_ACCESS_KEY_ID")
    {
        let secret = secrets.secret("AWS_SECRET_ACCESS_KEY")?.ok_or_else(|| {
            no_credentials("AWS_ACCESS_KEY_ID is set, but not AWS_SECRET_ACCESS_KEY")
        })?;
        return Ok(Keys { id, secret, token: secrets.secret("AWS_SESSION_TOKEN")? });
    }
    profile::keys(address, secrets)?.ok_or_else(|| {
        no_credentials(
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or write a profile into \
             ~/.aws/credentials",
        )
    })
}
