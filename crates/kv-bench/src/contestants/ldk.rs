//! LDK's own stores: a file for each key, replaced by temporary file, sync, rename, sync of the folder.

use std::path::Path;

use lightning::util::persist::KVStoreSync;
use lightning_persister::fs_store::{v1::FilesystemStore, v2::FilesystemStoreV2};

use super::Writer;
use crate::{
    Result,
    names::{Name, PRIMARY},
};

/// `FilesystemStore`.
pub(crate) struct V1(FilesystemStore);

/// `FilesystemStoreV2`.
pub(crate) struct V2(FilesystemStoreV2);

impl V1 {
    pub(crate) fn open(dir: &Path) -> Self {
        Self(FilesystemStore::new(dir.to_owned()))
    }
}

impl V2 {
    pub(crate) fn open(dir: &Path) -> Result<Self> {
        let store = FilesystemStoreV2::new(dir.to_owned()).map_err(|error| error.to_string())?;
        Ok(Self(store))
    }
}

impl Writer for V1 {
    fn write(&self, name: &Name, value: Vec<u8>) -> Result<()> {
        write(&self.0, name, value)
    }
}

impl Writer for V2 {
    fn write(&self, name: &Name, value: Vec<u8>) -> Result<()> {
        write(&self.0, name, value)
    }
}

fn write(store: &impl KVStoreSync, name: &Name, value: Vec<u8>) -> Result<()> {
    let written = KVStoreSync::write(store, PRIMARY, "", &name.text, value);
    written.map_err(|error| format!("{error:?}").into())
}
