//! The records' indexes follow what merging has changed below them.

use backup::Merged;
use records::{Below, ObjectStore, OpenReport, Record};

use crate::{Account, EvmTransaction, Result, registry::RECORDS};

/// Every typed store of a wallet. Fields keep nothing in memory, so they need not follow.
#[derive(Debug, Clone)]
pub(crate) struct Follower {
    pub(crate) accounts: ObjectStore<Account>,
    pub(crate) transactions: ObjectStore<EvmTransaction>,
}

impl Follower {
    /// Takes over what was merged; how many pairs of records have one key in a unique index now.
    pub(crate) fn follow(&self, merged: &Merged) -> Result<u64> {
        let reports = [follow(&self.accounts, merged)?, follow(&self.transactions, merged)?];
        for report in reports.iter().filter(|report| !report.is_clean()) {
            let (skipped, conflicts) = (report.skipped.len(), report.conflicts.len());
            tracing::warn!(
                skipped,
                conflicts,
                "merged records that cannot be used, or share a key"
            );
        }
        Ok(reports.iter().map(|report| report.conflicts.len() as u64).sum())
    }
}

fn follow<R: Record>(store: &ObjectStore<R>, merged: &Merged) -> Result<OpenReport> {
    let changes = merged
        .changes
        .iter()
        .filter(|change| change.ns.primary() == RECORDS && change.ns.secondary() == R::STORE);
    let below =
        changes.map(|change| Below { name: change.key.clone(), before: change.before.clone() });
    Ok(store.follow(&below.collect::<Vec<_>>())?)
}
