//! Against a server in memory, without SSH around it: slow lines, broken ones, and nonsense.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use russh_sftp::{
    protocol::{
        Attrs, Data, ExtendedReply, File, FileAttributes, Handle, Name, OpenFlags, Packet, Status,
        StatusCode, Version,
    },
    server::{self, Handler},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf, duplex, split},
    task::JoinSet,
    time::{Instant, sleep},
};

use super::{
    backend::Sftp,
    client::Client,
    connect::{Connect, Link},
    error::Failure,
};
use crate::{CloudBackend, CloudError, ObjectName, PutMode, poll_backups};

/// The server's clock.
const NOW: u32 = 1_700_000_000;
const DAY: u32 = 24 * 3600;

/// What is odd about a server.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Oddity {
    /// Files have no end.
    Huge,
    /// Folders have no end.
    Endless,
    /// Files end a byte before they should.
    Short,
    /// There is no room left, which the protocol has no word for.
    Full,
}

#[derive(Default)]
struct Disk {
    /// Bytes and the time of the last change.
    files: BTreeMap<String, (Vec<u8>, u32)>,
    odd: Option<Oddity>,
}

impl Disk {
    fn left(&self) -> Vec<&str> {
        let names = self.files.keys().filter(|name| name.contains("incoming-"));
        names.map(|name| name.rsplit('/').next().unwrap()).collect()
    }
}

/// A session on the server.
struct Served {
    disk: Arc<Mutex<Disk>>,
    /// What is still to be listed, by handle.
    listings: BTreeMap<String, Vec<File>>,
}

fn ok(id: u32) -> Status {
    let (status_code, language_tag) = (StatusCode::Ok, String::new());
    Status { id, status_code, error_message: String::new(), language_tag }
}

fn attributes((bytes, time): &(Vec<u8>, u32)) -> FileAttributes {
    FileAttributes {
        size: Some(bytes.len() as u64),
        permissions: Some(0o100_644),
        mtime: Some(*time),
        ..FileAttributes::empty()
    }
}

impl Handler for Served {
    type Error = StatusCode;

    fn unimplemented(&self) -> StatusCode {
        StatusCode::OpUnsupported
    }

    async fn init(
        &mut self,
        _: u32,
        _: std::collections::HashMap<String, String>,
    ) -> Result<Version, StatusCode> {
        let mut version = Version::new();
        version.extensions.insert("statvfs@openssh.com".to_owned(), "2".to_owned());
        Ok(version)
    }

    async fn open(
        &mut self,
        id: u32,
        handle: String,
        flags: OpenFlags,
        _: FileAttributes,
    ) -> Result<Handle, StatusCode> {
        let mut disk = self.disk.lock().unwrap();
        if flags.contains(OpenFlags::CREATE) {
            disk.files.insert(handle.clone(), (Vec::new(), NOW));
        } else if !disk.files.contains_key(&handle) {
            return Err(StatusCode::NoSuchFile);
        }
        Ok(Handle { id, handle })
    }

    async fn close(&mut self, id: u32, _: String) -> Result<Status, StatusCode> {
        Ok(ok(id))
    }

    async fn read(
        &mut self,
        id: u32,
        handle: String,
        offset: u64,
        length: u32,
    ) -> Result<Data, StatusCode> {
        let disk = self.disk.lock().unwrap();
        let (bytes, _) = disk.files.get(&handle).ok_or(StatusCode::NoSuchFile)?;
        let begin = (offset as usize).min(bytes.len());
        let end = bytes.len().min(begin + length as usize);
        if begin == end {
            return Err(StatusCode::Eof);
        }
        Ok(Data { id, data: bytes[begin..end].to_vec() })
    }

    async fn write(
        &mut self,
        id: u32,
        handle: String,
        offset: u64,
        data: Vec<u8>,
    ) -> Result<Status, StatusCode> {
        let mut disk = self.disk.lock().unwrap();
        if disk.odd == Some(Oddity::Full) {
            return Err(StatusCode::Failure);
        }
        let (bytes, _) = disk.files.get_mut(&handle).ok_or(StatusCode::NoSuchFile)?;
        let end = offset as usize + data.len();
        bytes.resize(bytes.len().max(end), 0);
        bytes[offset as usize..end].copy_from_slice(&data);
        Ok(ok(id))
    }

