//! The clouds of a session: opened, with retries, and none that hangs for ever.

mod late;
mod patient;
mod sound;

use std::sync::Arc;

use cloud::{Access, CloudBackend, CloudIdentity, CloudUrl, RetrySettings, Retrying};

use self::{late::Late, patient::Patient, sound::Sound};
use crate::{Error, Result, session::Inner};

type Cloud = Arc<dyn CloudBackend>;

impl Inner {
    /// Whether there is anywhere to back up to.
    pub(crate) fn has_cloud(&self) -> bool {
        !self.given.is_empty() || self.tower.cloud_urls().is_ok_and(|urls| !urls.is_empty())
    }

    /// What the clouds are called, in their order.
    pub(crate) fn known_clouds(&self) -> Result<Vec<String>> {
        let given = (1..=self.given.len()).map(|i| format!("cloud {i}"));
        Ok(given.chain(self.tower.cloud_urls()?.iter().map(ToString::to_string)).collect())
    }

    /// What the cloud at this place is called, in findings and errors.
    pub(crate) fn cloud_name(&self, i: usize) -> String {
        let name = self.cloud_names.get().and_then(|names| names.get(i)).cloned();
        name.unwrap_or_else(|| format!("cloud {}", i + 1))
    }

    /// Whether the cloud at this place was opened by its address.
    pub(crate) fn has_address(&self, i: usize) -> bool {
        i >= self.given.len()
    }

    /// Whether anything of this wallet is in its clouds, as far as is known here. From then on none of
    /// them is made: a folder that is not there is on a medium that is not there.
    fn is_backed_up(&self) -> bool {
        let state = self.tower.recorder.state();
        state.head.is_some() || !state.seen.is_empty()
    }

    /// All of them, opened at first use.
    pub(crate) async fn clouds(&self) -> Result<&[Cloud]> {
        let clouds = self
            .clouds
            .get_or_try_init(|| async {
                let access = access(&self.tower.sealed.keys()?);
                let urls = self.tower.cloud_urls()?;
                let names = self.known_clouds()?;
                self.cloud_names.get_or_init(|| names);
                open_clouds(&self.given, &urls, &access, self.is_backed_up()).await
            })
            .await?;
        Ok(clouds)
    }

    /// The clouds, each with what it is called, as far as they open: for a look that one of them must
    /// not prevent. Creates nothing.
    pub(crate) async fn each_cloud(&self) -> Result<Vec<(String, Result<Cloud>)>> {
        let (names, urls) = (self.known_clouds()?, self.tower.cloud_urls()?);
        if let Some(open) = self.clouds.get() {
            return Ok(names.into_iter().zip(open.iter().cloned().map(Ok)).collect());
        }
        let mut clouds: Vec<_> = self.given.iter().cloned().map(Ok).collect();
        let access = access(&self.tower.sealed.keys()?);
        let is_backed_up = self.is_backed_up();
        for url in &urls {
            let open = match is_backed_up {
                true => cloud::open_known_cloud_with(url, &access).await,
                false => cloud::open_existing_cloud_with(url, &access).await,
            };
            clouds.push(open.map_err(Error::from));
        }
        Ok(names.into_iter().zip(clouds.into_iter().map(|open| open.map(with_retry))).collect())
    }
}

/// How a wallet reaches its clouds: with the secrets of the environment, and with its own identity
/// where that takes the place of an account.
pub(crate) fn access(keys: &vault::Keys) -> Access {
    let mut access = Access::default();
    access.identity = Some(CloudIdentity::new(keys.cloud_identity()));
    access
}

/// The given clouds and those at the addresses. Of several, one that cannot be opened now is opened
/// when it is needed. `is_backed_up`: nothing is made where backups must be already.
async fn open_clouds(
    given: &[Cloud],
    urls: &[CloudUrl],
    access: &Access,
    is_backed_up: bool,
) -> Result<Vec<Cloud>> {
    let mut clouds = given.to_vec();
    let (mut failure, mut failed) = (None, 0);
    for url in urls {
        let late = Late::new(url, access, is_backed_up);
        match late.open().await {
            Ok(cloud) => clouds.push(cloud),
            Err(error) => {
                tracing::warn!(%error, cloud = %url, "a cloud cannot be opened now");
                clouds.push(Arc::new(late));
                (failure, failed) = (Some(error), failed + 1);
            }
        }
    }
    match failure {
        Some(error) if failed == clouds.len() => Err(error.into()),
        _ => Ok(clouds.into_iter().map(with_retry).collect()),
    }
}

/// The same for a restore: nothing is created, and one cloud that opens is enough.
pub(crate) async fn open_existing_clouds(
    given: &[Cloud],
    urls: &[CloudUrl],
    access: &Access,
) -> Result<Vec<Cloud>> {
    let mut clouds = given.to_vec();
    let mut failure = None;
    for url in urls {
        match cloud::open_existing_cloud_with(url, access).await {
            Ok(cloud) => clouds.push(cloud),
            Err(error) => failure = Some(error),
        }
    }
    match failure {
        Some(error) if clouds.is_empty() => Err(error.into()),
        _ => Ok(clouds.into_iter().map(with_retry).collect()),
    }
}

/// Tries again what fails for the moment, and ends calls that hang or panic.
pub(crate) fn with_retry(cloud: Cloud) -> Cloud {
    let sound = Arc::new(Sound(cloud));
    Arc::new(Retrying::new(Arc::new(Patient(sound)), RetrySettings::default()))
}
