//! Dumps: when one is due, making it, and reading it back before it counts.

use backup::{DumpIndex, DumpPart, DumpWriter, EntryDigest, ObjectHash, ObjectRef};
use cloud::CloudBackend;

use super::{fetch, post::Post};
use crate::{Error, Result, tower::Tower, wallet::blocking};

/// A full dump is due when the segments since the last one have more than half its size (and this
/// much, so that small wallets do not dump all the time) ...
const MIN_SEGMENT_BYTES: u64 = 1 << 20;
/// ... or when a restore would have to fetch this many of them.
const MAX_SEGMENTS: u64 = 1000;

impl Post<'_> {
    pub(super) fn dump_is_due(&self) -> bool {
        let (bytes, segments) = self.state.segments_since_dump;
        self.state.dump.is_none()
            || bytes > (self.state.dump_bytes / 2).max(MIN_SEGMENT_BYTES)
            || segments > MAX_SEGMENTS
    }

    pub(super) async fn dump(&mut self) -> Result<()> {
        let recorder = self.tower.recorder.clone();
        let mut reader = blocking(move || recorder.dump().map_err(Error::from)).await?;
        let from = reader.from();
        let before = self.report.bytes;
        let mut writer = DumpWriter::new(&self.tower.sealer, self.state.writer, from, self.now())?;
        loop {
            let (next, page) = blocking(move || {
                let page = reader.next_page()?;
                Ok::<_, Error>((reader, page))
            })
            .await?;
            reader = next;
            let Some(page) = page else { break };
            for object in writer.add(page)? {
                self.put(&object).await?;
            }
        }
        let to = blocking(move || reader.end().map_err(Error::from)).await?;
        let (objects, index) = writer.finish(to, self.state.newest.clone(), self.now())?;
        for object in &objects {
            self.put(object).await?;
        }
        for cloud in self.clouds {
            self.report.dumped = Some(read_back(self.tower, &**cloud, &index).await?);
        }
        self.state.dump = Some(index);
        self.state.dump_bytes = self.report.bytes - before;
        self.state.segments_since_dump = (0, 0);
        if self.state.newest.is_none() {
            // The chain begins behind its first dump.
            self.state.backed_up = from;
        }
        Ok(())
    }
}

/// Reads a whole dump back and compares it with its digest; how many live entries it holds.
async fn read_back(tower: &Tower, cloud: &dyn CloudBackend, index: &ObjectRef) -> Result<u64> {
    let tag = tower.sealer.tag();
    let bytes = fetch(cloud, &tag, index).await?;
    let opened: DumpIndex = tower.sealer.open(index, ObjectHash::NONE, &bytes)?;
    let mut digest = EntryDigest::new(&tower.sealer)?;
    for part in &opened.parts {
        let bytes = fetch(cloud, &tag, part).await?;
        let part: DumpPart = tower.sealer.open(part, ObjectHash::NONE, &bytes)?;
        part.entries.iter().for_each(|entry| digest.add(entry));
    }
    opened.check(digest)?;
    Ok(opened.entries)
}
