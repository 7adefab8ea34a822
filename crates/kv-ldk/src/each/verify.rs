//! Tells what would become of each channel before a node is started.

mod recorders;
mod report;

use std::{collections::BTreeSet, fmt, ops::Deref};

pub use report::{ChannelReport, ChannelsReport, ForceClose, ManagerVerdict, Verdict};

pub(super) use self::recorders::Sent;
use self::recorders::{Heard, NoWatch, Words};
use super::{
    Locator,
    ldk::{
        bitcoin::{Txid, hex::FromHex},
        chain::{
            chaininterface::FeeEstimator,
            channelmonitor::{Balance, ChannelMonitor},
            transaction::OutPoint,
        },
        io::{self, ErrorKind},
        ln::{
            channelmanager::{ChannelManager, ChannelManagerReadArgs},
            msgs::DecodeError,
            types::ChannelId,
        },
        onion_message::messenger::MessageRouter,
        routing::router::Router,
        sign::{EntropySource, NodeSigner, SignerProvider, ecdsa::EcdsaChannelSigner},
        util::{
            config::UserConfig,
            persist::{
                CHANNEL_MANAGER_PERSISTENCE_KEY as MANAGER,
                CHANNEL_MONITOR_PERSISTENCE_PRIMARY_NAMESPACE as MONITORS, KVStoreSync,
            },
            ser::ReadableArgs,
        },
    },
    monitors::{Folded, Unreadable, read_monitor},
};
use crate::{StrongroomStore, caught::caught};

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
    for name in KVStoreSync::list(store, MONITORS, "")? {
        let mut report = ChannelReport {
            channel: channel_of(&name),
            monitor: None,
            counterparty: None,
            verdict: Verdict::Unreadable,
            said: Vec::new(),
        };
        let keys = (&*args.entropy_source, &*args.signer_provider);
        match read_monitor(store, &name, keys, &sent, &*args.fee_estimator, &words) {
            Ok(Some(Folded { monitor: (_, monitor), .. })) => {
                report.channel = Some(monitor.channel_id());
                report.counterparty = Some(monitor.get_counterparty_node_id());
                report.verdict = Verdict::NotReached;
                monitors.push(monitor);
            }
            Ok(None) => {
                report.verdict = Verdict::Closed;
                report.said.push("LDK passes over it: nothing is left of its channel".to_owned());
            }
            Err(Unreadable::Store(error)) => return Err(error),
            Err(Unreadable::Monitor(why)) => report.said.push(why),
        }
        report.said.extend(words.take_errors().into_iter().map(|error| error.line));
        report.monitor = Some(name);
        channels.push(report);
    }
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
    let fee_estimator = &*args.fee_estimator;
    let read = caught(|| {
        let read = <(
            Locator,
            ChannelManager<&NoWatch, &Sent, ES, NS, SP, &F::Target, R, MR, &Words>,
        )>::read(
            &mut io::Cursor::new(bytes),
            ChannelManagerReadArgs::new(
                args.entropy_source,
                args.node_signer,
                args.signer_provider,
                fee_estimator,
                &NoWatch,
                &sent,
                args.router,
                args.message_router,
                &words,
                args.config,
                monitors.iter().collect(),
            ),
        );
        read.map(|(_, manager)| manager.list_channels().iter().map(|of| of.channel_id.0).collect())
    });
    let errors = words.take_errors();
    match read.unwrap_or(Err(DecodeError::InvalidValue)) {
        Ok(open) => {
            report.manager = ManagerVerdict::Loads;
            for channel in &mut report.channels {
                let of = channel.channel;
                let was_closed = || {
                    let monitor = monitors.iter().find(|monitor| Some(monitor.channel_id()) == of);
                    monitor.is_some_and(|monitor| {
                        was_closed(monitor, |sent| {
                            monitor.rebroadcast_pending_claims(sent, fee_estimator, &&words);
                        })
                    })
                };
                channel.judge(&open, was_closed, &words, &errors);
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
        was_closed: impl FnOnce() -> bool,
        words: &Words,
        errors: &[Heard],
    ) {
        let (Some(channel), Verdict::NotReached) = (self.channel, self.verdict) else { return };
        self.said.extend(about(channel, errors));
        self.verdict = match words.closes(channel) {
            _ if open.contains(&channel.0) => Verdict::Fine,
            Some(cause) => Verdict::WouldBeForceClosed { cause },
            None => match caught(was_closed) {
                Ok(true) => Verdict::Closed,
                Ok(false) => Verdict::Unclear,
                Err(said) => {
                    self.said.push(said);
                    Verdict::Unclear
                }
            },
        };
    }
}

impl ChannelsReport {
    /// The manager was refused at the channel whose monitor LDK has missed, if it has missed one.
    fn blame(&mut self, errors: &[Heard]) {
        let culprit = errors.iter().rev().find(|error| error.refuses);
        let Some(culprit) = culprit.and_then(|error| error.channel) else { return };
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

fn about(channel: ChannelId, errors: &[Heard]) -> impl Iterator<Item = String> {
    let of = errors.iter().filter(move |error| error.channel == Some(channel));
    of.map(|error| error.line.clone())
}

/// Whether the channel of a monitor was closed before: its funding is spent in a block, or the monitor
/// has sent its newest transaction, which it does again when it is asked to.
fn was_closed<S: EcdsaChannelSigner>(monitor: &ChannelMonitor<S>, ask: impl FnOnce(&Sent)) -> bool {
    let is_open = |balance: &Balance| matches!(balance, Balance::ClaimableOnChannelClose { .. });
    if !monitor.get_claimable_balances().iter().any(is_open) {
        return true;
    }
    let sent = Sent::default();
    ask(&sent);
    !sent.into_ids().is_empty()
}

/// The channel that a monitor's key stands for: an outpoint, or the channel itself.
fn channel_of(name: &str) -> Option<ChannelId> {
    let Some((txid, index)) = name.split_once('_') else {
        return <[u8; 32]>::from_hex(name).ok().map(ChannelId);
    };
    let outpoint = OutPoint { txid: txid.parse::<Txid>().ok()?, index: index.parse().ok()? };
    Some(ChannelId::v1_from_funding_outpoint(outpoint))
}
