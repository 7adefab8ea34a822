//! The chain as it is sealed: batch after batch, acknowledged or not.

use std::{collections::VecDeque, sync::Arc};

use backup::{BackupState, ObjectRef, WriterId};

use super::{Batch, Line, Lines, NewDump, Pending, Sent};

/// After so many tries to find a cloud that can give another one what it lacks, a new dump shall do.
const COPY_TRIES: u32 = 5;

/// How many batches are told apart until they are acknowledged. A cloud may be away for weeks.
const PENDING: usize = 256;

impl Lines {
    /// The chain as it is sealed, behind what is acknowledged. Another one is left, and so is what was
    /// sealed before the log was dropped for the last time (of `drops` times).
    pub(in crate::replicate) fn tip(&self, acknowledged: BackupState, drops: u64) -> BackupState {
        let state = self.shared.lock();
        let Some((writer, of)) = state.chain else { return acknowledged };
        let tip = state.pending.back().map(|pending| pending.sent.state.clone());
        drop(state);
        if writer != acknowledged.writer {
            self.leave(None);
        } else if of != drops {
            // Its head may be in a cloud: the next one follows it.
            self.leave(tip.as_ref().and_then(|tip| tip.head));
        } else if let Some(tip) = tip {
            return tip;
        }
        acknowledged
    }

    /// Takes up a chain where it was acknowledged, unless it is under way: that of a writer, with a log
    /// that was dropped so often.
    pub(in crate::replicate) fn begin(
        &self,
        chain: (WriterId, u64),
        budget: u64,
        lines: impl FnOnce() -> Vec<Line>,
    ) {
        let mut state = self.shared.lock();
        state.budget = budget;
        if state.lines.is_empty() {
            (state.chain, state.newest) = (Some(chain), 1);
            state.lines = lines();
        }
    }

    /// Leaves the chain for another one, or for what was acknowledged of it. What is on its way up
    /// is stopped; its head may be in a cloud.
    fn leave(&self, head: Option<ObjectRef>) {
        self.stop();
        let mut state = self.shared.lock();
        state.lines.clear();
        state.pending.clear();
        (state.chain, state.newest, state.left_head) = (None, 0, head);
    }

    /// The chain as it is sealed, if that is beyond what is acknowledged.
    pub(crate) fn sealed_state(&self) -> Option<BackupState> {
        self.shared.lock().pending.back().map(|pending| pending.sent.state.clone())
    }

    /// Up to which change everything is sealed, if that is beyond what is acknowledged.
    pub(crate) fn sealed(&self) -> Option<u64> {
        self.shared.lock().pending.back().map(|pending| pending.sent.state.backed_up)
    }

    /// How many retired writers the newest head names that is not acknowledged yet.
    pub(in crate::replicate) fn tells(&self) -> Option<usize> {
        self.shared.lock().pending.back().map(|pending| pending.sent.head.retired().len())
    }

    /// The next batch, and the dump its head names if that is a new one.
    pub(in crate::replicate) fn push(&self, batch: Batch, sent: Sent, dump: Option<&NewDump>) {
        let (batch, mut sent) = (Arc::new(batch), sent);
        let mut state = self.shared.lock();
        state.newest += 1;
        let is_beginning = dump.is_some_and(|dump| dump.is_beginning);
        if is_beginning {
            // What no cloud has counts only with the dump that holds it.
            while let Some(before) = state.pending.pop_back() {
                sent = sent.after(&before.sent);
            }
        }
        let (newest, budget) = (state.newest, state.budget);
        let bytes = batch.bytes();
        state.pending.push_back(Pending { number: newest, bytes, is_beginning, sent });
        if state.pending.len() > PENDING {
            thin(&mut state.pending);
        }
        state.left_head = None;
        for (i, line) in state.lines.iter_mut().enumerate() {
            match dump {
                // Its head names what is not there, so all of it must come from another cloud.
                Some(dump) if !dump.holders.contains(&i) => {
                    line.misses(newest);
                    continue;
                }
                // The dump holds all before it; but it does not come with a head of its own.
                Some(dump) if dump.is_beginning => line.begins_before(newest),
                _ => {}
            }
            line.queue.push_back((newest, batch.clone()));
            if line.kept_bytes() > budget {
                // Some cloud has all that was sealed before.
                line.misses(newest - 1);
            }
        }
        drop(state);
        self.shared.changed.send_replace(());
    }

    /// So many of the oldest batches are acknowledged.
    pub(in crate::replicate) fn acknowledged(&self, batches: usize) {
        let mut state = self.shared.lock();
        let batches = batches.min(state.pending.len());
        state.pending.drain(..batches);
    }

    /// Changes what will be acknowledged.
    pub(in crate::replicate) fn change_pending(&self, mut change: impl FnMut(&mut BackupState)) {
        let mut state = self.shared.lock();
        state.pending.iter_mut().for_each(|pending| change(&mut pending.sent.state));
    }

    /// Drops a batch that is in no cloud and larger than what is kept: it is rather sealed again.
    pub(in crate::replicate) fn discard_large(&self) {
        let mut state = self.shared.lock();
        let Some(Pending { number, bytes, is_beginning, .. }) = state.pending.back() else {
            return;
        };
        let is_idle = state.lines.iter().all(|line| line.turn.is_none() && line.reached < *number);
        // What was before a beginning is no longer there to go back to.
        if *bytes <= state.budget || *is_beginning || !is_idle {
            return;
        }
        let Some(Pending { number, sent, .. }) = state.pending.pop_back() else { return };
        for line in &mut state.lines {
            line.queue.retain(|(queued, _)| *queued != number);
            // Who lacked what was before it still does.
            line.missed = line.missed.min(number - 1);
        }
        state.newest = number - 1;
        state.left_head = sent.state.head;
    }

    /// A head that is none of the chain any more and may be in a cloud nevertheless: the next one
    /// follows it, so that who saw it sees one history.
    pub(in crate::replicate) fn left_head(&self) -> Option<ObjectRef> {
        self.shared.lock().left_head
    }

    /// The next head follows this one, which an earlier session has put and could not write down.
    pub(in crate::replicate) fn follow(&self, head: ObjectRef) {
        self.shared.lock().left_head = Some(head);
    }

    /// Whether a cloud lacks what no other one can give it, so that only a new dump helps.
    pub(crate) fn wants_dump(&self) -> bool {
        self.shared.lock().lines.iter().any(|line| line.wants_dump(COPY_TRIES))
    }
}

/// Takes two batches for one each: then they are acknowledged together.
fn thin(pending: &mut VecDeque<Pending>) {
    let mut kept = VecDeque::with_capacity(pending.len());
    // The newest stays what it is: it may be dropped.
    let newest = pending.pop_back();
    while let Some(first) = pending.pop_front() {
        kept.push_back(match pending.pop_front() {
            Some(second) => Pending {
                number: second.number,
                bytes: first.bytes + second.bytes,
                is_beginning: second.is_beginning,
                sent: second.sent.after(&first.sent),
            },
            None => first,
        });
    }
    kept.extend(newest);
    *pending = kept;
}
