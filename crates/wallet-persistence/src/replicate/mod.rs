//! Putting backups into clouds, and seeing what is there.

mod dump;
mod fetch;
mod head;
mod list;
mod poll;
mod post;

pub(crate) use self::{fetch::fetch, head::heads, list::list, poll::poll, post::post};
pub use self::{
    list::{BackupListing, HeadSummary, ObjectSummary},
    post::BackupReport,
};
