//! The end of listings that come in pages.

use std::collections::HashSet;

use crate::http::Failure;

/// With a thousand names to a page, far more than any wallet has objects.
const MOST: usize = 10_000;

/// Sees to it that a listing ends, whatever a service says of its next page.
#[derive(Debug, Default)]
pub(super) struct Pages(HashSet<String>);

impl Pages {
    /// Before the page of this token is asked for. An error if it was asked for already, or if there
    /// are too many.
    pub(super) fn turn(&mut self, token: &str) -> Result<(), Failure> {
        if self.0.len() >= MOST || !self.0.insert(token.to_owned()) {
            return Err(Failure::nonsense("a listing without an end"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_page_comes_twice_and_no_listing_goes_on_for_ever() {
        let mut pages = Pages::default();
        assert!(pages.turn("a").is_ok() && pages.turn("b").is_ok() && pages.turn("a").is_err());
        let mut pages = Pages::default();
        assert_eq!((0..).take_while(|n| pages.turn(&n.to_string()).is_ok()).count(), MOST);
    }
}
