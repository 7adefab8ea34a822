//! Tells what would become of each channel before a node is started.

mod recorders;
mod report;

use std::{collections::BTreeSet, fmt, ops::Deref};

pub use report::{ChannelReport, ChannelsReport, ForceClose, ManagerVerdict, Verdict};

pub(super) use self::recorders::Sent;
use self::recorders::{NoWatch, Words};
use super::{
    Locator,
    ldk::{
        bitcoin::{Txid, hex::FromHex},
        chain::{
            chaininterface::FeeEstimator, channelmonitor::ChannelMonitor, transaction::OutPoint,
        },
        io::{self, ErrorKind},
        ln::{
            channelmanager::{ChannelManager, ChannelManagerReadArgs},
            types::ChannelId,
        },
        onion_message::messenger::MessageRouter,
        routing::router::Router,
        sign::{EntropySource, NodeSigner, SignerProvider},
        util::{
            config::UserConfig,
            persist::{
                CHANNEL_MANAGER_PERSISTENCE_KEY as MANAGER,
                CHANNEL_MONITOR_PERSISTENCE_PRIMARY_NAMESPACE as MONITORS, KVStoreSync,
                MonitorUpdatingPersister,
            },
            ser::ReadableArgs,
        },
    },
};
use crate::StrongroomStore;

/// What a node would give to LDK to read its manager, without what sends, watches or logs.
pub struct ReadArgs<ES, NS, SP, F, R, MR> {
    /// Randomness, usually the `KeysManager`.
    pub entropy_source: ES,
    /// The node's key, usually the `KeysManager`.
    pub node_signer: NS,
    /// The channels' keys, usually the `KeysManager`.
    pub signer_provider: SP,
    /// Asked where a stored update closes a channel.
    pub fee_estimator: F,
    /// Not asked.
    pub router: R,
    /// Not asked.
    pub message_router: MR,
    /// The node's configuration.
    pub config: UserConfig,
}

impl<ES, NS, SP, F, R, MR> fmt::Debug for ReadArgs<ES, NS, SP, F, R, MR> {
    // The rest holds keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadArgs").field("config", &self.config).finish_non_exhaustive()
    }
}

