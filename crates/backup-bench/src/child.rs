//! Parts of rows in a process of their own: its memory and its processor time are theirs alone.

pub(crate) use bench_report::child::{CORES, answer, ask, on_cores};

use crate::{Result, tasks::Task};

/// Does what the parent process asked for.
pub(crate) fn run(task: &str) -> Result<()> {
    let task: Task = serde_json::from_str(task)?;
    println!("{}", task.run()?);
    Ok(())
}
