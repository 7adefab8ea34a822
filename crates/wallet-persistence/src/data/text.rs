//! What records of a wallet refuse: texts that are none, addresses that are none, times that run
//! backwards.

use url::Url;

/// Data that cannot be kept as it is. Correct it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadData {
    /// Empty, too long, or with control characters.
    #[error("{what} has 1 to {max} characters and no control characters")]
    Text {
        /// What is wrong.
        what: &'static str,
        /// How long it may be.
        max: usize,
    },
    /// An asset of another chain than the account it is said to be in.
    #[error("the asset is on another chain than the account")]
    OtherChain,
    /// A record of another account than the one it was given for.
    #[error("a record belongs to another account")]
    OtherAccount,
    /// Not one item of a collection.
    #[error("an NFT is named with its token, such as eip155:1/erc721:0x.../1")]
    NoToken,
    /// Not the address of a page.
    #[error("an address of a page is written https://HOST/...")]
    Url,
    /// It ends before it begins.
    #[error("a visit ends before it begins")]
    Times,
}

/// The text without surrounding white space, if it has an acceptable length and no control characters.
pub(crate) fn checked(what: &'static str, text: &str, max: usize) -> Result<String, BadData> {
    let text = text.trim();
    let is_bad = text.is_empty() || text.chars().any(char::is_control);
    if is_bad || text.chars().count() > max {
        return Err(BadData::Text { what, max });
    }
    Ok(text.to_owned())
}

/// The same where there may be none.
pub(crate) fn optional(
    what: &'static str,
    text: Option<&str>,
    max: usize,
) -> Result<Option<String>, BadData> {
    text.map(|text| checked(what, text, max)).transpose()
}

/// The address of a page in its one spelling, and its origin (RFC 6454): scheme, host and port.
pub(crate) fn page(address: &str) -> Result<(String, String), BadData> {
    let url = Url::parse(address.trim()).map_err(|_| BadData::Url)?;
    let origin = url.origin();
    if !origin.is_tuple() || url.as_str().len() > 8192 {
        return Err(BadData::Url);
    }
    Ok((url.to_string(), origin.ascii_serialization()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_one_spelling_and_an_origin() {
        let (url, origin) = page(" HTTPS://Example.ORG:443/a?b#c ").unwrap();
        assert_eq!(url, "https://example.org/a?b#c");
        assert_eq!(origin, "https://example.org");
        assert_eq!(page("http://x.org:8080").unwrap().1, "http://x.org:8080");
        for bad in ["", "example.org", "data:text/plain,x", "https://", "about:blank", "/a"] {
            assert_eq!(page(bad), Err(BadData::Url), "{bad}");
        }
    }

    #[test]
    fn texts_are_trimmed_and_checked() {
        assert_eq!(checked("x", " a b ", 3).unwrap(), "a b");
        for bad in ["", "  ", "a\nb", "abcd"] {
            assert_eq!(checked("x", bad, 3), Err(BadData::Text { what: "x", max: 3 }), "{bad:?}");
        }
    }
}