/// Reads manager and monitors as LDK would at a start, whole monitors as well as those of
/// `MonitorUpdatingPersister`, and tells what would become of each channel.
///
/// Nothing is sent and nothing is written, so it can be asked again and again: after a restore, before
/// the node is started. A node that is running may write meanwhile, so ask before it does.
///
/// # Errors
/// The store's. What is damaged or does not fit is in the report.
pub fn verify_channels<ES, NS, SP, F, R, MR>(
    store: &StrongroomStore,
    args: ReadArgs<ES, NS, SP, F, R, MR>,
) -> io::Result<ChannelsReport>
where
    ES: Deref<Target: EntropySource + Sized>,
    NS: Deref<Target: NodeSigner>,
    SP: Deref<Target: SignerProvider + Sized>,
    F: Deref<Target: FeeEstimator>,
    R: Deref<Target: Router>,
    MR: Deref<Target: MessageRouter>,
{
    let (sent, words) = (Sent::default(), Words::default());
    let mut channels = Vec::new();
    let mut monitors: Vec<ChannelMonitor<<SP::Target as SignerProvider>::EcdsaSigner>> = Vec::new();
    // It writes nothing when it reads, and reads whole monitors too.
    let reader = MonitorUpdatingPersister::new(
        store,
        &words,
        1,
        &*args.entropy_source,
        &*args.signer_provider,
        &sent,
        &*args.fee_estimator,
    );
    for name in KVStoreSync::list(store, MONITORS, "")? {
        let mut report = ChannelReport {
            channel: channel_of(&name),
            monitor: None,
            counterparty: None,
            verdict: Verdict::Unreadable,
            said: Vec::new(),
        };
        match reader.read_channel_monitor_with_updates(&name) {
            Ok((_, monitor)) => {
                report.channel = Some(monitor.channel_id());
                report.counterparty = Some(monitor.get_counterparty_node_id());
                report.verdict = Verdict::NotReached;
                monitors.push(monitor);
            }
            // The store itself cannot read.
            Err(error) if !matches!(error.kind(), ErrorKind::InvalidData) => return Err(error),
            Err(error) => report.said.push(error.to_string()),
        }
        report.said.extend(words.take_errors().into_iter().map(|(_, line)| line));
        report.monitor = Some(name);
        channels.push(report);
    }
    drop(reader);
    let mut report =
        ChannelsReport { manager: ManagerVerdict::Absent, channels, would_send: Vec::new() };

    let bytes = match KVStoreSync::read(store, "", "", MANAGER) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            report.would_send = sent.into_ids();
            return Ok(report);
        }
        Err(error) => return Err(error),
    };
    let read = <(Locator, ChannelManager<&NoWatch, &Sent, ES, NS, SP, F, R, MR, &Words>)>::read(
        &mut io::Cursor::new(bytes),
        ChannelManagerReadArgs::new(
            args.entropy_source,
            args.node_signer,
            args.signer_provider,
            args.fee_estimator,
            &NoWatch,
            &sent,
            args.router,
            args.message_router,
            &words,
            args.config,
            monitors.iter().collect(),
        ),
    );
    let errors = words.take_errors();
    match read {
        Ok((_, manager)) => {
            report.manager = ManagerVerdict::Loads;
            let open: BTreeSet<_> =
                manager.list_channels().iter().map(|channel| channel.channel_id.0).collect();
            for channel in &mut report.channels {
                channel.judge(&open, &words, &errors);
            }
        }
        Err(cause) => {
            report.manager = ManagerVerdict::Refused { cause };
            report.blame(&errors);
        }
    }
    report.would_send = sent.into_ids();
    Ok(report)
}

impl ChannelReport {
    /// After the manager was loaded.
    fn judge(
        &mut self,
        open: &BTreeSet<[u8; 32]>,
        words: &Words,
        errors: &[(Option<ChannelId>, String)],
    ) {
        let (Some(channel), Verdict::NotReached) = (self.channel, self.verdict) else { return };
        self.said.extend(about(channel, errors));
        self.verdict = match words.closes(channel) {
            _ if open.contains(&channel.0) => Verdict::Fine,
            Some(cause) => Verdict::WouldBeForceClosed { cause },
            None => Verdict::Closed,
        };
    }
}

impl ChannelsReport {
    /// The manager was refused at the channel that LDK spoke of last, if it spoke of one.
    fn blame(&mut self, errors: &[(Option<ChannelId>, String)]) {
        let Some(culprit) = errors.iter().rev().find_map(|(channel, _)| *channel) else { return };
        let said = about(culprit, errors);
        match self.channels.iter_mut().find(|report| report.channel == Some(culprit)) {
            Some(report) => {
                report.verdict = Verdict::Unreadable;
                report.said.extend(said);
            }
            None => self.channels.push(ChannelReport {
                monitor: None,
                channel: Some(culprit),
                counterparty: None,
                verdict: Verdict::Unreadable,
                said: said.collect(),
            }),
        }
    }
}

fn about(
    channel: ChannelId,
    errors: &[(Option<ChannelId>, String)],
) -> impl Iterator<Item = String> {
    errors.iter().filter(move |(of, _)| *of == Some(channel)).map(|(_, line)| line.clone())
}

/// The channel that a monitor's key stands for: an outpoint, or the channel itself.
fn channel_of(name: &str) -> Option<ChannelId> {
    let Some((txid, index)) = name.split_once('_') else {
        return <[u8; 32]>::from_hex(name).ok().map(ChannelId);
    };
    let outpoint = OutPoint { txid: txid.parse::<Txid>().ok()?, index: index.parse().ok()? };
    Some(ChannelId::v1_from_funding_outpoint(outpoint))
}
