//! Putting backups into clouds, and seeing what is there.

mod catch_up;
mod dump;
mod fetch;
mod head;
mod list;
mod old_heads;
mod poll;
mod post;
mod put;
mod rejoin;

pub(crate) use self::{
    catch_up::CatchUp,
    dump::{Watch, Watches, due, dump, sweep, sweep_is_due},
    fetch::fetch,
    head::heads,
    list::{list, points},
    old_heads::OldHeads,
    poll::{merge_writer, poll},
    post::post,
    put::Kept,
    rejoin::rejoin,
};
pub use self::{
    dump::{DumpKind, DumpReport},
    list::{
        BackupListing, ChainSummary, CloudSummary, DumpSummary, HeadSummary, ObjectSummary,
        RestorePoint,
    },
    poll::{PollReport, WriterReport},
    post::BackupReport,
    rejoin::RejoinReport,
};
