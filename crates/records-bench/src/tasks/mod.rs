//! What is done in processes of their own.

mod insert;
mod query;
mod resume;

use std::path::PathBuf;

use bench_report::{Result, child::answer};
use serde::{Deserialize, Serialize};

pub(crate) use self::{insert::Inserted, query::Queried, resume::Resumed};
use crate::tower::Below;

/// Who is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Who {
    /// Records, sealed and recorded, over a store.
    Records(Below),
    /// SQLite by itself.
    Peer,
}

/// One of them. What it answers is the type beside it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Task {
    /// Writes the first records into a new folder, in batches; `()`.
    Fill { who: Who, folder: PathBuf, records: usize },
    /// Opens the folder and asks questions; [`Queried`].
    Query { who: Who, folder: PathBuf, records: usize },
    /// Writes records into a new folder; [`Inserted`].
    Insert { who: Who, folder: PathBuf, records: usize },
    /// Puts a wallet aside, again and again; a list of [`Resumed`].
    Resume { below: Below, folder: PathBuf, records: usize },
}

/// Does what the parent process asked for.
pub(crate) fn run(task: &str) -> Result<()> {
    let task: Task = serde_json::from_str(task)?;
    let answer = match task {
        Task::Fill { who, folder, records } => answer(insert::fill(who, &folder, records)?),
        Task::Query { who, folder, records } => answer(query::run(who, &folder, records)?),
        Task::Insert { who, folder, records } => answer(insert::run(who, &folder, records)?),
        Task::Resume { below, folder, records } => answer(resume::run(below, &folder, records)?),
    };
    println!("{}", answer?);
    Ok(())
}
