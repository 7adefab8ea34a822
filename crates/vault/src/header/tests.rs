//! The header: golden bytes, and what each pair of copies leads to.

use std::sync::Arc;

use kv_core::KvStoreExt;
use kv_mem::MemStore;

use super::*;
use crate::golden::golden;

fn header(generation: u64) -> Header {
    Header { generation, ..Header::new([0xab; 16]) }
}

fn store(copies: [Option<Vec<u8>>; 2]) -> Arc<MemStore> {
    let store = Arc::new(MemStore::new());
    for (number, copy) in (0..).zip(copies) {
        if let Some(bytes) = copy {
            store.write(&place(), &Key::number(number), bytes).unwrap();
        }
    }
    store
}

fn flipped(position: usize) -> Vec<u8> {
    let mut bytes = header(1).encode();
    bytes[position] ^= 1;
    bytes
}

fn newer() -> Vec<u8> {
    let mut bytes = header(1).encode();
    bytes[4] = VERSION + 1;
    let checked = bytes.len() - 4;
    let crc = crc32c::crc32c(&bytes[..checked]);
    bytes[checked..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

#[test]
fn golden_header() {
    let kept = golden("header.bin", &header(1).encode());
    match Header::decode(&kept) {
        Ok(Copy::Good(read, _)) => assert_eq!(read, header(1)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn either_copy_heals_the_other() {
    let good = header(1).encode();
    for position in 0..good.len() {
        for bad in 0..2 {
            let mut copies = [Some(good.clone()), Some(good.clone())];
            copies[bad] = Some(flipped(position));
            let store = store(copies);
            let (read, finding) = Header::read(&*store).unwrap();
            assert_eq!(read, header(1));
            assert_eq!(finding.unwrap().severity, Severity::Healed);
            let healed = store.read_required(&place(), &Key::number(bad as u64)).unwrap();
            assert_eq!(*healed, *good, "byte {position} of copy {bad}");
            assert_eq!(Header::read(&*store).unwrap(), (header(1), None));
        }
    }
}

#[test]
fn a_missing_copy_heals_too() {
    let good = header(1).encode();
    for copies in [[Some(good.clone()), None], [None, Some(good)]] {
        let store = store(copies);
        assert!(Header::read(&*store).unwrap().1.is_some());
        assert_eq!(Header::read(&*store).unwrap(), (header(1), None));
    }
}

#[test]
fn the_newer_of_two_valid_copies_counts() {
    let (old, new) = (header(1).encode(), header(2).encode());
    for copies in [[Some(old.clone()), Some(new.clone())], [Some(new), Some(old)]] {
        let store = store(copies);
        let (read, finding) = Header::read(&*store).unwrap();
        assert_eq!(read, header(2));
        assert!(finding.is_some());
        assert_eq!(Header::read(&*store).unwrap(), (header(2), None));
    }
}

#[test]
fn what_cannot_be_read_is_told_apart() {
    let good = header(1).encode();
    assert!(matches!(Header::read(&*store([None, None])), Err(UnlockError::Empty)));
    let both = store([Some(flipped(9)), Some(flipped(30))]);
    assert!(matches!(Header::read(&*both), Err(UnlockError::Damaged { .. })));
    let one = store([None, Some(flipped(9))]);
    assert!(matches!(Header::read(&*one), Err(UnlockError::Damaged { .. })));
    for copies in [[Some(newer()), Some(newer())], [Some(good), Some(newer())]] {
        let read = Header::read(&*store(copies));
        assert!(matches!(read, Err(UnlockError::TooNew { found: 2, newest: 1 })));
    }
    // Entries without a header are no empty store.
    let headless = store([None, None]);
    let ns = Namespace::new("a", "").unwrap();
    headless.write(&ns, &Key::number(1), b"x").unwrap();
    assert!(matches!(Header::read(&*headless), Err(UnlockError::Damaged { .. })));
    let other = Header::new([1; 16]);
    let torn = store([Some(other.encode()), Some(header(1).encode())]);
    assert!(matches!(Header::read(&*torn), Err(UnlockError::Damaged { .. })));
}

/// What a later version keeps there is passed by and healed as it is; a passphrase is not tried.
#[test]
fn a_wrapped_key_of_a_later_kind_is_passed_by() {
    let later = Header { wrap: 2, wrapped: b"later".to_vec(), ..header(1) };
    let bytes = later.encode();
    let store = store([Some(bytes.clone()), None]);
    let read = Header::read(&*store).unwrap().0;
    assert_eq!(read, later);
    let healed = store.read_required(&place(), &Key::number(1)).unwrap();
    assert_eq!(*healed, *bytes);
    let passphrase = crate::Passphrase::new("correct horse").unwrap();
    let tried = read.unlock(&Secret::Passphrase(passphrase));
    assert!(matches!(tried, Err(UnlockError::TooNew { found: 2, newest: 1 })));
    let root = RootSecret::from_bytes([7; 32]);
    let known = Header { wallet_tag: Keys::derive(&root).wallet_tag(), ..later };
    assert!(known.unlock(&Secret::Root(root)).is_ok());
}

/// A scrub sees what an unlock would heal.
#[test]
fn two_good_copies_that_differ_are_found() {
    let found = |copies| Header::check(&*store(copies)).unwrap();
    let (old, new) = (header(1).encode(), header(2).encode());
    assert!(found([Some(new.clone()), Some(new.clone())]).is_empty());
    assert_eq!(found([Some(old), Some(new.clone())]), ["older than the other"]);
    assert_eq!(found([Some(flipped(9)), Some(new)]), ["damaged"]);
}
