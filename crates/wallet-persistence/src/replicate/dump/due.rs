//! When a dump is due, and which.

use std::time::Duration;

use backup::BackupState;
use serde::Serialize;

use crate::Settings;

/// Which dump to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum DumpKind {
    /// Everything.
    Full,
    /// What has changed since the last full one.
    Delta,
}

/// Small wallets do not dump all the time: less than this is no reason for one.
const LEAST_BYTES: u64 = 1 << 20;
/// A restore would have to fetch more segments than this one after the other.
const MOST_SEGMENTS: u64 = 1000;

/// The dump that is due by now, if one is.
pub(crate) fn due(state: &BackupState, settings: &Settings, now: u64) -> Option<DumpKind> {
    let (Some(newest), Some(full)) = (state.dump, state.dumps.full) else {
        return Some(DumpKind::Full);
    };
    let delta_bytes = if newest == full.index { 0 } else { state.dump_bytes };
    let (bytes, segments) = state.segments_since_dump;
    let limit = full.sealed_bytes / 100 * u64::from(settings.full_dump_percent);
    let window = millis(settings.keep_restore_points_for);
    let last = state.dumps.kept.first().map_or(0, |dump| dump.time);
    let wanted = segments > MOST_SEGMENTS
        // A delta reads what has come since the last one, and puts all since the full one again:
        // so each is at least as large as the one before.
        || bytes > LEAST_BYTES.max(full.sealed_bytes / 8).max(delta_bytes)
        || delta_bytes > LEAST_BYTES.max(limit)
        // Only a dump can say that older ones are no longer kept.
        || (state.dumps.can_drop(now, window) && now.saturating_sub(last) >= window / 4);
    wanted.then(|| kind(state, delta_bytes, limit))
}

/// What to make if any: a delta would read again what it folds, so beyond the size of the full dump
/// it is no gain.
fn kind(state: &BackupState, delta_bytes: u64, limit: u64) -> DumpKind {
    let full = state.dumps.full.map_or(0, |full| full.sealed_bytes);
    let to_fold = delta_bytes + state.segments_since_dump.0;
    if delta_bytes > LEAST_BYTES.max(limit) || to_fold > LEAST_BYTES.max(full) {
        DumpKind::Full
    } else {
        DumpKind::Delta
    }
}

pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
