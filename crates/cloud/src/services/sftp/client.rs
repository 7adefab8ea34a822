//! The requests of SFTP that are needed, and what their answers mean. Paths are those of the server.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, TryStreamExt, stream};
use russh_sftp::{
    client::error::Error as SftpError,
    extensions::HardlinkExtension,
    protocol::{FileAttributes, OpenFlags, Packet, StatusCode},
};
use tokio::sync::{OnceCell, SemaphorePermit};

use super::{
    super::{LARGEST_OBJECT, TOO_MANY_FILES},
    connect::{Connect, Link},
    error::{Failure, Kind},
};

/// Every server takes a packet with so much in it.
const CHUNK: usize = 32 * 1024;

/// So many packets with data are under way at once on a connection, of all calls together: 1 MiB
/// keeps a long line busy, and on a slow one the last of them is answered before its time is up.
pub(super) const AT_ONCE: usize = 32;

/// A folder whose list takes more bytes than this has more files than any wallet puts there.
const LONGEST_LIST: usize = 128 << 20;

const FSYNC: &str = "fsync@openssh.com";
const POSIX_RENAME: &str = "posix-rename@openssh.com";
const STATVFS: &str = "statvfs@openssh.com";

/// A session that is made when it is needed, and made anew when it broke.
pub(super) struct Client {
    place: Box<dyn Connect>,
    link: Mutex<Arc<OnceCell<Link>>>,
}

/// A session in use.
pub(super) struct Session<'a> {
    client: &'a Client,
    cell: Arc<OnceCell<Link>>,
}

/// What lies in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) is_folder: bool,
    pub(super) size: u64,
    /// When it was changed, by the server's clock, in seconds since the Unix epoch.
    pub(super) modified: Option<u32>,
}

/// How a renaming ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Renamed {
    Yes,
    /// There is something already.
    Refused,
    /// The folder it should go to is missing.
    NoFolder,
}

impl Client {
    pub(super) fn new(place: Box<dyn Connect>) -> Self {
        Self { place, link: Mutex::default() }
    }

    /// The session: the one there is, or a new one.
    pub(super) async fn session(&self) -> Result<Session<'_>, Failure> {
        let cell = self.link.lock().unwrap_or_else(PoisonError::into_inner).clone();
        cell.get_or_try_init(|| self.place.connect()).await?;
        Ok(Session { client: self, cell })
    }

    /// The next call connects anew.
    fn forget(&self, broken: &Arc<OnceCell<Link>>) {
        let mut link = self.link.lock().unwrap_or_else(PoisonError::into_inner);
        if Arc::ptr_eq(&link, broken) {
            *link = Arc::default();
        }
    }
}

