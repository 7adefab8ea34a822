//! A program's access to a simulated disk.

use std::{
    io,
    ops::Bound,
    sync::{Arc, MutexGuard},
    thread,
};

use super::{
    DiskCall, SimDisk, State,
    fault::Failure,
    names::{Node, parent},
};
use crate::disk::{DirEntry, Disk, DiskFile};

#[derive(Debug)]
pub(super) struct Mount {
    pub(super) disk: SimDisk,
    pub(super) id: u64,
}

#[derive(Debug)]
struct Handle {
    disk: SimDisk,
    mount: u64,
    file: usize,
}

impl SimDisk {
    /// Counts a call of a mount, and says how it fails, if so.
    fn call(
        &self,
        mount: u64,
        call: DiskCall,
    ) -> io::Result<(MutexGuard<'_, State>, Option<Failure>)> {
        let mut state = self.state();
        if state.yields {
            drop(state);
            thread::yield_now();
            state = self.state();
        }
        if mount < state.oldest_mount {
            return Err(io::Error::other("the simulated program was killed"));
        }
        state.note_point();
        state.calls += 1;
        if state.crash_at == Some(state.calls) {
            state.crash_at = None;
            state.fired = true;
            state.kill();
            state.medium.crash(&[]);
            return Err(io::Error::other("the simulated power was cut"));
        }
        let failure = state.plan.count(call);
        state.fired |= failure.is_some();
        if failure.as_ref().is_some_and(|failure| failure.panics) {
            drop(state);
            panic!("a simulated panic");
        }
        Ok((state, failure))
    }

    fn read_call(&self, mount: u64, call: DiskCall) -> io::Result<MutexGuard<'_, State>> {
        match self.call(mount, call)? {
            (_, Some(failure)) => Err(failure.error),
            (state, None) => Ok(state),
        }
    }

    fn write_call(&self, mount: u64, call: DiskCall) -> io::Result<MutexGuard<'_, State>> {
        let state = self.read_call(mount, call)?;
        if state.read_only {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        Ok(state)
    }
}

impl Mount {
    fn handle(&self, file: usize) -> Box<dyn DiskFile> {
        Box::new(Handle { disk: self.disk.clone(), mount: self.id, file })
    }
}

impl Disk for Mount {
    fn lock(&self, path: &str) -> io::Result<bool> {
        let mut state = self.disk.write_call(self.id, DiskCall::Lock)?;
        if state.locked_by.is_some_and(|owner| owner != self.id) {
            return Ok(false);
        }
        if !state.medium.live.contains_key(path) {
            state.medium.create(path)?;
        }
        state.locked_by = Some(self.id);
        Ok(true)
    }

    fn unlock(&self) {
        let mut state = self.disk.state();
        if state.locked_by == Some(self.id) {
            state.locked_by = None;
        }
    }

    fn create_dir(&self, path: &str) -> io::Result<()> {
        self.disk.write_call(self.id, DiskCall::CreateDir)?.medium.create_dir(path)
    }

    fn list(&self, dir: &str) -> io::Result<Vec<DirEntry>> {
        let state = self.disk.read_call(self.id, DiskCall::List)?;
        let below = if dir.is_empty() { String::new() } else { format!("{dir}/") };
        let from = (Bound::Included(below.as_str()), Bound::Unbounded);
        let children = state.medium.live.range::<str, _>(from);
        let children = children.take_while(|(path, _)| path.starts_with(&below));
        let entry = |(path, node): (&Arc<str>, &Node)| {
            let name = path.get(below.len()..).unwrap_or_default().to_owned();
            let len = state.medium.file(path).map_or(0, |file| file.live.len() as u64);
            let (is_dir, modified) = (*node == Node::Dir, state.medium.modified(path));
            DirEntry { name, is_dir, len, modified }
        };
        Ok(children.filter(|(path, _)| parent(path) == dir).map(entry).collect())
    }

    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        let state = self.disk.read_call(self.id, DiskCall::Read)?;
        Ok(state.medium.file(path).map(|file| file.live.read()))
    }

    fn read_sized(&self, path: &str, _len: u64) -> io::Result<Option<Vec<u8>>> {
        self.read(path)
    }

    fn create(&self, path: &str) -> io::Result<Box<dyn DiskFile>> {
        let file = self.disk.write_call(self.id, DiskCall::Create)?.medium.create(path)?;
        Ok(self.handle(file))
    }

    fn open(&self, path: &str) -> io::Result<Box<dyn DiskFile>> {
        let state = self.disk.write_call(self.id, DiskCall::Open)?;
        match state.medium.live.get(path) {
            Some(Node::File(file)) => Ok(self.handle(*file)),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.write_call(self.id, DiskCall::Rename)?.medium.rename(from, to)
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        self.disk.write_call(self.id, DiskCall::Remove)?.medium.remove(path);
        Ok(())
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        // Unlike data, names are journalled: where they cannot be written the file system stops, so
        // a later success means what it says.
        self.disk.read_call(self.id, DiskCall::SyncDir)?.medium.sync_dir(dir);
        Ok(())
    }
    fn syncs_disk(&self) -> bool {
        true
    }

    fn sync_disk(&self) -> io::Result<()> {
        let (mut state, failure) = self.disk.call(self.id, DiskCall::SyncDisk)?;
        state.medium.sync_all(failure.is_some());
        failure.map_or(Ok(()), |failure| Err(failure.error))
    }

    fn modified(&self, path: &str) -> io::Result<Option<u64>> {
        let state = self.disk.read_call(self.id, DiskCall::Modified)?;
        let there = path.is_empty() || state.medium.live.contains_key(path);
        Ok(there.then(|| state.medium.modified(path)))
    }

    fn set_modified(&self, path: &str, nanoseconds: u64) -> io::Result<()> {
        let mut state = self.disk.write_call(self.id, DiskCall::SetModified)?;
        state.medium.set_modified(path, nanoseconds)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        self.unlock();
    }
}

impl DiskFile for Handle {
    fn size(&self) -> io::Result<u64> {
        let state = self.disk.read_call(self.mount, DiskCall::Size)?;
        Ok(state.medium.files.get(self.file).map_or(0, |file| file.live.len() as u64))
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let (mut state, failure) = self.disk.call(self.mount, DiskCall::WriteAt)?;
        if state.read_only {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        let offset = usize::try_from(offset).map_err(io::Error::other)?;
        match failure {
            Some(failure) => {
                let half = bytes.get(..bytes.len() / 2).filter(|_| failure.short);
                if let Some(half) = half {
                    state.medium.write(self.file, offset, half)?;
                }
                Err(failure.error)
            }
            None => {
                state.check_quota(self.file, offset + bytes.len())?;
                state.medium.write(self.file, offset, bytes)
            }
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_call(DiskCall::Sync)
    }

    fn sync_all(&mut self) -> io::Result<()> {
        self.sync_call(DiskCall::SyncAll)
    }
}

impl Handle {
    fn sync_call(&self, call: DiskCall) -> io::Result<()> {
        let (mut state, failure) = self.disk.call(self.mount, call)?;
        state.medium.sync(self.file, call == DiskCall::SyncAll, failure.is_some())?;
        failure.map_or(Ok(()), |failure| Err(failure.error))
    }
}

impl State {
    fn check_quota(&self, file: usize, end: usize) -> io::Result<()> {
        let Some(quota) = self.quota else { return Ok(()) };
        let len = self.medium.files.get(file).map_or(0, |file| file.live.len());
        if end > len && self.medium.used() + (end - len) as u64 > quota {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }
}
