//! The devices of a wallet, as its clouds know them.

use serde::Serialize;

use crate::{Result, Session};

/// An installation of the wallet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Device {
    /// Its random id.
    pub writer: String,
    /// Whether it is this one.
    pub mine: bool,
    /// When it backed up last, in milliseconds since the Unix epoch, by its own clock; `None`: no
    /// cloud has a backup of it.
    pub last_backup: Option<u64>,
    /// How long ago that was by this device's clock, in milliseconds.
    pub age_ms: Option<u64>,
    /// The last of its changes that the clouds have.
    pub sequence: Option<u64>,
    /// Whether it was unseen for so long that another one no longer counts it.
    pub retired: bool,
}

impl Session {
    /// The devices that have backups of this wallet in its clouds, and this one; who backed up last
    /// comes first. Asks the clouds.
    pub async fn devices(&self) -> Result<Vec<Device>> {
        let tower = self.tower()?;
        let listing = self.list_backups().await?;
        let mut devices: Vec<Device> = listing
            .chains
            .into_iter()
            .map(|chain| Device {
                writer: chain.writer,
                mine: chain.mine,
                last_backup: chain.time,
                age_ms: chain.age_ms,
                sequence: chain.sequence,
                retired: chain.retired,
            })
            .collect();
        if !devices.iter().any(|device| device.mine) {
            devices.push(Device {
                writer: tower.recorder.state().writer.to_string(),
                mine: true,
                last_backup: None,
                age_ms: None,
                sequence: None,
                retired: tower.recorder.is_retired().is_some(),
            });
        }
        Ok(devices)
    }
}
