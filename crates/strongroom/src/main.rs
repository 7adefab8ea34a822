//! The command-line program of Strongroom. This file: dispatch only.
#![doc = include_str!("../README.md")]

mod cli;
mod commands;
mod exit;
mod output;
mod progress;
mod secret;
mod signature;
mod time;

use std::process::ExitCode;

use tracing_subscriber::EnvFilter;

use crate::exit::{Code, Failure};

fn main() -> ExitCode {
    let cli = match cli::parse() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    start_logging();
    let json = cli.json;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(commands::run(cli)),
        Err(error) => Err(Failure::new(Code::Other, "cannot start", "try again").because(&error)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(json),
    }
}

/// Log lines go to standard error, and only if they are asked for.
fn start_logging() {
    if let Ok(filter) = EnvFilter::try_from_env("STRONGROOM_LOG") {
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    }
}
