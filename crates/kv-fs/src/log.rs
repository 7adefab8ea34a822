//! The end of the log that is written to.

use std::{collections::VecDeque, io};

use kv_core::Operation;

use crate::{
    crc_shift::Appended,
    disk::Disk,
    fault,
    frame::{self, Kind, Parts},
    queue::Queued,
    segment::{self, OpenSegment},
};

/// Writes groups of frames; whoever holds it leads the flush.
#[derive(Debug)]
pub(crate) struct LogWriter {
    open: OpenSegment,
    /// Where the next frame goes.
    offset: usize,
    /// Bytes behind it that are written and not synced.
    unsynced: usize,
    /// Checksum of the last frame.
    previous: u32,
    /// Sequence of the last frame that is known to be durable.
    durable: u64,
    /// Frames on their way to the segment; empty between flushes.
    buffer: Vec<u8>,
}

/// Beyond this many bytes the buffer is given back after a flush.
const BUFFER: usize = 4 << 20;

/// A segment that frames were written to, as the store remembers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) number: u64,
    /// Sequence of the last batch in it, or before it.
    pub(crate) last: u64,
    /// Bytes up to the end of the last durable frame.
    pub(crate) end: usize,
    pub(crate) capacity: usize,
}

impl LogWriter {
    pub(crate) fn new(open: OpenSegment, offset: usize, previous: u32, durable: u64) -> Self {
        Self { open, offset, unsynced: 0, previous, durable, buffer: Vec::new() }
    }

    pub(crate) fn written(&self) -> Written {
        let (number, capacity) = (self.open.segment.header.number, self.open.segment.capacity);
        Written { number, last: self.durable, end: self.offset, capacity }
    }

    /// Writes all frames and makes them durable, at the cost of one sync per segment touched.
    /// Answers the segments written to, oldest first.
    pub(crate) fn flush(
        &mut self,
        disk: &dyn Disk,
        group: &mut VecDeque<Queued>,
    ) -> kv_core::Result<Vec<Written>> {
        let mut written = Vec::new();
        let mut bytes = std::mem::take(&mut self.buffer);
        let mut last = self.durable;
        for queued in group {
            if let Some(next) = queued.enter.take() {
                let opened = next.open(disk);
                let opened = opened.map_err(|source| fault::unknown(Operation::Open, source))?;
                let mut payload = next.header.number.to_le_bytes().to_vec();
                payload.extend_from_slice(&next.header.salt);
                self.push(&mut bytes, Kind::Link, last, &payload);
                self.sync(&mut bytes, last)?;
                written.push(self.written());
                self.open = opened;
                self.offset = segment::HEADER;
            }
            match queued.rest_crc {
                None => self.push(&mut bytes, Kind::Batch, queued.sequence, &queued.payload),
                Some(rest) => self.write_through(&mut bytes, queued, rest)?,
            }
            last = queued.sequence;
        }
        self.sync(&mut bytes, last)?;
        written.push(self.written());
        if bytes.capacity() <= BUFFER {
            self.buffer = bytes;
        }
        Ok(written)
    }

    /// Notes the clean close.
    pub(crate) fn close(&mut self) -> kv_core::Result<()> {
        let mut bytes = Vec::new();
        self.push(&mut bytes, Kind::Close, self.durable, &[]);
        self.sync(&mut bytes, self.durable)
    }

    fn push(&mut self, bytes: &mut Vec<u8>, kind: Kind, sequence: u64, payload: &[u8]) {
        let parts = self.parts(kind, sequence, payload);
        self.previous = frame::encode(bytes, &self.open.segment.header.salt, parts);
    }

    /// Writes a large payload from where it is, its checksum known already: nobody should wait for
    /// the disk while a flush copies and sums up.
    fn write_through(
        &mut self,
        bytes: &mut Vec<u8>,
        queued: &Queued,
        rest: Appended,
    ) -> kv_core::Result<()> {
        let payload = &queued.payload;
        let parts = self.parts(Kind::Batch, queued.sequence, payload);
        self.previous = frame::encode_front(bytes, &self.open.segment.header.salt, parts, rest);
        self.write(bytes)?;
        bytes.clear();
        self.write(payload.get(frame::REST..).unwrap_or_default())?;
        bytes.extend_from_slice(frame::padding(payload.len()));
        Ok(())
    }

    fn parts<'a>(&self, kind: Kind, sequence: u64, payload: &'a [u8]) -> Parts<'a> {
        let (durable_to, previous) = (self.durable, self.previous);
        Parts { kind, sequence, durable_to, previous, payload }
    }

    fn write(&mut self, bytes: &[u8]) -> kv_core::Result<()> {
        let at = self.offset + self.unsynced;
        // The submitter has seen to it that everything fits.
        if at + bytes.len() > self.open.segment.capacity {
            let source = io::Error::other("a frame was promised room that is not there");
            return Err(fault::unknown(Operation::Write, source));
        }
        let write = self.open.file.write_at(at as u64, bytes);
        write.map_err(|source| fault::unknown(Operation::Write, source))?;
        self.unsynced += bytes.len();
        Ok(())
    }

    fn sync(&mut self, bytes: &mut Vec<u8>, last: u64) -> kv_core::Result<()> {
        if !bytes.is_empty() {
            self.write(bytes)?;
        }
        self.open.file.sync().map_err(|source| fault::unknown(Operation::Sync, source))?;
        self.offset += std::mem::take(&mut self.unsynced);
        self.durable = last;
        bytes.clear();
        Ok(())
    }
}
