//! A simulated disk for crash tests: what was not synced is gone after a power cut.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{DirEntry, Disk, DiskFile};

/// A disk in memory that keeps what programs see (live) apart from what a power cut leaves
/// (durable). Clones are the same disk; each [`SimDisk::mount`] is one program that uses it.
#[derive(Debug, Clone, Default)]
pub struct SimDisk(Arc<Mutex<Medium>>);

#[derive(Debug, Clone, Default)]
struct Medium {
    files: Vec<File>,
    live: BTreeMap<String, Node>,
    durable: BTreeMap<String, Node>,
    /// Names that changed since their folder was synced, as full paths.
    unsynced: BTreeSet<String>,
    /// Old and new name of each rename since then: a rename is atomic, so a sync of either folder
    /// makes both durable.
    renamed: Vec<(String, String)>,
    /// Handles older than this are dead.
    oldest_mount: u64,
    newest_mount: u64,
    locked_by: Option<u64>,
    calls: u64,
    fail_at: Option<(u64, io::ErrorKind)>,
    fired: bool,
    crash_at: Option<u64>,
    quota: Option<u64>,
    read_only: bool,
    /// The disk's clock in nanoseconds: a millisecond for each change.
    time: u64,
    dir_times: BTreeMap<String, u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Node {
    Dir,
    File(usize),
}

#[derive(Debug, Clone, Default)]
struct File {
    live: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<Range<usize>>,
    modified: u64,
    durable_modified: u64,
}

#[derive(Debug)]
struct Mount {
    disk: SimDisk,
    id: u64,
}

#[derive(Debug)]
struct Handle {
    disk: SimDisk,
    mount: u64,
    file: usize,
}

impl SimDisk {
    /// An empty disk.
    pub fn new() -> Self {
        Self::default()
    }

    /// A program's access to the disk, until the next crash or kill.
    pub fn mount(&self) -> Arc<dyn Disk> {
        let mut medium = self.medium();
        medium.newest_mount += 1;
        Arc::new(Mount { disk: self.clone(), id: medium.newest_mount })
    }

    /// A power cut: what was not synced is gone, and every mount so far is dead.
    pub fn crash(&self) {
        self.medium().crash();
    }

    /// The end of all programs without a power cut: nothing is lost, and every mount so far is dead.
    pub fn kill(&self) {
        self.medium().kill();
    }

    /// Lets the `n`th call from now fail once with an error of this kind (1: the next; 0: none). A
    /// failing sync of a file drops what it should have made durable, as Linux does.
    pub fn fail_nth(&self, n: u64, kind: io::ErrorKind) {
        let mut medium = self.medium();
        medium.fired = false;
        medium.fail_at = (n > 0).then(|| (medium.calls + n, kind));
    }

    /// Cuts the power just before the `n`th call from now (1: the next; 0: never).
    pub fn crash_nth(&self, n: u64) {
        let mut medium = self.medium();
        medium.fired = false;
        medium.crash_at = (n > 0).then(|| medium.calls + n);
    }

    /// Whether the failure or power cut asked for last has happened.
    pub fn fired(&self) -> bool {
        self.medium().fired
    }

    /// How many calls the disk has had.
    pub fn calls(&self) -> u64 {
        self.medium().calls
    }

    /// Limits the bytes of all files; `None` lifts the limit.
    pub fn set_quota(&self, bytes: Option<u64>) {
        self.medium().quota = bytes;
    }

    /// Makes every change fail, or work again.
    pub fn set_read_only(&self, read_only: bool) {
        self.medium().read_only = read_only;
    }

    /// Bytes of all files.
    pub fn used(&self) -> u64 {
        self.medium().used()
    }

    /// The paths of all files, ascending.
    pub fn files(&self) -> Vec<String> {
        let medium = self.medium();
        let files = medium.live.iter().filter(|(_, node)| matches!(node, Node::File(_)));
        files.map(|(path, _)| path.clone()).collect()
    }

    /// The bytes of a file.
    pub fn contents(&self, path: &str) -> Option<Vec<u8>> {
        let medium = self.medium();
        Some(medium.file(path)?.live.clone())
    }

