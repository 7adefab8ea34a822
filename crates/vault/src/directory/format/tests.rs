//! The directory's bytes: golden, and strict about everything no writer writes.

use super::*;
use crate::{RootSecret, golden::golden};

fn name(primary: &str, secondary: &str, key: &str) -> Name {
    let ns = Namespace::any(primary, secondary).unwrap();
    (ns, Key::new(key).unwrap())
}

fn table(names: &[Name]) -> NameTable {
    let mut table = NameTable::default();
    names.iter().for_each(|name| table.push(name));
    table
}

fn entry() -> Entry {
    Entry {
        added: table(&[
            name("", "", "manager"),
            name("monitors", "", "aa-0"),
            name("monitors", "", "bb-1"),
            name("~records", "transactions", "x7"),
        ]),
        removed: table(&[name("monitors", "", "cc-2")]),
    }
}

fn page() -> PageRecord {
    let home = |page, slot| Home { page: NonZeroU64::new(page).unwrap(), slot };
    PageRecord {
        through: 512,
        pages: 3,
        names: entry().added,
        tombs: vec![home(1, 17), home(2, 0)],
    }
}

#[test]
fn golden_entry() {
    let kept = golden("name-entry.bin", &entry().encode());
    assert_eq!(Entry::decode(&kept), Ok(entry()));
}

#[test]
fn golden_page() {
    let kept = golden("name-page.bin", &page().encode());
    assert_eq!(PageRecord::decode(&kept), Ok(page()));
}

#[test]
fn the_cost_of_names_is_their_length() {
    let mut table = NameTable::default();
    for name in [name("", "", "a"), name("b", "c", "d"), name("b", "c", "e")] {
        let mut before = Vec::new();
        table.put(&mut before);
        let cost = table.cost(&name);
        table.push(&name);
        let mut after = Vec::new();
        table.put(&mut after);
        assert_eq!(after.len() - before.len(), cost);
    }
}

#[test]
fn every_cut_is_malformed() {
    let (entry, page) = (entry().encode(), page().encode());
    assert!((0..entry.len()).all(|len| Entry::decode(&entry[..len]).is_err()));
    assert!((0..page.len()).all(|len| PageRecord::decode(&page[..len]).is_err()));
    assert!(Entry::decode(&[entry, vec![0]].concat()).is_err());
    assert!(PageRecord::decode(&[page, vec![0]].concat()).is_err());
}

#[test]
fn what_no_writer_writes_is_malformed() {
    let ascending = table(&[name("a", "", "k"), name("a", "", "l")]);
    let mut twice = ascending.clone();
    twice.names[1] = twice.names[0].clone();
    let mut nowhere = ascending.clone();
    nowhere.names[1].0 = 1;
    for bad in [twice, nowhere] {
        let entry = Entry { added: bad, removed: NameTable::default() };
        assert_eq!(Entry::decode(&entry.encode()), Err(Malformed));
    }
    // A huge count is not believed.
    assert_eq!(Entry::decode(&u32::MAX.to_le_bytes()), Err(Malformed));
}

#[test]
fn a_part_opens_only_under_its_own_number_and_class() {
    let keys = Keys::derive(&RootSecret::from_bytes([7; 32]));
    let sealed = seal_entry(&keys, 5, &Entry::default()).unwrap();
    assert!(open_entry(&keys, 5, &sealed).is_ok());
    assert!(matches!(open_entry(&keys, 6, &sealed), Err(Error::Corrupt { .. })));
    assert!(matches!(open_page(&keys, 5, &sealed), Err(Error::Corrupt { .. })));
}
