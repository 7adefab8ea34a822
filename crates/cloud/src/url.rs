//! Addresses of clouds, as a user writes them.

use std::{fmt, path::PathBuf, sync::Arc};

use crate::{CloudBackend, DirCloud, Result};

/// The address of a cloud: `dir:PATH`, a folder.
///
/// A relative path is resolved when the address is parsed, so that a stored address leads to the
/// same place from everywhere.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct CloudUrl(Place);

#[derive(Clone, PartialEq, Eq, Hash)]
enum Place {
    Dir(PathBuf),
}

/// An address cannot be understood. Show the message to the user and ask for another address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadCloudUrl {
    /// It does not begin with the kind of cloud.
    #[error("the address must begin with the kind of cloud, as in dir:PATH")]
    NoScheme,
    /// This kind of cloud is not known. (The rest of the address may hold a password and is not
    /// repeated.)
    #[error("unknown kind of cloud \"{scheme}:\", this version supports dir:PATH")]
    UnknownScheme {
        /// The kind.
        scheme: String,
    },
    /// The path of a folder is missing or cannot be resolved.
    #[error("the address needs the path of a folder, as in dir:PATH")]
    NoPath,
}

impl CloudUrl {
    /// Understands an address; nothing is opened.
    pub fn parse(url: &str) -> Result<Self, BadCloudUrl> {
        let (scheme, rest) = url.split_once(':').ok_or(BadCloudUrl::NoScheme)?;
        // A scheme of one letter is a drive of Windows.
        if scheme.len() < 2
            || scheme.len() > 16
            || !scheme.bytes().all(|b| b.is_ascii_alphanumeric())
        {
            return Err(BadCloudUrl::NoScheme);
        }
        match scheme {
            "dir" => std::path::absolute(rest)
                .map(|path| Self(Place::Dir(path)))
                .map_err(|_| BadCloudUrl::NoPath),
            _ => Err(BadCloudUrl::UnknownScheme { scheme: scheme.to_owned() }),
        }
    }
}

/// The address in the form that [`CloudUrl::parse`] takes.
impl fmt::Display for CloudUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Dir(path) => write!(f, "dir:{}", path.display()),
        }
    }
}

impl fmt::Debug for CloudUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Opens the cloud at an address, without retries (see [`Retrying`](crate::Retrying)).
pub async fn open_cloud(url: &CloudUrl) -> Result<Arc<dyn CloudBackend>> {
    match &url.0 {
        Place::Dir(path) => Ok(Arc::new(DirCloud::open_blocking(path.clone()).await?)),
    }
}

/// As [`open_cloud`], for reading what is there: a folder that does not exist is
/// [`CloudError::BadAddress`](crate::CloudError::BadAddress) and is not made, so a typing error is not taken for an empty cloud.
pub async fn open_existing_cloud(url: &CloudUrl) -> Result<Arc<dyn CloudBackend>> {
    match &url.0 {
        Place::Dir(path) => Ok(Arc::new(DirCloud::open_existing(path.clone()).await?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_survives_printing() {
        let url = CloudUrl::parse("dir:some folder:with colon").unwrap();
        let printed = url.to_string();
        assert!(printed.starts_with("dir:") && printed.ends_with("some folder:with colon"));
        let Place::Dir(path) = &url.0;
        assert!(path.is_absolute());
        assert_eq!(CloudUrl::parse(&printed), Ok(url));
    }

    #[test]
    fn a_bad_address_says_what_is_supported() {
        let unknown = CloudUrl::parse("s3://user:password@host").unwrap_err();
        assert_eq!(
            unknown.to_string(),
            "unknown kind of cloud \"s3:\", this version supports dir:PATH"
        );
        assert_eq!(CloudUrl::parse("dir:"), Err(BadCloudUrl::NoPath));
        for bad in ["", "backups", "C:\\backups", "./a:b", ":x", "two words:x"] {
            assert_eq!(CloudUrl::parse(bad), Err(BadCloudUrl::NoScheme), "{bad}");
        }
    }
}
