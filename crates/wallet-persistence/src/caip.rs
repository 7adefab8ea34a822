//! What names of accounts and of assets share: chains (CAIP-2) and EVM addresses (EIP-55).

use std::ops::RangeInclusive;

use alloy_primitives::Address;

/// What is wrong with a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// Not the parts it should have.
    Form,
    /// Not an EVM address.
    Address,
    /// Mixed upper and lower case, but not as the checksum says.
    Checksum,
}

/// Whether a part has a length and characters that are allowed: lower case and digits, `extra`, and
/// upper case if so.
pub(crate) fn fits(part: &str, len: RangeInclusive<usize>, extra: &[u8], upper: bool) -> bool {
    let allowed = |b: u8| {
        b.is_ascii_lowercase()
            || b.is_ascii_digit()
            || extra.contains(&b)
            || (upper && b.is_ascii_uppercase())
    };
    len.contains(&part.len()) && part.bytes().all(allowed)
}

/// A chain, `NAMESPACE:REFERENCE`, in its one spelling.
pub(crate) fn chain(namespace: &str, reference: &str) -> Result<String, Wrong> {
    if !fits(namespace, 3..=8, b"-", false) || !fits(reference, 1..=32, b"-_", true) {
        return Err(Wrong::Form);
    }
    if namespace != "eip155" {
        return Ok(format!("{namespace}:{reference}"));
    }
    let number: u64 = reference.parse().map_err(|_| Wrong::Form)?;
    Ok(format!("eip155:{number}"))
}

/// An EVM address in its checksummed spelling.
pub(crate) fn address(text: &str) -> Result<String, Wrong> {
    let digits = text.strip_prefix("0x").ok_or(Wrong::Address)?;
    let address: Address = text.parse().map_err(|_| Wrong::Address)?;
    let mixed = digits.bytes().any(|b| b.is_ascii_uppercase())
        && digits.bytes().any(|b| b.is_ascii_lowercase());
    let checksummed = address.to_checksum(None);
    if mixed && checksummed != text { Err(Wrong::Checksum) } else { Ok(checksummed) }
}
