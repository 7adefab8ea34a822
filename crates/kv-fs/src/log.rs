//! The end of the log that is written to.

use std::{collections::VecDeque, io};

use kv_core::Operation;

use crate::{
    fault,
    frame::{self, Kind, Parts},
    queue::Queued,
    segment::{self, Segment},
};

/// Writes groups of frames; whoever holds it leads the flush.
#[derive(Debug)]
pub(crate) struct LogWriter {
    segment: Segment,
    /// Where the next frame goes.
    offset: usize,
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
    pub(crate) fn new(segment: Segment, offset: usize, previous: u32, durable: u64) -> Self {
        Self { segment, offset, previous, durable, buffer: Vec::new() }
    }

    pub(crate) fn written(&self) -> Written {
        let (number, capacity) = (self.segment.header.number, self.segment.capacity);
        Written { number, last: self.durable, end: self.offset, capacity }
    }

    /// Writes all frames and makes them durable, at the cost of one sync per segment touched.
    /// Answers the segments written to, oldest first.
    pub(crate) fn flush(&mut self, group: &mut VecDeque<Queued>) -> kv_core::Result<Vec<Written>> {
        let mut written = Vec::new();
        let mut bytes = std::mem::take(&mut self.buffer);
        let mut last = self.durable;
        for queued in group {
            if let Some(next) = queued.enter.take() {
                let mut payload = next.header.number.to_le_bytes().to_vec();
                payload.extend_from_slice(&next.header.salt);
                self.push(&mut bytes, Kind::Link, last, &payload);
                self.write(&mut bytes, last)?;
                written.push(self.written());
                self.segment = next;
                self.offset = segment::HEADER;
            }
            self.push(&mut bytes, Kind::Batch, queued.sequence, &queued.payload);
            last = queued.sequence;
        }
        self.write(&mut bytes, last)?;
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
        self.write(&mut bytes, self.durable)
    }

    fn push(&mut self, bytes: &mut Vec<u8>, kind: Kind, sequence: u64, payload: &[u8]) {
        let (durable_to, previous) = (self.durable, self.previous);
        let parts = Parts { kind, sequence, durable_to, previous, payload };
        self.previous = frame::encode(bytes, &self.segment.header.salt, parts);
    }

    fn write(&mut self, bytes: &mut Vec<u8>, last: u64) -> kv_core::Result<()> {
        // The submitter has seen to it that everything fits.
        if self.offset + bytes.len() > self.segment.capacity {
            let source = io::Error::other("a frame was promised room that is not there");
            return Err(fault::unknown(Operation::Write, source));
        }
        let write = self.segment.file.write_at(self.offset as u64, bytes);
        write.map_err(|source| fault::unknown(Operation::Write, source))?;
        self.segment.file.sync().map_err(|source| fault::unknown(Operation::Sync, source))?;
        self.offset += bytes.len();
        self.durable = last;
        bytes.clear();
        Ok(())
    }
}
