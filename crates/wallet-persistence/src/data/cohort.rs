//! Cohorts that the person does not want to be counted among.

use kv_core::Timestamp;
use records::{Found, Query, Record, RecordKey};
use serde::{Deserialize, Serialize};

use super::{BadData, text};
use crate::{Result, Session};

/// A cohort that was rejected. Its key is its id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RejectedCohort {
    /// Which cohort, by the name its maker gave it: a content id, for instance.
    pub id: String,
    /// When it was rejected, in milliseconds since the Unix epoch.
    pub rejected: u64,
}

impl RejectedCohort {
    /// The rejection with its id in one spelling, if it can be kept.
    pub fn checked(mut self) -> Result<Self, BadData> {
        self.id = text::checked("the id of a cohort", &self.id, 1000)?;
        Ok(self)
    }
}

impl Record for RejectedCohort {
    const STORE: &'static str = "rejected-cohorts";
    const VERSION: u32 = 1;

    fn key(&self) -> RecordKey {
        self.id.as_str().into()
    }
}

impl Session {
    /// Rejects cohorts. One that is rejected already keeps its date. All of them or none; resolves
    /// when that is durable.
    pub async fn reject_cohorts<'a>(&self, ids: impl IntoIterator<Item = &'a str>) -> Result<()> {
        let tower = self.tower()?;
        let store = &tower.data.cohorts;
        let Timestamp(now) = tower.clock.now();
        let mut transaction = store.transaction();
        for id in ids {
            let id = text::checked("the id of a cohort", id, 1000)?;
            let rejection = RejectedCohort { id: id.clone(), rejected: now };
            transaction
                .update(store, id.as_str(), move |known| known.is_none().then_some(rejection))?;
        }
        Ok(transaction.submit()?.await?)
    }

    /// The rejected cohorts, ascending by id.
    pub fn rejected_cohorts(&self) -> Result<Vec<RejectedCohort>> {
        Ok(self.tower()?.data.cohorts.query(&Query::all())?.map(Found::into_record).collect())
    }

    /// Whether a cohort was rejected.
    pub fn is_rejected(&self, cohort: &str) -> Result<bool> {
        Ok(self.tower()?.data.cohorts.get(cohort.trim())?.is_some())
    }

    /// Takes a rejection back; `false` if there was none.
    pub async fn accept_cohort(&self, id: &str) -> Result<bool> {
        self.remove(&self.tower()?.data.cohorts, id.trim()).await
    }
}
