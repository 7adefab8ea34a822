//! The contract of a cloud on top of SFTP.

use std::{
    collections::HashSet,
    fmt,
    sync::{Mutex, PoisonError},
};

use async_trait::async_trait;
use backup::ObjectName;
use bytes::Bytes;
use data_encoding::HEXLOWER;

use super::{
    client::{Client, Entry, Renamed, Session},
    connect::Place,
    error::{Failure, Kind},
};
use crate::{
    CloudBackend, CloudError, Limits, ObjectMeta, Probe, PutMode, Result, Tag,
    error::boxed,
    layout,
    page::Page,
    services::{
        LARGEST_OBJECT,
        leftovers::{INCOMING, Leftovers, OLD, SWEPT_AT_ONCE},
    },
};

/// Names per page. Each page walks the folders anew, so it is large.
const PAGE_LIMIT: usize = 10_000;

/// A folder on a server.
pub(super) struct Sftp {
    client: Client,
    /// What is shown of it.
    shown: String,
    /// The path of the folder.
    root: String,
    /// The folders that were there when last looked at; a request each is saved.
    folders: Mutex<HashSet<String>>,
    leftovers: Leftovers<String>,
}

impl Sftp {
    /// `path` begins at the server's root, or with `~` at the user's folder.
    pub(super) fn new(place: Place, path: &[String]) -> Self {
        let shown = format!("{}@{}:{}", place.user, place.host, place.port);
        let root = match path.split_first() {
            Some((first, rest)) if first == "~" => rest.join("/"),
            _ => format!("/{}", path.join("/")),
        };
        let root = if root.is_empty() { ".".to_owned() } else { root };
        Self::over(Client::new(Box::new(place)), shown, root)
    }

    pub(super) fn over(client: Client, shown: String, root: String) -> Self {
        Self { client, shown, root, folders: Mutex::default(), leftovers: Leftovers::new() }
    }

    fn at(&self, below: impl IntoIterator<Item = String>) -> String {
        let mut path = self.root.trim_end_matches('/').to_owned();
        for part in below {
            path.push('/');
            path.push_str(&part);
        }
        path
    }

    fn path(&self, name: &ObjectName) -> String {
        self.at(layout::parts(name))
    }

    fn own(&self) -> String {
        self.at([layout::OWN.to_owned()])
    }

    /// Puts the bytes into a file of their own, which nobody reads.
    async fn upload(&self, on: &Session<'_>, path: &str, bytes: &Bytes) -> Result<(), Failure> {
        let own = self.own();
        self.make_folders(on, &own).await?;
        match on.write(path, bytes).await {
            // Somebody has removed the folder.
            Err(failure) if failure.is_absent() => {
                self.forget_folders();
                self.make_folders(on, &own).await?;
                on.write(path, bytes).await
            }
            other => other,
        }
    }

    /// Removes what broken puts have left: those of this handle, and once the old ones of others.
    /// `now` has just been written, so it tells the time by the server's clock.
    async fn tidy_up(&self, on: &Session<'_>, now: &str) {
        for path in self.leftovers.take() {
            let left = self.leftovers.begin(path.clone());
            if on.remove(&path).await.is_ok() {
                left.ended();
            }
        }
        if !self.leftovers.is_unswept() {
            return;
        }
        let own = self.own();
        let Ok(Some(entries)) = on.list(&own).await else { return };
        let is_now = |entry: &&Entry| format!("{own}/{}", entry.name) == now;
        let Some(now) = entries.iter().find(is_now).and_then(|entry| entry.modified) else {
            return;
        };
        let is_old = |entry: &Entry| {
            let age = entry.modified.and_then(|then| now.checked_sub(then));
            !entry.is_folder
                && entry.name.starts_with(INCOMING)
                && age.is_some_and(|age| u64::from(age) > OLD.as_secs())
        };
        for entry in entries.iter().filter(|entry| is_old(entry)).take(SWEPT_AT_ONCE) {
            let _ = on.remove(&format!("{own}/{}", entry.name)).await;
        }
    }

    async fn put_as(&self, name: &ObjectName, bytes: &Bytes, over: bool) -> Result<bool, Failure> {
        let on = self.client.session().await?;
        let path = format!("{}/{INCOMING}{}", self.own(), random_name()?);
        let incoming = self.leftovers.begin(path.clone());
        let placed = match self.upload(&on, &path, bytes).await {
            Ok(()) => {
                self.tidy_up(&on, &path).await;
                self.place(&on, &path, &self.path(name), over).await
            }
            Err(failure) => Err(failure),
        };
        // What has no place goes, now or, over another session, with a later put.
        let is_gone = match &placed {
            Ok(true) => true,
            Err(failure) if failure.is_broken() => false,
            _ => on.remove(&path).await.is_ok(),
        };
        if is_gone {
            incoming.ended();
        }
        placed
    }

    /// Renames what was uploaded to its place. False if something is there and must stay.
    async fn place(
        &self,
        on: &Session<'_>,
        from: &str,
        to: &str,
        over: bool,
    ) -> Result<bool, Failure> {
        let parent = to.rsplit_once('/').map_or("", |(parent, _)| parent);
        self.make_folders(on, parent).await?;
        for attempt in 0..2 {
            let renamed = match over {
                true => on.rename_over(from, to).await?,
                false => on.rename(from, to).await?,
            };
            match renamed {
                Renamed::Yes => return Ok(true),
                Renamed::Refused => return Ok(false),
                Renamed::NoFolder if attempt == 0 => {
                    self.forget_folders();
                    self.make_folders(on, parent).await?;
                }
                Renamed::NoFolder => {}
            }
        }
        Err(Failure::new(Kind::Broken, "a folder that was just made is not there"))
    }

