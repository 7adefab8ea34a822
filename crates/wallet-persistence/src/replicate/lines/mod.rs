//! The lines to the clouds: what is sealed goes up to each of them at its own pace, in order.
//!
//! There is one chain. Each cloud has it up to some batch; what is sealed and not everywhere yet is
//! kept, as it is, until it is or until it is too much. A change counts as in the cloud when as many
//! clouds as the settings ask for have its batch.

mod attended;
mod batch;
mod chain;
mod copy;
mod deliver;
mod line;
mod reached;

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use backup::{ObjectRef, ObjectSealer, WriterId};
use tokio::{sync::watch, task::JoinSet, time::Instant};

pub(super) use self::{
    attended::Attended,
    batch::{Batch, Counts, NewDump, Sent},
    line::Line,
};
use super::{post::Wish, session_note::SessionNote};
use crate::status::CloudStatus;

/// All of them. Dropped, it stops what is under way.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    shared: Arc<Shared>,
    tasks: Mutex<JoinSet<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// Something has changed.
    changed: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct State {
    /// Whose chain it is, and how often the log had been dropped when it was taken up.
    chain: Option<(WriterId, u64)>,
    lines: Vec<Line>,
    /// The number of the newest batch. Number 1 is what was acknowledged when the chain was taken up.
    newest: u64,
    /// Sealed and not acknowledged, oldest first.
    pending: VecDeque<Pending>,
    /// How many bytes may be kept for a cloud.
    budget: u64,
    /// Of all clouds together.
    failures: u64,
    /// Counts the runs, so that one that was stopped changes nothing any more.
    turns: u64,
    /// See [`Lines::left_head`].
    left_head: Option<ObjectRef>,
}

/// A batch that is not acknowledged.
#[derive(Debug)]
struct Pending {
    number: u64,
    /// In memory.
    bytes: u64,
    /// Whether the chain begins with it.
    is_beginning: bool,
    sent: Sent,
}

impl Lines {
    /// Sees to it that each cloud that lacks something is being worked on; if that is due, only
    /// those that have not failed just now.
    pub(super) fn kick(&self, sealer: &ObjectSealer, note: &SessionNote, wish: Wish) {
        let now = Instant::now();
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        let mut state = self.shared.lock();
        let State { lines, newest, turns, .. } = &mut *state;
        for (i, line) in lines.iter_mut().enumerate() {
            if wish == Wish::Asked && line.is_slow {
                // Who asks waits for all that can be waited for. What is under way may be resting
                // between two tries.
                line.stop();
                line.is_slow = false;
            }
            let may = wish == Wish::Asked || line.may_be_tried(now);
            if line.turn.is_none() && line.reached < *newest && may {
                *turns += 1;
                line.turn = Some(*turns);
                let (sealer, note) = (sealer.clone(), note.clone());
                let run = deliver::run(self.shared.clone(), sealer, note, i, *turns);
                line.run = Some(tasks.spawn(run));
            }
        }
    }

    /// Whether some cloud lacks something and may be tried again by now.
    pub(crate) fn is_due(&self) -> bool {
        let now = Instant::now();
        let state = self.shared.lock();
        let lacks = |line: &Line| line.turn.is_none() && line.reached < state.newest;
        state.lines.iter().any(|line| lacks(line) && line.may_be_tried(now))
    }

    /// How often a cloud has failed in this session, all together.
    pub(crate) fn failures(&self) -> u64 {
        self.shared.lock().failures
    }

    /// Resolves with the next change of any line.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.shared.changed.subscribe()
    }

    /// Of so many clouds those that do what they are asked; all if none does.
    pub(super) fn well(&self, clouds: usize) -> Vec<usize> {
        let state = self.shared.lock();
        let is_well = |i: &usize| state.lines.get(*i).is_none_or(Line::is_well);
        let well: Vec<usize> = (0..clouds).filter(is_well).collect();
        if well.is_empty() { (0..clouds).collect() } else { well }
    }

    /// How it is with each of the clouds, in their order.
    pub(crate) fn status(&self, names: Vec<String>) -> Vec<CloudStatus> {
        let state = self.shared.lock();
        let lines = (0..names.len()).map(|i| state.lines.get(i));
        lines.zip(names).map(|(line, name)| Line::status(line, name, state.newest)).collect()
    }

    /// Stops what is under way; the next kick goes on with it.
    fn stop(&self) {
        drop(std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner)));
        self.shared.lock().lines.iter_mut().for_each(Line::stop);
    }

    /// Stops what is under way and waits for its end.
    pub(crate) async fn end(&self) {
        let mut tasks =
            std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        tasks.shutdown().await;
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the line of a cloud, if it is still this turn.
    fn change(&self, i: usize, turn: u64, change: impl FnOnce(&mut Line)) {
        if let Some(line) = self.lock().lines.get_mut(i).filter(|line| line.turn == Some(turn)) {
            change(line);
        }
        self.changed.send_replace(());
    }
}
