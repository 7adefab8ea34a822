//! Putting backups into clouds, and seeing what is there.

mod catch_up;
mod dump;
mod fence;
mod fetch;
mod head;
mod history;
mod lines;
mod list;
mod old_heads;
mod poll;
mod post;
mod race;
mod rejoin;
mod session_note;

pub(crate) use self::{
    catch_up::CatchUp,
    dump::{Watch, Watches, due, dump, sweep, sweep_is_due},
    fence::{Fences, TakeOverFrom, fenced_head, random, read as read_fence, take_over},
    fetch::fetch,
    head::{begins_anew, heads, readable_heads},
    history::{Found, KnownHeads, look},
    lines::Lines,
    list::{Newest, list, newest_of_each, points},
    old_heads::OldHeads,
    poll::{merge_writer, poll},
    post::{Wish, post},
    race::{patient_race, race},
    rejoin::rejoin,
    session_note::Noted,
};
pub use self::{
    dump::{DumpKind, DumpReport},
    fence::{SingleWriter, TakeoverReport},
    list::{
        BackupListing, ChainSummary, CloudSummary, DumpSummary, HeadSummary, ObjectSummary,
        RestorePoint,
    },
    poll::{PollReport, WriterReport},
    post::BackupReport,
    rejoin::RejoinReport,
};
