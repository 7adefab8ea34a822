//! Folders of LDK's stores as stores to copy from, and sealed.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests may panic")]

mod common;

use std::{fs, path::Path};

use common::{ldk, ns, open, ours, theirs, version_1};
use kv_core::{Batch, CopyError, Error, KvStore, KvStoreExt, copy};
use kv_fs::{LdkFolder, LdkVersion};
use lightning::{io::ErrorKind, util::persist::KVStoreSync};
use lightning_persister::fs_store::{v1::FilesystemStore, v2::FilesystemStoreV2};
use tempfile::TempDir;

const V1: LdkVersion = LdkVersion::V1;
const V2: LdkVersion = LdkVersion::V2;

/// Many of them in one millisecond, overwritten and removed.
fn version_2(dir: &Path) {
    let store = ldk(dir);
    store.write("", "", "manager", b"m".to_vec()).unwrap();
    for n in 0..200_usize {
        let key = format!("key-{}", n * 37 % 90);
        let primary = ["monitors", "monitor-updates"][n % 2];
        store.write(primary, ["", "deep"][n / 2 % 2], &key, vec![n as u8; n]).unwrap();
        if n % 7 == 0 {
            store.remove(primary, "", &key, false).unwrap();
        }
    }
}

#[test]
fn both_versions_are_copied_with_ldks_bytes_and_order() {
    let (one, two) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let values = version_1(one.path());
    fs::write(one.path().join("monitors/.DS_Store"), b"?").unwrap();
    let from = LdkFolder::open(one.path(), V1).unwrap();
    assert_eq!(from.skipped(), ["monitors/.DS_Store"]);
    let read = ours(&from);
    assert_eq!(read.values, values);
    let newest: Vec<_> = read.newest_first[&ns("monitors", "")].iter().take(2).collect();
    assert_eq!(newest.iter().map(|key| key.as_str()).collect::<Vec<_>>(), ["Chan_69", "Chan_68"]);
    let target = TempDir::new().unwrap();
    let store = open(target.path());
    let copied = copy(&from, &store, |_| ()).unwrap();
    assert_eq!(copied.entries, values.len() as u64);
    assert_eq!(ours(&store), read);

    version_2(two.path());
    let expected = theirs(&ldk(two.path()));
    let from = LdkFolder::open(two.path(), V2).unwrap();
    assert_eq!(ours(&from), expected);
    let target = TempDir::new().unwrap();
    let store = open(target.path());
    copy(&from, &store, |_| ()).unwrap();
    store.close().unwrap();
    assert_eq!(theirs(&ldk(target.path())), expected, "and LDK sees the same again");
    assert!(!two.path().join("~strongroom").exists(), "nothing is written where it is read");
}

#[test]
fn a_folder_that_changes_while_it_is_copied_is_found_out() {
    let dir = TempDir::new().unwrap();
    version_1(dir.path());
    let from = LdkFolder::open(dir.path(), V1).unwrap();
    let target = TempDir::new().unwrap();
    let store = open(target.path());
    let running = FilesystemStore::new(dir.path().to_owned());
    let mut changed = false;
    let copied = copy(&from, &store, |at| {
        if at.done == at.total && !at.comparing && !changed {
            running.write("monitors", "", "Chan_0", b"newer".to_vec()).unwrap();
            changed = true;
        }
    });
    assert!(changed && matches!(copied, Err(CopyError::Differs)), "{copied:?}");
}

#[test]
fn ldk_does_not_start_from_a_sealed_folder() {
    for version in [V1, V2] {
        let above = TempDir::new().unwrap();
        let dir = above.path().join("node");
        match version {
            V1 => drop(version_1(&dir)),
            _ => version_2(&dir),
        }
        let before = ours(&LdkFolder::open(&dir, version).unwrap());
        let sealed = LdkFolder::open(&dir, version).unwrap().seal("it is elsewhere").unwrap();
        let again = LdkFolder::open(&dir, version);
        let Err(Error::Refused { source, .. }) = again else { panic!("{again:?}") };
        assert!(source.to_string().contains("it is elsewhere"), "{source}");
        // A node that found nothing would begin anew; it must find that it cannot read.
        if version == V2 {
            assert!(FilesystemStoreV2::new(dir.clone()).is_err());
        }
        let error = FilesystemStore::new(dir.clone()).read("", "", "manager").unwrap_err();
        assert_ne!(error.kind(), ErrorKind::NotFound, "{error}");
        let write = FilesystemStore::new(dir.clone()).write("", "", "manager", b"new".to_vec());
        assert!(write.is_err());
        // Nothing was lost.
        assert_eq!(ours(&LdkFolder::open(&sealed, version).unwrap()), before);
    }
}

#[test]
fn an_interrupted_sealing_goes_on() {
    let above = TempDir::new().unwrap();
    let dir = above.path().join("node");
    let values = version_1(&dir);
    fs::rename(&dir, above.path().join("node.moved-to-strongroom")).unwrap();
    let folder = LdkFolder::open(&dir, V1).unwrap();
    assert_eq!(ours(&folder).values, values);
    folder.seal("it is elsewhere").unwrap();
    assert!(matches!(LdkFolder::open(&dir, V1), Err(Error::Refused { .. })));
    // An older one is never replaced.
    fs::remove_file(&dir).unwrap();
    version_1(&dir);
    let sealed = LdkFolder::open(&dir, V1).unwrap().seal("it is elsewhere");
    assert!(matches!(sealed, Err(Error::Io { .. })), "{sealed:?}");
    assert_eq!(ours(&LdkFolder::open(&dir, V1).unwrap()).values, values);
}

#[test]
fn what_is_no_folder_of_that_version_is_refused() {
    let (one, two) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    version_1(one.path());
    version_2(two.path());
    let ours = TempDir::new().unwrap();
    open(ours.path()).close().unwrap();
    for (dir, version) in [(&one, V2), (&two, V1), (&ours, V1), (&ours, V2)] {
        let outcome = LdkFolder::open(dir.path(), version);
        assert!(matches!(outcome, Err(Error::Corrupt { .. })), "{outcome:?}");
    }
    let outcome = LdkFolder::open(&one.path().join("absent"), V1);
    assert!(matches!(outcome, Err(Error::NotFound { .. })), "{outcome:?}");
    let file = one.path().join("manager");
    assert!(matches!(LdkFolder::open(&file, V1), Err(Error::Refused { .. })));
}

#[test]
fn a_folder_is_only_read_and_a_value_beside_it_is_its_newest() {
    let dir = TempDir::new().unwrap();
    version_1(dir.path());
    let folder = LdkFolder::open(dir.path(), V1).unwrap();
    let (root, seed) = (ns("", ""), common::key("keys_seed"));
    let write = folder.write(&root, &seed, b"s");
    assert!(matches!(write, Err(Error::Refused { .. })), "{write:?}");
    assert!(folder.submit(Batch::new()).wait().is_ok());
    folder.add(&root, &seed, b"seed".as_slice()).unwrap();
    folder.add(&root, &seed, b"seed".as_slice()).unwrap();
    let other = folder.add(&root, &seed, b"other".as_slice());
    assert!(matches!(other, Err(Error::Precondition { .. })), "{other:?}");
    assert_eq!(&*folder.read_required(&root, &seed).unwrap(), b"seed");
    assert_eq!(ours(&folder).newest_first[&root].first(), Some(&seed));
    folder.close().unwrap();
    assert!(matches!(folder.read(&root, &seed), Err(Error::Closed { .. })));
    assert!(!dir.path().join("keys_seed").exists());
}
