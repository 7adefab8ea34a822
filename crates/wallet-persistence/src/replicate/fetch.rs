//! Reading an object that another one names.

use backup::ObjectRef;
use cloud::CloudBackend;

use crate::Result;

/// The bytes of an object that another one names.
pub(crate) async fn fetch(
    cloud: &dyn CloudBackend,
    tag: &[u8; 16],
    object: &ObjectRef,
) -> Result<bytes::Bytes> {
    let name = object.name(tag);
    cloud::fetch(cloud, &name).await.map_err(|error| match error {
        cloud::CloudError::NotFound { name } => backup::Error::Missing { name }.into(),
        other => other.into(),
    })
}
