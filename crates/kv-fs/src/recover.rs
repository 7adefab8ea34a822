//! Opening: reading index and log back, deciding what survives, and making it durable again before
//! anything is served.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque},
    io,
    sync::Arc,
};

use kv_core::{Operation, Report, Result};

use crate::{
    Settings,
    adopt::adopt,
    changed_outside,
    checkpoint::Checkpointer,
    disk::Disk,
    encode_names::{self, EncodedNames},
    fault::{self, STORE},
    fold::{Fold, Rewrite},
    frame::{self, Kind, Parts},
    index::{self, Loaded, Mark, Names},
    layout,
    log::LogWriter,
    mtime::Times,
    own::{self, Own, Spares, notice},
    queue::{CheckpointState, Room, State},
    replay,
    segment::{self, Header, OpenSegment, Start},
    table::Table,
    turns::Turn,
};

/// A store that is ready to serve.
pub(crate) struct Recovered {
    /// The disk to go on with: names may be encoded on it.
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) state: State,
    pub(crate) checkpointer: Checkpointer,
    pub(crate) notices: Report,
}

/// Refuses a folder that a newer version has written.
pub(crate) fn refuse_newer(disk: &dyn Disk) -> Result<()> {
    let io = fault::io(Operation::Open);
    for entry in disk.list(layout::HOME).map_err(io)? {
        let version = entry.name.strip_prefix('v').and_then(|name| name.strip_suffix(".tmp"));
        if let Some(found) = version.and_then(|version| version.parse().ok())
            && found > layout::FORMAT
        {
            return Err(replay::too_new(found));
        }
    }
    Ok(())
}

/// Reads everything back. The lock is held.
pub(crate) fn recover(disk: Arc<dyn Disk>, settings: &Settings) -> Result<Recovered> {
    let mut notices = Report::default();
    let mut own = Own::scan(&*disk)?;
    let loaded = index::load(&*disk)?;
    let is_new = loaded.is_none();
    let number = own.next_number();
    let mut loaded = match loaded {
        Some(loaded) => loaded,
        None => adopt(&*disk, &own)?,
    };
    let (disk, names) = choose_names(disk, &loaded).map_err(fault::io(Operation::Open))?;
    let renamed = names != loaded.file.names;
    let replay = if is_new {
        replay::Replay { batches: Vec::new(), clean: false, torn: false }
    } else {
        replay::replay(&own.segments, loaded.mark.log_from, loaded.mark.applied)?
    };
    // Values move to files in a checkpoint only, which voids the note of the folders.
    let closed = replay.batches.is_empty() && (replay.clean || loaded.folders.is_some());
    let adopted = closed
        && changed_outside::check(&*disk, &mut loaded, settings.outside_changes, &mut notices)?;
    // A close notes the folders and leaves nothing in the log that the index does not have.
    let shortened = replay.clean && (loaded.folders.is_none() || !replay.batches.is_empty());
    let Loaded { mark, rows, folders, cut, file } = loaded;
    let disk_arc = disk;
    let disk = &*disk_arc;
    let clean = replay.clean && replay.batches.is_empty() && !cut && !adopted && !renamed;
    if replay.torn {
        notice(&mut notices, "the torn end of the log was cut");
    }
    if cut || shortened {
        let what = "the end of the index was damaged or missing and has been made again";
        notice(&mut notices, what);
    }

    let write_index =
        |mark| index::write(disk, mark, names, rows.iter()).map_err(fault::io(Operation::Open));
    let fold = Fold::of(&replay.batches, mark.next_creation)?;
    let next_creation = fold.next_creation;
    let rewrite = fold.rewrite(&replay.batches);
    let durable = replay.batches.last().map_or(mark.applied, |batch| batch.sequence);
    let start = Start { base: mark.applied, until: durable };
    let begin_log = |spares| start_segment(disk, settings, number, spares, start, &rewrite);
    let (index, mark, (open, offset, previous)) = if is_new {
        // An index without a log would be damage.
        let begun = begin_log(&mut own.spares)?;
        let mark = Mark { log_from: number, ..mark };
        (write_index(mark)?, mark, begun)
    } else if clean {
        (file, mark, begin_log(&mut own.spares)?)
    } else {
        // The end of the index may have been read from what a failed sync has left in memory. It
        // must be durable before the log, which has the same, is superseded.
        (write_index(mark)?, mark, begin_log(&mut own.spares)?)
    };

    let times = Times::of(&rows);
    let mut table = Table::new(rows);
    fold.apply(&mut table);
    table.take_dead_big();
    // They are durable: each was synced before the frame that names it was written.
    let live_big: BTreeSet<u64> = table.big_files().collect();
    let newest_big = live_big.last().copied().max(own.big.last().copied());
    let pool_bytes = settings.pool_bytes(table.value_bytes());
    let pool = own.put_away(disk, &live_big, pool_bytes, &mut notices)?;

    let mut room = Room {
        offset,
        capacity: open.segment.capacity,
        next_number: number + 1,
        pool,
        ..Room::default()
    };
    reserve(disk, settings, &mut room)?;
    let writer = LogWriter::new(open, offset, previous, durable);
    let state = State {
        table,
        queue: VecDeque::new(),
        pending: HashMap::new(),
        queued_bytes: 0,
        submitted: durable,
        durable,
        next_creation,
        poison: None,
        closing: false,
        closed: false,
        stop_flusher: false,
        wakers: BTreeMap::new(),
        flush_due: None,
        flusher_wakes: None,
        turn: Turn::default(),
        chain: VecDeque::from([writer.written()]),
        writer: Some(writer),
        room,
        big_jobs: VecDeque::new(),
        big_done: HashMap::new(),
        next_big: newest_big.map_or(1, |newest| newest + 1),
        checkpoint: CheckpointState {
            due_at: settings.checkpoint_after,
            log_bytes: offset as u64,
            ..CheckpointState::default()
        },
    };
    let checkpointer = Checkpointer {
        index: Some(index),
        known_dirs: HashSet::new(),
        times,
        names,
        mark,
        noted_last: clean && folders.is_some(),
        noted: folders.unwrap_or_default(),
    };
    Ok(Recovered { disk: disk_arc, state, checkpointer, notices })
}

