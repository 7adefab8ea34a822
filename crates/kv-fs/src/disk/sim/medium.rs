//! What is on a simulated disk: files and names as programs see them and as they are durable.

use std::{collections::BTreeMap, io, sync::Arc};

use super::{
    content::{Content, mix},
    names::{NameChange, Names, Node, Path, What, parent},
};

/// The time of a new disk, in nanoseconds since the Unix epoch.
const BEGIN: u64 = 1_700_000_000_000_000_000;

/// Cheap to copy: blocks and files are shared until they change.
#[derive(Debug, Clone)]
pub(super) struct Medium {
    pub(super) block: usize,
    pub(super) files: Vec<Arc<File>>,
    pub(super) live: Names,
    pub(super) durable: Names,
    /// In their order.
    pub(super) changes: Vec<NameChange>,
    /// The place of the newest thing among what is pending.
    order: u64,
    /// The disk's clock in nanoseconds: a millisecond for each change.
    time: u64,
    dir_times: BTreeMap<Path, u64>,
}

#[derive(Debug, Clone)]
pub(super) struct File {
    pub(super) live: Content,
    pub(super) durable: Content,
    /// Blocks written since the last sync, with the place of their last write.
    pub(super) dirty: BTreeMap<usize, u64>,
    /// Blocks that a failed sync has left: they look clean, and may be durable or not.
    pub(super) limbo: BTreeMap<usize, u64>,
    pub(super) modified: u64,
    pub(super) durable_modified: u64,
}

impl Default for Medium {
    fn default() -> Self {
        Self::new(4096)
    }
}

impl File {
    fn sync(&mut self, times: bool, fails: bool) {
        let dirty = std::mem::take(&mut self.dirty);
        if fails {
            self.limbo.extend(dirty);
            return;
        }
        for block in dirty.into_keys() {
            self.durable.take_block(block, &self.live);
        }
        self.durable.grow(self.live.len());
        if times {
            self.durable_modified = self.modified;
        }
    }
}

impl Medium {
    pub(super) fn new(block: usize) -> Self {
        let (live, durable) = (Names::new(), Names::new());
        let (files, changes, dir_times) = (Vec::new(), Vec::new(), BTreeMap::new());
        Self { block, files, live, durable, changes, order: 0, time: BEGIN, dir_times }
    }

    fn next_order(&mut self) -> u64 {
        self.order += 1;
        self.order
    }

    pub(super) fn used(&self) -> u64 {
        let files = self.live.values().filter_map(|node| self.node(*node));
        files.map(|file| file.live.len() as u64).sum()
    }

    fn node(&self, node: Node) -> Option<&File> {
        match node {
            Node::File(file) => self.files.get(file).map(|file| &**file),
            Node::Dir => None,
        }
    }

    pub(super) fn file(&self, path: &str) -> Option<&File> {
        self.node(*self.live.get(path)?)
    }

    fn tick(&mut self) -> u64 {
        self.time += 1_000_000;
        self.time
    }

    /// When a file or folder was last changed.
    pub(super) fn modified(&self, path: &str) -> u64 {
        let dir = self.dir_times.get(path).copied().unwrap_or_default();
        self.file(path).map_or(dir, |file| file.modified)
    }

    pub(super) fn set_modified(&mut self, path: &str, time: u64) -> io::Result<()> {
        match self.live.get(path) {
            Some(Node::File(file)) => {
                let file = self.files.get_mut(*file).map(Arc::make_mut);
                file.ok_or(io::ErrorKind::NotFound)?.modified = time;
            }
            Some(Node::Dir) => {
                self.dir_times.insert(path.into(), time);
            }
            None => return Err(io::ErrorKind::NotFound.into()),
        }
        Ok(())
    }

    fn change(&mut self, what: What) {
        let time = self.tick();
        let (first, second) = what.paths();
        for path in std::iter::once(first).chain(second) {
            self.dir_times.insert(parent(path).into(), time);
        }
        let change = NameChange { order: self.next_order(), what };
        change.apply(&mut self.live);
        self.changes.push(change);
    }

    fn parent_exists(&self, path: &str) -> io::Result<()> {
        let parent = parent(path);
        if parent.is_empty() || self.live.get(parent) == Some(&Node::Dir) {
            Ok(())
        } else {
            Err(io::ErrorKind::NotFound.into())
        }
    }

