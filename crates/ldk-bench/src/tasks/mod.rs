//! What is done in processes of their own.

mod latency;
mod pay;
mod prepare;
mod replicated;

use std::{path::PathBuf, sync::atomic::Ordering};

use bench_report::{Result, child::answer};
use serde::{Deserialize, Serialize};

pub(crate) use self::{pay::Paid, prepare::Prepared, replicated::Replicated};
use crate::{small::STARTS, stores::Who};

/// How monitors are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Keeps {
    /// Whole, at each update.
    Whole,
    /// By LDK's `MonitorUpdatingPersister`: each update, and the whole after so many.
    Updates,
}

/// One of them. What it answers is the type beside it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Task {
    /// Makes two nodes with channels whose monitors are at least so large; [`Prepared`].
    Prepare { channels: u32, bytes: usize, image: PathBuf },
    /// Two such nodes pay each other, on stores in this folder; [`Paid`].
    Pay { who: Who, keeps: Keeps, image: PathBuf, folder: PathBuf, seconds: f64 },
    /// The first node waits for a cloud that takes its time; [`Replicated`].
    Replicate { image: PathBuf, folder: PathBuf, payments: usize, latency_ms: u64 },
}

/// Does what the parent process asked for.
pub(crate) fn run(task: &str) -> Result<()> {
    let task: Task = serde_json::from_str(task)?;
    // Each process goes on with nodes that another one has made: their payments are not to be the same.
    STARTS.store(std::process::id() << 8, Ordering::SeqCst);
    let answer = match task {
        Task::Prepare { channels, bytes, image } => answer(prepare::run(channels, bytes, &image)?),
        Task::Pay { who, keeps, image, folder, seconds } => {
            answer(pay::run((who, keeps), &image, &folder, seconds)?)
        }
        Task::Replicate { image, folder, payments, latency_ms } => {
            answer(replicated::run(&image, &folder, payments, latency_ms)?)
        }
    };
    println!("{}", answer?);
    Ok(())
}
