//! The contract of a cloud on top of WebDAV.

use std::{
    collections::HashSet,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use backup::ObjectName;
use bytes::Bytes;
use data_encoding::HEXLOWER;
use tokio::time::sleep;

use super::{
    client::{Client, Made, Moved, Over},
    multistatus::Entry,
};
use crate::{
    CloudBackend, CloudError, Limits, ObjectMeta, Probe, PutMode, Result, Tag,
    error::boxed,
    http::Failure,
    layout,
    page::Page,
    services::{
        LARGEST_OBJECT,
        leftovers::{INCOMING, Incoming, Leftovers, OLD, SWEPT_AT_ONCE},
    },
};

/// Names per page. Each page walks the folders anew, so it is large.
const PAGE_LIMIT: usize = 10_000;

/// After so long a server that gives new files weak ETags has a strong one: ETags are made of times
/// in seconds.
const UNTIL_STRONG: Duration = Duration::from_millis(400);

/// So often is looked for an ETag that can be compared.
const MOST_LOOKS: usize = 8;

/// How replacing what is unchanged ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Replaced {
    Yes,
    /// It has changed.
    No,
    /// The server takes no condition; nothing was replaced.
    OnNoCondition,
}

/// A folder on a server.
#[derive(Debug)]
pub(super) struct WebDav {
    client: Client,
    /// The folders that were there when last looked at; a request each is saved.
    folders: Mutex<HashSet<Vec<String>>>,
    /// Whether the server has compared each ETag that it was to compare.
    compares: AtomicBool,
    leftovers: Leftovers<Vec<String>>,
}

impl WebDav {
    pub(super) fn new(client: Client) -> Self {
        let (folders, compares) = (Mutex::default(), AtomicBool::new(true));
        Self { client, folders, compares, leftovers: Leftovers::new() }
    }

    fn path(&self, name: &ObjectName) -> Vec<String> {
        let parts: Vec<String> = layout::parts(name).collect();
        self.client.path(parts.iter().map(String::as_str))
    }

    fn own(&self) -> Vec<String> {
        self.client.path([layout::OWN])
    }

    /// Puts the bytes into a file of their own, which nobody reads.
    async fn upload(&self, path: &[String], bytes: &Bytes) -> Result<(), Failure> {
        self.make_folders(&self.own()).await?;
        match self.client.put(path, bytes.clone()).await {
            // Somebody has removed the folder.
            Err(e) if e.status().is_some_and(|s| [404, 409].contains(&s.as_u16())) => {
                self.forget_folders();
                self.make_folders(&self.own()).await?;
                self.client.put(path, bytes.clone()).await
            }
            other => other,
        }
    }

    /// Removes what broken puts have left: those of this handle, and once the old ones of others.
    /// `now` has just been written, so it tells the time by the server's clock.
    async fn tidy_up(&self, now: &[String]) {
        for path in self.leftovers.take() {
            let left = self.leftovers.begin(path.clone());
            if self.client.delete(&path).await.is_ok() {
                left.ended();
            }
        }
        if !self.leftovers.is_unswept() {
            return;
        }
        let Ok(Some(entries)) = self.client.list(&self.own()).await else { return };
        let time = |entry: &Entry| httpdate::parse_http_date(&entry.modified).ok();
        let own = entries.iter().find(|entry| Some(entry.name()) == now.last().map(String::as_str));
        let Some(now) = own.and_then(time) else { return };
        let is_old = |entry: &Entry| {
            !entry.is_folder
                && entry.name().starts_with(INCOMING)
                && time(entry).and_then(|then| now.duration_since(then).ok()) > Some(OLD)
        };
        for entry in entries.iter().filter(|entry| is_old(entry)).take(SWEPT_AT_ONCE) {
            let _ = self.client.delete(&self.client.path([layout::OWN, entry.name()])).await;
        }
    }

    /// Moves what was uploaded to its place. False if the condition does not hold.
    async fn place(
        &self,
        from: (&[String], u64),
        to: &[String],
        over: &Over,
    ) -> Result<bool, Failure> {
        let parent = to.split_last().map(|(_, parent)| parent).unwrap_or_default();
        self.make_folders(parent).await?;
        let mut moved = self.client.rename(from, to, over).await?;
        if moved == Moved::NoFolder {
            self.forget_folders();
            self.make_folders(parent).await?;
            moved = self.client.rename(from, to, over).await?;
        }
        match moved {
            Moved::Yes => Ok(true),
            Moved::Refused => Ok(false),
            Moved::NoFolder => Err(Failure::nonsense("a folder that was just made is not there")),
        }
    }