    pub(super) fn create_dir(&mut self, path: &str) -> io::Result<()> {
        match self.live.get(path) {
            _ if path.is_empty() => Ok(()),
            Some(Node::Dir) => Ok(()),
            Some(Node::File(_)) => Err(io::ErrorKind::NotADirectory.into()),
            None => {
                self.parent_exists(path)?;
                self.change(What::Create(path.into(), Node::Dir));
                Ok(())
            }
        }
    }

    pub(super) fn create(&mut self, path: &str) -> io::Result<usize> {
        self.parent_exists(path)?;
        let file = self.add(Content::new(self.block));
        self.change(What::Create(path.into(), Node::File(file)));
        Ok(file)
    }

    fn add(&mut self, content: Content) -> usize {
        let time = self.tick();
        self.files.push(Arc::new(File {
            live: content.clone(),
            durable: content,
            dirty: BTreeMap::new(),
            limbo: BTreeMap::new(),
            modified: time,
            durable_modified: time,
        }));
        self.files.len() - 1
    }

    pub(super) fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let node = *self.live.get(from).ok_or(io::ErrorKind::NotFound)?;
        self.parent_exists(to)?;
        self.change(What::Rename { from: from.into(), to: to.into(), node });
        Ok(())
    }

    pub(super) fn remove(&mut self, path: &str) {
        if self.live.contains_key(path) {
            self.change(What::Remove(path.into()));
        }
    }

    /// Makes the names in a folder durable.
    pub(super) fn sync_dir(&mut self, dir: &str) {
        let (here, mut others): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.changes).into_iter().partition(|change| change.is_in(dir));
        for change in here {
            change.apply(&mut self.durable);
            let behind = |other: NameChange| {
                if other.order < change.order { other.behind(&change) } else { Some(other) }
            };
            others = others.into_iter().filter_map(behind).collect();
        }
        self.changes = others;
    }

    pub(super) fn write(&mut self, file: usize, offset: usize, bytes: &[u8]) -> io::Result<()> {
        let (order, time) = (self.next_order(), self.tick());
        let file = self.files.get_mut(file).map(Arc::make_mut).ok_or(io::ErrorKind::NotFound)?;
        for block in file.live.write(offset, bytes) {
            file.limbo.remove(&block);
            file.dirty.insert(block, order);
        }
        file.modified = time;
        Ok(())
    }

    /// Makes the bytes of a file durable, and with `times` its time; or fails to.
    pub(super) fn sync(&mut self, file: usize, times: bool, fails: bool) -> io::Result<()> {
        let file = self.files.get_mut(file).map(Arc::make_mut).ok_or(io::ErrorKind::NotFound)?;
        file.sync(times, fails);
        Ok(())
    }

    /// Makes everything durable, or fails to.
    pub(super) fn sync_all(&mut self, fails: bool) {
        for file in &mut self.files {
            if !file.dirty.is_empty() || file.modified != file.durable_modified {
                Arc::make_mut(file).sync(true, fails);
            }
        }
        if !fails {
            for change in std::mem::take(&mut self.changes) {
                change.apply(&mut self.durable);
            }
        }
    }

    pub(super) fn forget_cache(&mut self) {
        for file in self.files.iter_mut().filter(|file| !file.limbo.is_empty()) {
            let file = Arc::make_mut(file);
            for block in std::mem::take(&mut file.limbo).into_keys() {
                let lost = file.durable.block(block);
                file.live.set_block(block, lost, file.live.len());
            }
        }
    }

    pub(super) fn overwrite(&mut self, path: &str, bytes: &[u8]) {
        let mut content = Content::new(self.block);
        content.write(0, bytes);
        let node = Node::File(self.add(content));
        for names in [&mut self.live, &mut self.durable] {
            for (at, _) in path.match_indices('/') {
                names.insert(path.get(..at).unwrap_or_default().into(), Node::Dir);
            }
            names.insert(path.into(), node);
        }
    }

    pub(super) fn delete(&mut self, path: &str) {
        self.live.remove(path);
        self.durable.remove(path);
    }

    pub(super) fn fingerprint(&self) -> u64 {
        let mut hash = 0;
        for (path, node) in &self.durable {
            hash = path.bytes().fold(mix(hash, path.len() as u64), |h, b| mix(h, u64::from(b)));
            if let Some(file) = self.node(*node) {
                hash = file.durable.mix(hash);
            }
        }
        hash
    }
}