    /// Only if what is there has this hash. Between the look and the renaming another may write:
    /// the protocol has no condition for that.
    async fn replace(&self, name: &ObjectName, bytes: &Bytes, tag: &Tag) -> Result<bool, Failure> {
        let on = self.client.session().await?;
        let found = on.read(&self.path(name)).await?;
        if found.is_none_or(|found| Tag::of(found) != *tag) {
            return Ok(false);
        }
        self.put_as(name, bytes, true).await
    }

    /// Makes a folder and those it lies in.
    async fn make_folders(&self, on: &Session<'_>, path: &str) -> Result<(), Failure> {
        let mut missing = Vec::new();
        let mut next = path;
        // From the deepest that is known downwards; the first request mostly finds all there.
        while !next.is_empty() && next != "." && !self.knows_folder(next) {
            if on.make_folder(next).await? {
                break;
            }
            missing.push(next);
            next = next.rsplit_once('/').map_or("", |(parent, _)| parent);
        }
        for folder in missing.into_iter().rev() {
            if !on.make_folder(folder).await? {
                return Err(Failure::new(Kind::Broken, "folders come and go"));
            }
        }
        let mut folders = self.folders.lock().unwrap_or_else(PoisonError::into_inner);
        let ends = path.match_indices('/').map(|(end, _)| end).chain([path.len()]);
        folders.extend(ends.filter_map(|end| path.get(..end)).map(str::to_owned));
        Ok(())
    }

    fn knows_folder(&self, path: &str) -> bool {
        self.folders.lock().unwrap_or_else(PoisonError::into_inner).contains(path)
    }

    fn forget_folders(&self) {
        self.folders.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// An error if our folder was there and is not any more: nothing found is not the same as
    /// nothing there.
    async fn check_present(&self, on: &Session<'_>) -> Result<()> {
        let own = self.own();
        if on.find(&own).await.map_err(Failure::about_cloud)?.is_some() {
            self.folders.lock().unwrap_or_else(PoisonError::into_inner).insert(own);
        } else if self.knows_folder(&own) {
            return Err(CloudError::unavailable("the folder has gone"));
        }
        Ok(())
    }

    async fn walk(
        &self,
        on: &Session<'_>,
        prefix: &ObjectName,
        page: &mut Page,
    ) -> Result<bool, Failure> {
        let mut found = false;
        let mut waiting = vec![prefix.clone()];
        while let Some(folder) = waiting.pop() {
            if folder != *prefix && !page.wants_folder(&folder) {
                continue;
            }
            let Some(mut entries) = on.list(&self.path(&folder)).await? else { continue };
            found = true;
            // The last is looked at first: with the first names on it the page fills up soonest.
            entries.sort_by(|a, b| b.name.cmp(&a.name));
            for entry in entries {
                let part = layout::part(&entry.name);
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
impl CloudBackend for Sftp {
    async fn put(&self, name: &ObjectName, bytes: Bytes, how: PutMode) -> Result<Tag> {
        let stored = match &how {
            PutMode::Overwrite => self.put_as(name, &bytes, true).await,
            PutMode::CreateOnly => self.put_as(name, &bytes, false).await,
            PutMode::Replace(tag) => self.replace(name, &bytes, tag).await,
        };
        match stored {
            Ok(true) => Ok(Tag::of(bytes)),
            Ok(false) if how == PutMode::Overwrite => {
                Err(CloudError::TooOld { source: boxed("it refuses to replace a file") })
            }
            Ok(false) => Err(CloudError::Conflict { name: name.clone() }),
            Err(failure) => Err(failure.about(name)),
        }
    }

    async fn get(&self, name: &ObjectName) -> Result<Option<(Bytes, Tag)>> {
        let on = self.client.session().await.map_err(Failure::about_cloud)?;
        match on.read(&self.path(name)).await.map_err(|failure| failure.about(name))? {
            Some(bytes) => {
                let tag = Tag::of(bytes.clone());
                Ok(Some((bytes, tag)))
            }
            None => self.check_present(&on).await.map(|()| None),
        }
    }

    async fn list(
        &self,
        prefix: &ObjectName,
        after: Option<&ObjectName>,
    ) -> Result<Vec<ObjectMeta>> {
        let on = self.client.session().await.map_err(Failure::about_cloud)?;
        let mut page = Page::new(after, PAGE_LIMIT);
        let walked = self.walk(&on, prefix, &mut page).await;
        if !walked.map_err(|failure| failure.about(prefix))? {
            self.check_present(&on).await?;
        }
        Ok(page.into_objects())
    }

    async fn delete(&self, name: &ObjectName) -> Result<()> {
        let on = self.client.session().await.map_err(Failure::about_cloud)?;
        on.remove(&self.path(name)).await.map_err(|failure| failure.about(name))
    }

    fn limits(&self) -> Limits {
        Limits {
            largest_object: LARGEST_OBJECT,
            listing_is_immediate: true,
            full_page: Some(PAGE_LIMIT),
            can_honour: Probe::CREATES_ONCE,
        }
    }
}

impl fmt::Debug for Sftp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sftp({}{})", self.shown, self.root)
    }
}

/// No two puts write to the same file.
fn random_name() -> Result<String, Failure> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|_| Failure::new(Kind::Broken, "the system has no randomness"))?;
    Ok(HEXLOWER.encode(&bytes))
}
