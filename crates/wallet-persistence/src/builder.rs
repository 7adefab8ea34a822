//! Puts a wallet together from its components.

use std::{fmt, path::PathBuf, sync::Arc};

use cloud::{CloudBackend, CloudUrl};
use kv_core::{Clock, KvStore};

use crate::{Settings, StoreKind, SystemClock, WalletPersistence};

/// Collects the components of a [`WalletPersistence`].
#[derive(Debug)]
pub struct Builder {
    pub(crate) parts: Parts,
}

#[derive(Debug, Clone)]
pub(crate) struct Parts {
    pub(crate) place: Place,
    pub(crate) clouds: Vec<Arc<dyn CloudBackend>>,
    pub(crate) cloud_urls: Vec<CloudUrl>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) settings: Settings,
    pub(crate) kind: StoreKind,
}

type Opener = Arc<dyn Fn() -> kv_core::Result<Arc<dyn KvStore>> + Send + Sync>;

/// Where the wallet lies.
#[derive(Clone)]
pub(crate) enum Place {
    Folder(PathBuf),
    Store(Opener),
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => f.debug_tuple("Folder").field(path).finish(),
            Self::Store(_) => f.write_str("Store(..)"),
        }
    }
}

impl Builder {
    pub(crate) fn new(place: Place) -> Self {
        Self {
            parts: Parts {
                place,
                clouds: Vec::new(),
                cloud_urls: Vec::new(),
                clock: Arc::new(SystemClock),
                settings: Settings::default(),
                kind: StoreKind::default(),
            },
        }
    }

    /// A cloud to put backups into. With several, a backup is done when all have it.
    #[must_use]
    pub fn cloud(mut self, cloud: Arc<dyn CloudBackend>) -> Self {
        self.parts.clouds.push(cloud);
        self
    }

    /// A cloud by its address. A wallet that is created or restored with it remembers it, sealed.
    #[must_use]
    pub fn cloud_url(mut self, url: CloudUrl) -> Self {
        self.parts.cloud_urls.push(url);
        self
    }

    /// Where the time comes from; the operating system's clock unless given.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.parts.clock = clock;
        self
    }

    /// The kind of store that a new or restored wallet gets in its folder; an existing one has
    /// what it has. [`StoreKind::Fs`] unless given.
    #[must_use]
    pub fn store(mut self, kind: StoreKind) -> Self {
        self.parts.kind = kind;
        self
    }

    /// How the wallet behaves.
    #[must_use]
    pub fn settings(mut self, settings: Settings) -> Self {
        self.parts.settings = settings;
        self
    }

    /// The locked wallet. Nothing is read or written yet.
    pub fn build(self) -> WalletPersistence {
        WalletPersistence::new(self.parts)
    }
}
