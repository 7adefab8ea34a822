//! The index of a wallet's objects, kept in tiles whose names follow from the identity alone.
//!
//! A page takes some hundred changes, then the next page begins with what is still needed: the log
//! of a tile comes with every answer and never gets shorter.
//!
//! Version 1 of the service takes two changes upon the same state and lets one of them win later,
//! by chance. The longer log always wins, so a change is the safer the more others stand upon it.
//! Therefore what we wrote is a *promise* until eight others do: if it is found to be missing, it
//! is written again.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use backup::ObjectName;
use serde_json::Value;
use tokio::sync::{Mutex, MutexGuard};

use super::{
    cid::{Cid, StreamId},
    node::{Applied, Fixed, Node},
    objects::Stored,
    page::{self, Entry, Page},
    wire::State,
};
use crate::{CloudError, Result};

/// Commits per page. Each costs about 80 bytes in every answer about the page.
pub(super) const COMMITS_PER_PAGE: usize = 300;
/// How often a change is tried when others change the index at the same time.
const ATTEMPTS: usize = 32;
/// So many pages are turned in one reading; a wallet with a change a minute fills one in five hours.
const MOST_PAGES: u64 = 10_000;
/// A change with so many others upon it is safe: two logs would have to overtake each other so often.
const SAFE_BELOW: usize = 8;

/// The index, as one process sees it.
#[derive(Debug)]
pub(super) struct Index {
    node: Arc<Node>,
    commits_per_page: usize,
    /// Counts the calls, to see which of them a reading covers.
    calls: AtomicU64,
    view: Mutex<View>,
}

/// What was last read.
#[derive(Debug, Default)]
pub(super) struct View {
    /// Calls with smaller numbers came before the last reading began.
    covers: u64,
    pages: Option<Pages>,
    promises: BTreeMap<ObjectName, Promise>,
}

/// The newest page that somebody has begun, and the one after it.
#[derive(Debug)]
struct Pages {
    here: Tile,
    ahead: Tile,
}

/// A page in its tile.
#[derive(Debug)]
struct Tile {
    number: u64,
    stream: StreamId,
    genesis: Cid,
    tip: Cid,
    commits: usize,
    page: Page,
}

/// What the index must have.
#[derive(Debug)]
struct Promise {
    entry: Entry,
    /// The page on which it was last written, and the length of its log then.
    page: u64,
    at: usize,
}

impl Index {
    pub(super) fn new(node: Arc<Node>, commits_per_page: usize) -> Self {
        let (calls, view) = (AtomicU64::new(0), Mutex::default());
        Self { node, commits_per_page, calls, view }
    }

