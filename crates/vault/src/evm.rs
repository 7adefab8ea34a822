//! A signature of an EVM account as the secret: EIP-191 `personal_sign` over a fixed text.
//!
//! The text and the derivation are specified in `docs/src/formats/envelope-v1.md`.

use alloy_primitives::{Address, Signature};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::{RootSecret, wipe::wiped};

/// What an account signs, so that the signature becomes the root secret of a wallet.
///
/// Who gets hold of this signature has the wallet: it must be asked for by the wallet's own program
/// alone, and never leave the device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignatureRequest {
    domain: String,
    address: Address,
}

/// There is no such request. Correct what was given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadRequest {
    /// A domain has 1 to 253 characters of `a-z 0-9 . - :`, so that it has one spelling.
    #[error("not a domain: give its lower-case name, such as wallet.example.org")]
    Domain,
    /// An address is `0x` and 40 hexadecimal digits, of one case or with the checksum of EIP-55.
    #[error("not the address of an EVM account, or one with a slip: its checksum does not fit")]
    Address,
}

/// The signature makes no root secret; it is not repeated. Ask the account's wallet again, or use
/// words instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadSignature {
    /// Not the 65 bytes of an ordinary account. Contract wallets (ERC-1271) sign with other lengths;
    /// their signatures change with their owners, so no key can come of them. Use words.
    #[error(
        "a signature has 65 bytes, found {found}: the signatures of contract wallets cannot be used"
    )]
    Length {
        /// How many bytes there are.
        found: usize,
    },
    /// A signature of a contract wallet that is not deployed yet (ERC-6492). Use words.
    #[error("a signature of a contract wallet (ERC-6492) cannot be used")]
    ContractWallet,
    /// Not hexadecimal digits, or no signature on the curve.
    #[error("not a signature")]
    Malformed,
    /// It was made by another account, or over another text; an owner's signature for a contract
    /// wallet looks like this too. Sign with the account that was named.
    #[error("the signature is not that of this account over this text")]
    OtherAccount,
    /// The account's wallet signs differently each time, so the key could never be made again. Use
    /// words, or another wallet for this account.
    #[error("this account signs the same text differently each time, so no key can come of it")]
    NotRepeatable,
}

/// The last 32 bytes of a signature of ERC-6492.
const ERC_6492: [u8; 32] = [
    0x64, 0x92, 0x64, 0x92, 0x64, 0x92, 0x64, 0x92, 0x64, 0x92, 0x64, 0x92, 0x64, 0x92, 0x64, 0x92,
    0x64, 0x92, 0x64, 0x92, 0x64, 0x92, 0x64, 0x92, 0x64, 0x92, 0x64, 0x92, 0x64, 0x92, 0x64, 0x92,
];

impl SignatureRequest {
    /// A request by the program or site of this domain to the account of this address.
    pub fn new(domain: &str, address: &str) -> Result<Self, BadRequest> {
        let fits = |c: char| matches!(c, 'a'..='z' | '0'..='9' | '.' | '-' | ':');
        if domain.is_empty() || domain.len() > 253 || !domain.chars().all(fits) {
            return Err(BadRequest::Domain);
        }
        let digits = address.strip_prefix("0x").ok_or(BadRequest::Address)?;
        let parsed: Address = address.parse().map_err(|_| BadRequest::Address)?;
        let mixed = digits.chars().any(|c| c.is_ascii_lowercase())
            && digits.chars().any(|c| c.is_ascii_uppercase());
        if mixed && parsed.to_checksum(None) != address {
            return Err(BadRequest::Address);
        }
        Ok(Self { domain: domain.to_owned(), address: parsed })
    }

    /// The account's address, with the checksum of EIP-55.
    pub fn address(&self) -> String {
        self.address.to_checksum(None)
    }

    /// The text to sign with `personal_sign`, without a line ending at its end.
    pub fn text(&self) -> String {
        format!(
            "Strongroom: open the wallet of this account\n\
             \n\
             The signature of this text is the key to the wallet's data.\n\
             Sign it only in the program that keeps your wallet, and show it to nobody.\n\
             It sends no transaction and costs nothing.\n\
             \n\
             Domain: {}\n\
             Purpose: strongroom/v1/evm-signature\n\
             Address: {}",
            self.domain,
            self.address(),
        )
    }

    /// The root secret of a new wallet. The text must be signed twice, and both signatures must be
    /// the same: otherwise the wallet could never be opened again.
    pub fn set_up(&self, first: &[u8], second: &[u8]) -> Result<RootSecret, BadSignature> {
        wiped(|| {
            let (first, second) = (self.scalars(first)?, self.scalars(second)?);
            if !bool::from(first.as_slice().ct_eq(second.as_slice())) {
                return Err(BadSignature::NotRepeatable);
            }
            Ok(RootSecret::from_signature(&first))
        })
    }

    /// The root secret of a wallet that was [set up](SignatureRequest::set_up).
    pub fn unlock(&self, signature: &[u8]) -> Result<RootSecret, BadSignature> {
        wiped(|| Ok(RootSecret::from_signature(&*self.scalars(signature)?)))
    }

    /// r and the lower s, if the account made this signature.
    fn scalars(&self, signature: &[u8]) -> Result<Zeroizing<[u8; 64]>, BadSignature> {
        if signature.ends_with(&ERC_6492) {
            return Err(BadSignature::ContractWallet);
        }
        let signature: &[u8; 65] =
            signature.try_into().map_err(|_| BadSignature::Length { found: signature.len() })?;
        let [.., v] = signature;
        // 0 and 1 are what hardware wallets give; with more, as of EIP-155, come transactions.
        if !matches!(v, 0 | 1 | 27 | 28) {
            return Err(BadSignature::Malformed);
        }
        let parsed = Signature::from_raw_array(signature).map_err(|_| BadSignature::Malformed)?;
        let low = parsed.normalized_s();
        let signer = low.recover_address_from_msg(self.text());
        if signer.map_err(|_| BadSignature::Malformed)? != self.address {
            return Err(BadSignature::OtherAccount);
        }
        let mut scalars = Zeroizing::new([0; 64]);
        let (r, s) = scalars.split_at_mut(32);
        r.copy_from_slice(&low.r().to_be_bytes::<32>());
        s.copy_from_slice(&low.s().to_be_bytes::<32>());
        Ok(scalars)
    }
}

#[cfg(test)]
mod tests;