    async fn put_over(
        &self,
        name: &ObjectName,
        bytes: &Bytes,
        over: &Over,
    ) -> Result<bool, Failure> {
        let mut path = self.own();
        path.push(format!("{INCOMING}{}", random_name()?));
        let incoming = self.leftovers.begin(path.clone());
        let placed = match self.upload(&path, bytes).await {
            Ok(()) => {
                self.tidy_up(&path).await;
                self.place((&path, bytes.len() as u64), &self.path(name), over).await
            }
            Err(failure) => Err(failure),
        };
        self.end(incoming, &path, &placed).await;
        placed
    }

    /// What has no place goes, now or with a later put.
    async fn end(
        &self,
        incoming: Incoming<'_, Vec<String>>,
        path: &[String],
        placed: &Result<bool, Failure>,
    ) {
        let is_gone = match placed {
            Ok(true) => true,
            // Without an answer another request has none either.
            Err(failure) if failure.status().is_none() => false,
            _ => self.client.delete(path).await.is_ok(),
        };
        if is_gone {
            incoming.ended();
        }
    }

    /// Only if what is there has this hash, and only on the condition that it is so when the file is
    /// moved: the server compares the ETag. Without a condition another may have written since we
    /// looked, and that would be lost; so where a server knows none, nothing is replaced.
    async fn replace(
        &self,
        name: &ObjectName,
        bytes: &Bytes,
        tag: &Tag,
    ) -> Result<Replaced, Failure> {
        let path = self.path(name);
        let mut refused: Option<String> = None;
        for _ in 0..MOST_LOOKS {
            let Some(etag) = self.etag_if(&path, tag).await? else { return Ok(Replaced::No) };
            match etag {
                // No server compares a weak one. Several give a strong one a moment later.
                Some(etag) if etag.starts_with("W/") => sleep(UNTIL_STRONG).await,
                // It refuses the condition though it is met: it understands none of this kind.
                Some(etag) if refused.as_ref() == Some(&etag) => break,
                Some(etag) => {
                    if self.put_over(name, bytes, &Over::ETag(etag.clone())).await? {
                        return Ok(Replaced::Yes);
                    }
                    // Somebody was faster, with other bytes or with the same.
                    refused = Some(etag);
                }
                None => break,
            }
        }
        self.compares.store(false, Ordering::Relaxed);
        Ok(Replaced::OnNoCondition)
    }

    /// The ETag of a file that has this hash; `None` if it has another, or is not there.
    async fn etag_if(&self, path: &[String], tag: &Tag) -> Result<Option<Option<String>>, Failure> {
        let found = self.client.get(path).await?;
        Ok(found.filter(|found| Tag::of(found.bytes.clone()) == *tag).map(|found| found.etag))
    }

    fn can_honour(&self) -> Probe {
        match self.compares.load(Ordering::Relaxed) {
            true => Probe::ALL,
            false => Probe::CREATES_ONCE,
        }
    }

    /// Makes a folder and those it lies in.
    async fn make_folders(&self, path: &[String]) -> Result<(), Failure> {
        // From the deepest that is known downwards; the first request mostly finds all there.
        let mut missing = Vec::new();
        let mut next = path;
        while !next.is_empty() && !self.knows_folder(next) {
            match self.client.make_folder(next).await? {
                Made::Yes => break,
                Made::NoParent(_) => missing.push(next),
            }
            next = next.split_last().map(|(_, parent)| parent).unwrap_or_default();
        }
        for folder in missing.into_iter().rev() {
            if let Made::NoParent(failure) = self.client.make_folder(folder).await? {
                return Err(failure);
            }
        }
        let mut folders = self.folders.lock().unwrap_or_else(PoisonError::into_inner);
        folders.extend((1..=path.len()).filter_map(|n| path.get(..n)).map(<[String]>::to_vec));
        Ok(())
    }

    fn knows_folder(&self, path: &[String]) -> bool {
        self.folders.lock().unwrap_or_else(PoisonError::into_inner).contains(path)
    }