    async fn fstat(&mut self, id: u32, handle: String) -> Result<Attrs, StatusCode> {
        let disk = self.disk.lock().unwrap();
        let mut attrs = attributes(disk.files.get(&handle).ok_or(StatusCode::NoSuchFile)?);
        if disk.odd == Some(Oddity::Huge) {
            attrs.size = Some(u64::MAX);
        }
        if disk.odd == Some(Oddity::Short) {
            attrs.size = attrs.size.map(|size| size + 1);
        }
        Ok(Attrs { id, attrs })
    }

    async fn stat(&mut self, id: u32, path: String) -> Result<Attrs, StatusCode> {
        let disk = self.disk.lock().unwrap();
        let attrs = attributes(disk.files.get(&path).ok_or(StatusCode::NoSuchFile)?);
        Ok(Attrs { id, attrs })
    }

    async fn mkdir(&mut self, id: u32, _: String, _: FileAttributes) -> Result<Status, StatusCode> {
        Ok(ok(id))
    }

    async fn opendir(&mut self, id: u32, path: String) -> Result<Handle, StatusCode> {
        let begin = format!("{path}/");
        let disk = self.disk.lock().unwrap();
        let files = disk.files.iter().filter_map(|(name, file)| {
            Some(File::new(name.strip_prefix(&begin)?, attributes(file)))
        });
        self.listings.insert(path.clone(), files.collect());
        Ok(Handle { id, handle: path })
    }

    async fn readdir(&mut self, id: u32, handle: String) -> Result<Name, StatusCode> {
        if self.disk.lock().unwrap().odd == Some(Oddity::Endless) {
            let file = File::new("x".repeat(50_000), FileAttributes::empty());
            return Ok(Name { id, files: vec![file; 2] });
        }
        match self.listings.remove(&handle).filter(|files| !files.is_empty()) {
            Some(files) => Ok(Name { id, files }),
            None => Err(StatusCode::Eof),
        }
    }

    async fn rename(&mut self, id: u32, from: String, to: String) -> Result<Status, StatusCode> {
        let mut disk = self.disk.lock().unwrap();
        if disk.files.contains_key(&to) {
            return Err(StatusCode::Failure);
        }
        let file = disk.files.remove(&from).ok_or(StatusCode::NoSuchFile)?;
        disk.files.insert(to, file);
        Ok(ok(id))
    }

    /// `statvfs@openssh.com`: eleven numbers, of which the second is the size of a block and the fifth
    /// how many of them are there for us.
    async fn extended(
        &mut self,
        id: u32,
        request: String,
        _: Vec<u8>,
    ) -> Result<Packet, StatusCode> {
        assert_eq!(request, "statvfs@openssh.com");
        let room = [4096u64, 4096, 1000, 1, 1, 0, 0, 0, 0, 0, 255];
        let data = room.iter().flat_map(|number| number.to_be_bytes()).collect();
        Ok(Packet::ExtendedReply(ExtendedReply { id, data }))
    }

    async fn remove(&mut self, id: u32, path: String) -> Result<Status, StatusCode> {
        let removed = self.disk.lock().unwrap().files.remove(&path);
        removed.map(|_| ok(id)).ok_or(StatusCode::NoSuchFile)
    }
}

/// A line to the server.
#[derive(Clone)]
struct Line {
    disk: Arc<Mutex<Disk>>,
    /// Bytes in a second, each way.
    rate: f64,
    /// Bytes that still go up before it breaks.
    left: Arc<AtomicU64>,
    /// Nothing passes any more, and nothing breaks.
    stands: Arc<AtomicBool>,
}

impl Line {
    fn new() -> Self {
        let left = Arc::new(AtomicU64::new(u64::MAX));
        Self { disk: Arc::default(), rate: f64::INFINITY, left, stands: Arc::default() }
    }

    fn cloud(&self) -> Sftp {
        Sftp::over(Client::new(Box::new(self.clone())), "test".to_owned(), "/wallet".to_owned())
    }

    fn disk(&self) -> std::sync::MutexGuard<'_, Disk> {
        self.disk.lock().unwrap()
    }
}

