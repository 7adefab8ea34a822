//! The commands for entries of the user's own.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

#[derive(Debug, Subcommand)]
pub(crate) enum Kv {
    /// Store a file as an entry
    ///
    /// The first entry of a namespace decides for all of them: with --mergeable every device may
    /// write them, and of each the later change counts; without it one device at a time. Nothing
    /// that must never fork, such as the state of Lightning channels, may be mergeable.
    Put {
        #[command(flatten)]
        entry: Entry,
        /// What to store; "-" is standard input
        file: PathBuf,
        #[command(flatten)]
        class: ClassArgs,
    },
    /// Print an entry's bytes as they are
    Get {
        #[command(flatten)]
        entry: Entry,
        #[command(flatten)]
        class: ClassArgs,
    },
    /// List the keys of a namespace
    List {
        #[command(flatten)]
        namespace: Namespace,
        #[command(flatten)]
        class: ClassArgs,
    },
    /// Remove an entry
    Remove {
        #[command(flatten)]
        entry: Entry,
        #[command(flatten)]
        class: ClassArgs,
    },
    /// List the namespaces with their classes
    Namespaces,
    /// Move all entries of a namespace to the other class, in one step
    ///
    /// Takes the device that may write entries with a single writer. Moved to mergeable, every device
    /// has them after its next poll; moved to single-writer, the other devices no longer have them.
    Reclass {
        #[command(flatten)]
        namespace: Namespace,
        /// Which class they get
        class: Class,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Class {
    /// Every device may write; of each key the later change counts
    Mergeable,
    /// One device at a time
    SingleWriter,
}

/// Which class is meant.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct ClassArgs {
    /// Entries that every device may write
    #[arg(long, conflicts_with = "single_writer")]
    pub(crate) mergeable: bool,
    /// Entries that one device writes at a time
    #[arg(long)]
    pub(crate) single_writer: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Namespace {
    /// First level of the namespace; may be empty: ""
    pub(crate) primary: String,
    /// Second level of the namespace; may be empty: ""
    pub(crate) secondary: String,
}

#[derive(Debug, Args)]
pub(crate) struct Entry {
    #[command(flatten)]
    pub(crate) namespace: Namespace,
    /// The entry's name
    pub(crate) key: String,
}
