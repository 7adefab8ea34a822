//! One line at work: batch after batch until its cloud has everything, or something fails.

use std::sync::Arc;

use backup::{ObjectRef, ObjectSealer, Put, Sealed};
use cloud::{CloudBackend, CloudError};
use tokio::task::JoinSet;

use super::{Batch, Line, Shared, copy, line::Lacks};
use crate::{Error, Result, replicate::session_note::SessionNote};

/// How many objects go up at once.
const PUT_AT_ONCE: usize = 8;

/// What to do next.
enum Next {
    /// It has everything.
    Nothing,
    /// Look whether this head, which was acknowledged before, is there.
    Look(ObjectRef),
    /// Copy from another cloud everything up to a batch, which that one has.
    Copy {
        from: Arc<dyn CloudBackend>,
        head: (ObjectRef, u64),
        number: u64,
    },
    /// Others must give what it lacks, and one is about to get it.
    Wait,
    /// ... and none can, now or ever.
    NoSource(Lacks),
    Put(u64, Arc<Batch>),
}

/// Works on the line of one cloud.
pub(super) async fn run(
    shared: Arc<Shared>,
    sealer: ObjectSealer,
    note: SessionNote,
    i: usize,
    turn: u64,
) {
    let mut changed = shared.changed.subscribe();
    loop {
        changed.borrow_and_update();
        let Some((cloud, next)) = shared.next(i, turn) else { return };
        let by_itself = |error| (error, Lacks::Nothing);
        let outcome = match next {
            Next::Nothing => return,
            Next::Look(head) => {
                look(&*cloud, &sealer, &head).await.map_err(by_itself).map(|there| {
                    shared.change(i, turn, |line| {
                        line.is_known = true;
                        if there { line.has(1) } else { line.misses(1) }
                    });
                })
            }
            Next::Wait => {
                // It cannot end before the lines do.
                let _ = changed.changed().await;
                Ok(())
            }
            Next::NoSource(lacks) => {
                let none = "it lacks what no other cloud has, or none that has it answers";
                Err((CloudError::unavailable(none).into(), lacks))
            }
            Next::Copy { from, head, number } => {
                let copied = match note.before_put(Put::Head, &[i]).await {
                    Ok(()) => copy::everything(&sealer, &from, &cloud, head.0).await,
                    failed => failed,
                };
                let copied = copied.map_err(|error| match error {
                    // The only one that seemed to have it has it no more.
                    Error::Backup(_) => (error, Lacks::All),
                    _ => (error, Lacks::Source),
                });
                copied.map(|()| shared.change(i, turn, |line| line.took(number, head)))
            }
            Next::Put(number, batch) => {
                put(&cloud, &batch, (&note, i)).await.map_err(by_itself).map(|()| {
                    shared.change(i, turn, |line| {
                        line.took(number, batch.at);
                        line.goes_well();
                    });
                })
            }
        };
        if let Err((error, lacks)) = outcome {
            tracing::debug!(cloud = i, error = crate::error::chain(&error), "a cloud fails");
            shared.lock().failures += 1;
            shared.change(i, turn, |line| line.failed(error, lacks));
            return;
        }
    }
}

impl Shared {
    /// What the line does next; it rests once that is nothing. `None`: it is no longer its turn.
    fn next(&self, i: usize, turn: u64) -> Option<(Arc<dyn CloudBackend>, Next)> {
        let mut state = self.lock();
        let newest = state.newest;
        let line = state.lines.get(i).filter(|line| line.turn == Some(turn))?;
        let (cloud, missed, reached) = (line.cloud.clone(), line.missed, line.reached);
        let next = if reached >= newest {
            Next::Nothing
        } else if let (false, Some((head, _))) = (line.is_known, line.head) {
            Next::Look(head)
        } else if missed > reached {
            let others = || state.lines.iter().enumerate().filter(|(other, _)| *other != i);
            let goes_on = |line: &Line| line.turn.is_some() && line.missed <= line.reached;
            let source = others()
                .filter(|(_, line)| line.reached >= missed)
                .min_by_key(|(_, line)| (!line.is_well(), u64::MAX - line.reached));
            match source.and_then(|(_, line)| Some((line, line.head?))) {
                Some((line, head)) => {
                    Next::Copy { from: line.cloud.clone(), head, number: line.reached }
                }
                None if others().any(|(_, line)| goes_on(line)) => Next::Wait,
                None => {
                    let lacks_too = |line: &Line| line.is_known && line.missed > line.reached;
                    let none_has = others().all(|(_, line)| lacks_too(line));
                    Next::NoSource(if none_has { Lacks::All } else { Lacks::Source })
                }
            }
        } else {
            match line.queue.front() {
                Some((number, batch)) => Next::Put(*number, batch.clone()),
                None => Next::Nothing,
            }
        };
        if matches!(next, Next::Nothing) {
            let line = state.lines.get_mut(i)?;
            line.turn = None;
            line.goes_well();
            drop(state);
            self.changed.send_replace(());
        }
        Some((cloud, next))
    }
}

async fn look(cloud: &dyn CloudBackend, sealer: &ObjectSealer, head: &ObjectRef) -> Result<bool> {
    Ok(cloud.get(&head.name(&sealer.tag())).await?.is_some())
}

/// The objects, several at once; then the head, so that it never names what is not there.
async fn put(
    cloud: &Arc<dyn CloudBackend>,
    batch: &Batch,
    (note, i): (&SessionNote, usize),
) -> Result<()> {
    let mut tasks: JoinSet<Result<()>> = JoinSet::new();
    for object in &batch.objects {
        if tasks.len() >= PUT_AT_ONCE
            && let Some(put) = tasks.join_next().await
        {
            put.map_err(|_| Error::Task)??;
        }
        let (cloud, object) = (cloud.clone(), object.clone());
        tasks.spawn(async move { put_object(&*cloud, &object).await });
    }
    // Dropped before its end, the set ends the rest.
    while let Some(put) = tasks.join_next().await {
        put.map_err(|_| Error::Task)??;
    }
    note.before_put(Put::Head, &[i]).await?;
    put_object(&**cloud, &batch.head).await
}

async fn put_object(cloud: &dyn CloudBackend, object: &Sealed) -> Result<()> {
    cloud::put_backup(cloud, object).await?;
    Ok(())
}
