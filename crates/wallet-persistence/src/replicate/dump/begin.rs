//! The dump with which a chain begins: until it is there, there is nothing to build on.

use std::sync::Arc;

use backup::{Rule, StoreCount};
use cloud::CloudBackend;

use super::{Made, Making};
use crate::{
    Result, registry,
    replicate::post::{BackupReport, Post, Wish},
    session::Inner,
};

/// Begins the chain, or begins it anew where no cloud has all it needs. Others go on meanwhile, and
/// so do commits: what comes while the dump is made goes up right behind it. `None`: the log was
/// dropped meanwhile, or the chain was left, so the dump does not count.
#[tracing::instrument(skip_all)]
pub(in crate::replicate) async fn begin_chain(
    inner: &Inner,
    clouds: &[Arc<dyn CloudBackend>],
    wish: Wish,
) -> Result<Option<BackupReport>> {
    let _one_at_a_time = inner.dumping.lock().await;
    let (making, anew) = {
        let _no_backup = inner.posting.lock().await;
        let mut post = Post::begin(inner, clouds);
        post.look_first(inner).await?;
        if !post.wants_dump(inner) {
            // Somebody else has made it meanwhile.
            post.wish = wish;
            post.publish(inner).await?;
            return Ok(Some(post.report));
        }
        let anew = post.leave_unreachable(inner);
        (Making::begin(inner, clouds, post.state), anew)
    };
    let made = making.full().await?;
    drop(making);
    let _no_backup = inner.posting.lock().await;
    let mut post = Post::begin(inner, clouds);
    post.wish = wish;
    let is_this_chain = post.state.writer == made.index.id.writer;
    if !is_this_chain || !made.holds_all(inner) || anew != inner.lines.wants_dump() {
        return Ok(None);
    }
    post.begin_with(inner, &made);
    post.publish(inner).await?;
    Ok(Some(post.report))
}

impl Post<'_> {
    /// Forgets what came before where no cloud that answers has it: nothing may be built on that, nor
    /// may a restore need it. Whether it was so.
    fn leave_unreachable(&mut self, inner: &Inner) -> bool {
        let is_unreachable = inner.lines.wants_dump();
        if is_unreachable {
            self.state.newest = None;
            self.state.dumps = Default::default();
        }
        is_unreachable
    }

    fn begin_with(&mut self, inner: &Inner, made: &Made) {
        self.begins_anew = self.leave_unreachable(inner);
        let is_beginning = self.begins_anew || self.state.head.is_none();
        let report = self.adopt(made);
        if let Some(dump) = &mut self.dump {
            dump.is_beginning = is_beginning;
        }
        self.counts.dumped = Some(report.entries);
        // It holds what no segment of the chain does.
        let rules = registry::rules();
        let is_single = |store: &StoreCount| rules.of_primary(&store.primary) == Rule::SingleWriter;
        self.counts.single_writer |= made.opened.stores.iter().any(is_single);
        if self.state.newest.is_none() {
            // The chain begins behind its first dump.
            self.state.backed_up = made.index.id.from;
        }
    }
}
