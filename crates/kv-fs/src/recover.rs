//! Opening: reading index and log back, deciding what survives, and making it durable again before
//! anything is served.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

use kv_core::{Key, Namespace, Operation, Report, Result, Severity};

use crate::{
    Settings,
    checkpoint::Checkpointer,
    disk::Disk,
    fault::{self, STORE},
    frame::{self, Kind, Parts},
    index::{self, Loaded, Mark},
    layout::{self, OwnFile},
    log::LogWriter,
    queue::{CheckpointState, Room, State},
    replay::{self, Replayed, Segments},
    segment::{self, Header, Parsed, Segment, Start},
    table::{Entry, Place, Stamp, Table},
};

/// A store that is ready to serve.
pub(crate) struct Recovered {
    pub(crate) state: State,
    pub(crate) checkpointer: Checkpointer,
    pub(crate) notices: Report,
}

/// Our own files, by kind.
#[derive(Default)]
struct Own {
    segments: Segments,
    spares: Vec<(u64, usize)>,
    big: BTreeSet<u64>,
    new: Vec<String>,
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
pub(crate) fn recover(disk: &dyn Disk, settings: &Settings) -> Result<Recovered> {
    let mut notices = Report::default();
    let own = Own::scan(disk)?;
    let loaded = index::load(disk)?;
    let is_new = loaded.is_none();
    let Loaded { mark, rows, cut, file } = match loaded {
        Some(loaded) => loaded,
        None => adopt(disk, &own)?,
    };
    let replay = if is_new {
        replay::Replay { batches: Vec::new(), clean: false, torn: false }
    } else {
        replay::replay(&own.segments, mark.log_from, mark.applied)?
    };
    let clean = replay.clean && replay.batches.is_empty() && !cut;
    if replay.torn {
        notice(&mut notices, "the torn end of the log was cut");
    }
    if cut {
        notice(
            &mut notices,
            "the end of the index was damaged and has been made again from the log",
        );
    }

    let mut table = Table::default();
    for ((ns, key), (created, stamp)) in &rows {
        table.load(ns, key, *created, *stamp);
    }
    let mut durable = mark.applied;
    let mut next_creation = mark.next_creation;
    for batch in &replay.batches {
        durable = batch.sequence;
        next_creation = next_creation.max(batch.first_creation + batch.changes.len() as u64);
        table.apply(batch.changes.iter().cloned(), batch.sequence, batch.first_creation);
    }
    table.take_dead_big();
    let newest_big = rewrite_big_files(disk, &table, &mut notices)?.max(own.big.last().copied());

    let (segment, offset, previous) = start_segment(disk, settings, &own, mark, &replay.batches)?;
    let number = segment.header.number;
    let index = if clean {
        file
    } else {
        let mark = Mark { log_from: number, ..mark };
        let rows = rows.iter().map(|((ns, key), row)| (ns, key, *row));
        index::write(disk, mark, rows).map_err(fault::io(Operation::Open))?
    };
    let pool = sweep(disk, &own, &table, number, &mut notices)?;

    let mut room = Room {
        offset,
        capacity: segment.capacity,
        next_number: number + 1,
        pool,
        ..Room::default()
    };
    reserve(disk, settings, &mut room)?;
    let writer = LogWriter::new(segment, offset, previous, durable);
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
    let checkpointer = Checkpointer { index: Some(index), known_dirs: HashSet::new() };
    Ok(Recovered { state, checkpointer, notices })
}

impl Own {
    fn scan(disk: &dyn Disk) -> Result<Self> {
        let mut own = Self::default();
        for entry in disk.list(layout::OWN).map_err(fault::io(Operation::Open))? {
            match layout::own_file(&entry.name) {
                Some(OwnFile::Log(number)) => {
                    let bytes =
                        disk.read(&layout::log(number)).map_err(fault::io(Operation::Open))?;
                    let bytes = bytes.unwrap_or_default();
                    own.segments.insert(number, (Header::parse(&bytes), bytes));
                }
                Some(OwnFile::Spare(number)) => own.spares.push((number, entry.len as usize)),
                Some(OwnFile::Big(id)) => {
                    own.big.insert(id);
                }
                Some(OwnFile::New) => own.new.push(entry.name),
                None => {}
            }
        }
        Ok(own)
    }

