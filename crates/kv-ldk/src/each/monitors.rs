//! Reads a monitor as LDK's persisters have stored it: whole, or with its later updates beside it.

use super::{
    Locator,
    ldk::{
        chain::{
            chaininterface::{BroadcasterInterface, FeeEstimator},
            channelmonitor::{ChannelMonitor, ChannelMonitorUpdate},
        },
        io::{self, ErrorKind},
        sign::{EntropySource, SignerProvider, ecdsa::EcdsaChannelSigner},
        util::{
            logger::Logger,
            persist::{
                CHANNEL_MONITOR_PERSISTENCE_PRIMARY_NAMESPACE as MONITORS,
                CHANNEL_MONITOR_UPDATE_PERSISTENCE_PRIMARY_NAMESPACE as UPDATES, KVStoreSync,
            },
            ser::{Readable, ReadableArgs},
        },
    },
};
use crate::{StrongroomStore, caught::caught};

/// What `MonitorUpdatingPersister` puts before a monitor, so that nobody reads it without its updates.
pub(super) const WITH_UPDATES: [u8; 2] = [0xff; 2];

/// A monitor with all its updates.
pub(super) struct Folded<S: EcdsaChannelSigner> {
    pub(super) monitor: (Locator, ChannelMonitor<S>),
    /// Whether what is stored is something else: a monitor of before, with a mark or updates beside it.
    pub(super) in_parts: bool,
    /// The names of all updates that are stored, also of those that the monitor had already.
    pub(super) updates: Vec<String>,
}

/// Why a monitor could not be read.
pub(super) enum Unreadable {
    /// The store itself cannot read.
    Store(io::Error),
    /// What is stored is none, or its updates do not lead on from it.
    Monitor(String),
}

/// Reads the monitor of this name; `None` if LDK passes over it, since it is from before LDK 0.0.119 and
/// nothing is left of its channel.
///
/// LDK reads updates, too. But it panics at one that is missing (0.3) or that does not fit (both), or goes
/// on without those behind the gap (0.2); and at a monitor that is too old.
pub(super) fn read_monitor<ES, SP, B, F, L>(
    store: &StrongroomStore,
    name: &str,
    keys: (&ES, &SP),
    broadcaster: &B,
    fee_estimator: &F,
    logger: &L,
) -> Result<Option<Folded<SP::EcdsaSigner>>, Unreadable>
where
    ES: EntropySource,
    SP: SignerProvider,
    B: BroadcasterInterface + ?Sized,
    F: FeeEstimator + ?Sized,
    L: Logger + ?Sized,
{
    let bytes = get(store, MONITORS, "", name)?;
    let whole = bytes.strip_prefix(&WITH_UPDATES);
    let mut rest = whole.unwrap_or(&bytes);
    let read =
        caught(|| Option::<(Locator, ChannelMonitor<SP::EcdsaSigner>)>::read(&mut rest, keys));
    let read = read.map_err(no)?.map_err(|error| no(format!("it is no monitor: {error}")))?;
    let Some((tip, monitor)) = read else { return Ok(None) };
    if monitor.persistence_key().to_string() != name {
        return Err(no("it lies under the name of another monitor"));
    }
    let updates = KVStoreSync::list(store, UPDATES, name).map_err(Unreadable::Store)?;
    let mut later = Vec::new();
    for update in &updates {
        let id: u64 = update.parse().map_err(|_| no(format!("{update} is no update")))?;
        if id > monitor.get_latest_update_id() {
            later.push((id, update));
        }
    }
    later.sort_unstable();
    let in_parts = whole.is_some() || !updates.is_empty();
    for (id, update) in later {
        if monitor.get_latest_update_id().checked_add(1) != Some(id) {
            return Err(no(format!("an update before update {id} is missing")));
        }
        let bytes = get(store, UPDATES, name, update)?;
        let update = caught(|| ChannelMonitorUpdate::read(&mut &bytes[..])).map_err(no)?;
        let update = update.map_err(|error| no(format!("{id} is no update: {error}")))?;
        let is_of_this = update.channel_id.is_none_or(|of| of == monitor.channel_id());
        if update.update_id != id || !is_of_this {
            return Err(no(format!("in place of update {id} is another one")));
        }
        let apply = || monitor.update_monitor(&update, &broadcaster, &fee_estimator, &logger);
        if !matches!(caught(apply), Ok(Ok(()))) {
            return Err(no(format!("update {id} does not fit")));
        }
    }
    Ok(Some(Folded { monitor: (tip, monitor), in_parts, updates }))
}

/// Damage of one value is that channel's; everything else is the store's.
fn get(
    store: &StrongroomStore,
    primary: &str,
    secondary: &str,
    key: &str,
) -> Result<Vec<u8>, Unreadable> {
    KVStoreSync::read(store, primary, secondary, key).map_err(|error| match error.kind() {
        ErrorKind::InvalidData => no(error.to_string()),
        _ => Unreadable::Store(error),
    })
}

fn no(why: impl Into<String>) -> Unreadable {
    Unreadable::Monitor(why.into())
}
