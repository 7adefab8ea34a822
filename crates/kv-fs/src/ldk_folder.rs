//! Reading the folders of LDK's stores in files, to move what they hold into another store.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use kv_core::{
    Batch, Capabilities, Commit, CreationOrder, CreationPage, Cursor, Error, Key, KvStore,
    Namespace, Operation, Result, Value,
};

use crate::{
    adopt,
    disk::{Disk, RealDisk},
    fault, import_v1, layout,
};

/// How this store is called in errors.
const STORE: &str = "ldk-fs";
/// What the name of a folder gets that was sealed.
const SEALED: &str = ".moved-to-strongroom";

/// Which of LDK's stores has written a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LdkVersion {
    /// `FilesystemStore`.
    V1,
    /// `FilesystemStoreV2`.
    V2,
}

/// A folder of LDK's `FilesystemStore` or `FilesystemStoreV2`, read-only: a store that can be copied
/// from. Its order of creation is the order of the files' times, which LDK lists by.
///
/// End the node before: which files there are is read at the opening.
#[derive(Debug)]
pub struct LdkFolder {
    /// Where LDK looks for it, and where it is, if it was sealed.
    place: Sealing,
    disk: RealDisk,
    found: Mutex<Option<Found>>,
    skipped: Vec<String>,
}

type Found = BTreeMap<Namespace, BTreeMap<Key, Entry>>;

#[derive(Debug, Clone)]
struct Entry {
    created: u64,
    at: At,
}

#[derive(Debug, Clone)]
enum At {
    File(String),
    Given(Value),
}

/// A value in a file.
#[derive(Debug)]
pub(crate) struct LdkFile {
    pub(crate) ns: Namespace,
    pub(crate) key: Key,
    pub(crate) path: String,
    /// In the unit that LDK compares.
    pub(crate) modified: u64,
}

impl LdkFolder {
    /// Opens the folder and changes nothing.
    ///
    /// # Errors
    /// - [`Error::NotFound`]: there is no such folder.
    /// - [`Error::Refused`]: it was sealed; the source says what was noted then.
    /// - [`Error::Corrupt`]: it is not of this version.
    pub fn open(dir: &Path, version: LdkVersion) -> Result<Self> {
        let io = |source| Error::io(STORE, Operation::Open, source);
        let place = Sealing::of(dir).map_err(io)?;
        if let Some(note) = place.note().map_err(io)? {
            return Err(refused(format!("the folder was sealed: {note}")));
        }
        let Some(folder) = place.folder() else { return Err(Error::NotFound { store: STORE }) };
        let disk = RealDisk::new(&folder);
        let mut skipped = Vec::new();
        let files = match version {
            LdkVersion::V1 => import_v1::find(&disk, &mut skipped)?,
            LdkVersion::V2 => find_v2(&disk, &mut skipped)?,
        };
        let mut found = Found::new();
        for (created, file) in (1..).zip(files) {
            let entry = Entry { created, at: At::File(file.path) };
            found.entry(file.ns).or_default().insert(file.key, entry);
        }
        Ok(Self { place, disk, found: Mutex::new(Some(found)), skipped })
    }

    /// Paths that are no values of LDK's, relative to the folder. LDK's own unfinished `.tmp` and
    /// `.trash` files are not among them.
    pub fn skipped(&self) -> &[String] {
        &self.skipped
    }

    /// Adds a value that shall go where the others go, as the newest: what a node keeps beside its
    /// store, such as its seed. [`Error::Precondition`] if another value has this name.
    pub fn add(&self, ns: &Namespace, key: &Key, value: impl Into<Value>) -> Result<()> {
        let value = value.into();
        match self.read(ns, key)? {
            Some(there) if *there == *value => return Ok(()),
            Some(_) => return Err(Error::Precondition { store: STORE }),
            None => {}
        }
        let mut found = self.lock();
        let found = found.as_mut().ok_or(Error::Closed { store: STORE })?;
        let newest = found.values().flat_map(BTreeMap::values).map(|entry| entry.created).max();
        let entry = Entry { created: newest.unwrap_or(0) + 1, at: At::Given(value) };
        found.entry(ns.clone()).or_default().insert(key.clone(), entry);
        Ok(())
    }

    /// Seals what was copied elsewhere, and tells where it lies: the folder gets another name, with
    /// `.moved-to-strongroom` behind it, and a file with the note takes its place. So no node can
    /// start from a state that the copy has left behind: LDK finds a file where it needs a folder,
    /// and stops.
    ///
    /// A call that was interrupted is made again after opening again.
    pub fn seal(self, note: &str) -> Result<PathBuf> {
        let io = |source| Error::io(STORE, Operation::Write, source);
        self.close()?;
        self.place.seal(note).map_err(io)?;
        Ok(self.place.sealed())
    }

    fn lock(&self) -> MutexGuard<'_, Option<Found>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, work: impl FnOnce(&Found) -> T) -> Result<T> {
        Ok(work(self.lock().as_ref().ok_or(Error::Closed { store: STORE })?))
    }
}

