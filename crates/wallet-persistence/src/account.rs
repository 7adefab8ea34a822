//! Linked accounts, on any chain: CAIP-10 identifiers.

use std::{fmt, str::FromStr};

use alloy_primitives::Address;
use kv_core::Timestamp;
use records::{Found, Index, Query, Record, RecordKey};
use serde::{Deserialize, Serialize};

use crate::{
    BadData, Event, Result, Session,
    caip::{self, Wrong},
    data::text,
};

/// An account on a chain: `namespace:reference:address`, as in `eip155:1:0xab16...`.
///
/// CAIP-10 (and CAIP-2 for the first two parts). EVM addresses are kept in their checksummed form
/// (EIP-55), so one account has one spelling.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct AccountId(String);

/// An account identifier that cannot be used. Correct it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadAccountId {
    /// Not three parts of the right form.
    #[error("an account is written NAMESPACE:REFERENCE:ADDRESS, such as eip155:1:0x...")]
    Form,
    /// Not an EVM address.
    #[error("an eip155 address is 0x and 40 hex digits")]
    Address,
    /// Mixed upper and lower case, but not as the checksum says: probably a typing error.
    #[error("the address's checksum (its upper and lower case letters) is wrong")]
    Checksum,
}

impl AccountId {
    /// The account as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The chain, as CAIP-2 writes it: `eip155:1`.
    pub fn chain(&self) -> &str {
        self.0.rsplit_once(':').map_or("", |(chain, _)| chain)
    }

    /// The chain id and address, if this is an EVM account.
    pub fn evm(&self) -> Option<(u64, Address)> {
        let mut parts = self.0.strip_prefix("eip155:")?.splitn(2, ':');
        Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
    }
}

impl FromStr for AccountId {
    type Err = BadAccountId;

    fn from_str(text: &str) -> Result<Self, BadAccountId> {
        let parts: Vec<&str> = text.trim().splitn(3, ':').collect();
        let &[namespace, reference, address] = parts.as_slice() else {
            return Err(BadAccountId::Form);
        };
        let chain = caip::chain(namespace, reference)?;
        if !caip::fits(address, 1..=128, b"-.%", true) {
            return Err(BadAccountId::Form);
        }
        if namespace == "eip155" {
            return Ok(Self(format!("{chain}:{}", caip::address(address)?)));
        }
        Ok(Self(format!("{chain}:{address}")))
    }
}

impl From<Wrong> for BadAccountId {
    fn from(wrong: Wrong) -> Self {
        match wrong {
            Wrong::Form => Self::Form,
            Wrong::Address => Self::Address,
            Wrong::Checksum => Self::Checksum,
        }
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<AccountId> for String {
    fn from(id: AccountId) -> Self {
        id.0
    }
}

impl TryFrom<String> for AccountId {
    type Error = BadAccountId;

    fn try_from(text: String) -> Result<Self, BadAccountId> {
        text.parse()
    }
}

/// A linked account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Which account.
    pub id: AccountId,
    /// What its owner calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// When it was added, in milliseconds since the Unix epoch.
    pub added: u64,
}

impl Account {
    /// The account, its label in one spelling, if that can be kept.
    pub fn checked(mut self) -> Result<Self, BadData> {
        // An empty one takes the place of one that was given before.
        self.label = match self.label.as_deref().map(str::trim) {
            Some("") => Some(String::new()),
            label => text::optional("the label of an account", label, 1000)?,
        };
        Ok(self)
    }
}

impl Record for Account {
    const STORE: &'static str = "accounts";
    const VERSION: u32 = 1;
    const INDEXES: &'static [Index<Self>] = &[];

    fn key(&self) -> RecordKey {
        self.id.as_str().into()
    }
}

impl Session {
    /// Links an account. Adding it again keeps its date and sets the label if one is given. Resolves
    /// when it is durable.
    pub async fn add_account(&self, id: AccountId, label: Option<&str>) -> Result<()> {
        let tower = self.tower()?;
        let accounts = &tower.data.accounts;
        let Timestamp(added) = tower.clock.now();
        let mut account = Account { id: id.clone(), label: label.map(str::to_owned), added };
        let mut transaction = accounts.transaction();
        transaction.update(accounts, id.as_str(), move |known| {
            if let Some(known) = known {
                account.added = known.added;
                account.label = account.label.or_else(|| known.label.clone());
            }
            Some(account)
        })?;
        transaction.submit()?.await?;
        self.inner.tell(Event::AccountAdded { account: id });
        Ok(())
    }

    /// The linked accounts, ascending by id.
    pub fn accounts(&self) -> Result<Vec<Account>> {
        let accounts = self.tower()?.data.accounts.query(&Query::all())?;
        Ok(accounts.map(Found::into_record).collect())
    }

    /// Unlinks an account; `false` if it was not linked. Its transactions stay.
    pub async fn remove_account(&self, id: &AccountId) -> Result<bool> {
        let tower = self.tower()?;
        if tower.data.accounts.get(id.as_str())?.is_none() {
            return Ok(false);
        }
        tower.data.accounts.delete(id.as_str())?.await?;
        self.inner.tell(Event::AccountRemoved { account: id.clone() });
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_account_has_one_spelling() {
        // EIP-55's first example.
        let good = "eip155:1:0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";
        let id: AccountId = good.parse().unwrap();
        assert_eq!(id.as_str(), good);
        assert_eq!(good.to_lowercase().parse::<AccountId>().unwrap(), id);
        assert_eq!(id.evm().unwrap().0, 1);
        let typo = good.replace("aAeb", "AAeb");
        assert_eq!(typo.parse::<AccountId>(), Err(BadAccountId::Checksum));
        assert_eq!("eip155:1:0x12".parse::<AccountId>(), Err(BadAccountId::Address));
        assert_eq!("0x12".parse::<AccountId>(), Err(BadAccountId::Form));
        let solana =
            "solana:4sGjMW1sUnHzSxGspuhpqLDx6wiyjNtZ:7S3P4HxJpyyigGzodYwHtCxZyUQe9JiBMHyRWXArAaKv";
        assert_eq!(solana.parse::<AccountId>().unwrap().as_str(), solana);
    }
}
