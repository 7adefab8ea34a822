//! Rewards that were earned.

use kv_core::Timestamp;
use records::{Found, Index, Query, Record, RecordKey};
use serde::{Deserialize, Serialize};

use super::{BadData, text};
use crate::{Result, Session};

/// A reward that was earned. Its key is its id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EarnedReward {
    /// What it is for, by the name its giver gave it: the content id of a query, for instance.
    pub id: String,
    /// What it is called.
    pub name: String,
    /// What it is, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Where a picture of it lies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// What kind of reward it is, in its giver's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// When it was noted first, in milliseconds since the Unix epoch.
    pub earned: u64,
}

impl EarnedReward {
    /// A reward of which nothing more is known.
    pub fn new(id: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            name: name.into(),
            description: None,
            image: None,
            kind: None,
            earned: 0,
        }
    }

    /// The reward with its texts in one spelling, if it can be kept.
    pub fn checked(mut self) -> Result<Self, BadData> {
        self.id = text::checked("the id of a reward", &self.id, 1000)?;
        self.name = text::checked("the name of a reward", &self.name, 1000)?;
        self.description = text::optional("a description", self.description.as_deref(), 10_000)?;
        self.image = text::optional("the address of an image", self.image.as_deref(), 8192)?;
        self.kind = text::optional("the kind of a reward", self.kind.as_deref(), 100)?;
        Ok(self)
    }
}

impl Record for EarnedReward {
    const STORE: &'static str = "earned-rewards";
    const VERSION: u32 = 1;
    const INDEXES: &'static [Index<Self>] =
        &[Index::new("earned", |reward| Some((reward.earned, &reward.id).into()))];

    fn key(&self) -> RecordKey {
        self.id.as_str().into()
    }
}

impl Session {
    /// Notes rewards that were earned. One that is known keeps its date; the rest of it is replaced.
    /// All of them or none; resolves when they are durable.
    pub async fn add_rewards(&self, rewards: impl IntoIterator<Item = EarnedReward>) -> Result<()> {
        let tower = self.tower()?;
        let store = &tower.data.rewards;
        let Timestamp(now) = tower.clock.now();
        let mut transaction = store.transaction();
        for reward in rewards {
            let mut reward = reward.checked()?;
            let id = reward.id.clone();
            transaction.update(store, id.as_str(), move |known| {
                reward.earned = known.map_or(now, |known| known.earned);
                Some(reward)
            })?;
        }
        Ok(transaction.submit()?.await?)
    }

    /// The rewards that were earned, the newest first.
    pub fn rewards(&self) -> Result<Vec<EarnedReward>> {
        let newest = Query::index("earned").backward();
        Ok(self.tower()?.data.rewards.query(&newest)?.map(Found::into_record).collect())
    }

    /// Forgets a reward; `false` if there was none.
    pub async fn remove_reward(&self, id: &str) -> Result<bool> {
        self.remove(&self.tower()?.data.rewards, id).await
    }
}