    /// Replaces a file's bytes, durably, behind the back of every program; creates it if need be.
    pub fn overwrite(&self, path: &str, bytes: &[u8]) {
        let mut medium = self.medium();
        let (live, durable) = (bytes.to_vec(), bytes.to_vec());
        let time = medium.tick();
        let (modified, durable_modified) = (time, time);
        let file = File { live, durable, unsynced: Vec::new(), modified, durable_modified };
        let node = Node::File(medium.files.len());
        medium.files.push(file);
        for (at, _) in path.match_indices('/') {
            let dir = path.get(..at).unwrap_or_default().to_owned();
            medium.live.insert(dir.clone(), Node::Dir);
            medium.durable.insert(dir, Node::Dir);
        }
        medium.live.insert(path.to_owned(), node);
        medium.durable.insert(path.to_owned(), node);
    }

    /// Removes a file, durably, behind the back of every program.
    pub fn delete(&self, path: &str) {
        let mut medium = self.medium();
        medium.live.remove(path);
        medium.durable.remove(path);
    }

    /// An independent disk with the same contents, durable and not, and no program that uses it.
    pub fn copy(&self) -> Self {
        let mut medium = self.medium().clone();
        medium.kill();
        (medium.calls, medium.fail_at, medium.crash_at, medium.fired) = (0, None, None, false);
        Self(Arc::new(Mutex::new(medium)))
    }

    fn medium(&self) -> MutexGuard<'_, Medium> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a call of a mount and says what it may touch.
    fn call(&self, mount: u64) -> io::Result<(MutexGuard<'_, Medium>, Option<io::Error>)> {
        let mut medium = self.medium();
        if mount < medium.oldest_mount {
            return Err(io::Error::other("the simulated program was killed"));
        }
        medium.calls += 1;
        if medium.crash_at == Some(medium.calls) {
            medium.crash_at = None;
            medium.fired = true;
            medium.crash();
            return Err(io::Error::other("the simulated power was cut"));
        }
        let failure = match medium.fail_at {
            Some((at, kind)) if at == medium.calls => {
                medium.fail_at = None;
                medium.fired = true;
                Some(io::Error::new(kind, "a simulated failure"))
            }
            _ => None,
        };
        Ok((medium, failure))
    }

    fn read_call(&self, mount: u64) -> io::Result<MutexGuard<'_, Medium>> {
        match self.call(mount)? {
            (_, Some(failure)) => Err(failure),
            (medium, None) => Ok(medium),
        }
    }

    fn write_call(&self, mount: u64) -> io::Result<MutexGuard<'_, Medium>> {
        let medium = self.read_call(mount)?;
        if medium.read_only {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        Ok(medium)
    }
}

impl Medium {
    fn kill(&mut self) {
        self.oldest_mount = self.newest_mount + 1;
        self.newest_mount += 1;
        self.locked_by = None;
    }

    fn crash(&mut self) {
        self.kill();
        for file in &mut self.files {
            file.live = file.durable.clone();
            file.unsynced.clear();
            file.modified = file.durable_modified;
        }
        // A durable name in a folder that is gone cannot be reached. Parents sort before children.
        let mut kept: BTreeMap<String, Node> = BTreeMap::new();
        for (path, node) in &self.durable {
            let parent = parent(path);
            if parent.is_empty() || kept.get(parent) == Some(&Node::Dir) {
                kept.insert(path.clone(), *node);
            }
        }
        self.live = kept.clone();
        self.durable = kept;
        self.unsynced.clear();
        self.renamed.clear();
    }

    /// The changed names that a sync of this folder is about.
    fn take_unsynced(&mut self, dir: &str) -> BTreeSet<String> {
        let mut here: BTreeSet<String> =
            self.unsynced.iter().filter(|path| parent(path) == dir).cloned().collect();
        for (from, to) in &self.renamed {
            if parent(from) == dir || parent(to) == dir {
                here.extend([from.clone(), to.clone()]);
            }
        }
        self.unsynced.retain(|path| !here.contains(path));
        self.renamed.retain(|(from, to)| !here.contains(from) && !here.contains(to));
        here
    }

