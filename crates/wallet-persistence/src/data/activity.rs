//! Browsing: clicks and visits of sites, found by time, by page and by origin.

use kv_core::Timestamp;
use records::{Index, KeyRange, ObjectStore, Query, Record, RecordKey};
use serde::{Deserialize, Serialize};

use super::{BadData, text};
use crate::{Error, Result, Session};

/// Something that was clicked. Its key is (time, id).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Click {
    /// Random, so that no other device makes the same.
    pub id: String,
    /// The address of the page.
    pub url: String,
    /// Its scheme, host and port.
    pub origin: String,
    /// What was clicked on it, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub element: Option<String>,
    /// When, in milliseconds since the Unix epoch.
    pub time: u64,
}

/// A visit of a site. Its key is (start, id).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteVisit {
    /// Random, so that no other device makes the same.
    pub id: String,
    /// The address of the page.
    pub url: String,
    /// Its scheme, host and port.
    pub origin: String,
    /// When it began, in milliseconds since the Unix epoch.
    pub start: u64,
    /// When it ended.
    pub end: u64,
}

/// Which clicks or visits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use]
pub struct ActivityFilter {
    page: Option<Page>,
    since: Option<u64>,
    until: Option<u64>,
    limit: Option<usize>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Page {
    Url(String),
    Origin(String),
}

impl ActivityFilter {
    /// All of them.
    pub fn new() -> Self {
        Self::default()
    }

    /// On this page; instead of an origin.
    pub fn url(self, url: &str) -> Result<Self, BadData> {
        Ok(Self { page: Some(Page::Url(text::page(url)?.0)), ..self })
    }

    /// On pages of this origin; instead of a single page.
    pub fn origin(self, origin: &str) -> Result<Self, BadData> {
        Ok(Self { page: Some(Page::Origin(text::page(origin)?.1)), ..self })
    }

    /// At this moment or later, in milliseconds since the Unix epoch. Of visits the beginning counts.
    pub fn since(self, ms: u64) -> Self {
        Self { since: Some(ms), ..self }
    }

    /// Before this moment, in milliseconds since the Unix epoch.
    pub fn until(self, ms: u64) -> Self {
        Self { until: Some(ms), ..self }
    }

    /// At most so many, the newest.
    pub fn limit(self, limit: usize) -> Self {
        Self { limit: Some(limit), ..self }
    }

    /// The newest first.
    pub(super) fn query(&self) -> Query {
        let (query, range) = match &self.page {
            None => (Query::all(), self.times(&[])),
            Some(Page::Url(url)) => (Query::index("url"), self.times(&[url])),
            Some(Page::Origin(origin)) => (Query::index("origin"), self.times(&[origin])),
        };
        query.range(range).backward().limit(self.limit.unwrap_or(usize::MAX))
    }

    /// The keys that begin with these texts and go on with a time of the filter.
    fn times(&self, begin: &[&String]) -> KeyRange {
        let key = |end: Option<RecordKey>| {
            let begin = begin.iter().map(|text| RecordKey::from(*text));
            RecordKey::from(begin.chain(end).collect::<Vec<_>>())
        };
        // An array comes behind every number, so behind every time.
        let behind = || RecordKey::Array(Vec::new());
        let low = key(self.since.map(RecordKey::from));
        let high = key(Some(self.until.map_or_else(behind, RecordKey::from)));
        KeyRange::within(low..high)
    }
}

impl Click {
    /// The click with its page in one spelling, if it can be kept.
    pub fn checked(mut self) -> Result<Self, BadData> {
        self.id = text::checked("the id of a click", &self.id, 100)?;
        (self.url, self.origin) = text::page(&self.url)?;
        self.element = text::optional("an element", self.element.as_deref(), 1000)?;
        Ok(self)
    }
}

impl SiteVisit {
    /// The visit with its page in one spelling, if it can be kept.
    pub fn checked(mut self) -> Result<Self, BadData> {
        self.id = text::checked("the id of a visit", &self.id, 100)?;
        (self.url, self.origin) = text::page(&self.url)?;
        if self.end < self.start { Err(BadData::Times) } else { Ok(self) }
    }
}

impl Record for Click {
    const STORE: &'static str = "clicks";
    const VERSION: u32 = 1;
    const INDEXES: &'static [Index<Self>] = &[
        Index::new("url", |click| Some((&click.url, click.time, &click.id).into())),
        Index::new("origin", |click| Some((&click.origin, click.time, &click.id).into())),
    ];

    fn key(&self) -> RecordKey {
        (self.time, &self.id).into()
    }
}

impl Record for SiteVisit {
    const STORE: &'static str = "site-visits";
    const VERSION: u32 = 1;
    const INDEXES: &'static [Index<Self>] = &[
        Index::new("url", |visit| Some((&visit.url, visit.start, &visit.id).into())),
        Index::new("origin", |visit| Some((&visit.origin, visit.start, &visit.id).into())),
    ];

    fn key(&self) -> RecordKey {
        (self.start, &self.id).into()
    }
}

impl Session {
    /// Notes a click, as of now. Resolves when it is durable.
    pub async fn add_click(&self, url: &str, element: Option<&str>) -> Result<Click> {
        let tower = self.tower()?;
        let Timestamp(time) = tower.clock.now();
        let (url, element) = (url.to_owned(), element.map(str::to_owned));
        let click = Click { id: random_id()?, url, origin: String::new(), element, time };
        let click = click.checked()?;
        tower.data.clicks.put(&click)?.await?;
        Ok(click)
    }

    /// The clicks that the filter lets through, the newest first.
    pub fn clicks(&self, filter: &ActivityFilter) -> Result<Vec<Click>> {
        newest(&self.tower()?.data.clicks, filter)
    }

    /// Notes a visit; times in milliseconds since the Unix epoch. Resolves when it is durable.
    pub async fn add_visit(&self, url: &str, start: u64, end: u64) -> Result<SiteVisit> {
        let tower = self.tower()?;
        let (id, url, origin) = (random_id()?, url.to_owned(), String::new());
        let visit = SiteVisit { id, url, origin, start, end }.checked()?;
        tower.data.visits.put(&visit)?.await?;
        Ok(visit)
    }

    /// The visits that the filter lets through, the newest first.
    pub fn visits(&self, filter: &ActivityFilter) -> Result<Vec<SiteVisit>> {
        newest(&self.tower()?.data.visits, filter)
    }
}

fn newest<R: Record + Clone>(store: &ObjectStore<R>, filter: &ActivityFilter) -> Result<Vec<R>> {
    Ok(store.query(&filter.query())?.map(records::Found::into_record).collect())
}

/// 128 random bits in hexadecimal.
fn random_id() -> Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|_| Error::Backup(backup::Error::NoRandomness))?;
    Ok(data_encoding::HEXLOWER.encode(&bytes))
}
