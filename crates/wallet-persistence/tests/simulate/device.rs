//! One device: its medium, its clock, its lines to the clouds, and the wallet on it.

use std::sync::Arc;

use cloud::{
    CloudBackend,
    testing::{HostileCloud, Lie, Malice},
};
use kv_core::testing::{ManualClock, Random};
use wallet_persistence::{RootSecret, Session, Settings, Suspended, WalletPersistence};

use super::{
    line::{Line, Pulse},
    medium::Medium,
};

/// A cloud of the simulation: what is true, and what is made of it.
#[derive(Debug, Clone)]
pub(crate) struct Cloud {
    pub(crate) truth: cloud::MemCloud,
    pub(crate) malice: Arc<Malice>,
}

impl Cloud {
    pub(crate) fn handle(&self, device: u8) -> HostileCloud {
        HostileCloud::new(Arc::new(self.truth.clone()), self.malice.clone(), device)
    }

    pub(crate) fn is_down(&self) -> bool {
        self.malice.lies().contains(&Lie::Down)
    }

    /// Whether something may have been lost in it for good.
    pub(crate) fn was_damaged(&self) -> bool {
        self.malice.has_destroyed()
    }
}

#[derive(Debug)]
pub(crate) struct Device {
    pub(crate) number: u8,
    pub(crate) clock: Arc<ManualClock>,
    /// `None` while the device is lost and not yet restored.
    pub(crate) medium: Option<Medium>,
    /// `None` while it is off.
    pub(crate) session: Option<Session>,
    /// While it is put aside.
    pub(crate) suspended: Option<Suspended>,
    pub(crate) pulse: Arc<Pulse>,
    /// Its installation, as the oracle counts them.
    pub(crate) life: usize,
    pub(crate) settings: Settings,
}

pub(crate) fn root() -> RootSecret {
    RootSecret::from_bytes([5; 32])
}

impl Device {
    pub(crate) fn new(number: u8, settings: Settings) -> Self {
        // No two devices agree about the time, so that nothing is decided by random ids.
        let clock = Arc::new(ManualClock::default());
        clock.advance(u64::from(number) * 7 + 1_000_000_000);
        let pulse = Arc::new(Pulse::default());
        Self {
            number,
            clock,
            medium: None,
            session: None,
            suspended: None,
            pulse,
            life: 0,
            settings,
        }
    }

    /// The locked wallet on a medium, with new lines to the clouds.
    pub(crate) fn wallet(&mut self, medium: &Medium, clouds: &[Cloud]) -> WalletPersistence {
        let offline = self.pulse.is_offline();
        self.pulse = Arc::new(Pulse::default());
        self.pulse.set_offline(offline);
        let medium = medium.clone();
        let mut builder = WalletPersistence::over(move || medium.open())
            .clock(self.clock.clone())
            .settings(self.settings.clone());
        for cloud in clouds {
            let inner: Arc<dyn CloudBackend> = Arc::new(cloud.handle(self.number));
            let line = Line { inner, pulse: self.pulse.clone() };
            builder = builder.cloud(Arc::new(line));
        }
        builder.build()
    }

    /// The power fails.
    pub(crate) fn crash(&mut self, random: &mut Random) {
        self.pulse.stop();
        if let Some(medium) = &self.medium {
            medium.crash(random);
        }
        self.session = None;
        self.suspended = None;
    }

    /// It runs and can be asked.
    pub(crate) fn running(&self) -> Option<Session> {
        self.session.clone()
    }
}
