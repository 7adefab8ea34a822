//! Signatures of EVM accounts: files of an address and what the account signed.

use wallet_persistence::{RootSecret, SignatureRequest};
use zeroize::Zeroizing;

use crate::exit::{Code, Failure, Result};

/// The domain of this program in the text to sign.
pub(crate) const DOMAIN: &str = "strongroom";

/// The request that a text of `strongroom evm text` belongs to.
pub(crate) fn request(domain: &str, address: &str) -> Result<SignatureRequest> {
    SignatureRequest::new(domain, address).map_err(|e| {
        Failure::new(
            Code::Usage,
            "no text to sign",
            "copy the address from the account's wallet, with or without its capitals",
        )
        .because(&e)
    })
}

/// The root secret of an existing wallet, from one file.
pub(crate) fn unlocking(text: &str, from: &str) -> Result<RootSecret> {
    let (request, signature) = parse(text, from)?;
    request.unlock(&signature).map_err(|e| failure(from).because(&e))
}

/// The root secret of a new wallet, from two files.
pub(crate) fn setting_up(first: &str, second: &str, from: &str) -> Result<RootSecret> {
    let (request, first) = parse(first, from)?;
    let (other, second) = parse(second, from)?;
    if other != request {
        return Err(failure(from));
    }
    request.set_up(&first, &second).map_err(|e| failure(from).because(&e))
}

/// A file holds the domain (if it is not ours), the address and the signature, with white space
/// between them.
fn parse(text: &str, from: &str) -> Result<(SignatureRequest, Zeroizing<Vec<u8>>)> {
    let parts: Vec<&str> = text.split_whitespace().collect();
    let (domain, address, signature) = match parts.as_slice() {
        [address, signature] => (DOMAIN, address, signature),
        [domain, address, signature] => (*domain, address, signature),
        _ => return Err(failure(from)),
    };
    let request = SignatureRequest::new(domain, address).map_err(|e| failure(from).because(&e))?;
    let digits = signature.strip_prefix("0x").unwrap_or(signature).as_bytes();
    let mut bytes = Zeroizing::new(Vec::with_capacity(digits.len() / 2));
    for pair in digits.chunks(2) {
        let byte = std::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2);
        let byte = byte.and_then(|pair| u8::from_str_radix(pair, 16).ok());
        bytes.push(byte.ok_or_else(|| failure(from))?);
    }
    Ok((request, bytes))
}

fn failure(from: &str) -> Failure {
    Failure::new(
        Code::WrongKey,
        format!("no signature that opens a wallet ({from})"),
        "a file holds the account's address and its signature of the text that \
         `strongroom evm text` prints, both in hexadecimal",
    )
}