    fn forget_folders(&self) {
        self.folders.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// An error if our folder was there and is not any more: nothing found is not the same as
    /// nothing there.
    async fn check_present(&self) -> Result<(), CloudError> {
        let own = self.own();
        if self.client.find(&own).await.map_err(Failure::about_cloud)?.is_some() {
            let mut folders = self.folders.lock().unwrap_or_else(PoisonError::into_inner);
            folders.insert(own);
        } else if self.knows_folder(&own) {
            return Err(CloudError::unavailable("the folder has gone"));
        }
        Ok(())
    }

    async fn walk(&self, prefix: &ObjectName, page: &mut Page) -> Result<bool, Failure> {
        let mut found = false;
        let mut waiting = vec![prefix.clone()];
        while let Some(folder) = waiting.pop() {
            if folder != *prefix && !page.wants_folder(&folder) {
                continue;
            }
            let Some(mut entries) = self.client.list(&self.path(&folder)).await? else { continue };
            found = true;
            // The last is looked at first: with the first names on it the page fills up soonest.
            entries.sort_by(|a, b| b.path.cmp(&a.path));
            for entry in entries {
                let part = layout::part(entry.name());
                let name = part.and_then(|part| ObjectName::new(&format!("{folder}/{part}")).ok());
                match name {
                    Some(name) if entry.is_folder => waiting.push(name),
                    Some(name) => page.add(name, entry.size),
                    None => {}
                }
            }
        }
        Ok(found)
    }
}

#[async_trait]
impl CloudBackend for WebDav {
    async fn put(&self, name: &ObjectName, bytes: Bytes, how: PutMode) -> Result<Tag> {
        let stored = match &how {
            PutMode::Overwrite => self.put_over(name, &bytes, &Over::Anything).await,
            PutMode::CreateOnly => self.put_over(name, &bytes, &Over::Nothing).await,
            PutMode::Replace(tag) => match self.replace(name, &bytes, tag).await {
                Ok(Replaced::OnNoCondition) => {
                    let source = boxed(
                        "it does not replace a file on the condition that it is unchanged, so it \
                         cannot keep a second writer out",
                    );
                    return Err(CloudError::TooOld { source });
                }
                replaced => replaced.map(|replaced| replaced == Replaced::Yes),
            },
        };
        match stored {
            Ok(true) => Ok(Tag::of(bytes)),
            Ok(false) if how == PutMode::Overwrite => {
                let source = boxed("it refuses to replace a file");
                Err(CloudError::TooOld { source })
            }
            Ok(false) => Err(CloudError::Conflict { name: name.clone() }),
            Err(e) => Err(e.about(name)),
        }
    }

    async fn get(&self, name: &ObjectName) -> Result<Option<(Bytes, Tag)>> {
        match self.client.get(&self.path(name)).await.map_err(|e| e.about(name))? {
            Some(found) => {
                let tag = Tag::of(found.bytes.clone());
                Ok(Some((found.bytes, tag)))
            }
            None => self.check_present().await.map(|()| None),
        }
    }

    async fn list(
        &self,
        prefix: &ObjectName,
        after: Option<&ObjectName>,
    ) -> Result<Vec<ObjectMeta>> {
        let mut page = Page::new(after, PAGE_LIMIT);
        if !self.walk(prefix, &mut page).await.map_err(|e| e.about(prefix))? {
            self.check_present().await?;
        }
        Ok(page.into_objects())
    }

    async fn delete(&self, name: &ObjectName) -> Result<()> {
        let path = self.path(name);
        // Deleting a folder would delete all that is in it.
        match self.client.find(&path).await.map_err(|e| e.about(name))? {
            Some(entry) if !entry.is_folder => {
                self.client.delete(&path).await.map_err(|e| e.about(name))
            }
            _ => Ok(()),
        }
    }

    fn limits(&self) -> Limits {
        Limits {
            largest_object: LARGEST_OBJECT,
            listing_is_immediate: true,
            full_page: Some(PAGE_LIMIT),
            can_honour: self.can_honour(),
        }
    }
}

/// No two puts write to the same file.
fn random_name() -> Result<String, Failure> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|_| Failure::nonsense("the system has no randomness"))?;
    Ok(HEXLOWER.encode(&bytes))
}