#[async_trait]
impl Connect for Line {
    async fn connect(&self) -> Result<Link, Failure> {
        let (ours, near) = duplex(64 * 1024);
        let (far, theirs) = duplex(64 * 1024);
        server::run(theirs, Served { disk: self.disk.clone(), listings: BTreeMap::new() }).await;
        let ((near_read, near_write), (far_read, far_write)) = (split(near), split(far));
        let (rate, left, stands) = (self.rate, self.left.clone(), self.stands.clone());
        tokio::spawn(async move {
            let back = AtomicU64::new(u64::MAX);
            // Both directions end together.
            tokio::select! {
                () = relay(near_read, far_write, rate, &left, &stands) => {}
                () = relay(far_read, near_write, rate, &back, &stands) => {}
            }
        });
        Link::over(ours, 30).await
    }
}

async fn relay(
    mut from: ReadHalf<DuplexStream>,
    mut to: WriteHalf<DuplexStream>,
    rate: f64,
    left: &AtomicU64,
    stands: &AtomicBool,
) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        sleep(Duration::from_secs_f64(length as f64 / rate)).await;
        if stands.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        let before = left.load(Ordering::Relaxed);
        left.store(before.saturating_sub(length as u64), Ordering::Relaxed);
        if before < length as u64 || to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}

fn name(name: &str) -> ObjectName {
    ObjectName::new(name).unwrap()
}

/// On a slow line the server answers what was sent first. So who sends everything at once has no
/// answer to the last of it before its time is up, and would begin again, for ever.
#[tokio::test(start_paused = true)]
async fn a_slow_line_is_enough_for_many_large_objects_at_once() {
    let line = Line { rate: 100_000.0, ..Line::new() };
    let cloud = Arc::new(line.cloud());
    let bytes: bytes::Bytes = vec![7; 2 << 20].into();
    let began = Instant::now();
    let mut puts = JoinSet::new();
    for n in 0..8 {
        let (cloud, bytes) = (cloud.clone(), bytes.clone());
        puts.spawn(async move {
            cloud.put(&name(&format!("a/{n}")), bytes, PutMode::CreateOnly).await.unwrap();
        });
    }
    puts.join_all().await;
    assert!(began.elapsed() > Duration::from_secs(160), "the line was not slow");
    let mut gets = JoinSet::new();
    for n in 0..8 {
        let (cloud, bytes) = (cloud.clone(), bytes.clone());
        gets.spawn(async move {
            assert!(cloud.get(&name(&format!("a/{n}"))).await.unwrap().unwrap().0 == bytes);
        });
    }
    gets.join_all().await;
    assert!(began.elapsed() > Duration::from_secs(320), "the line was not slow");
    assert!(line.disk().left().is_empty());
}

/// What is under way at once takes longer than the server may be silent, and it is not.
#[tokio::test(start_paused = true)]
async fn a_line_of_some_kilobytes_a_second_is_enough() {
    let line = Line { rate: 8_000.0, ..Line::new() };
    let cloud = Arc::new(line.cloud());
    let bytes: bytes::Bytes = vec![7; 2 << 20].into();
    let mut puts = JoinSet::new();
    for n in 0..2 {
        let (cloud, bytes) = (cloud.clone(), bytes.clone());
        puts.spawn(async move {
            cloud.put(&name(&format!("a/{n}")), bytes, PutMode::CreateOnly).await.unwrap();
        });
    }
    puts.join_all().await;
    assert!(cloud.get(&name("a/1")).await.unwrap().unwrap().0 == bytes);
}

/// Waiting for the others' answers is no reason to wait longer for one's own.
#[tokio::test(start_paused = true)]
async fn on_a_dead_line_all_that_are_under_way_end_together() {
    let line = Line::new();
    let cloud = Arc::new(line.cloud());
    cloud.put(&name("a/b"), "x".into(), PutMode::CreateOnly).await.unwrap();
    let bytes: bytes::Bytes = vec![7; 2 << 20].into();
    let mut puts = JoinSet::new();
    for n in 0..8 {
        let (cloud, bytes) = (cloud.clone(), bytes.clone());
        puts.spawn(async move {
            cloud.put(&name(&format!("a/{n}")), bytes, PutMode::CreateOnly).await.map(drop)
        });
    }
    // All are writing.
    while line.disk().left().len() < 8 {
        tokio::task::yield_now().await;
    }
    line.stands.store(true, Ordering::Relaxed);
    let began = Instant::now();
    for put in puts.join_all().await {
        assert!(put.as_ref().is_err_and(CloudError::is_transient), "{put:?}");
    }
    assert!(began.elapsed() < Duration::from_secs(35), "{:?}", began.elapsed());
}

