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
pub(super) struct Words(Mutex<Heard>);

#[derive(Debug, Default)]
struct Heard {
    errors: Vec<(Option<ChannelId>, String)>,
    closes: Vec<(ChannelId, ForceClose)>,
}

impl Words {
    /// The errors told so far, each with the channel it is about; they are forgotten.
    pub(super) fn take_errors(&self) -> Vec<(Option<ChannelId>, String)> {
        std::mem::take(&mut self.heard().errors)
    }

    /// Why a channel is to be closed, if it is.
    pub(super) fn closes(&self, channel: ChannelId) -> Option<ForceClose> {
        let heard = self.heard();
        heard.closes.iter().find(|(of, _)| *of == channel).map(|(_, cause)| *cause)
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
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
        let mut heard = self.heard();
        heard.closes.extend(record.channel_id.zip(cause));
        if record.level == Level::Error {
            heard.errors.push((record.channel_id, line.trim().to_owned()));
        }
    }
}
