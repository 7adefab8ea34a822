//! What LDK gets in place of the network and the disk: it listens, and passes nothing on.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{
    super::ldk::{
        bitcoin::{Transaction, Txid, secp256k1::PublicKey},
        chain::{
            ChannelMonitorUpdateStatus, Watch,
            channelmonitor::{ChannelMonitor, ChannelMonitorUpdate, MonitorEvent},
            transaction::OutPoint,
        },
        ln::types::ChannelId,
        sign::ecdsa::EcdsaChannelSigner,
        util::logger::{Level, Logger, Record},
    },
    ForceClose,
};

// How LDK tells in its log that it will close a channel, and why. Before it is done there is no other
// sign of it; the vectors fail if a later version says it differently.
const CLOSES_UNKNOWN: [&str; 2] = ["Queueing monitor update", "to ensure missing channel"];
/// How it begins to say that it refuses the whole manager because of one channel.
const REFUSES: [&str; 3] = [
    "A ChannelMonitor is stale compared to the current ChannelManager",
    "A ChannelMonitor is missing even though we have in-flight updates for it",
    "Missing ChannelMonitor for channel",
];
const CLOSES_STALE: &str = "A ChannelManager is stale compared to the current ChannelMonitor";

/// Notes what would be sent.
#[derive(Debug, Default)]
pub(in super::super) struct Sent(Mutex<Vec<Txid>>);

impl Sent {
    /// What the broadcaster of either version comes to.
    pub(in super::super) fn note<'a>(&self, txs: impl Iterator<Item = &'a Transaction>) {
        let mut sent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sent.extend(txs.map(Transaction::compute_txid));
    }

    pub(super) fn into_ids(self) -> Vec<Txid> {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Watches nothing and persists nothing.
#[derive(Debug)]
pub(super) struct NoWatch;

impl<S: EcdsaChannelSigner> Watch<S> for NoWatch {
    fn watch_channel(
        &self,
        _: ChannelId,
        _: ChannelMonitor<S>,
    ) -> Result<ChannelMonitorUpdateStatus, ()> {
        Err(())
    }

    /// Never done, so that nothing would go on from it.
    fn update_channel(&self, _: ChannelId, _: &ChannelMonitorUpdate) -> ChannelMonitorUpdateStatus {
        ChannelMonitorUpdateStatus::InProgress
    }

    fn release_pending_monitor_events(
        &self,
    ) -> Vec<(OutPoint, ChannelId, Vec<MonitorEvent>, PublicKey)> {
        Vec::new()
    }
}

/// What LDK says of channels.
#[derive(Debug, Default)]
pub(super) struct Words(Mutex<Notes>);

#[derive(Debug, Default)]
struct Notes {
    errors: Vec<Heard>,
    closes: Vec<(ChannelId, ForceClose)>,
}

/// An error that LDK has told.
#[derive(Debug)]
pub(super) struct Heard {
    /// What it is about.
    pub(super) channel: Option<ChannelId>,
    /// The manager is refused because of it.
    pub(super) refuses: bool,
    pub(super) line: String,
}

impl Words {
    /// The errors told so far; they are forgotten.
    pub(super) fn take_errors(&self) -> Vec<Heard> {
        std::mem::take(&mut self.notes().errors)
    }

    /// Why a channel is to be closed, if it is.
    pub(super) fn closes(&self, channel: ChannelId) -> Option<ForceClose> {
        let notes = self.notes();
        notes.closes.iter().find(|(of, _)| *of == channel).map(|(_, cause)| *cause)
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Logger for Words {
    fn log(&self, record: Record) {
        if record.level < Level::Info {
            return;
        }
        let line = record.args.to_string();
        let cause = match line.as_str() {
            line if line.starts_with(CLOSES_STALE) => Some(ForceClose::ManagerIsBehind),
            line if CLOSES_UNKNOWN.iter().all(|words| line.contains(words)) => {
                Some(ForceClose::UnknownToManager)
            }
            _ => None,
        };
        let mut notes = self.notes();
        notes.closes.extend(record.channel_id.zip(cause));
        if record.level == Level::Error {
            let refuses = REFUSES.iter().any(|words| line.starts_with(words));
            let (channel, line) = (record.channel_id, line.trim().to_owned());
            notes.errors.push(Heard { channel, refuses, line });
        }
    }
}
