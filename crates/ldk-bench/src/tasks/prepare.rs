//! Two nodes that have paid each other until their monitors are large, as LDK's own folders.

use std::{fs, path::Path, sync::Arc};

use bench_report::Result;
use lightning::{
    chain::{
        ChannelMonitorUpdateStatus,
        chainmonitor::Persist,
        channelmonitor::{ChannelMonitor, ChannelMonitorUpdate},
    },
    sign::InMemorySigner,
    util::{persist::MonitorName, ser::Writeable},
};
use serde::{Deserialize, Serialize};

use crate::{
    network::{self, SEEDS, channels},
    small::{Parts, Small, ask_for_channel, mine, run as settle},
};

/// What it has made.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Prepared {
    /// Bytes of the smallest and of the largest monitor.
    pub(crate) monitors: (usize, usize),
    /// Bytes of the larger manager.
    pub(crate) manager: usize,
    /// How many payments it took.
    pub(crate) payments: usize,
}

/// Stores nothing: what is made here is stored at the end.
struct Nothing;

impl Persist<InMemorySigner> for Nothing {
    fn persist_new_channel(
        &self,
        _: MonitorName,
        _: &ChannelMonitor<InMemorySigner>,
    ) -> ChannelMonitorUpdateStatus {
        ChannelMonitorUpdateStatus::Completed
    }

    fn update_persisted_channel(
        &self,
        _: MonitorName,
        _: Option<&ChannelMonitorUpdate>,
        _: &ChannelMonitor<InMemorySigner>,
    ) -> ChannelMonitorUpdateStatus {
        ChannelMonitorUpdateStatus::Completed
    }

    fn archive_persisted_channel(&self, _: MonitorName) {}
}

/// So many payments over one channel are under way together, so that each state has many outputs and
/// monitors grow soon.
const TOGETHER: usize = 40;

pub(super) fn run(count: u32, bytes: usize, image: &Path) -> Result<Prepared> {
    let [a, b] = SEEDS.map(|seed| Small::new(Parts::new(&seed), Arc::new(Nothing)));
    for height in 1..=count {
        ask_for_channel(&a, &b);
        settle(&a, &b, || false);
        let sent = std::mem::take(&mut *a.parts.sent.0.lock().map_err(network::failed)?);
        mine(height, &sent, &[&*a.monitors, &a.manager, &*b.monitors, &b.manager]);
        settle(&a, &b, || false);
    }
    let all = channels(&a);
    if all.len() != count as usize {
        return Err(format!("{} of {count} channels can be used", all.len()).into());
    }
    let mut payments = 0;
    // There and back, so that each channel stays as it is balanced.
    while payments == 0 || sizes(&a, &b).0 < bytes {
        // Small monitors grow one payment at a time, or they would be too large.
        let together = if bytes > 200_000 { TOGETHER } else { 1 };
        for (from, to) in [(&a, &b), (&b, &a)] {
            for channel in &all {
                for _ in 0..together {
                    network::pay(from, to, *channel)?;
                    payments += 1;
                }
            }
            settle(&a, &b, || false);
        }
    }
    for (node, name) in [(&a, "a"), (&b, "b")] {
        let folder = image.join(name);
        fs::create_dir_all(folder.join("monitors"))?;
        fs::write(folder.join("manager"), node.manager.encode())?;
        for channel in node.monitors.list_monitors() {
            let monitor = node.monitors.get_monitor(channel).map_err(network::failed)?;
            let key = monitor.persistence_key().to_string();
            fs::write(folder.join("monitors").join(key), monitor.encode())?;
        }
    }
    let manager = a.manager.encode().len().max(b.manager.encode().len());
    Ok(Prepared { monitors: sizes(&a, &b), manager, payments })
}

/// Bytes of the smallest and of the largest monitor.
fn sizes(a: &Small, b: &Small) -> (usize, usize) {
    let of = |node: &Small| -> Vec<usize> {
        let size = |channel| node.monitors.get_monitor(channel).map(|one| one.encode().len()).ok();
        node.monitors.list_monitors().into_iter().filter_map(size).collect()
    };
    let sizes = [of(a), of(b)].concat();
    (sizes.iter().copied().min().unwrap_or(0), sizes.iter().copied().max().unwrap_or(0))
}