    /// The index as of a moment after this call. Calls at the same time share a reading.
    pub(super) async fn read(&self) -> Result<MutexGuard<'_, View>> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        let mut view = self.view.lock().await;
        if view.covers <= call {
            self.refresh(&mut view).await?;
            if view.owes() {
                // Displaced once more, it is still owed at the next call.
                self.write(&mut view, None).await?;
            }
        }
        Ok(view)
    }

    /// Changes what is known about a name. `decide` sees what is there and gives what shall be
    /// there; it is asked again if somebody else was quicker. Answers what was there.
    pub(super) async fn change(
        &self,
        name: &ObjectName,
        decide: impl Fn(Option<&Stored>) -> Result<Option<Stored>> + Send,
    ) -> Result<Option<Stored>> {
        let mut view = self.view.lock().await;
        for _ in 0..ATTEMPTS {
            self.refresh(&mut view).await?;
            let found = view.find(name).cloned();
            let wanted = decide(found.as_ref())?;
            if wanted == found {
                return Ok(found);
            }
            if view.commits() >= self.commits_per_page && !self.turn(&mut view).await? {
                continue;
            }
            let entry = Entry { number: view.highest() + 1, stored: wanted };
            if self.write(&mut view, Some((name.clone(), entry))).await? {
                return Ok(found);
            }
            tracing::debug!(%name, "another writer changed the index meanwhile");
        }
        Err(CloudError::unavailable("others change the index all the time"))
    }

    /// Reads what is new. One request, unless a page has been turned.
    async fn refresh(&self, view: &mut View) -> Result<()> {
        let covers = self.calls.load(Ordering::SeqCst);
        match &mut view.pages {
            None => view.pages = Some(self.open().await?),
            Some(Pages { here, ahead }) => {
                let [a, b] = self.node.load_all([&here.stream, &ahead.stream]).await?;
                here.update(&a)?;
                ahead.update(&b)?;
            }
        }
        let first = view.pages.as_ref().map(|pages| pages.here.number).unwrap_or_default();
        while let Some(pages) = &mut view.pages
            && pages.ahead.page.begun
        {
            if pages.here.number - first >= MOST_PAGES {
                return Err(CloudError::unavailable("the index has no end"));
            }
            // Nobody may add to a page that others have left.
            self.close(&mut pages.here).await?;
            let next = self.tile(pages.ahead.number + 1).await?;
            let here = std::mem::replace(&mut pages.ahead, next);
            let left = std::mem::replace(&mut pages.here, here);
            for (name, entry) in left.page.carried() {
                let promised = view.promises.get(name).map(|promise| &promise.entry);
                if pages.here.page.lacks(name, entry) && promised < Some(entry) {
                    let promise = Promise { entry: entry.clone(), page: left.number, at: 0 };
                    view.promises.insert(name.clone(), promise);
                }
            }
        }
        view.settle();
        view.covers = covers;
        Ok(())
    }

    /// The first reading, from the identity alone. It begins a page before the newest one that is
    /// known, to find what may not have been carried on.
    async fn open(&self) -> Result<Pages> {
        let first = self.tile(0).await?;
        let here = match first.page.newest {
            0 | 1 => first,
            newest => self.tile(newest - 1).await?,
        };
        let ahead = self.tile(here.number + 1).await?;
        Ok(Pages { here, ahead })
    }

    async fn tile(&self, number: u64) -> Result<Tile> {
        Tile::new(number, self.node.fixed(&format!("index-{number}")).await?)
    }

    /// Writes what is owed, and a change. Answers whether all of it has landed.
    async fn write(&self, view: &mut View, change: Option<(ObjectName, Entry)>) -> Result<bool> {
        let View { pages: Some(Pages { here, .. }), promises, .. } = view else { return Ok(false) };
        let mut wanted: BTreeMap<ObjectName, Entry> = promises
            .iter()
            .filter(|(name, promise)| here.page.lacks(name, &promise.entry))
            .map(|(name, promise)| (name.clone(), promise.entry.clone()))
            .collect();
        // The change was made upon what is promised, so it has the greater number.
        wanted.extend(change);
        if !here.page.begun {
            self.node.pin(&here.stream).await?;
        }
        for patch in here.page.patches(0, wanted.iter()) {
            if !self.apply(here, &patch).await? {
                return Ok(false);
            }
        }
        let (page, at) = (here.number, here.commits);
        let written = wanted.into_iter();
        promises.extend(written.map(|(name, entry)| (name, Promise { entry, page, at })));
        Ok(true)
    }

    /// Begins the next page, closes this one, and tells on the first page. Answers whether nobody
    /// came in between.
    async fn turn(&self, view: &mut View) -> Result<bool> {
        let base = view.highest();
        let View { pages: Some(Pages { here, ahead }), promises, .. } = view else {
            return Ok(false);
        };
        let mut carried: BTreeMap<&ObjectName, &Entry> = here.page.carried().collect();
        for (name, promise) in &*promises {
            let entry = carried.entry(name).or_insert(&promise.entry);
            *entry = (*entry).max(&promise.entry);
        }
        self.node.pin(&ahead.stream).await?;
        for patch in ahead.page.patches(base, carried.into_iter()) {
            if !self.apply(ahead, &patch).await? {
                return Ok(false);
            }
        }
        if !self.apply(here, &page::close()).await? {
            return Ok(false);
        }
        let next = self.tile(ahead.number + 1).await?;
        *here = std::mem::replace(ahead, next);
        for promise in promises.values_mut() {
            (promise.page, promise.at) = (here.number, here.commits);
        }
        let mut first = self.tile(0).await?;
        if first.page.newest < here.number {
            // If somebody comes in between, the way to the newest page is longer, and that is all.
            self.apply(&mut first, &page::note_newest(here.number)).await?;
        }
        Ok(true)
    }

    /// Closes a page that others have left, if they did not come to it.
    async fn close(&self, tile: &mut Tile) -> Result<()> {
        for _ in 0..ATTEMPTS {
            if tile.page.closed || self.apply(tile, &page::close()).await? {
                return Ok(());
            }
            tile.update(&self.node.load(&tile.stream).await?)?;
        }
        Err(CloudError::unavailable("others change the index all the time"))
    }

    /// Whether the patch is part of the page now.
    async fn apply(&self, tile: &mut Tile, patch: &Value) -> Result<bool> {
        match self.node.apply(&tile.stream, &tile.genesis, &tile.tip, patch).await? {
            Applied::Landed(state) => tile.update(&state).map(|()| true),
            Applied::Displaced => Ok(false),
        }
    }
}

