//! Compound keys, several keys of one record in one index, and both of them unique.

use records::{Error, Index, KeyRange, ObjectStore, Query, Record, RecordKey};
use serde::{Deserialize, Serialize};

use crate::common::{mem, open};

/// A page with tags, and addresses that no other page has.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct Page {
    title: String,
    year: Option<u16>,
    tags: Vec<String>,
    addresses: Vec<String>,
}

impl Record for Page {
    const STORE: &'static str = "pages";
    const VERSION: u32 = 1;
    const INDEXES: &'static [Index<Self>] = &[
        Index::new("year", |page| Some((page.year?, &page.title).into())),
        Index::each("tag", |page| page.tags.iter().map(RecordKey::from).collect()),
        Index::each_unique("address", |page| page.addresses.iter().map(RecordKey::from).collect()),
        Index::each("tag-year", |page| match page.year {
            Some(year) => page.tags.iter().map(|tag| (tag, year).into()).collect(),
            None => Vec::new(),
        }),
    ];

    fn key(&self) -> RecordKey {
        (&self.title).into()
    }
}

fn page(title: &str, year: u16, tags: &[&str]) -> Page {
    let strings = |from: &[&str]| from.iter().map(|text| (*text).to_owned()).collect();
    Page { title: title.to_owned(), year: Some(year), tags: strings(tags), ..Page::default() }
}

fn at(title: &str, addresses: &[&str]) -> Page {
    let addresses = addresses.iter().map(|text| (*text).to_owned()).collect();
    Page { addresses, ..page(title, 0, &[]) }
}

fn put(store: &ObjectStore<Page>, page: &Page) {
    store.put(page).unwrap().wait().unwrap();
}

fn titles(store: &ObjectStore<Page>, query: &Query) -> String {
    let titles = store.query(query).unwrap().map(|page| page.title.clone());
    titles.collect::<Vec<_>>().join(" ")
}

fn tag(tag: &str) -> Query {
    Query::index("tag").range(KeyRange::only(tag))
}

/// Sections are those of the Indexed Database API 3.0 (W3C).
#[test]
fn the_rules_of_the_w3c_text_on_multi_entry_indexes_hold() {
    let store = open::<Page>(&mem());
    for page in [
        page("one", 1, &["b", "a"]),
        page("twice", 2, &["a", "a"]),
        page("none", 3, &[]),
        page("last", 4, &["a"]),
    ] {
        put(&store, &page);
    }
    let all = Query::index("tag");
    let found = |rule: &str, query: &Query, expected: &str| {
        assert_eq!(titles(&store, query), expected, "{rule}");
    };
    found("6.1 a record for each subkey, sorted by key, then by value", &all, "last one twice one");
    found("7.4 duplicates are removed", &tag("a"), "last one twice");
    found("6.1 there may be no subkeys", &tag("c"), "");
    found(
        "2.6 the key of a compound index is an array",
        &Query::index("year"),
        "one twice none last",
    );
    assert_eq!(store.count(&all).unwrap(), 4, "6.5 the records of the index are counted");
    // 6.1: only the outermost array is taken apart; a subkey that is an array is a key.
    let a = Query::index("tag-year").range(KeyRange::prefix(("a",))).backward();
    found("6.1 nested arrays are keys", &a, "last twice one");
    // 6.4: deletion takes every record of the index that refers to it.
    store.delete("one").unwrap().wait().unwrap();
    found("6.4 deletion", &all, "last twice");
}

#[test]
fn a_change_moves_exactly_the_keys_that_changed() {
    let kv = mem();
    let store = open::<Page>(&kv);
    put(&store, &page("p", 1, &["a", "b", "c"]));
    put(&store, &page("q", 1, &["b"]));
    put(&store, &page("p", 2, &["d", "b", "a"]));
    let of = |name: &str| titles(&store, &tag(name));
    assert_eq!([of("a"), of("b"), of("c"), of("d")], ["p", "p q", "", "p"]);
    // What is found by a key that did not change is the record as it is now.
    for name in ["a", "b", "d"] {
        assert_eq!(store.query(&tag(name)).unwrap().next().unwrap().year, Some(2), "{name}");
    }
    put(&store, &Page { year: None, ..page("p", 0, &["a"]) });
    assert_eq!(titles(&store, &Query::index("year")), "q", "without a key it is not in the index");
    let again = open::<Page>(&kv);
    for index in Page::INDEXES {
        let query = Query::index(index.name());
        assert_eq!(again.keys(&query).unwrap(), store.keys(&query).unwrap(), "{}", index.name());
    }
}

#[test]
fn no_two_records_share_a_key_of_a_unique_multi_entry_index() {
    let store = open::<Page>(&mem());
    put(&store, &at("p", &["x", "y"]));
    let refused = |pages: &[Page]| {
        let before = store.get_all().unwrap();
        let result = store.put_many(pages);
        assert!(
            matches!(result, Err(Error::NotUnique { store: "pages", index: "address" })),
            "{result:?}"
        );
        assert_eq!(format!("{:?}", store.get_all().unwrap()), format!("{before:?}"));
    };
    refused(&[at("q", &["z", "y"])]);
    refused(&[at("q", &["u"]), at("r", &["v", "u"])]);
    put(&store, &at("p", &["y", "y", "w"])); // one record may say it twice
    put(&store, &at("q", &["x"]));
    refused(&[at("p", &["y", "x"])]);
    // Handed over within one batch.
    store.put_many(&[at("p", &["x"]), at("q", &["w", "y"])]).unwrap().wait().unwrap();
    assert_eq!(titles(&store, &Query::index("address")), "q p q");
}