/// Encodes names if the index says so, or if the disk needs it: then from now on.
fn choose_names(disk: Arc<dyn Disk>, loaded: &Loaded) -> io::Result<(Arc<dyn Disk>, Names)> {
    if loaded.file.names == Names::Plain && !encode_names::folds_case(&*disk)? {
        return Ok((disk, Names::Plain));
    }
    let encoded = Arc::new(EncodedNames(Arc::clone(&disk)));
    if loaded.file.names == Names::Plain {
        encode_names::rename_all(
            &*disk,
            &*encoded,
            loaded.rows.iter().map(|(ns, key, _)| (ns, key)),
        )?;
    }
    Ok((encoded, Names::Encoded))
}

/// Begins the log anew with the batches that the index does not have. Until its name is durable
/// the old log counts, afterwards the new one.
fn start_segment(
    disk: &dyn Disk,
    settings: &Settings,
    number: u64,
    spares: &mut Spares,
    start: Start,
    batches: &Rewrite<'_, '_>,
) -> Result<(OpenSegment, usize, u32)> {
    let bytes = batches.bytes();
    let capacity = Room::capacity_for(bytes).max(settings.segment_len(0));
    // Room to go on in.
    let room = if bytes > capacity / 2 { settings.segment_len(0) } else { 0 };
    let capacity = (capacity + room).next_multiple_of(4096);
    let mut previous = 0;
    let frames = |header: &Header| {
        let mut frames = Vec::with_capacity(bytes);
        previous = header.crc;
        let mut sequence = start.base;
        batches.payloads(|payload| {
            sequence += 1;
            let (kind, durable_to) = (Kind::Batch, start.until);
            let parts = Parts { kind, sequence, durable_to, previous, payload };
            previous = frame::encode(&mut frames, &header.salt, parts);
        });
        frames
    };
    let recycled = own::take_spare(spares, capacity);
    let segment = segment::prepare(disk, number, Some(start), frames, recycled, capacity);
    let segment = segment.map_err(fault::io(Operation::Open))?;
    Ok((segment, segment::HEADER + bytes, previous))
}

/// Keeps one segment ready, so that a full disk still takes removals. A disk that is full already
/// opens without.
fn reserve(disk: &dyn Disk, settings: &Settings, room: &mut Room) -> Result<()> {
    let capacity = settings.segment_len(0);
    let recycled = room.pool.take(capacity);
    match segment::prepare(disk, room.next_number, None, |_| Vec::new(), recycled, capacity) {
        Ok(made) => room.ready.push_back(made.segment),
        Err(error) => match kv_core::Error::io(STORE, Operation::Open, error) {
            kv_core::Error::Full { .. } => tracing::warn!("no space for the reserve of the log"),
            other => return Err(other),
        },
    }
    room.next_number += 1;
    Ok(())
}