    fn used(&self) -> u64 {
        let files = self.live.values().filter_map(|node| match node {
            Node::File(file) => self.files.get(*file),
            Node::Dir => None,
        });
        files.map(|file| file.live.len() as u64).sum()
    }

    fn file(&self, path: &str) -> Option<&File> {
        match self.live.get(path)? {
            Node::File(file) => self.files.get(*file),
            Node::Dir => None,
        }
    }

    fn set(&mut self, path: &str, node: Option<Node>) -> io::Result<()> {
        let parent = parent(path);
        if !parent.is_empty() && self.live.get(parent) != Some(&Node::Dir) {
            return Err(io::ErrorKind::NotFound.into());
        }
        match node {
            Some(node) => self.live.insert(path.to_owned(), node),
            None => self.live.remove(path),
        };
        self.unsynced.insert(path.to_owned());
        let time = self.tick();
        self.dir_times.insert(parent.to_owned(), time);
        Ok(())
    }

    fn tick(&mut self) -> u64 {
        self.time += 1_000_000;
        self.time
    }

    fn modified(&self, path: &str) -> u64 {
        let dir = self.dir_times.get(path).copied().unwrap_or_default();
        self.file(path).map_or(dir, |file| file.modified)
    }

    /// Makes the names in a folder durable, as they are now.
    fn sync_names(&mut self, dir: &str) {
        for path in self.take_unsynced(dir) {
            match self.live.get(&path).copied() {
                Some(node) => self.durable.insert(path, node),
                None => self.durable.remove(&path),
            };
        }
    }
}

impl Disk for Mount {
    fn lock(&self, path: &str) -> io::Result<bool> {
        let mut medium = self.disk.write_call(self.id)?;
        if medium.locked_by.is_some_and(|owner| owner != self.id) {
            return Ok(false);
        }
        if !medium.live.contains_key(path) {
            let node = Node::File(medium.files.len());
            medium.files.push(File::default());
            medium.set(path, Some(node))?;
        }
        medium.locked_by = Some(self.id);
        Ok(true)
    }

    fn unlock(&self) {
        let mut medium = self.disk.medium();
        if medium.locked_by == Some(self.id) {
            medium.locked_by = None;
        }
    }

    fn create_dir(&self, path: &str) -> io::Result<()> {
        let mut medium = self.disk.write_call(self.id)?;
        match medium.live.get(path) {
            _ if path.is_empty() => Ok(()),
            Some(Node::Dir) => Ok(()),
            Some(Node::File(_)) => Err(io::ErrorKind::NotADirectory.into()),
            None => medium.set(path, Some(Node::Dir)),
        }
    }

