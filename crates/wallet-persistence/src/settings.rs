//! Plain settings; components (stores, clouds, clocks) enter through the builder.

use std::time::Duration;

use backup::{Policies, RecorderSettings, Replicated};

/// How a wallet behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// How often the background task looks for changes to back up; `None`: only when asked.
    /// Default 1 s. Without a cloud there is no task.
    pub replicate_every: Option<Duration>,
    /// How often the background task looks what other devices have put, and merges it; `None`: only
    /// when asked, and so without [`Settings::replicate_every`]. Default 60 s.
    pub poll_every: Option<Duration>,
    /// With so many bytes of changed values a backup begins at once. Default 1 MiB.
    pub segment_bytes: u64,
    /// How many bytes of values not yet backed up to hold in memory. Default 64 MiB.
    pub memory_budget: u64,
    /// A cloud that lags by more changed keys than this is dropped from the log and catches up from
    /// a dump. Default 500,000.
    pub max_lag_records: u64,
    /// The same by bytes of their values. Default 1 GiB.
    pub max_lag_bytes: u64,
    /// Which commits wait for the clouds, by primary namespace. Default: none. See also
    /// [`Session::kv_replicated`](crate::Session::kv_replicated).
    pub policies: Policies,
    /// How many commits may wait for the clouds at once. Default 10,000.
    pub max_waiting: usize,
    /// How many objects to fetch at once. Default 8.
    pub fetch_at_once: usize,
    /// How long another device may be unseen before the others stop waiting for it: afterwards it
    /// must rejoin before it counts again. Default 180 days.
    pub retire_unseen_after: Duration,
    /// For how long removals are remembered at least, also when every device knows of them. Longer
    /// than a restore takes. Default 1 day.
    pub keep_tombstones_for: Duration,
    /// A full dump is due when the changes since the last one have this share of its size, in
    /// percent. Default 50.
    pub full_dump_percent: u32,
    /// Restore points are kept for so long. Default 30 days.
    pub keep_restore_points_for: Duration,
    /// What no restore point needs any more is deleted so long after a verified newer dump: a
    /// restore under way may still be reading it. Default one day.
    pub delete_after: Duration,
    /// In how many clouds a change must be before it counts as backed up and replicated; `None`: in
    /// all. The others follow at their own pace. A takeover then needs n - k + 1 of them. Data with a
    /// single writer is acknowledged by fewer than before only when as many as before know of that.
    pub acknowledged_by: Option<usize>,
    /// A writer of whom no new head came for so long is reported. Default 30 days: a running one
    /// puts a head every hour, and a shorter time also reports devices that are switched off.
    pub frozen_after: Duration,
    /// For how long a cloud may lack what another one has before that is reported. Default 10
    /// minutes.
    pub withheld_after: Duration,
}

/// In seconds.
const DAY: u64 = 86_400;

impl Default for Settings {
    fn default() -> Self {
        let recorder = RecorderSettings::default();
        Self {
            replicate_every: Some(Duration::from_secs(1)),
            poll_every: Some(Duration::from_secs(60)),
            segment_bytes: recorder.segment_bytes,
            memory_budget: recorder.memory_budget,
            max_lag_records: recorder.max_lag_records,
            max_lag_bytes: recorder.max_lag_bytes,
            policies: Policies::default(),
            max_waiting: Replicated::MAX_IN_FLIGHT,
            fetch_at_once: 8,
            retire_unseen_after: Duration::from_secs(180 * DAY),
            keep_tombstones_for: Duration::from_secs(DAY),
            full_dump_percent: 50,
            keep_restore_points_for: Duration::from_secs(30 * DAY),
            delete_after: Duration::from_secs(DAY),
            acknowledged_by: None,
            frozen_after: Duration::from_secs(30 * DAY),
            withheld_after: Duration::from_secs(600),
        }
    }
}