impl Session<'_> {
    /// Makes a new file with these bytes, durable where the server can say so.
    pub(super) async fn write(&self, path: &str, bytes: &Bytes) -> Result<(), Failure> {
        let link = self.link()?;
        let flags = OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::EXCLUDE;
        let opened = link.answer(link.sftp.open(path, flags, FileAttributes::empty())).await;
        let handle = self.judge(opened)?.handle;
        let written = self.fill(link, &handle, bytes).await;
        let closed = match &written {
            // With the session its files are closed as well.
            Err(failure) if failure.is_broken() => Ok(()),
            // Closed in any case: a server allows only so many open files.
            _ => self.judge(link.answer(link.sftp.close(&handle)).await).map(drop),
        };
        match written {
            Err(failure) if failure.is_plain() && self.is_full(link, path, bytes).await => {
                Err(Failure::new(Kind::Full, "the server has no room left"))
            }
            Err(failure) => Err(failure),
            Ok(()) => closed,
        }
    }

    async fn fill(&self, link: &Link, handle: &str, bytes: &Bytes) -> Result<(), Failure> {
        let chunks = (0..bytes.len()).step_by(CHUNK).map(|begin| {
            let chunk = bytes.slice(begin..bytes.len().min(begin + CHUNK));
            async move {
                let _turn = turn(link).await?;
                link.answer(link.sftp.write(handle, begin as u64, chunk.to_vec())).await
            }
        });
        let written = stream::iter(chunks).buffer_unordered(AT_ONCE);
        let written: Result<(), SftpError> = written.try_for_each(async |_| Ok(())).await;
        self.judge(written)?;
        if link.extensions.contains_key(FSYNC) {
            self.judge(link.answer(link.sftp.fsync(handle)).await)?;
        }
        Ok(())
    }

    /// Whether there is less room than these bytes need, as far as the server tells.
    async fn is_full(&self, link: &Link, path: &str, bytes: &Bytes) -> bool {
        if !link.extensions.contains_key(STATVFS) {
            return false;
        }
        let room = link.answer(link.sftp.statvfs(path)).await;
        room.is_ok_and(|r| r.fragment_size.saturating_mul(r.blocks_avail) < bytes.len() as u64)
    }

    /// The bytes of a file; `None` if there is none, or a folder.
    pub(super) async fn read(&self, path: &str) -> Result<Option<Bytes>, Failure> {
        let link = self.link()?;
        let opened =
            link.answer(link.sftp.open(path, OpenFlags::READ, FileAttributes::empty())).await;
        let handle = match self.judge(opened) {
            Ok(opened) => opened.handle,
            Err(failure) if failure.is_absent() => return Ok(None),
            // Some servers do not open a folder.
            Err(failure) if failure.is_plain() => {
                return match self.find(path).await? {
                    Some(entry) if !entry.is_folder => Err(failure),
                    _ => Ok(None),
                };
            }
            Err(failure) => return Err(failure),
        };
        let read = self.drain(link, &handle).await;
        let closed = self.judge(link.answer(link.sftp.close(&handle)).await);
        let read = read?;
        closed?;
        Ok(read)
    }

    async fn drain(&self, link: &Link, handle: &str) -> Result<Option<Bytes>, Failure> {
        let found = self.judge(link.answer(link.sftp.fstat(handle)).await)?.attrs;
        if found.file_type().is_dir() {
            return Ok(None);
        }
        let size = found.len();
        if size > LARGEST_OBJECT {
            return Err(Failure::new(Kind::Broken, "the file is larger than any of ours"));
        }
        let begins = (0..size).step_by(CHUNK);
        let chunks = begins.map(|begin| {
            let length = (size - begin).min(CHUNK as u64);
            chunk(link, handle, begin, length)
        });
        let mut chunks = stream::iter(chunks).buffered(AT_ONCE);
        let mut whole = BytesMut::new();
        while let Some(chunk) = chunks.next().await {
            whole.extend_from_slice(&self.judge(chunk)?);
        }
        if whole.len() as u64 != size {
            // Files here never change once they have their place.
            return Err(Failure::new(Kind::Broken, "the file ends early"));
        }
        Ok(Some(whole.freeze()))
    }

    /// Renames a file; it must not replace another.
    pub(super) async fn rename(&self, from: &str, to: &str) -> Result<Renamed, Failure> {
        let link = self.link()?;
        let renamed = self.judge(link.answer(link.sftp.rename(from, to)).await);
        self.what_became(renamed.map(drop), to).await
    }

    /// Renames a file over another, or to where there is none.
    pub(super) async fn rename_over(&self, from: &str, to: &str) -> Result<Renamed, Failure> {
        let link = self.link()?;
        if !link.extensions.contains_key(POSIX_RENAME) {
            let what = "the server cannot replace a file at once (posix-rename@openssh.com)";
            return Err(Failure::new(Kind::TooOld, what));
        }
        // Its content has the form of that of `hardlink@openssh.com`.
        let paths = HardlinkExtension { oldpath: from.to_owned(), newpath: to.to_owned() };
        let data: Vec<u8> = paths.try_into().map_err(|e| Failure::new(Kind::Broken, e))?;
        let answer = self.judge(link.answer(link.sftp.extended(POSIX_RENAME, data)).await)?;
        let renamed = match answer {
            Packet::Status(status) if status.status_code == StatusCode::Ok => Ok(()),
            Packet::Status(status) => Err(Failure::from(SftpError::Status(status))),
            _ => Err(Failure::new(Kind::Broken, "the server's answer is not understood")),
        };
        self.what_became(renamed, to).await
    }

    async fn what_became(
        &self,
        renamed: Result<(), Failure>,
        to: &str,
    ) -> Result<Renamed, Failure> {
        match renamed {
            Ok(()) => Ok(Renamed::Yes),
            Err(failure) if failure.is_absent() => Ok(Renamed::NoFolder),
            Err(failure) if failure.is_plain() => match self.find(to).await? {
                Some(_) => Ok(Renamed::Refused),
                None => Err(failure),
            },
            Err(failure) => Err(failure),
        }
    }

    /// Removes a file or nothing; a folder stays.
    pub(super) async fn remove(&self, path: &str) -> Result<(), Failure> {
        let link = self.link()?;
        match self.judge(link.answer(link.sftp.remove(path)).await) {
            Ok(_) => Ok(()),
            Err(failure) if failure.is_absent() => Ok(()),
            Err(failure) if failure.is_plain() => match self.find(path).await? {
                Some(entry) if !entry.is_folder => Err(failure),
                _ => Ok(()),
            },
            Err(failure) => Err(failure),
        }
    }

    /// Makes a folder, or finds it made. False if the folder it should lie in is missing.
    pub(super) async fn make_folder(&self, path: &str) -> Result<bool, Failure> {
        let link = self.link()?;
        match self.judge(link.answer(link.sftp.mkdir(path, FileAttributes::empty())).await) {
            Ok(_) => Ok(true),
            Err(failure) if failure.is_absent() => Ok(false),
            Err(failure) if failure.is_plain() => match self.find(path).await? {
                Some(entry) if entry.is_folder => Ok(true),
                _ => Err(failure),
            },
            Err(failure) => Err(failure),
        }
    }

    /// What lies at this path.
    pub(super) async fn find(&self, path: &str) -> Result<Option<Entry>, Failure> {
        let link = self.link()?;
        match self.judge(link.answer(link.sftp.stat(path)).await) {
            Ok(found) => Ok(Some(Entry {
                name: String::new(),
                is_folder: found.attrs.file_type().is_dir(),
                size: found.attrs.len(),
                modified: found.attrs.mtime,
            })),
            Err(failure) if failure.is_absent() => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// What lies in a folder; nothing if it is a file or absent.
    pub(super) async fn list(&self, path: &str) -> Result<Option<Vec<Entry>>, Failure> {
        let link = self.link()?;
        let handle = match self.judge(link.answer(link.sftp.opendir(path)).await) {
            Ok(opened) => opened.handle,
            Err(failure) if failure.is_absent() => return Ok(None),
            Err(failure) if failure.is_plain() => {
                return match self.find(path).await? {
                    Some(entry) if entry.is_folder => Err(failure),
                    _ => Ok(None),
                };
            }
            Err(failure) => return Err(failure),
        };
        let listed = self.entries(link, &handle).await;
        let closed = self.judge(link.answer(link.sftp.close(&handle)).await);
        let listed = listed?;
        closed?;
        Ok(Some(listed))
    }

    async fn entries(&self, link: &Link, handle: &str) -> Result<Vec<Entry>, Failure> {
        let mut entries = Vec::new();
        let mut bytes = 0;
        loop {
            let page = match link.answer(link.sftp.readdir(handle)).await {
                Err(SftpError::Status(status)) if status.status_code == StatusCode::Eof => {
                    return Ok(entries);
                }
                other => self.judge(other)?,
            };
            // An empty page costs something, too.
            let lengths = page.files.iter().map(|file| file.filename.len() + CHUNK / 256);
            bytes += CHUNK / 256 + lengths.sum::<usize>();
            if bytes > LONGEST_LIST {
                return Err(Failure::new(Kind::TooOld, TOO_MANY_FILES));
            }
            let files = page.files.into_iter();
            entries.extend(files.filter(|f| f.filename != "." && f.filename != "..").map(|f| {
                let (is_folder, size) = (f.attrs.file_type().is_dir(), f.attrs.len());
                Entry { name: f.filename, is_folder, size, modified: f.attrs.mtime }
            }));
        }
    }

    fn link(&self) -> Result<&Link, Failure> {
        // `Client::session` has waited for it.
        self.cell.get().ok_or_else(|| Failure::new(Kind::Broken, "there is no session"))
    }

    /// What an answer means, and whether it was the last of this session.
    fn judge<T>(&self, answer: Result<T, SftpError>) -> Result<T, Failure> {
        answer.map_err(|error| {
            let failure = Failure::from(error);
            if failure.is_broken() {
                self.client.forget(&self.cell);
                // Who waits for a turn need not find out by himself, one after the other.
                if let Some(link) = self.cell.get() {
                    link.turns.close();
                }
            }
            failure
        })
    }
}

/// Waits until a packet with data may be sent. The time for its answer begins when it is handed to
/// the session, however much is to go over the line before it.
async fn turn(link: &Link) -> Result<SemaphorePermit<'_>, SftpError> {
    let closed = |_| SftpError::UnexpectedBehavior("the session has ended".to_owned());
    link.turns.acquire().await.map_err(closed)
}

/// A part of a file. A server may answer with less than was asked for.
async fn chunk(link: &Link, handle: &str, begin: u64, length: u64) -> Result<BytesMut, SftpError> {
    let mut whole = BytesMut::new();
    while (whole.len() as u64) < length {
        let have = whole.len() as u64;
        let rest = u32::try_from(length - have).unwrap_or(u32::MAX);
        let answer = {
            let _turn = turn(link).await?;
            link.answer(link.sftp.read(handle, begin + have, rest)).await
        };
        match answer {
            Ok(found) if !found.data.is_empty() => whole.extend_from_slice(&found.data),
            Ok(_) => break,
            Err(SftpError::Status(status)) if status.status_code == StatusCode::Eof => break,
            Err(error) => return Err(error),
        }
    }
    Ok(whole)
}