    fn next_number(&self) -> u64 {
        let spares = self.spares.iter().map(|(number, _)| *number);
        self.segments.keys().copied().chain(spares).max().unwrap_or(0) + 1
    }
}

fn notice(notices: &mut Report, what: &'static str) {
    tracing::warn!("{what}");
    notices.push(Severity::Notice, STORE, what);
}

/// A folder without an index: a new store, or files that LDK has written. An index that was lost
/// is told apart by what only a store in use has.
fn adopt(disk: &dyn Disk, own: &Own) -> Result<Loaded> {
    let io = || fault::io(Operation::Open);
    let used = own.segments.values().any(|(parsed, bytes)| match parsed {
        Parsed::Good(header) => {
            let frames = bytes.get(segment::HEADER..).unwrap_or_default();
            frame::decode(frames, &header.salt).is_some()
        }
        _ => true,
    });
    if used || !own.big.is_empty() || !disk.list(layout::RESERVED).map_err(io())?.is_empty() {
        return Err(fault::corrupt("the index is missing"));
    }
    let mut loaded = Loaded::default();
    for primary in disk.list("").map_err(io())? {
        if !primary.is_dir || primary.name == layout::HOME {
            continue;
        }
        for secondary in disk.list(&primary.name).map_err(io())? {
            let names = (layout::level(&primary.name), layout::level(&secondary.name));
            let Ok(ns) = Namespace::new(names.0, names.1) else { continue };
            if !secondary.is_dir {
                continue;
            }
            let dir = format!("{}/{}", primary.name, secondary.name);
            for file in disk.list(&dir).map_err(io())? {
                let Ok(key) = Key::new(&file.name) else { continue };
                let path = layout::value(&ns, &key);
                if file.is_dir {
                    continue;
                }
                if let Some(bytes) = disk.read(&path).map_err(io())? {
                    loaded.rows.insert((ns.clone(), key), (0, Stamp::of(&bytes)));
                }
            }
        }
    }
    // Without a log nothing tells the order of creation: the order of names stands for it.
    for ((created, _), number) in loaded.rows.values_mut().zip(1..) {
        *created = number;
    }
    loaded.mark.next_creation = loaded.rows.len() as u64 + 1;
    Ok(loaded)
}

/// Writes the big values that the log names anew: after a sync that failed, what can be read need
/// not be on the disk. Answers the highest number of such a file.
fn rewrite_big_files(disk: &dyn Disk, table: &Table, notices: &mut Report) -> Result<Option<u64>> {
    let io = || fault::io(Operation::Open);
    let mut newest = None;
    for (ns, key, entry) in table.entries() {
        let Entry { place: Place::Big(id, stamp), .. } = entry else { continue };
        newest = newest.max(Some(*id));
        // A checkpoint that was cut short may have moved it already.
        let mut found = None;
        for path in [layout::big(*id), layout::value(ns, key)] {
            found = found
                .or(disk.read(&path).map_err(io())?.filter(|bytes| Stamp::of(bytes) == *stamp));
        }
        let Some(bytes) = found else {
            // Reading it answers the same.
            tracing::warn!("a big value is damaged or missing");
            notices.push(Severity::Damage, STORE, "a big value is damaged or missing");
            continue;
        };
        let new = layout::new("big");
        let mut file = disk.create(&new).map_err(io())?;
        file.write_at(0, &bytes).map_err(io())?;
        file.sync().map_err(io())?;
        drop(file);
        disk.rename(&new, &layout::big(*id)).map_err(io())?;
    }
    if newest.is_some() {
        disk.sync_dir(layout::OWN).map_err(io())?;
    }
    Ok(newest)
}

/// Begins the log anew with the batches that the index does not have. Until its name is durable
/// the old log counts, afterwards the new one.
fn start_segment(
    disk: &dyn Disk,
    settings: &Settings,
    own: &Own,
    mark: Mark,
    batches: &[Replayed<'_>],
) -> Result<(Segment, usize, u32)> {
    let until = batches.last().map_or(mark.applied, |batch| batch.sequence);
    let start = Start { base: mark.applied, until };
    let bytes: usize = batches.iter().map(|batch| frame::len(batch.payload.len())).sum();
    let capacity = Room::capacity_for(bytes).max(settings.segment_len());
    let capacity = if bytes > capacity / 2 { bytes + capacity } else { capacity };
    let capacity = capacity.next_multiple_of(4096);
    let spare = own.spares.iter().find(|(_, len)| *len >= capacity);
    let recycled = spare.map(|(number, len)| (layout::spare(*number), *len));
    let mut previous = 0;
    let frames = |header: &Header| {
        let mut bytes = Vec::new();
        previous = header.crc;
        for batch in batches {
            let parts = Parts {
                kind: Kind::Batch,
                sequence: batch.sequence,
                durable_to: until,
                previous,
                payload: batch.payload,
            };
            previous = frame::encode(&mut bytes, &header.salt, parts);
        }
        bytes
    };
    let number = own.next_number();
    let segment = segment::prepare(disk, number, Some(start), frames, recycled, capacity);
    let segment = segment.map_err(fault::io(Operation::Open))?;
    Ok((segment, segment::HEADER + bytes, previous))
}

/// Puts away everything the new log has superseded, durably, so that it never comes back. Answers
/// the segment files to be used again.
fn sweep(
    disk: &dyn Disk,
    own: &Own,
    table: &Table,
    in_use: u64,
    notices: &mut Report,
) -> Result<Vec<(String, usize)>> {
    let io = || fault::io(Operation::Open);
    let mut pool = Vec::new();
    for (number, len) in &own.spares {
        let path = layout::spare(*number);
        // One of them may just have become the new log.
        if disk
            .list(layout::OWN)
            .map_err(io())?
            .iter()
            .any(|e| layout::own_file(&e.name) == Some(OwnFile::Spare(*number)))
        {
            pool.push((path, *len));
        }
    }
    for (number, (parsed, bytes)) in &own.segments {
        debug_assert!(*number < in_use);
        if !matches!(parsed, Parsed::Good(_)) {
            notice(notices, "a damaged log segment that was not in use was removed");
        }
        let (log, spare) = (layout::log(*number), layout::spare(*number));
        disk.rename(&log, &spare).map_err(io())?;
        pool.push((spare, bytes.len()));
    }
    let live = |id: &u64| {
        table
            .entries()
            .any(|(_, _, entry)| matches!(entry.place, Place::Big(used, _) if used == *id))
    };
    for id in own.big.iter().filter(|id| !live(id)) {
        disk.remove(&layout::big(*id)).map_err(io())?;
        notice(notices, "a big value that no batch names was removed");
    }
    for name in &own.new {
        disk.remove(&format!("{}/{name}", layout::OWN)).map_err(io())?;
        notice(notices, "an unfinished file was removed");
    }
    while pool.len() > 2 {
        // The smallest helps least.
        pool.sort_by_key(|(_, len)| std::cmp::Reverse(*len));
        if let Some((path, _)) = pool.pop() {
            disk.remove(&path).map_err(io())?;
        }
    }
    disk.sync_dir(layout::OWN).map_err(io())?;
    Ok(pool)
}

/// Keeps one segment ready, so that a full disk still takes removals. A disk that is full already
/// opens without.
fn reserve(disk: &dyn Disk, settings: &Settings, room: &mut Room) -> Result<()> {
    let capacity = settings.segment_len();
    let fits = room.pool.iter().position(|(_, len)| *len >= capacity);
    let recycled = fits.map(|at| room.pool.swap_remove(at));
    match segment::prepare(disk, room.next_number, None, |_| Vec::new(), recycled, capacity) {
        Ok(segment) => room.ready.push_back(segment),
        Err(error) => match kv_core::Error::io(STORE, Operation::Open, error) {
            kv_core::Error::Full { .. } => tracing::warn!("no space for the reserve of the log"),
            other => return Err(other),
        },
    }
    room.next_number += 1;
    Ok(())
}