/// The session is broken, so the next one removes it.
#[tokio::test]
async fn what_a_broken_put_has_left_goes_with_the_next_one() {
    let line = Line::new();
    let cloud = line.cloud();
    line.left.store(100_000, Ordering::Relaxed);
    let put = cloud.put(&name("a/b"), vec![7; 200_000].into(), PutMode::CreateOnly).await;
    assert!(put.as_ref().is_err_and(CloudError::is_transient), "{put:?}");
    assert_eq!(line.disk().left().len(), 1, "nothing was tested");
    line.left.store(u64::MAX, Ordering::Relaxed);
    cloud.put(&name("a/c"), "x".into(), PutMode::CreateOnly).await.unwrap();
    assert!(line.disk().left().is_empty());
    // What is refused goes at once.
    let refused = cloud.put(&name("a/c"), "y".into(), PutMode::CreateOnly).await;
    assert!(matches!(refused, Err(CloudError::Conflict { .. })), "{refused:?}");
    assert!(line.disk().left().is_empty());
}

/// What a process has left that is no more: once it is old by the server's own clock.
#[tokio::test]
async fn old_leftovers_of_others_are_swept_and_young_ones_are_not() {
    let line = Line::new();
    for (name, time) in
        [("incoming-old", NOW - 2 * DAY), ("incoming-young", NOW - DAY / 2), ("notes", 0)]
    {
        let path = format!("/wallet/.strongroom/{name}");
        line.disk().files.insert(path, (b"x".to_vec(), time));
    }
    let cloud = line.cloud();
    cloud.put(&name("a/b"), "x".into(), PutMode::CreateOnly).await.unwrap();
    assert_eq!(line.disk().left(), ["incoming-young"]);
    assert!(line.disk().files.contains_key("/wallet/.strongroom/notes"));
    assert_eq!(poll_backups(&cloud, &name("a")).await.unwrap().len(), 1);
}

/// A server's word for a size fills no memory, and a folder without an end keeps nobody.
#[tokio::test]
async fn a_file_or_a_folder_without_an_end_is_an_error() {
    let line = Line::new();
    let cloud = line.cloud();
    cloud.put(&name("a/b"), "x".into(), PutMode::CreateOnly).await.unwrap();
    line.disk().odd = Some(Oddity::Huge);
    let got = cloud.get(&name("a/b")).await;
    assert!(got.as_ref().is_err_and(CloudError::is_transient), "{got:?}");
    line.disk().odd = Some(Oddity::Endless);
    let listed = cloud.list(&name("a"), None).await;
    assert!(matches!(listed, Err(CloudError::TooOld { .. })), "{listed:?}");
}

#[tokio::test]
async fn a_file_that_ends_early_is_no_object() {
    let line = Line::new();
    let cloud = line.cloud();
    cloud.put(&name("a/b"), "x".into(), PutMode::CreateOnly).await.unwrap();
    line.disk().odd = Some(Oddity::Short);
    let got = cloud.get(&name("a/b")).await;
    assert!(got.as_ref().is_err_and(CloudError::is_transient), "{got:?}");
}

#[tokio::test]
async fn a_full_disk_is_told_as_such() {
    let line = Line::new();
    line.disk().odd = Some(Oddity::Full);
    let cloud = line.cloud();
    let how = PutMode::CreateOnly;
    let large = cloud.put(&name("a/b"), vec![7; 10_000].into(), how.clone()).await;
    assert!(matches!(large, Err(CloudError::Full { .. })), "{large:?}");
    // There would be room for this: something else is wrong.
    let small = cloud.put(&name("a/b"), "x".into(), how).await;
    assert!(small.as_ref().is_err_and(CloudError::is_transient), "{small:?}");
    assert!(line.disk().left().is_empty());
}
