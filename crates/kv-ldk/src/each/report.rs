//! What a verification finds.

use super::super::ldk::{
    bitcoin::{Txid, secp256k1::PublicKey},
    ln::{msgs::DecodeError, types::ChannelId},
};

/// How a manager and its monitors fit together, see [`crate::verify_channels`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChannelsReport {
    /// Whether LDK would load the manager.
    pub manager: ManagerVerdict,
    /// Each channel that has a monitor, and each whose monitor is missing.
    pub channels: Vec<ChannelReport>,
    /// What LDK wanted to send while it read, such as a closing that a stored update asks for.
    pub would_send: Vec<Txid>,
}

/// Whether LDK would load the manager.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ManagerVerdict {
    /// It loads.
    Loads,
    /// The store holds none. Without monitors it is the store of a new node; with monitors restore
    /// another point, since a new manager would know of none of their channels.
    Absent,
    /// LDK refuses it, because of the channel that is [`Verdict::Unreadable`], or because it is
    /// damaged if there is none. Restore another point.
    Refused {
        /// LDK's reason; `DangerousValue` means that a monitor is older than the manager. Damage at which
        /// LDK panics is `InvalidValue`.
        cause: DecodeError,
    },
}

/// One channel.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChannelReport {
    /// The key of its monitor in the store; `None` if the monitor is missing.
    pub monitor: Option<String>,
    /// The channel; `None` if not even the monitor's key says so.
    pub channel: Option<ChannelId>,
    /// Who is at the other end, where the monitor says so.
    pub counterparty: Option<PublicKey>,
    /// What would become of it.
    pub verdict: Verdict,
    /// LDK's own words where something is wrong.
    pub said: Vec<String>,
}

/// What would become of a channel if a node were started with this store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// It goes on.
    Fine,
    /// It was closed before, and its monitor settles what is left on the chain.
    Closed,
    /// LDK would close it by the monitor's newest transaction: no money is lost, fees are paid.
    WouldBeForceClosed {
        /// Why.
        cause: ForceClose,
    },
    /// Its monitor is missing, damaged or older than the manager, or an update of it is: LDK would load
    /// nothing at all.
    /// Restore another point.
    Unreadable,
    /// The manager does not know it, and LDK would not close it either; yet its monitor does not show that
    /// it was closed before. Ask again when its closing transaction is in a block.
    Unclear,
    /// Its monitor is whole, but LDK stops at the manager before it comes to this channel.
    NotReached,
}

/// Why a channel would be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ForceClose {
    /// The manager is older than the monitor (LDK's reason is `OutdatedChannelManager`).
    ManagerIsBehind,
    /// The manager has never heard of it.
    UnknownToManager,
}

impl ChannelsReport {
    /// Every channel would go on, or was closed before.
    pub fn is_fine(&self) -> bool {
        let fits =
            |report: &ChannelReport| matches!(report.verdict, Verdict::Fine | Verdict::Closed);
        let manager = match self.manager {
            ManagerVerdict::Loads => true,
            ManagerVerdict::Absent => self.channels.is_empty(),
            ManagerVerdict::Refused { .. } => false,
        };
        manager && self.channels.iter().all(fits)
    }
}