    fn list(&self, dir: &str) -> io::Result<Vec<DirEntry>> {
        let medium = self.disk.read_call(self.id)?;
        let children = medium.live.iter().filter(|(path, _)| parent(path) == dir);
        let entry = |(path, node): (&String, &Node)| {
            let (is_dir, len) = match node {
                Node::Dir => (true, 0),
                Node::File(file) => (false, medium.files.get(*file).map_or(0, |f| f.live.len())),
            };
            let name = path.rsplit('/').next().unwrap_or_default().to_owned();
            DirEntry { name, is_dir, len: len as u64, modified: medium.modified(path) }
        };
        Ok(children.map(entry).collect())
    }

    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        let medium = self.disk.read_call(self.id)?;
        Ok(medium.file(path).map(|file| file.live.clone()))
    }

    fn create(&self, path: &str) -> io::Result<Box<dyn DiskFile>> {
        let mut medium = self.disk.write_call(self.id)?;
        let file = medium.files.len();
        medium.files.push(File::default());
        medium.set(path, Some(Node::File(file)))?;
        Ok(Box::new(Handle { disk: self.disk.clone(), mount: self.id, file }))
    }

    fn open(&self, path: &str) -> io::Result<Box<dyn DiskFile>> {
        let medium = self.disk.write_call(self.id)?;
        match medium.live.get(path) {
            Some(Node::File(file)) => {
                Ok(Box::new(Handle { disk: self.disk.clone(), mount: self.id, file: *file }))
            }
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut medium = self.disk.write_call(self.id)?;
        let node = *medium.live.get(from).ok_or(io::ErrorKind::NotFound)?;
        medium.set(to, Some(node))?;
        medium.renamed.push((from.to_owned(), to.to_owned()));
        medium.set(from, None)
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        let mut medium = self.disk.write_call(self.id)?;
        if medium.live.contains_key(path) { medium.set(path, None) } else { Ok(()) }
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        // Unlike data, names are journalled: where they cannot be written the file system stops, so
        // a later success means what it says.
        let mut medium = self.disk.read_call(self.id)?;
        medium.sync_names(dir);
        Ok(())
    }

    fn sync_disk(&self) -> io::Result<bool> {
        let (mut medium, failure) = self.disk.call(self.id)?;
        for file in &mut medium.files {
            let unsynced = std::mem::take(&mut file.unsynced);
            if failure.is_none() {
                file.make_durable(unsynced);
                file.durable_modified = file.modified;
            }
        }
        if let Some(failure) = failure {
            return Err(failure);
        }
        let dirs: BTreeSet<_> = medium.unsynced.iter().map(|p| parent(p).to_owned()).collect();
        dirs.iter().for_each(|dir| medium.sync_names(dir));
        Ok(true)
    }

    fn modified(&self, path: &str) -> io::Result<Option<u64>> {
        let medium = self.disk.read_call(self.id)?;
        let there = path.is_empty() || medium.live.contains_key(path);
        Ok(there.then(|| medium.modified(path)))
    }

    fn set_modified(&self, path: &str, nanoseconds: u64) -> io::Result<()> {
        let mut medium = self.disk.write_call(self.id)?;
        match medium.live.get(path).copied() {
            Some(Node::File(file)) => {
                let file = medium.files.get_mut(file).ok_or(io::ErrorKind::NotFound)?;
                file.modified = nanoseconds;
            }
            Some(Node::Dir) => {
                medium.dir_times.insert(path.to_owned(), nanoseconds);
            }
            None => return Err(io::ErrorKind::NotFound.into()),
        }
        Ok(())
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        self.unlock();
    }
}

impl DiskFile for Handle {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut medium = self.disk.write_call(self.mount)?;
        let offset = usize::try_from(offset).map_err(io::Error::other)?;
        let end = offset + bytes.len();
        let (used, quota) = (medium.used(), medium.quota);
        let file = medium.files.get_mut(self.file).ok_or(io::ErrorKind::NotFound)?;
        if let Some(quota) = quota
            && end > file.live.len()
            && used + (end - file.live.len()) as u64 > quota
        {
            return Err(io::ErrorKind::StorageFull.into());
        }
        if file.live.len() < end {
            file.live.resize(end, 0);
        }
        if let Some(place) = file.live.get_mut(offset..end) {
            place.copy_from_slice(bytes);
        }
        file.unsynced.push(offset..end);
        let time = medium.tick();
        if let Some(file) = medium.files.get_mut(self.file) {
            file.modified = time;
        }
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_call().map(|_| ())
    }

    fn sync_all(&mut self) -> io::Result<()> {
        let mut medium = self.sync_call()?;
        let file = medium.files.get_mut(self.file).ok_or(io::ErrorKind::NotFound)?;
        file.durable_modified = file.modified;
        Ok(())
    }
}

impl Handle {
    fn sync_call(&self) -> io::Result<MutexGuard<'_, Medium>> {
        let (mut medium, failure) = self.disk.call(self.mount)?;
        let file = medium.files.get_mut(self.file).ok_or(io::ErrorKind::NotFound)?;
        let unsynced = std::mem::take(&mut file.unsynced);
        if let Some(failure) = failure {
            return Err(failure);
        }
        file.make_durable(unsynced);
        Ok(medium)
    }
}

impl File {
    fn make_durable(&mut self, unsynced: Vec<Range<usize>>) {
        self.durable.resize(self.live.len(), 0);
        for range in unsynced {
            if let (Some(to), Some(from)) =
                (self.durable.get_mut(range.clone()), self.live.get(range))
            {
                to.copy_from_slice(from);
            }
        }
    }
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}
