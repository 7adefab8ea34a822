//! Parts of rows in a process of their own: its memory and its processor time are theirs alone.

use std::{
    env,
    ffi::OsString,
    process::{Command, Stdio},
    thread,
};

use serde::{Serialize, de::DeserializeOwned};

use crate::Result;

/// How many cores everything is measured on.
pub const CORES: usize = 2;

/// Starts this program again as `child TASK`, the task being JSON; what it answered.
pub fn ask<T: DeserializeOwned>(task: &impl Serialize) -> Result<T> {
    let args = [OsString::from("child"), serde_json::to_string(task)?.into()];
    let mut command = on_cores(env::current_exe()?.into(), &args);
    let output = command.stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(format!("a child of the benchmark: {}", output.status).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// For the answer of a task, which goes to standard output.
pub fn answer(answer: impl Serialize) -> Result<String> {
    Ok(serde_json::to_string(&answer)?)
}

/// A program that has two cores, if the machine has more and `taskset` is there.
pub fn on_cores(program: OsString, args: &[OsString]) -> Command {
    let many = thread::available_parallelism().is_ok_and(|cores| cores.get() > CORES);
    let mut command = if many && has_taskset() {
        let mut command = Command::new("taskset");
        command.args(["--cpu-list", "0,1"]).arg(program);
        command
    } else {
        Command::new(program)
    };
    command.args(args);
    command
}

fn has_taskset() -> bool {
    let mut command = Command::new("taskset");
    command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