/// The values of a folder of version 2, in the order of their creation.
fn find_v2(disk: &dyn Disk, skipped: &mut Vec<String>) -> Result<Vec<LdkFile>> {
    let io = |source| Error::io(STORE, Operation::Open, source);
    if disk.modified(layout::HOME).map_err(io)?.is_some() {
        return Err(fault::corrupt("this is a store of Strongroom, and not a folder of LDK's"));
    }
    adopt::refuse_version_1(disk)?;
    let mut files = Vec::new();
    for (ns, _) in adopt::namespaces(disk)? {
        let dir = layout::dir(&ns);
        for entry in disk.list(&dir).map_err(io)? {
            let path = format!("{dir}/{}", entry.name);
            match Key::new(&entry.name) {
                Ok(key) if !entry.is_dir => {
                    let modified = entry.modified / crate::mtime::NANOSECONDS;
                    files.push(LdkFile { ns: ns.clone(), key, path, modified });
                }
                _ if import_v1::is_ldks(&entry) => {}
                _ => skipped.push(path),
            }
        }
    }
    skipped.sort();
    files.sort_by(|a, b| (a.modified, &a.ns, &a.key).cmp(&(b.modified, &b.ns, &b.key)));
    Ok(files)
}

impl KvStore for LdkFolder {
    fn read(&self, ns: &Namespace, key: &Key) -> Result<Option<Value>> {
        let entry = self.with(|found| found.get(ns).and_then(|keys| keys.get(key)).cloned())?;
        let path = match entry.map(|entry| entry.at) {
            None => return Ok(None),
            Some(At::Given(value)) => return Ok(Some(value)),
            Some(At::File(path)) => path,
        };
        let bytes = self.disk.read(&path);
        let bytes = bytes.map_err(|source| Error::io(STORE, Operation::Read, source))?;
        let missing =
            || Error::corrupt(STORE, "a file has gone: something else changes the folder");
        bytes.map(|bytes| Some(bytes.into())).ok_or_else(missing)
    }

    fn list(&self, ns: &Namespace, after: Option<&Key>, limit: usize) -> Result<Vec<Key>> {
        self.with(|found| {
            let keys = found.get(ns).into_iter().flat_map(BTreeMap::keys);
            keys.filter(|key| after.is_none_or(|after| *key > after)).take(limit).cloned().collect()
        })
    }

    fn namespaces(&self) -> Result<Vec<Namespace>> {
        self.with(|found| found.keys().cloned().collect())
    }

    // There is nothing to flush, and nothing else is done here.
    fn submit(&self, batch: Batch) -> Commit {
        Commit::done(self.with(|_| ()).and_then(|()| {
            if batch.is_empty() {
                return Ok(());
            }
            Err(refused("a folder of LDK's is only read: copy it into a store".to_owned()))
        }))
    }

    fn capabilities(&self) -> Capabilities<'_> {
        let mut capabilities = Capabilities::default();
        capabilities.creation_order = Some(self);
        capabilities
    }

    fn close(&self) -> Result<()> {
        *self.lock() = None;
        Ok(())
    }
}

impl CreationOrder for LdkFolder {
    fn list_newest_first(
        &self,
        ns: &Namespace,
        cursor: Option<&Cursor>,
        limit: usize,
    ) -> Result<CreationPage> {
        self.with(|found| {
            let before = |entry: &Entry| cursor.is_none_or(|c| entry.created < c.sequence());
            let keys = found.get(ns).into_iter().flatten().filter(|(_, entry)| before(entry));
            let mut keys: Vec<_> = keys.map(|(key, entry)| (entry.created, key)).collect();
            keys.sort_unstable_by(|a, b| b.cmp(a));
            let more = keys.len() > limit;
            keys.truncate(limit);
            let next = keys.last().filter(|_| more).map(|(at, _)| Cursor::from_sequence(*at));
            CreationPage { keys: keys.into_iter().map(|(_, key)| key.clone()).collect(), next }
        })
    }
}

fn refused(why: String) -> Error {
    let why: Box<dyn std::error::Error + Send + Sync> = why.into();
    Error::Refused { store: STORE, source: why.into() }
}

/// A folder, and how it is put out of the way.
#[derive(Debug)]
struct Sealing {
    /// The folder's own folder.
    parent: RealDisk,
    path: PathBuf,
    name: String,
}

impl Sealing {
    fn of(dir: &Path) -> std::io::Result<Self> {
        // Without what may stand at the end of it: `node/`, `node/.`.
        let path: PathBuf = std::path::absolute(dir)?.components().collect();
        let name = path.file_name().and_then(|name| name.to_str());
        let (Some(parent), Some(name)) = (path.parent(), name) else {
            return Err(std::io::Error::other("the folder has no name that can be changed"));
        };
        Ok(Self { parent: RealDisk::new(parent), name: name.to_owned(), path })
    }

    /// The folder, under its own name or that of a sealed one.
    fn folder(&self) -> Option<PathBuf> {
        [self.path.clone(), self.sealed()].into_iter().find(|path| path.is_dir())
    }

    fn sealed(&self) -> PathBuf {
        self.path.with_file_name(self.sealed_name())
    }

    fn sealed_name(&self) -> String {
        format!("{}{SEALED}", self.name)
    }

    /// What the file in the folder's place says.
    fn note(&self) -> std::io::Result<Option<String>> {
        if !self.path.is_file() {
            return Ok(None);
        }
        let bytes = self.parent.read(&self.name)?.unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        Ok(Some(text.lines().next().unwrap_or_default().chars().take(500).collect()))
    }

    fn seal(&self, note: &str) -> std::io::Result<()> {
        if self.path.is_dir() {
            if self.sealed().exists() {
                return Err(std::io::Error::other("another sealed folder is in the way"));
            }
            self.parent.rename(&self.name, &self.sealed_name())?;
            self.parent.sync_dir("")?;
        }
        // Beside its place first: whoever reads it reads all of it.
        let new = format!("{}.note", self.sealed_name());
        let mut file = self.parent.create(&new)?;
        file.write_at(0, format!("{note}\n").as_bytes())?;
        file.sync_all()?;
        drop(file);
        self.parent.rename(&new, &self.name)?;
        self.parent.sync_dir("")
    }
}
