//! Assets on any chain: CAIP-19 identifiers.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::caip::{self, Wrong};

/// An asset on a chain, or one item of a collection: `CHAIN/NAMESPACE:REFERENCE` or
/// `CHAIN/NAMESPACE:REFERENCE/TOKEN`, as in `eip155:1/slip44:60`, `eip155:1/erc20:0x6b17...` and
/// `eip155:1/erc721:0x0601.../771769`.
///
/// CAIP-19. EVM addresses are kept in their checksummed form (EIP-55), so one asset has one spelling.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct AssetId(String);

/// An asset identifier that cannot be used. Correct it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadAssetId {
    /// Not the parts of the right form.
    #[error(
        "an asset is written CHAIN/NAMESPACE:REFERENCE, with /TOKEN behind it if it is one of a \
         collection, such as eip155:1/slip44:60 or eip155:1/erc721:0x.../1"
    )]
    Form,
    /// Not an EVM address.
    #[error("the reference of an erc20, erc721 or erc1155 asset is 0x and 40 hex digits")]
    Address,
    /// Mixed upper and lower case, but not as the checksum says: probably a typing error.
    #[error("the address's checksum (its upper and lower case letters) is wrong")]
    Checksum,
}

impl AssetId {
    /// The asset as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The chain, as CAIP-2 writes it: `eip155:1`.
    pub fn chain(&self) -> &str {
        self.0.split('/').next().unwrap_or_default()
    }

    /// Which one of a collection it is.
    pub fn token(&self) -> Option<&str> {
        self.0.split('/').nth(2)
    }
}

impl From<Wrong> for BadAssetId {
    fn from(wrong: Wrong) -> Self {
        match wrong {
            Wrong::Form => Self::Form,
            Wrong::Address => Self::Address,
            Wrong::Checksum => Self::Checksum,
        }
    }
}

impl FromStr for AssetId {
    type Err = BadAssetId;

    fn from_str(text: &str) -> Result<Self, BadAssetId> {
        let parts: Vec<&str> = text.trim().split('/').collect();
        let (chain, asset, token) = match *parts.as_slice() {
            [chain, asset] => (chain, asset, None),
            [chain, asset, token] => (chain, asset, Some(token)),
            _ => return Err(BadAssetId::Form),
        };
        let (namespace, reference) = chain.split_once(':').ok_or(BadAssetId::Form)?;
        let chain = caip::chain(namespace, reference)?;
        let (kind, reference) = asset.split_once(':').ok_or(BadAssetId::Form)?;
        let fits = caip::fits(kind, 3..=8, b"-", false)
            && caip::fits(reference, 1..=128, b"-.%", true)
            && token.is_none_or(|token| caip::fits(token, 1..=78, b"-.%", true));
        if !fits {
            return Err(BadAssetId::Form);
        }
        let reference = match kind {
            "erc20" | "erc721" | "erc1155" => caip::address(reference)?,
            _ => reference.to_owned(),
        };
        let token = token.map(|token| format!("/{token}")).unwrap_or_default();
        Ok(Self(format!("{chain}/{kind}:{reference}{token}")))
    }
}

impl fmt::Display for AssetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<AssetId> for String {
    fn from(id: AssetId) -> Self {
        id.0
    }
}

impl TryFrom<String> for AssetId {
    type Error = BadAssetId;

    fn try_from(text: String) -> Result<Self, BadAssetId> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_asset_has_one_spelling() {
        // The examples of CAIP-19.
        for good in [
            "eip155:1/slip44:60",
            "bip122:000000000019d6689c085ae165831e93/slip44:0",
            "cosmos:cosmoshub-3/slip44:118",
            "eip155:1/erc20:0x6B175474E89094C44Da98b954EedeAC495271d0F",
            "eip155:1/erc721:0x06012c8cf97BEaD5deAe237070F9587f8E7A266d",
            "eip155:1/erc721:0x06012c8cf97BEaD5deAe237070F9587f8E7A266d/771769",
            "hedera:mainnet/nft:0.0.55492/12",
        ] {
            assert_eq!(good.parse::<AssetId>().unwrap().as_str(), good);
        }
        let dai = "eip155:1/erc20:0x6b175474e89094c44da98b954eedeac495271d0f";
        let dai: AssetId = dai.parse().unwrap();
        assert!(dai.as_str().contains("6B17"));
        assert_eq!((dai.chain(), dai.token()), ("eip155:1", None));
        let kitty: AssetId = "hedera:mainnet/nft:0.0.55492/12".parse().unwrap();
        assert_eq!((kitty.chain(), kitty.token()), ("hedera:mainnet", Some("12")));
    }

    #[test]
    fn what_is_no_asset_is_refused() {
        for bad in ["", "eip155:1", "eip155/slip44:60", "eip155:1/slip44", "a:b/c:d", "x/y/z/w"] {
            assert_eq!(bad.parse::<AssetId>(), Err(BadAssetId::Form), "{bad}");
        }
        assert_eq!("eip155:1/erc20:0x12".parse::<AssetId>(), Err(BadAssetId::Address));
        let typo = "eip155:1/erc20:0x6b175474E89094C44Da98b954EedeAC495271d0F";
        assert_eq!(typo.parse::<AssetId>(), Err(BadAssetId::Checksum));
    }
}
