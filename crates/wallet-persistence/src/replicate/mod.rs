//! Putting backups into clouds, and seeing what is there.

mod catch_up;
mod dump;
mod fetch;
mod head;
mod list;
mod poll;
mod post;
mod rejoin;

pub(crate) use self::{
    catch_up::CatchUp,
    fetch::fetch,
    head::heads,
    list::list,
    poll::{merge_writer, poll},
    post::post,
    rejoin::rejoin,
};
pub use self::{
    list::{BackupListing, HeadSummary, ObjectSummary},
    poll::{PollReport, WriterReport},
    post::BackupReport,
    rejoin::RejoinReport,
};
