//! The page of the book on kinds of data is what the code says, and so is the store.

use std::{env, fs};

use wallet_persistence::{KINDS, Place, kinds_page};

use crate::common::alone;

#[test]
fn the_page_on_kinds_of_data_is_what_the_code_says() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/src/data.md");
    if env::var_os("STRONGROOM_BLESS").is_some() {
        fs::write(page, kinds_page()).unwrap();
    }
    let said = fs::read_to_string(page).unwrap();
    assert_eq!(said, kinds_page(), "if this is meant, run the test with STRONGROOM_BLESS=1");
}

/// Every object store that a wallet opens by itself has a line, and every line an object store.
#[tokio::test]
async fn every_kind_of_record_has_a_line() {
    let device = alone().await;
    let listed = KINDS.iter().filter_map(|kind| match kind.place {
        Place::One("~records", store) => Some(store),
        _ => None,
    });
    let mut listed: Vec<&str> = listed.collect();
    listed.sort_unstable();
    let open: Vec<&str> = device.session.status().unwrap().records.into_keys().collect();
    assert_eq!(listed, open);
}