impl View {
    /// Where an object is.
    pub(super) fn find(&self, name: &ObjectName) -> Option<&Stored> {
        let entry = self.pages.as_ref().and_then(|pages| pages.here.page.entries.get(name));
        let promised = self.promises.get(name).map(|promise| &promise.entry);
        entry.max(promised)?.stored.as_ref()
    }

    /// All objects, ascending.
    pub(super) fn objects(&self) -> BTreeMap<&ObjectName, &Stored> {
        let names = self.pages.iter().flat_map(|pages| pages.here.page.entries.keys());
        let names = names.chain(self.promises.keys());
        names.filter_map(|name| Some((name, self.find(name)?))).collect()
    }

    fn commits(&self) -> usize {
        self.pages.as_ref().map(|pages| pages.here.commits).unwrap_or_default()
    }

    fn highest(&self) -> u64 {
        let page = self.pages.as_ref().map(|pages| pages.here.page.highest());
        let promised = self.promises.values().map(|promise| promise.entry.number).max();
        page.max(promised).unwrap_or_default()
    }

    /// Whether the page lacks something that was promised.
    fn owes(&self) -> bool {
        let Some(pages) = &self.pages else { return false };
        let here = &pages.here.page;
        self.promises.iter().any(|(name, promise)| here.lacks(name, &promise.entry))
    }

    /// Forgets the promises that are safe.
    fn settle(&mut self) {
        let Some(Pages { here, .. }) = &self.pages else { return };
        self.promises.retain(|name, promise| {
            let upon = match here.number.saturating_sub(promise.page) {
                0 => here.commits.saturating_sub(promise.at),
                1 => here.commits,
                _ => SAFE_BELOW,
            };
            here.page.lacks(name, &promise.entry) || upon < SAFE_BELOW
        });
    }
}

impl Tile {
    fn new(number: u64, fixed: Fixed) -> Result<Self> {
        let Fixed { stream, genesis, state } = fixed;
        let tip = genesis.clone();
        let mut tile = Self { number, stream, genesis, tip, commits: 0, page: Page::default() };
        tile.update(&state)?;
        Ok(tile)
    }

    fn update(&mut self, state: &State) -> Result<()> {
        self.page = Page::parse(state.content())?;
        let unknown = || CloudError::unavailable("the node names the newest commit in another way");
        self.tip = state.tip().ok_or_else(unknown)?;
        self.commits = state.len();
        Ok(())
    }
}
