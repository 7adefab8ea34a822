//! Verifying: every live byte, here and in the clouds, and the one against the other.

mod cloud;
mod compare;

use std::sync::Arc;

use kv_core::{KvStore, Report, Severity};

use crate::{
    Error, HeadSummary, Result, error::chain, session::Inner, tower::Tower, verified,
    wallet::blocking,
};

/// What a scrub found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifyReport {
    /// The local store.
    pub local: Report,
    /// Each cloud, in the order they were set; empty unless asked for.
    pub clouds: Vec<CloudReport>,
}

/// What a scrub found in one cloud.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CloudReport {
    /// Heads whose restore point is whole: every object it needs is there and opens.
    pub restore_points: u64,
    /// Keys of this device that were compared with the newest of its restore points there.
    pub compared: u64,
    /// Keys that differ from it, though they were not changed since.
    pub differing: u64,
    /// The newest restore point, of this device if it has one there; `None`: it is not whole, or
    /// something else in this cloud is damaged.
    pub whole: Option<HeadSummary>,
    /// What was read, and what is wrong.
    pub report: Report,
}

impl VerifyReport {
    /// Whether anything is damaged.
    pub fn is_damaged(&self) -> bool {
        self.local.is_damaged() || self.clouds.iter().any(|cloud| cloud.report.is_damaged())
    }
}

/// How findings about clouds name where they come from.
const STORE: &str = "cloud";

pub(crate) async fn run(inner: &Arc<Inner>, with_clouds: bool) -> Result<VerifyReport> {
    let scrubbed = inner.clone();
    let local = blocking(move || local(&scrubbed.tower)).await?;
    let mut clouds = Vec::new();
    if with_clouds {
        let backends = inner.clouds().await?;
        if backends.is_empty() {
            return Err(Error::NoCloud);
        }
        for (i, cloud) in backends.iter().enumerate() {
            clouds.push(cloud::scrub(inner, backends, cloud, &inner.cloud_name(i)).await?);
        }
        let whole = clouds.iter().filter_map(|cloud| cloud.whole.as_ref());
        let now = inner.tower.clock.now().0;
        if let Some(verified) = verified::best(whole, now, clouds.len()) {
            let recorder = inner.tower.recorder.clone();
            blocking(move || verified::remember(&*recorder, verified)).await?;
        }
    }
    Ok(VerifyReport { local, clouds })
}

fn local(tower: &Tower) -> Result<Report> {
    let mut report = match tower.recorder.capabilities().verify {
        Some(verify) => verify.verify(&mut |_| ())?,
        None => Report::default(),
    };
    for (_, unusable) in tower.stores.unusable()? {
        for record in unusable {
            let why = chain(&record.why);
            // What a newer program wrote is whole, and nothing of it is lost.
            let (severity, what) = match record.is_too_new() {
                true => (Severity::Notice, format!("{why}: upgrade this program")),
                false => (Severity::Damage, why),
            };
            report.push(severity, "records", what);
        }
    }
    Ok(report)
}
