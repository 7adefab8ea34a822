//! Linked accounts, on any chain: CAIP-10 identifiers.

use std::{fmt, str::FromStr};

use alloy_primitives::Address;
use records::{Index, Record, RecordKey};
use serde::{Deserialize, Serialize};

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
        let fits = |part: &str, len: std::ops::RangeInclusive<usize>, extra: &[u8], upper: bool| {
            len.contains(&part.len())
                && part.bytes().all(|b| {
                    b.is_ascii_lowercase()
                        || b.is_ascii_digit()
                        || extra.contains(&b)
                        || (upper && b.is_ascii_uppercase())
                })
        };
        if !fits(namespace, 3..=8, b"-", false)
            || !fits(reference, 1..=32, b"-_", true)
            || !fits(address, 1..=128, b"-.%", true)
        {
            return Err(BadAccountId::Form);
        }
        if namespace != "eip155" {
            return Ok(Self(format!("{namespace}:{reference}:{address}")));
        }
        let chain: u64 = reference.parse().map_err(|_| BadAccountId::Form)?;
        Ok(Self(format!("eip155:{chain}:{}", checked_address(address)?)))
    }
}

fn checked_address(text: &str) -> Result<String, BadAccountId> {
    let digits = text.strip_prefix("0x").ok_or(BadAccountId::Address)?;
    let address: Address = text.parse().map_err(|_| BadAccountId::Address)?;
    let mixed = digits.bytes().any(|b| b.is_ascii_uppercase())
        && digits.bytes().any(|b| b.is_ascii_lowercase());
    let checksummed = address.to_checksum(None);
    if mixed && checksummed != text { Err(BadAccountId::Checksum) } else { Ok(checksummed) }
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

impl Record for Account {
    const STORE: &'static str = "accounts";
    const VERSION: u32 = 1;
    const INDEXES: &'static [Index<Self>] = &[];

    fn key(&self) -> RecordKey {
        self.id.as_str().into()
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
