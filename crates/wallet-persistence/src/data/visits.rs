//! How often sites were visited: counts per page and per origin.

use std::collections::BTreeMap;

use records::Query;

use super::{ActivityFilter, SiteVisit};
use crate::{Result, Session};

impl Session {
    /// How many of the visits that the filter lets through each page has.
    pub fn visits_by_url(&self, filter: &ActivityFilter) -> Result<BTreeMap<String, u64>> {
        self.count_visits(&filter.query(), |visit| &visit.url)
    }

    /// How many of the visits that the filter lets through each origin has.
    pub fn visits_by_origin(&self, filter: &ActivityFilter) -> Result<BTreeMap<String, u64>> {
        self.count_visits(&filter.query(), |visit| &visit.origin)
    }

    fn count_visits(
        &self,
        query: &Query,
        by: fn(&SiteVisit) -> &String,
    ) -> Result<BTreeMap<String, u64>> {
        let mut counts = BTreeMap::new();
        for visit in self.tower()?.data.visits.query(query)? {
            match counts.get_mut(by(&visit)) {
                Some(count) => *count += 1,
                None => drop(counts.insert(by(&visit).clone(), 1)),
            }
        }
        Ok(counts)
    }
}
