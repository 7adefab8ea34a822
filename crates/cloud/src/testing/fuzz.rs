//! What the fuzzers call: everything this crate reads that somebody else wrote.

use std::path::Path;

use backup::ObjectName;

use crate::{CloudUrl, layout};

/// Addresses: what is understood is printed so that it is understood again, as the same.
///
/// # Panics
/// If an address breaks that promise.
pub fn url(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(url) = CloudUrl::parse(&text) {
        let printed = url.to_string();
        assert_eq!(CloudUrl::parse(&printed).as_ref(), Ok(&url), "{printed:?}");
    }
}

/// Names of files in a folder that is a cloud: what is taken for an object lies where the object of
/// that name lies, so no two files are one object.
///
/// # Panics
/// If a name breaks that promise.
pub fn file_name(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    // No system has a file whose name holds this.
    if text.contains('/') {
        return;
    }
    if let Some(Ok(name)) = layout::part(&text).map(ObjectName::new) {
        let path = layout::path(Path::new(""), &name);
        assert_eq!(path.to_str(), Some(&*text), "{name} has a second place");
    }
}
